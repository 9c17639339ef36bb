//! The composition of checkout: what it consists of, how it starts, and how it stops.

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, Uri, request},
};
use fairline_events::EventStream;
use fairline_idempotency::Once;
use fairline_line::ticket::TicketKey;
use fairline_server::{
    RateLimit, Readiness, Secret, ServeLimits, Shutdown, StartError, TrustedProxies, plumbing_routes, serve,
};
use tokio::net::TcpListener;

use crate::{
    Settings, accounts, auth, catalogue, db, events, forward_auth, jobs, notifications, outbound, payments, redemption,
    router::{self, Layers},
    webhooks,
};

/// How long a shutdown waits for work in progress. The sweeper of another process finishes the
/// rest.
const DRAIN: Duration = Duration::from_secs(10);

/// The shared state of all request handlers.
#[derive(Clone)]
pub(crate) struct Checkout(Arc<Parts>);

impl Deref for Checkout {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The components of checkout.
pub(crate) struct Parts {
    pub(crate) store: db::Store,
    pub(crate) catalogue: catalogue::Catalogue,
    pub(crate) batcher: redemption::batcher::RedemptionBatcher,
    pub(crate) gateway: Arc<dyn payments::gateway::Gateway>,
    pub(crate) gateway_watch: payments::gateway::circuit_breaker::CircuitState,
    pub(crate) webhook_secrets: Arc<[Secret]>,
    pub(crate) keys: auth::keys::Keys,
    pub(crate) refusal_cache: redemption::refusal_cache::RefusalCache,
    pub(crate) visits: forward_auth::Visits,
    pub(crate) forgery_guard: redemption::forgery_guard::ForgeryGuard,
    pub(crate) once: Once,
    pub(crate) ticket_key: TicketKey,
    pub(crate) account_key: Option<accounts::account::AccountKey>,
    pub(crate) issuer: Option<accounts::oidc::Issuer>,
    pub(crate) channels: notifications::dispatcher::Channels,
    pub(crate) codes: RateLimit,
    pub(crate) phone_codes: RateLimit,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) shop_key: Option<Arc<Secret>>,
    pub(crate) waiting_room_url: Option<HeaderValue>,
    pub(crate) secure_cookies: bool,
    pub(crate) orders_kept_days: u32,
    pub(crate) shutdown: Shutdown,
}

/// A started checkout.
pub struct Service {
    /// The routes.
    pub routes: Router,
    /// The readiness check.
    pub ready: Readiness,
    /// What fast reject needs, if it is installed.
    known: (Checkout, RateLimit, jobs::heartbeat::Health),
}

impl Service {
    /// Reads the keys and starts the background tasks.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or the key file can't be read.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        let ticket_key: TicketKey = settings
            .ticket_key
            .expose()
            .parse()
            .map_err(|error| StartError::new(format!("Invalid ticket key: {error}.")))?;
        let db::Stores { requests: store, redemptions, heartbeat } = db::Stores::connect(settings)?;
        heartbeat.pool().check().await?;
        let stripe = payments::gateway::stripe::Stripe::new(&settings.gateway_url, settings.gateway_key.clone())?;
        let (gateway, gateway_watch) = payments::gateway::circuit_breaker::GuardedGateway::new(stripe);
        let (account_key, shop_key) = (account_key(settings)?, shop_key(settings)?);
        let askers = (ticket_key.clone(), account_key.clone(), shop_key.clone());
        let idempotency_scope = move |parts: &request::Parts| {
            let (tickets, accounts, shop) = &askers;
            auth::caller::idempotency_scope(&parts.headers, tickets, accounts.as_ref(), shop.as_deref())
        };
        // A client that signs in has no identity yet, only a network address.
        let (known_by_all, proxies) = (idempotency_scope.clone(), settings.front.proxies());
        let known_or_from = move |parts: &request::Parts| {
            let mut names = known_by_all(parts);
            names.push(format!("from {}", proxies.client_of(parts)).into_bytes());
            names
        };
        let checkout = Checkout(Arc::new(Parts {
            once: Once::new(store.pool().clone(), idempotency_scope, shutdown),
            batcher: redemption::batcher::RedemptionBatcher::open(redemptions, shutdown),
            store,
            catalogue: catalogue::Catalogue::default(),
            gateway: Arc::new(gateway),
            gateway_watch,
            webhook_secrets: settings.webhook_secrets.clone().into(),
            refusal_cache: redemption::refusal_cache::RefusalCache::default(),
            visits: forward_auth::Visits::default(),
            forgery_guard: redemption::forgery_guard::ForgeryGuard::default(),
            keys: auth::keys::Keys::load(&settings.jwks, shutdown).await?,
            ticket_key,
            account_key,
            issuer: issuer(settings)?,
            channels: notifications::dispatcher::Channels::new(settings)?,
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
        jobs::sweeper::start(&checkout);
        let redis = fairline_redis::connect_in_time(settings.redis_url.expose())
            .map_err(|error| StartError::new(format!("Invalid Redis URL: {}.", error.details())))?;
        let (stream, cache) = (EventStream::new(redis.clone()), catalogue::cache::Cache::new(redis));
        events::relay::start(&checkout, stream.clone().waiting_for(events::consumer::groups(&checkout)));
        catalogue::start(&checkout, cache);
        notifications::dispatcher::start(&checkout, stream.clone(), shop(settings)?);
        let webhooks = checkout.clone();
        events::consumer::start(&checkout, stream, events::consumer::WEBHOOKS, move |events| {
            webhooks::hear(webhooks.clone(), events)
        });
        webhooks::start(&checkout);
        let health = jobs::heartbeat::Health::default();
        jobs::heartbeat::start(health.clone(), checkout.gateway_watch.clone(), heartbeat.clone(), shutdown);

        let ready = readiness(checkout.clone(), heartbeat);
        let known = (checkout.clone(), limit.clone(), health.clone());
        let signing_in = Once::new(checkout.store.pool().clone(), known_or_from, shutdown);
        let origins = settings.front.origins(&settings.allowed_origins, settings.secure_cookies)?;
        let routes = router::routes(checkout, Layers { limit, health, signing_in, origins });
        Ok(Self { routes, ready, known })
    }
}

fn account_key(settings: &Settings) -> Result<Option<accounts::account::AccountKey>, StartError> {
    let wrong = |error| StartError::new(format!("Invalid sign-in key: {error}."));
    settings.sign_in_key.as_ref().map(|key| accounts::account::AccountKey::new(key).map_err(wrong)).transpose()
}

fn issuer(settings: &Settings) -> Result<Option<accounts::oidc::Issuer>, StartError> {
    match (&settings.oidc_issuer, &settings.oidc_audience) {
        (Some(issuer), Some(audience)) => Ok(Some(accounts::oidc::Issuer::new(issuer, audience)?)),
        _ => Ok(None),
    }
}

fn shop(settings: &Settings) -> Result<notifications::notification::Shop, StartError> {
    let url = settings.pages_url.as_ref().or(settings.front.public_origins.first()).map_or("", String::as_str);
    if !url.is_empty() && outbound::web_address(url).is_none() {
        return Err(StartError::new(format!("The pages URL `{url}` is not an http:// or https:// URL.")));
    }
    Ok(notifications::notification::Shop {
        name: settings.shop_name.clone(),
        url: url.trim_end_matches('/').to_owned(),
    })
}

/// A shorter key could be guessed.
const SHOP_KEY_CHARS_MIN: usize = 32;

fn shop_key(settings: &Settings) -> Result<Option<Arc<Secret>>, StartError> {
    match &settings.shop_key {
        Some(key) if key.expose().len() < SHOP_KEY_CHARS_MIN => Err(StartError::new(format!(
            "The shop key is too short: it needs at least {SHOP_KEY_CHARS_MIN} characters."
        ))),
        key => Ok(key.clone().map(Arc::new)),
    }
}

fn waiting_room_url(settings: &Settings) -> Result<Option<HeaderValue>, StartError> {
    let Some(url) = &settings.waiting_room_url else { return Ok(None) };
    let is_one =
        url.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    let wrong = || StartError::new(format!("The waiting room URL `{url}` is not an http:// or https:// URL."));
    HeaderValue::from_str(url).ok().filter(|_| is_one).map(Some).ok_or_else(wrong)
}

/// Excludes the gateway: while it is down, shoppers keep their holds and payments wait.
fn readiness(checkout: Checkout, heartbeat: db::Store) -> Readiness {
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

/// Runs checkout until shutdown.
///
/// # Errors
/// Returns an error if checkout can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let service = Service::start(&settings, &shutdown).await?;
    let router = plumbing_routes(service.routes, service.ready, &shutdown);
    let (checkout, limit, health) = service.known;
    let router = redemption::fast_reject::FastReject::new(checkout, limit, health).before(router);
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(DRAIN).await;
    Ok(())
}
