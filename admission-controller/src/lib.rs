//! The admission controller: the only holder of the signing key, and the one that lets people in.
//!
//! The control law is a crate of its own, [`fairline_admission`]; [`lifecycle`] says what may become of a sale. Both are
//! pure. `tick` drives them, when `schedule` says so, `store` is all of the SQL, `admin` the API of those who run sales. `record` gathers what a tick
//! tells the public, `public` shows it, `draw` makes the draw of a sale that begins with one. [`operator`] is who may run
//! sales, `sampler` notes how they go, `rehearsal` sends a crowd to a copy of one.

mod admin;
mod clock;
mod csv;
mod draw;
mod epochs;
mod explain;
#[doc(hidden)]
pub mod fuzz;
mod keys;
mod ledger;
pub mod lifecycle;
mod openapi;
pub mod operator;
mod problem;
pub mod problem_types;
mod public;
mod record;
mod rehearsal;
mod restore;
mod sampler;
mod schedule;
mod settings;
#[doc(hidden)]
pub mod simulated;
mod store;
mod tick;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use fairline_line::store::LineStore;
use fairline_server::{
    Path, Problem, RateLimit, Readiness, ServeLimits, Shutdown, StartError, TrustedProxies, complete_document,
    plumbing_routes, serve,
};
use tokio::{net::TcpListener, sync::Semaphore};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use restore::{Raised, restore};
pub use settings::{ADMIN_CONNECTIONS, Settings, TICK_CONNECTIONS};
pub use store::migrate;

/// Requests to the admin API from one address: a second, and at once.
const ADMIN_RATE_PER_S: f64 = 20.0;
const ADMIN_BURST: u32 = 200;
/// How long a stop waits for what is under way.
const DRAIN: Duration = Duration::from_secs(10);
/// A loop whose round takes longer stands still: each call in it has a deadline of seconds.
const STANDS_STILL: Duration = Duration::from_secs(60);

/// A started controller.
pub struct Service {
    /// Its routes.
    pub routes: Router,
    /// Whether it can do its work.
    pub ready: Readiness,
}

impl Service {
    /// Connects, and starts to tick.
    ///
    /// # Errors
    /// When a setting is wrong, or Redis can't be reached.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        if settings.admin_token.expose().len() < 16 {
            return Err(StartError::new("The admin token is too short: use at least 16 characters."));
        }
        let keys = Arc::new(keys::Keys::read(&settings.signing_key_files)?);
        if settings.migrate {
            migrate(settings.postgres_url.expose()).await?;
        }
        let (store, ticks) = (store::Store::connect(settings)?, store::Store::for_ticks(settings)?);
        let asked = store::Store::for_services(settings)?;
        asked.pool().check().await?;
        let line = LineStore::connect(settings.redis_url.expose())
            .await
            .map_err(|error| StartError::new(format!("The line can't be reached: {error}.")))?;

        let nudges = schedule::Nudges::default();
        let ticker = tick::Ticker {
            ledger: ticks.clone(),
            line: line.clone(),
            keys: keys.clone(),
            every: settings.tick(),
            clock: clock::Clock::of_process(),
            permits: Semaphore::new(usize::try_from(settings.tick_connections).unwrap_or(1)),
            nudges: nudges.clone(),
        };
        let (ticker, nudged) = (Arc::new(ticker), nudges.clone());
        shutdown.keep("ticks", STANDS_STILL, move |shutdown| schedule::run(ticker.clone(), nudged.clone(), shutdown));
        let (sampled, kept_days) = (store.clone(), settings.sales_kept_days);
        shutdown.keep("samples", STANDS_STILL, move |shutdown| sampler::run(sampled.clone(), kept_days, shutdown));

        let ready = readiness(asked.clone(), line.clone());
        let admin = admin::Admin {
            store,
            line,
            keys,
            nudges,
            token: Arc::new(settings.admin_token.clone()),
            secure_cookies: settings.secure_cookies,
            origins: settings.front.origins(&[], settings.secure_cookies)?,
            consoles: admin::Consoles::new(shutdown),
            stage: settings.stage(shutdown).map(Arc::new),
        };
        Ok(Self { routes: routes(admin, asked, settings.front.proxies(), shutdown)?, ready })
    }
}

fn readiness(store: store::Store, line: LineStore) -> Readiness {
    Arc::new(move || {
        let (store, line) = (store.clone(), line.clone());
        Box::pin(async move {
            store.probe().await.map_err(|error| error.to_string())?;
            line.ping().await.map_err(|error| error.to_string())
        })
    })
}

fn routes(
    admin: admin::Admin,
    asked: store::Store,
    proxies: TrustedProxies,
    shutdown: &Shutdown,
) -> Result<Router, StartError> {
    let limit = RateLimit::new(ADMIN_RATE_PER_S, ADMIN_BURST, proxies.clone(), shutdown)?;
    let key_set =
        OpenApiRouter::new().routes(routes!(key_set)).with_state(admin::Admin { store: asked, ..admin.clone() });
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .merge(key_set)
        .merge(public::routes(admin.store.clone()).route_layer(limit.layer()))
        .merge(admin::routes(admin, shutdown).layer(Extension(proxies)).route_layer(limit.layer()))
        .split_for_parts();
    openapi::accept_sessions(&mut document);
    complete_document(&mut document);
    Ok(router
        .route("/admin", get(console))
        .route("/admin/assets/{file}", get(console_asset))
        .route("/openapi/admission-controller.json", get(move || async move { axum::Json(document) })))
}

/// A set of public keys (RFC 7517).
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the keys write their own JSON")]
struct KeySet {
    /// JSON Web Keys of Ed25519 (RFC 8037).
    #[schema(value_type = Vec<Object>)]
    keys: Vec<serde_json::Value>,
}

/// The public keys that tokens may be signed with, as long as they are not revoked.
#[utoipa::path(get, path = "/.well-known/jwks.json", responses(
    (status = 200, description = "The keys. May be cached for a minute.", body = KeySet),
))]
async fn key_set(State(admin): State<admin::Admin>) -> Result<Response, Problem> {
    let json = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=60")];
    Ok((json, admin.key_set().await?).into_response())
}

/// The admin console: a page that speaks to the admin API for whoever has signed in.
async fn console(headers: HeaderMap) -> Response {
    let mut response = fairline_assets::serve_page("admin.html", &headers);
    let policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

async fn console_asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    fairline_assets::serve(&file, &headers)
}

/// Runs the controller until asked to stop.
///
/// # Errors
/// When it can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let service = Service::start(&settings, &shutdown).await?;
    let router = plumbing_routes(service.routes, service.ready, &shutdown);
    explain::describe();
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(DRAIN).await;
    Ok(())
}
