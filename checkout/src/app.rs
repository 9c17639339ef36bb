//! The composition of checkout: what it consists of, how it starts, and how it stops.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, request},
};
use fairline_events::EventStream;
use fairline_http_client::web_address;
use fairline_idempotency::Idempotency;
use fairline_line::ticket::TicketKey;
use fairline_notification_channels::Channels;
use fairline_payment_gateway::{ResilientGateway, Stripe};
use fairline_redemption::{Checks, FastReject, ForgeryGuard, Keys, RefusalCache, Rejections};
use fairline_redis::Cache;
use fairline_server::{RateLimit, Readiness, Secret, ServeLimits, Shutdown, StartError, common_routes, serve};
use tokio::net::TcpListener;

use crate::{
    Settings,
    accounts::{oidc::Issuer, service::Accounts, store::AccountStore},
    auth::{account::SignInKey, caller::Callers},
    db::{PgPool, Pools},
    events::{
        consumer::{ConsumerGroup, NOTIFICATIONS, WEBHOOKS},
        relay::{self, Relay},
        store::EventStore,
    },
    forward_auth::service::{AdmissionCache, ForwardAuth},
    jobs::{
        heartbeat::{self, stats::RequestCounter, store::HeartbeatStore},
        reconciliation::store::ReconciliationStore,
        retention::store::RetentionStore,
        sweeper::{self, BackgroundSweeps},
    },
    merchant_api::{service::MerchantApi, store::MerchantStore},
    notifications::{dispatcher::Notifications, notification::Sender, store::NotificationStore},
    orders::{expiry::store::ExpiryStore, service::Orders, store::OrderStore},
    payments::{service::Payments, store::PaymentStore},
    redemption::{batcher::RedemptionBatcher, error::RedemptionError, service::Redemptions, store::RedemptionStore},
    router::{self, Features, Layers},
    sales::{self, service::SaleList, store::SaleStore},
    webhooks::{dispatcher::Webhooks, store::WebhookStore},
};

/// How long a shutdown waits for work in progress. The sweeper of another process finishes the
/// rest.
const DRAIN: Duration = Duration::from_secs(10);
/// A shorter merchant key could be guessed.
const MERCHANT_KEY_CHARS_MIN: usize = 32;

/// A started checkout.
pub struct Checkout {
    /// The routes; none for a worker.
    pub routes: Router,
    /// The readiness check.
    pub ready: Readiness,
    /// Fast reject, for a process that serves requests.
    fast_reject: Option<(Arc<Redemptions>, RateLimit, RequestCounter)>,
}

impl Checkout {
    /// Reads the keys and starts the background tasks of the role.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or the key file can't be read.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        let shared = SharedParts::new(settings, shutdown).await?;
        let sale_list = SaleList::default();
        // A worker refreshes the copy in Redis, from which the lists of all processes are
        // read.
        sales::refresh::start(&sale_list, &SaleStore(shared.pools.requests.clone()), &shared.cache, shutdown);
        let service = if settings.role.serves() {
            serve_requests(settings, shared.clone(), sale_list.clone(), shutdown).await?
        } else {
            let postgres = shared.pools.heartbeat.clone();
            let ready: Readiness = Arc::new(move || {
                let postgres = postgres.clone();
                Box::pin(async move { postgres.probe().await.map_err(|error| error.to_string()) })
            });
            Self { routes: Router::new(), ready, fast_reject: None }
        };
        if settings.role.is_worker() {
            start_worker(settings, &shared, sale_list, shutdown);
        }
        Ok(service)
    }
}

/// Shared by both roles.
#[derive(Clone)]
struct SharedParts {
    pools: Pools,
    stream: EventStream,
    cache: Cache,
    callers: Callers,
    channels: Channels,
    idempotency: Idempotency,
    sender: Sender,
}

impl SharedParts {
    async fn new(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        let tickets: TicketKey = settings
            .ticket_key
            .expose()
            .parse()
            .map_err(|error| StartError::new(format!("Invalid ticket key: {error}.")))?;
        let pools = Pools::connect(settings)?;
        pools.heartbeat.check().await?;
        let callers = Callers::new(tickets, account_key(settings)?, merchant_key(settings)?);
        let redis = fairline_redis::connect_in_time(settings.redis_url.expose())
            .map_err(|error| StartError::new(format!("Invalid Redis URL: {}.", error.details())))?;
        let scope = callers.clone();
        let scope = move |parts: &request::Parts| scope.idempotency_scope(&parts.headers);
        let idempotency = Idempotency::new(pools.requests.clone(), scope, shutdown);
        Ok(Self {
            pools,
            stream: EventStream::new(redis.clone()),
            cache: Cache::new(redis),
            callers,
            channels: Channels::new(&settings.channels)?,
            idempotency,
            sender: sender(settings)?,
        })
    }
}

/// Starts the work that no purchase waits for: events, notifications, webhooks and clean-up.
fn start_worker(settings: &Settings, shared: &SharedParts, sale_list: SaleList, shutdown: &Shutdown) {
    let requests = &shared.pools.requests;
    let (events, messages) = (EventStore(requests.clone()), NotificationStore(requests.clone()));
    let stream = shared.stream.clone();
    let group = |name| ConsumerGroup { name, store: events.clone(), stream: stream.clone() };
    let mut groups = vec![WEBHOOKS];
    if !shared.channels.are_none() {
        groups.push(NOTIFICATIONS);
        let consuming = messages.clone();
        group(NOTIFICATIONS).start(shutdown, move |events| {
            let store = consuming.clone();
            async move { store.store_notifications(&events).await }
        });
        let notifications = Notifications {
            store: messages.clone(),
            channels: shared.channels.clone(),
            callers: shared.callers.clone(),
            sender: shared.sender.clone(),
            shutdown: shutdown.clone(),
        };
        notifications.start();
    }
    let webhooks = Webhooks::new(WebhookStore(requests.clone()), shutdown.clone());
    webhooks.start();
    group(WEBHOOKS).start(shutdown, move |events| webhooks.clone().consume(events));
    // The relay waits for the consumers when a stream is full.
    let relay = Relay { store: events, stream: stream.waiting_for(groups), sale_list };
    relay::start(relay, shutdown);
    let upkeep = BackgroundSweeps {
        stocks: ReconciliationStore(shared.pools.background.clone()),
        reminders: messages,
        retention: RetentionStore(shared.pools.background.clone()),
        idempotency: shared.idempotency.clone(),
        orders_kept_days: settings.orders_kept_days,
    };
    sweeper::start_others(upkeep, shutdown);
}

/// Composes the routes, and starts what every sale needs: redemption, payments, the expiry of holds
/// and the heartbeat.
async fn serve_requests(
    settings: &Settings,
    shared: SharedParts,
    sale_list: SaleList,
    shutdown: &Shutdown,
) -> Result<Checkout, StartError> {
    let accounts = accounts(settings, &shared, shutdown)?;
    let payments = Arc::new(payments(settings, &shared, shutdown)?);
    let SharedParts { pools, callers, idempotency, .. } = shared;
    let Pools { requests, redemptions, heartbeat, .. } = pools;
    let keys = Keys::load(&settings.jwks, shutdown).await?;
    let batcher = RedemptionBatcher::open(RedemptionStore(redemptions), shutdown);

    let redemptions = Arc::new(Redemptions {
        store: RedemptionStore(requests.clone()),
        callers: callers.clone(),
        keys: keys.clone(),
        batcher: batcher.clone(),
        refusal_cache: RefusalCache::default(),
        forgery_guard: ForgeryGuard::default(),
    });
    let features = Features {
        sale_list,
        orders: Arc::new(Orders {
            store: OrderStore(requests.clone()),
            callers: callers.clone(),
            shutdown: shutdown.clone(),
        }),
        accounts: Arc::new(accounts),
        merchant_api: Arc::new(MerchantApi {
            store: MerchantStore(requests.clone()),
            accounts: AccountStore(requests.clone()),
            callers: callers.clone(),
            redemptions: redemptions.clone(),
            payments: payments.clone(),
            shutdown: shutdown.clone(),
        }),
        forward_auth: Arc::new(ForwardAuth {
            callers: callers.clone(),
            keys: keys.clone(),
            batcher,
            visits: AdmissionCache::default(),
            waiting_room_url: waiting_room_url(settings)?,
            secure_cookies: settings.secure_cookies,
        }),
        redemptions: redemptions.clone(),
        payments: payments.clone(),
    };

    let health = RequestCounter::default();
    sweeper::start_for_sales(&ExpiryStore(requests.clone()), &payments, shutdown);
    heartbeat::start(health.clone(), payments.circuit.clone(), HeartbeatStore(heartbeat.clone()), shutdown);

    let proxies = settings.proxy.proxies();
    let limit = RateLimit::new(settings.purchase_rate_per_s, settings.purchase_burst, proxies, shutdown)?;
    let layers = Layers {
        limit: limit.clone(),
        health: health.clone(),
        idempotency,
        sign_in_idempotency: sign_in_idempotency(settings, requests, callers, shutdown),
        origins: settings.proxy.origins(&settings.allowed_origins, settings.secure_cookies)?,
    };
    let fast_reject = Some((redemptions, limit, health));
    Ok(Checkout { routes: router::routes(features, layers), ready: readiness(keys, heartbeat), fast_reject })
}

fn payments(settings: &Settings, shared: &SharedParts, shutdown: &Shutdown) -> Result<Payments, StartError> {
    let Pools { requests, payments, .. } = &shared.pools;
    let stripe = Stripe::new(&settings.gateway_url, settings.gateway_key.clone())?;
    let (gateway, circuit) = ResilientGateway::new(stripe);
    Ok(Payments {
        store: PaymentStore { requests: requests.clone(), payments: payments.clone() },
        orders: OrderStore(requests.clone()),
        callers: shared.callers.clone(),
        gateway: Box::new(gateway),
        circuit,
        webhook_secrets: settings.webhook_secrets.clone(),
        shutdown: shutdown.clone(),
    })
}

/// A client that signs in has no identity yet, only a network address.
fn sign_in_idempotency(settings: &Settings, requests: PgPool, callers: Callers, shutdown: &Shutdown) -> Idempotency {
    let proxies = settings.proxy.proxies();
    let scope = move |parts: &request::Parts| {
        let mut names = callers.idempotency_scope(&parts.headers);
        names.push(format!("from {}", proxies.client_of(parts)).into_bytes());
        names
    };
    Idempotency::new(requests, scope, shutdown)
}

fn accounts(settings: &Settings, shared: &SharedParts, shutdown: &Shutdown) -> Result<Accounts, StartError> {
    let requests = &shared.pools.requests;
    let rate_limit = |rate_per_s, burst| RateLimit::new(rate_per_s, burst, settings.proxy.proxies(), shutdown);
    Ok(Accounts {
        store: AccountStore(requests.clone()),
        notifications: NotificationStore(requests.clone()),
        callers: shared.callers.clone(),
        issuer: issuer(settings)?,
        channels: shared.channels.clone(),
        codes: rate_limit(settings.code_rate_per_s, settings.code_burst)?,
        phone_codes: rate_limit(settings.phone_code_rate_per_s, settings.phone_code_burst)?,
        trusted_proxies: settings.proxy.proxies(),
        secure_cookies: settings.secure_cookies,
        shutdown: shutdown.clone(),
    })
}

/// Excludes the gateway: while it is down, shoppers keep their holds and payments wait.
fn readiness(keys: Keys, postgres: PgPool) -> Readiness {
    Arc::new(move || {
        let (keys, postgres) = (keys.clone(), postgres.clone());
        Box::pin(async move {
            if !keys.are_loaded() {
                return Err("The keys of admission tokens have not been loaded yet.".to_owned());
            }
            postgres.probe().await.map_err(|error| error.to_string())
        })
    })
}

fn account_key(settings: &Settings) -> Result<Option<SignInKey>, StartError> {
    let wrong = |error| StartError::new(format!("Invalid sign-in key: {error}."));
    settings.sign_in_key.as_ref().map(|key| SignInKey::new(key).map_err(wrong)).transpose()
}

fn issuer(settings: &Settings) -> Result<Option<Issuer>, StartError> {
    match (&settings.oidc_issuer, &settings.oidc_audience) {
        (Some(issuer), Some(audience)) => Ok(Some(Issuer::new(issuer, audience)?)),
        _ => Ok(None),
    }
}

fn sender(settings: &Settings) -> Result<Sender, StartError> {
    let url = settings.pages_url.as_ref().or(settings.proxy.public_origins.first()).map_or("", String::as_str);
    if !url.is_empty() && web_address(url).is_none() {
        return Err(StartError::new(format!("The pages URL `{url}` is not an http:// or https:// URL.")));
    }
    Ok(Sender { name: settings.shop_name.clone(), url: url.trim_end_matches('/').to_owned() })
}

fn merchant_key(settings: &Settings) -> Result<Option<Secret>, StartError> {
    match &settings.merchant_key {
        Some(key) if key.expose().len() < MERCHANT_KEY_CHARS_MIN => Err(StartError::new(format!(
            "The merchant key is too short: it needs at least {MERCHANT_KEY_CHARS_MIN} characters."
        ))),
        key => Ok(key.clone()),
    }
}

/// The URL of the waiting room, which is a header of redirects.
fn waiting_room_url(settings: &Settings) -> Result<Option<String>, StartError> {
    let Some(url) = &settings.waiting_room_url else { return Ok(None) };
    let is_one = web_address(url).is_some() && HeaderValue::from_str(url).is_ok();
    if !is_one {
        return Err(StartError::new(format!("The waiting room URL `{url}` is not an http:// or https:// URL.")));
    }
    Ok(Some(url.clone()))
}

/// Runs checkout until shutdown.
///
/// # Errors
/// Returns an error if checkout can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let service = Checkout::start(&settings, &shutdown).await?;
    let router = common_routes(service.routes, service.ready, &shutdown);
    match service.fast_reject {
        Some((redemptions, limit, health)) => {
            let checks = Checks {
                keys: redemptions.keys.clone(),
                ticket_key: redemptions.callers.tickets().clone(),
                refusal_cache: redemptions.refusal_cache.clone(),
                forgery_guard: redemptions.forgery_guard.clone(),
            };
            let rejections = Rejections {
                invalid: RedemptionError::InvalidToken.into(),
                expired: RedemptionError::TokenExpired.into(),
            };
            let fast_reject = FastReject::new(checks, rejections, limit, move |took| health.record(false, took));
            serve(listener, fast_reject.before(router), ServeLimits::default(), &shutdown).await;
        }
        None => serve(listener, router, ServeLimits::default(), &shutdown).await,
    }
    shutdown.finished(DRAIN).await;
    Ok(())
}
