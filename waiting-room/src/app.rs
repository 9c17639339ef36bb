//! The composition of the waiting room: what it consists of, how it starts, and how it stops.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use axum::{Router, http::Uri};
use fairline_line::{
    store::{ChangeReader, LineStore},
    ticket::TicketKey,
};
use fairline_server::{
    RateLimit, Readiness, ServeLimits, Shutdown, StartError, common_routes, raise_file_limit, serve,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tracing::warn;

use crate::{
    Settings,
    auth::{account::ShopAccountKey, ticket::TicketAuth},
    http::{
        AppState,
        api::LineApi,
        connections::Connections,
        entry::{AccountPolicy, LineEntry},
        pages::Pages,
        polls::Polls,
    },
    line::{
        absences::Absences,
        joins::Joins,
        resumes::Resumes,
        room_sync::RoomSync,
        rooms::{Follower, Rooms},
    },
    router,
    websocket::event_loop::EventLoopHandle,
};

/// How long a stop waits for requests in progress, after all clients were sent to other nodes.
const DRAIN: Duration = Duration::from_secs(5);

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
        Ok(Self { routes: router::routes(state, settings.proxy.proxies()), ready })
    }
}

/// Shared by the features.
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
