//! The waiting room faces the internet: it gives shoppers a place in the line and sends them their
//! turn.
//!
//! - `http`: the API, the pages, and entry to a line; `auth`: tickets, and accounts
//!   that the shop asserts.
//! - `line`: the lines that this node follows, and the shoppers who are connected to it.
//! - `websocket`, `stream`: transports to waiting pages. `fairline-update-policy` decides the
//!   messages.
//!
//! Calls Redis only. Has no database and no key that signs admissions.

mod auth;
mod http;
mod line;
pub mod problem_types;
mod settings;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod websocket;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use axum::{Extension, Router, http::Uri, routing::get};
use fairline_line::{
    store::{ChangeReader, LineStore},
    ticket::TicketKey,
};
use fairline_server::{
    RateLimit, Readiness, ServeLimits, Shutdown, StartError, common_routes, complete_document, raise_file_limit, serve,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tracing::warn;
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        OpenApi,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    auth::{account::ShopAccountKey, ticket::TicketAuth},
    http::{
        AppState,
        api::{self, LineApi},
        connections::Connections,
        entry::{AccountPolicy, LineEntry},
        pages::{self, Pages},
        polls::Polls,
    },
    line::{
        absences::Absences,
        joins::Joins,
        resumes::Resumes,
        room_sync::RoomSync,
        rooms::{Follower, Rooms},
    },
    websocket::event_loop::EventLoopHandle,
};
pub use settings::Settings;

/// How long a stop waits for requests in progress, after all clients were sent to other nodes.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Fairline waiting room",
        description = "Join the line of a sale, and wait in it.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(fairline_update_policy::PageMessage)),
    modifiers(&Security)
)]
struct Document;

/// Declares the ticket cookie as the API's security scheme.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let ticket = ApiKeyValue::with_description(
            "fairline_ticket_{sale}",
            "The ticket, one cookie for each sale. Joining the line sets it.",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Cookie(ticket)));
    }
}

/// A started waiting room.
pub struct WaitingRoom {
    /// Its routes.
    pub routes: Router,
    /// Its readiness check.
    pub ready: Readiness,
}

impl WaitingRoom {
    /// Connects to Redis and starts to follow the lines.
    ///
    /// # Errors
    /// When a setting is invalid, or Redis can't be reached.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        let (tickets, accounts) = (ticket_auth(settings)?, accounts(settings)?);
        let unreachable = |error| StartError::new(format!("Redis can't be reached: {error}."));
        let store = LineStore::connect(settings.redis_url.expose()).await.map_err(unreachable)?;
        let reader = ChangeReader::connect(settings.redis_url.expose()).await.map_err(unreachable)?;

        let move_over = Duration::from_secs(settings.drain_s);
        let event_loop = EventLoopHandle::start(&store, move_over, shutdown)
            .map_err(|error| StartError::new(format!("The WebSocket event loop could not start: {error}.")))?;

        let follower = Follower {
            rooms: Rooms::default(),
            sync: RoomSync {
                store: store.clone(),
                grace: settings.grace(),
                node: format!("{:032x}", rand::random::<u128>()),
            },
            reader,
            waker: event_loop.waker(),
            move_over,
            is_full: AtomicBool::new(false),
        };
        follower.open_all().await.map_err(unreachable)?;
        let parts = Parts { rooms: follower.rooms.clone(), store: store.clone(), tickets, accounts, event_loop };
        let state = state(settings, parts, shutdown)?;
        follower.start(shutdown);
        let ready: Readiness = Arc::new(move || {
            let store = store.clone();
            Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
        });
        Ok(Self { routes: routes(settings, state), ready })
    }
}

/// What the features share.
struct Parts {
    rooms: Rooms,
    store: LineStore,
    tickets: Arc<TicketAuth>,
    accounts: AccountPolicy,
    event_loop: EventLoopHandle,
}

fn ticket_auth(settings: &Settings) -> Result<Arc<TicketAuth>, StartError> {
    let key: TicketKey = settings
        .ticket_key
        .expose()
        .parse()
        .map_err(|error| StartError::new(format!("The ticket key is invalid: {error}.")))?;
    Ok(Arc::new(TicketAuth {
        key,
        origins: settings.proxy.origins(&settings.allowed_origins, settings.secure_cookies)?,
        secure_cookies: settings.secure_cookies,
    }))
}

fn accounts(settings: &Settings) -> Result<AccountPolicy, StartError> {
    let key = settings.account_key.as_ref().map(|key| ShopAccountKey::new(key.expose())).transpose();
    let key = key.map_err(|error| StartError::new(format!("The account key is invalid: {error}.")))?;
    Ok(AccountPolicy { key, required: settings.accounts_only })
}

/// Starts the batches of calls to Redis, and composes the features.
fn state(settings: &Settings, parts: Parts, shutdown: &Shutdown) -> Result<AppState, StartError> {
    let Parts { rooms, store, tickets, accounts, event_loop } = parts;
    let join_limit = RateLimit::new(settings.join_rate_per_s, settings.join_burst, settings.proxy.proxies(), shutdown)?;
    let entry = Arc::new(LineEntry {
        rooms: rooms.clone(),
        store: store.clone(),
        joins: Joins::start(store.clone(), shutdown),
        resumes: Resumes::start(store.clone(), shutdown),
        tickets: tickets.clone(),
        accounts,
        join_limit,
    });
    let polls = Arc::new(Polls { absences: Absences::start(store.clone(), shutdown), grace: settings.grace() });
    let connections = Connections {
        event_loop,
        slots: Arc::new(Semaphore::new(settings.sockets_max)),
        slots_max: settings.sockets_max,
        move_over: Duration::from_secs(settings.drain_s),
        shutdown: shutdown.clone(),
    };
    Ok(AppState {
        line_api: LineApi { entry: entry.clone(), polls: polls.clone(), connections },
        pages: Pages {
            rooms: rooms.clone(),
            store,
            tickets: tickets.clone(),
            entry,
            polls,
            own_checkout: own_checkout(settings)?.into(),
        },
        rooms,
        tickets,
    })
}

/// All routes, with the OpenAPI document.
fn routes(settings: &Settings, state: AppState) -> Router {
    let (api, mut document) = OpenApiRouter::with_openapi(Document::openapi()).merge(api::routes()).split_for_parts();
    complete_document(&mut document);
    api.merge(pages::routes())
        .layer(Extension(settings.proxy.proxies()))
        .with_state(state)
        .route("/openapi/waiting-room.json", get(move || async move { axum::Json(document) }))
}

/// The URL prefix of the shop's own checkout, up to the token; empty without one.
fn own_checkout(settings: &Settings) -> Result<String, StartError> {
    let Some(url) = &settings.checkout_url else { return Ok(String::new()) };
    let is_one =
        url.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if !is_one || url.contains('#') {
        return Err(StartError::new(format!("The checkout URL `{url}` is invalid: use an http:// or https:// URL.")));
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{joint}fairline_token="))
}

/// Runs the waiting room until shutdown.
///
/// # Errors
/// When it can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let drain = Duration::from_secs(settings.drain_s);
    let files = raise_file_limit();
    if files < settings.sockets_max as u64 {
        warn!(
            files,
            sockets = settings.sockets_max,
            "the open-file limit is below FAIRLINE_SOCKETS_MAX: raise it (`ulimit -Hn`)"
        );
    }
    let service = WaitingRoom::start(&settings, &shutdown).await?;
    let router = common_routes(service.routes, service.ready, &shutdown);
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(drain + DRAIN).await;
    Ok(())
}
