//! Checkout: redeems admission tokens, holds units, takes payments, keeps orders.
//!
//! [`state`] says what may become of a hold and of a payment, and knows nothing else. `purchase` and `payment` drive it,
//! `till` gathers redemptions that are committed together, `relay` says outside what happened, `hearing` is how others in here hear of it,
//! `catalogue` shows what is sold, from copies in `cache`, `webhook` tells others over HTTP, `store` is all of the SQL, `health` tells the controllers how it
//! goes, `gateway` the port to the payment company, `sweeper` does what time asks for, `jwks` knows the keys of tokens, `refusals` those that were refused and
//! `forgers` who made them up, each with a memory of what is `recent`, `doorman` tells them so before the router, `turnstile` is what a purchase passes first,
//! `holder` knows who asks, `account` and `issuer` who somebody is beyond a ticket, `users` is the way in for them,
//! `letter` and `post` say to them what has happened, `push` in their browsers, `gate` answers proxies in front of another checkout, `shop` is the way in for the shop's own systems, `api` is the way in and `problem` every way out that is not
//! good.

mod account;
mod api;
mod cache;
mod catalogue;
#[doc(hidden)]
pub mod door;
mod doorman;
mod forgers;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod gateway;
mod health;
mod hearing;
mod holder;
mod issuer;
mod jwks;
mod letter;
mod order;
mod outbound;
mod payment;
mod post;
mod problem;
mod purchase;
mod push;
mod recent;
mod refusals;
mod relay;
mod settings;
mod settle;
mod shop;
pub mod state;
mod store;
mod sweeper;
mod till;
mod turnstile;
mod users;
mod webhook;

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, Uri, request},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use fairline_events::EventStream;
use fairline_line::ticket::TicketKey;
use fairline_once::Once;
use fairline_service::{
    Origins, Problem, RateLimit, Readiness, Secret, ServeLimits, Shutdown, StartError, TrustedProxies,
    document_problems, plumbing_routes, serve,
};
use tokio::net::TcpListener;
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        OpenApi,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

pub use settings::{PAYMENT_CONNECTIONS, REDEMPTION_CONNECTIONS, REQUEST_CONNECTIONS, Settings};
use turnstile::Turnstile;

/// How far the clocks of those who sign and of this process may be apart, in seconds, where no database can be asked. Wherever
/// one can, its clock decides.
pub(crate) const CLOCK_SLACK_S: i64 = 300;
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
        let account = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
            "The access token of an account; in `Fairline-Account` where an admission token comes along.",
        ));
        components.add_security_scheme("account", SecurityScheme::Http(account.build()));
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Cookie(ticket)));
    }
}

/// What every request needs, at hand.
#[derive(Clone)]
pub(crate) struct Checkout(Arc<Parts>);

impl Deref for Checkout {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What checkout is made of.
pub(crate) struct Parts {
    store: store::Store,
    catalogue: catalogue::Catalogue,
    till: till::Till,
    gateway: Arc<dyn gateway::Gateway>,
    gateway_watch: gateway::guarded::Watched,
    webhook_secrets: Arc<[Secret]>,
    keys: jwks::Keys,
    refusals: refusals::Refusals,
    visits: gate::Visits,
    forgers: forgers::Forgers,
    once: Once,
    ticket_key: TicketKey,
    account_key: Option<account::AccountKey>,
    issuer: Option<issuer::Issuer>,
    carriers: post::Carriers,
    codes: RateLimit,
    phone_codes: RateLimit,
    trusted_proxies: TrustedProxies,
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
    /// What the doorman has to know, where there is one.
    known: (Checkout, RateLimit, health::Health),
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
        let store::Stores { requests: store, redemptions, heartbeat } = store::Stores::connect(settings)?;
        heartbeat.pool().check().await?;
        let stripe = gateway::stripe::Stripe::new(&settings.gateway_url, settings.gateway_key.clone())?;
        let (gateway, gateway_watch) = gateway::guarded::Guarded::new(stripe);
        let (account_key, shop_key) = (account_key(settings)?, shop_key(settings)?);
        let askers = (ticket_key.clone(), account_key.clone(), shop_key.clone());
        let known_by = move |parts: &request::Parts| {
            let (tickets, accounts, shop) = &askers;
            holder::known_by(&parts.headers, tickets, accounts.as_ref(), shop.as_deref())
        };
        // Whoever signs in is nobody yet, but somewhere.
        let (known_by_all, proxies) = (known_by.clone(), settings.front.proxies());
        let known_or_from = move |parts: &request::Parts| {
            let mut names = known_by_all(parts);
            names.push(format!("from {}", proxies.client_of(parts)).into_bytes());
            names
        };
        let checkout = Checkout(Arc::new(Parts {
            once: Once::new(store.pool().clone(), known_by, shutdown),
            till: till::Till::open(redemptions, shutdown),
            store,
            catalogue: catalogue::Catalogue::default(),
            gateway: Arc::new(gateway),
            gateway_watch,
            webhook_secrets: settings.webhook_secrets.clone().into(),
            refusals: refusals::Refusals::default(),
            visits: gate::Visits::default(),
            forgers: forgers::Forgers::default(),
            keys: jwks::Keys::load(&settings.jwks, shutdown).await?,
            ticket_key,
            account_key,
            issuer: issuer(settings)?,
            carriers: post::Carriers::new(settings)?,
            codes: RateLimit::new(settings.code_rate_per_s, settings.code_burst, settings.front.proxies(), shutdown)?,
            phone_codes: RateLimit::new(
                settings.phone_code_rate_per_s,
                settings.phone_code_burst,
                settings.front.proxies(),
                shutdown,
            )?,
            trusted_proxies: settings.front.proxies(),
            shop_key,
            waiting_room_url: waiting_room_url(settings)?,
            secure_cookies: settings.secure_cookies,
            orders_kept_days: settings.orders_kept_days,
            shutdown: shutdown.clone(),
        }));
        let limit =
            RateLimit::new(settings.purchase_rate_per_s, settings.purchase_burst, settings.front.proxies(), shutdown)?;
        sweeper::start(&checkout);
        let redis = fairline_redis::connect_in_time(settings.redis_url.expose())
            .map_err(|error| StartError::new(format!("The Redis address can't be used: {}.", error.details())))?;
        let (stream, cache) = (EventStream::new(redis.clone()), cache::Cache::new(redis));
        relay::start(&checkout, stream.clone().waiting_for(hearing::groups(&checkout)));
        catalogue::start(&checkout, cache);
        post::start(&checkout, stream.clone(), shop(settings)?);
        let webhooks = checkout.clone();
        hearing::start(&checkout, stream, hearing::WEBHOOKS, move |events| webhook::hear(webhooks.clone(), events));
        webhook::start(&checkout);
        let health = health::Health::default();
        health::start(health.clone(), checkout.gateway_watch.clone(), heartbeat.clone(), shutdown);

        let ready = readiness(checkout.clone(), heartbeat);
        let known = (checkout.clone(), limit.clone(), health.clone());
        let turnstile = Turnstile { limit: limit.clone(), once: checkout.once.clone(), health: health.clone() };
        let once = from_fn_with_state(checkout.once.clone(), fairline_once::once);
        let once_for_all = Once::new(checkout.store.pool().clone(), known_or_from, shutdown);
        let once_for_all = from_fn_with_state(once_for_all, fairline_once::once);
        let paying = api::paying()
            .route_layer(from_fn_with_state(health, health::paid))
            .merge(api::giving_back())
            .merge(api::withdrawing());
        let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
            .merge(api::purchasing().route_layer(from_fn_with_state(turnstile, turnstile::pass)))
            .merge(paying.route_layer(once.clone()).route_layer(limit.layer()))
            .merge(users::signing_in().route_layer(once_for_all).route_layer(limit.layer()))
            .merge(users::signed_in())
            .merge(shop::routes().route_layer(once))
            .merge(api::looking())
            .merge(catalogue::routes())
            .merge(gate::routes())
            .merge(gateway::webhook::routes())
            .split_for_parts();
        document_problems(&mut document);
        let origins = settings.front.origins(&settings.allowed_origins, settings.secure_cookies)?;
        let routes = routes
            .with_state(checkout)
            .route_layer(from_fn_with_state(origins, own_pages))
            .route("/openapi/checkout.json", get(move || async move { axum::Json(document) }));
        Ok(Self { routes, ready, known })
    }
}

/// The layer that lets no page of another site change anything with the cookies of a browser.
async fn own_pages(State(origins): State<Origins>, request: Request, next: Next) -> Result<Response, Problem> {
    // A proxy that asks about a shopper's request passes its method and headers on; asking changes nothing.
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD) && !gate::is_asked(request.uri());
    if changes && origins.is_foreign(request.headers()) {
        return Err(problem::CheckoutError::ForeignOrigin.into());
    }
    Ok(next.run(request).await)
}

fn account_key(settings: &Settings) -> Result<Option<account::AccountKey>, StartError> {
    let wrong = |error| StartError::new(format!("The sign-in key can't be used: {error}."));
    settings.sign_in_key.as_ref().map(|key| account::AccountKey::new(key).map_err(wrong)).transpose()
}

fn issuer(settings: &Settings) -> Result<Option<issuer::Issuer>, StartError> {
    match (&settings.oidc_issuer, &settings.oidc_audience) {
        (Some(issuer), Some(audience)) => Ok(Some(issuer::Issuer::new(issuer, audience)?)),
        _ => Ok(None),
    }
}

fn shop(settings: &Settings) -> Result<letter::Shop, StartError> {
    let url = settings.pages_url.as_ref().or(settings.front.public_origins.first()).map_or("", String::as_str);
    if !url.is_empty() && outbound::web_address(url).is_none() {
        return Err(StartError::new(format!("The pages' address `{url}` is not an http:// or https:// one.")));
    }
    Ok(letter::Shop { name: settings.shop_name.clone(), url: url.trim_end_matches('/').to_owned() })
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
fn readiness(checkout: Checkout, heartbeat: store::Store) -> Readiness {
    Arc::new(move || {
        let (checkout, heartbeat) = (checkout.clone(), heartbeat.clone());
        Box::pin(async move {
            if !checkout.keys.are_loaded() {
                return Err("The keys of admission tokens have not been loaded yet.".to_owned());
            }
            heartbeat.probe().await.map_err(|error| error.to_string())
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
    let (checkout, limit, health) = service.known;
    let router = doorman::Doorman::new(checkout, limit, health).before(router);
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(DRAIN).await;
    Ok(())
}
