//! Checkout: redeems admission tokens, holds units, takes payments, keeps orders.
//!
//! [`state`] says what may become of a hold and of a payment, and knows nothing else. `purchase` and `payment` drive it,
//! `till` gathers redemptions that are committed together, `relay` says outside what happened, `hearing` is how others in here hear of it,
//! `catalogue` shows what is sold, from copies in `cache`, `webhook` tells others over HTTP, `store` is all of the SQL, `health` tells the controllers how it
//! goes, `gateway` the port to the payment company, `sweeper` does what time asks for, `jwks` knows the keys of tokens,
//! `holder` knows who asks, `gate` answers proxies in front of another checkout, `shop` is the way in for the shop's own systems, `once` does a request with a key once, `api` is the way in and `problem` every way out that is not
//! good.

mod api;
mod cache;
mod catalogue;
#[doc(hidden)]
pub mod door;
mod gate;
mod gateway;
mod health;
mod hearing;
mod holder;
mod jwks;
mod once;
mod order;
mod outbound;
mod payment;
mod problem;
mod purchase;
mod relay;
mod settings;
mod shop;
pub mod state;
mod store;
mod sweeper;
mod till;
mod webhook;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, Uri},
    middleware::from_fn_with_state,
    routing::get,
};
use fairline_events::EventStream;
use fairline_line::ticket::TicketKey;
use fairline_service::{RateLimit, Readiness, Secret, ServeLimits, Shutdown, StartError, plumbing_routes, serve};
use tokio::net::TcpListener;
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        OpenApi,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

pub use settings::Settings;

/// How long a stop waits for what is under way; what is not done by then, the sweeper of another process finishes.
const DRAIN: Duration = Duration::from_secs(10);

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Fairline checkout",
        description = "Redeem an admission token, pay, and see your orders.",
        license(name = "MIT OR Apache-2.0")
    ),
    modifiers(&Security)
)]
struct Document;

/// How callers say who they are.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let admission = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The admission token; beside it goes the ticket cookie of its holder."))
            .build();
        let ticket = ApiKeyValue::with_description(
            "fairline_ticket_{sale}",
            "The ticket, as the waiting room has set it: one for each sale.",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admission", SecurityScheme::Http(admission));
        let shop =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The key of the shop's own systems."));
        components.add_security_scheme("shop", SecurityScheme::Http(shop.build()));
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Cookie(ticket)));
    }
}

/// What every request needs.
#[derive(Clone)]
pub(crate) struct Checkout {
    store: store::Store,
    catalogue: catalogue::Catalogue,
    till: till::Till,
    gateway: Arc<dyn gateway::Gateway>,
    gateway_watch: gateway::guarded::Watched,
    webhook_secrets: Arc<[Secret]>,
    keys: jwks::Keys,
    ticket_key: TicketKey,
    shop_key: Option<Arc<Secret>>,
    waiting_room_url: Option<HeaderValue>,
    secure_cookies: bool,
    orders_kept_days: u32,
    shutdown: Shutdown,
}

/// A started checkout.
pub struct Service {
    /// Its routes.
    pub routes: Router,
    /// Whether it can do its work.
    pub ready: Readiness,
}

impl Service {
    /// Reads the keys, and starts to sweep.
    ///
    /// # Errors
    /// When a setting is wrong, or the file of keys can't be read.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        let ticket_key: TicketKey = settings
            .ticket_key
            .expose()
            .parse()
            .map_err(|error| StartError::new(format!("The ticket key can't be used: {error}.")))?;
        let store = store::Store::connect(settings.postgres_url.expose())?;
        let stripe = gateway::stripe::Stripe::new(&settings.gateway_url, settings.gateway_key.clone())?;
        let (gateway, gateway_watch) = gateway::guarded::Guarded::new(stripe);
        let checkout = Checkout {
            till: till::Till::open(store.clone(), shutdown),
            store,
            catalogue: catalogue::Catalogue::default(),
            gateway: Arc::new(gateway),
            gateway_watch,
            webhook_secrets: settings.webhook_secrets.clone().into(),
            keys: jwks::Keys::load(&settings.jwks, shutdown).await?,
            ticket_key,
            shop_key: shop_key(settings)?,
            waiting_room_url: waiting_room_url(settings)?,
            secure_cookies: settings.secure_cookies,
            orders_kept_days: settings.orders_kept_days,
            shutdown: shutdown.clone(),
        };
        let limit = RateLimit::new(
            settings.purchase_rate_per_s,
            settings.purchase_burst,
            settings.trusted_proxies.clone(),
            shutdown,
        )?;
        sweeper::start(&checkout);
        let redis = fairline_redis::connect_in_time(settings.redis_url.expose())
            .map_err(|error| StartError::new(format!("The Redis address can't be used: {}.", error.details())))?;
        let (stream, cache) = (EventStream::new(redis.clone()), cache::Cache::new(redis));
        relay::start(&checkout, stream.clone());
        catalogue::start(&checkout, cache);
        let catalogue = checkout.catalogue.clone();
        hearing::start(&checkout, stream.clone(), "catalogue", move |_| {
            catalogue.spoil();
            std::future::ready(Ok(()))
        });
        let webhooks = checkout.clone();
        hearing::start(&checkout, stream, "webhooks", move |events| webhook::hear(webhooks.clone(), events));
        webhook::start(&checkout);
        let health = health::Health::default();
        health::start(health.clone(), checkout.store.clone(), shutdown);

        let ready = readiness(checkout.clone());
        let buying = api::purchasing()
            .route_layer(from_fn_with_state(health.clone(), health::purchased))
            .merge(api::paying().route_layer(from_fn_with_state(health, health::paid)));
        let once = from_fn_with_state(checkout.clone(), once::once);
        let (routes, document) = OpenApiRouter::with_openapi(Document::openapi())
            .merge(buying.merge(api::giving_back()).route_layer(once.clone()).route_layer(limit.layer()))
            .merge(shop::routes().route_layer(once))
            .merge(api::looking())
            .merge(catalogue::routes())
            .merge(gate::routes())
            .merge(gateway::webhook::routes())
            .split_for_parts();
        let routes = routes
            .with_state(checkout)
            .route("/openapi/checkout.json", get(move || async move { axum::Json(document) }));
        Ok(Self { routes, ready })
    }
}

/// A short key could be guessed.
const SHOP_KEY_CHARS_MIN: usize = 32;

fn shop_key(settings: &Settings) -> Result<Option<Arc<Secret>>, StartError> {
    match &settings.shop_key {
        Some(key) if key.expose().len() < SHOP_KEY_CHARS_MIN => Err(StartError::new(format!(
            "The shop's key is too short: it needs {SHOP_KEY_CHARS_MIN} characters at least."
        ))),
        key => Ok(key.clone().map(Arc::new)),
    }
}

fn waiting_room_url(settings: &Settings) -> Result<Option<HeaderValue>, StartError> {
    let Some(url) = &settings.waiting_room_url else { return Ok(None) };
    let is_one =
        url.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    let wrong = || StartError::new(format!("The waiting room's address `{url}` is not an http:// or https:// one."));
    HeaderValue::from_str(url).ok().filter(|_| is_one).map(Some).ok_or_else(wrong)
}

/// The gateway is no part of it: while it is down, shoppers keep their holds and payments wait.
fn readiness(checkout: Checkout) -> Readiness {
    Arc::new(move || {
        let checkout = checkout.clone();
        Box::pin(async move {
            if !checkout.keys.are_loaded() {
                return Err("The keys of admission tokens have not been loaded yet.".to_owned());
            }
            checkout.store.ping().await.map_err(|error| error.to_string())
        })
    })
}

/// Runs checkout until asked to stop.
///
/// # Errors
/// When it can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let service = Service::start(&settings, &shutdown).await?;
    let router = plumbing_routes(service.routes, service.ready, &shutdown);
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(DRAIN).await;
    Ok(())
}
