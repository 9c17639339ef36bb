//! The waiting room's HTTP API.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use fairline_sale::SaleCard;
use fairline_server::{ClientAddress, Path, Problem, ProblemBody, Query};
use fairline_update_policy::LineMessage;
use futures_util::{StreamExt as _, stream};
use hyper::upgrade::OnUpgrade;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        entry::{Credentials, Entered, EntryMode, LineEntry},
        error::RoomError,
    },
    line::{room::Room, shoppers::Browser},
    stream::session::Session,
    websocket::handshake,
};

/// Polling interval that the API recommends to pages.
const POLL_AFTER: Duration = Duration::from_secs(2);

/// The routes of the API.
pub(crate) fn routes() -> OpenApiRouter<Arc<LineEntry>> {
    OpenApiRouter::new()
        .routes(routes!(active_sales))
        .routes(routes!(sale_status))
        .routes(routes!(line, leave_line))
        .routes(routes!(claim_turn))
}

/// The running and coming sales.
#[derive(Debug, Serialize, ToSchema)]
struct ActiveSales {
    #[schema(value_type = Vec<SaleCard>)]
    sales: Vec<Arc<SaleCard>>,
}

/// The running and coming sales, the next to open first.
#[utoipa::path(get, path = "/api/flash-sales/active", responses(
    (status = 200, description = "The sales.", body = ActiveSales),
))]
async fn active_sales(State(entry): State<Arc<LineEntry>>) -> Response {
    let sales = active(&entry);
    ([(header::CACHE_CONTROL, "public, max-age=1")], axum::Json(ActiveSales { sales })).into_response()
}

/// Listed sales that are not over, the next to open first. Lanes and rehearsals are not listed.
pub(crate) fn active(entry: &LineEntry) -> Vec<Arc<SaleCard>> {
    let cards = entry.rooms.all().into_iter().map(|room| room.card());
    let mut sales: Vec<Arc<SaleCard>> =
        cards.filter(|card| !card.status.is_over() && card.lane.is_none() && !card.rehearsal).collect();
    sales.sort_unstable_by_key(|card| (card.opens_at, card.id));
    sales
}

/// What a sale is doing, and how much of it is left.
#[utoipa::path(get, path = "/api/flash-sales/{id}/status", params(("id" = String, Path)), responses(
    (status = 200, description = "The sale. May be cached for a second.", body = SaleCard),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
))]
async fn sale_status(State(entry): State<Arc<LineEntry>>, Path(sale): Path<String>) -> Result<Response, Problem> {
    let card = entry.room(&sale)?.card();
    Ok(([(header::CACHE_CONTROL, "public, max-age=1")], axum::Json(card)).into_response())
}

/// How to enter a line.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryQuery {
    /// `false`: only with the ticket that the cookie brings.
    join: Option<bool>,
    /// `true`: exchange a ticket whose turn is over for a new one. It is the same shopper's: the limit counts all their turns.
    rejoin: Option<bool>,
    #[serde(flatten)]
    #[param(ignore)]
    credentials: Credentials,
}

impl EntryQuery {
    fn mode(&self) -> EntryMode {
        match (self.join, self.rejoin) {
            (Some(false), _) => EntryMode::Resume,
            (_, Some(true)) => EntryMode::Rejoin,
            _ => EntryMode::JoinOrResume,
        }
    }
}

/// What the line says to a page that polls.
#[derive(Debug, Serialize, ToSchema)]
struct LineSnapshot {
    /// Everything that a page has to know now.
    messages: Vec<LineMessage>,
    /// When to ask again, in milliseconds.
    poll_after_ms: u64,
}

/// Join a line or come back to it: as a WebSocket, as Server-Sent Events (`Accept: text/event-stream`), or, asked for
/// again and again, as JSON.
#[utoipa::path(get, path = "/api/flash-sales/{id}/line", params(("id" = String, Path), EntryQuery, Credentials),
    security((), ("ticket" = [])), responses(
    (status = 101, description = "The line as a WebSocket: see docs/line-protocol.md."),
    (status = 200, description = "The line as it is now, or as a stream of events.",
        content((LineSnapshot = "application/json"), (LineMessage = "text/event-stream"))),
    (status = 403, description = "The request comes from a page of another site, or the line is a lane and there is no \
        invitation to it.", body = ProblemBody),
    (status = 404, description = "There is no such sale, or (with join=false) no ticket.", body = ProblemBody),
    (status = 409, description = "The sale is over, and its line accepts no shoppers.", body = ProblemBody),
    (status = 429, description = "Too many new tickets for one address.", body = ProblemBody),
    (status = 503, description = "The line can't be reached, or this node is full. The place is kept.", body = ProblemBody),
))]
async fn line(
    State(entry): State<Arc<LineEntry>>,
    Path(sale): Path<String>,
    Query(query): Query<EntryQuery>,
    ClientAddress(client): ClientAddress,
    request: Request,
) -> Result<Response, Problem> {
    let room = entry.room(&sale)?;
    let headers = request.headers();
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (upgrades, streams) = (headers.contains_key(header::UPGRADE), accept.contains("text/event-stream"));
    if !upgrades && !streams {
        return poll(entry, room, &query, client, request.headers()).await;
    }
    // Reserve the connection slot first: a full node rejects a request before it does any work.
    match entry.take_place() {
        Err(full) => Ok(([(header::CONNECTION, "close")], Problem::from(full)).into_response()),
        Ok(place) if upgrades => upgrade(entry, room, &query, client, request, place).await,
        Ok(place) => events(entry, room, &query, client, request.headers(), place).await,
    }
}

/// The headers of a response that sets a ticket cookie.
fn ticket_headers(cookie: HeaderValue) -> [(HeaderName, HeaderValue); 2] {
    [(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// Returns all messages that the page lacks, once.
async fn poll(
    entry: Arc<LineEntry>,
    room: Arc<Room>,
    query: &EntryQuery,
    client: IpAddr,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let entered = entry.enter(room.clone(), headers, client, query.mode(), &query.credentials).await?;
    let Entered { tab, ticket, cookie } = entered;
    let mut session = Session::new(tab);
    let messages: Vec<_> = std::iter::from_fn(|| session.now()).collect();
    // A polling client is disconnected between polls, so each poll restarts the grace period.
    if !session.is_over() {
        let grace = entry.grace.of(&room.card(), Browser::of(headers));
        entry.absences.note(&ticket, grace).await.map_err(RoomError::from)?;
    }
    let poll_after_ms = u64::try_from(POLL_AFTER.as_millis()).unwrap_or(u64::MAX);
    Ok((ticket_headers(cookie), axum::Json(LineSnapshot { messages, poll_after_ms })).into_response())
}

/// Opens an event stream for a shopper.
async fn events(
    entry: Arc<LineEntry>,
    room: Arc<Room>,
    query: &EntryQuery,
    client: IpAddr,
    headers: &HeaderMap,
    place: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    let Entered { tab, cookie, .. } = entry.enter(room, headers, client, query.mode(), &query.credentials).await?;
    let events = stream::unfold((Session::new(tab), OpenStream::new(place)), |(mut session, open)| async move {
        if session.is_over() {
            return None;
        }
        let message = session.next().await;
        let json = serde_json::to_string(&message).expect("messages are strings, numbers and dates");
        metrics::counter!("line_bytes_sent_total", "transport" => "events").increment(json.len() as u64);
        Some((Ok::<_, Infallible>(Event::default().data(json)), (session, open)))
    });
    // A node that stops spreads the ends of its streams over time, so that other nodes can accept
    // the reconnections.
    let (stopping, leave_after) = (entry.shutdown.clone(), entry.move_over.mul_f64(rand::random()));
    let events = events.take_until(Box::pin(async move {
        stopping.triggered().await;
        tokio::time::sleep(leave_after).await;
    }));
    // Disables nginx's response buffering, which would delay events.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let events = Sse::new(events).keep_alive(KeepAlive::default());
    Ok((ticket_headers(cookie), unbuffered, events).into_response())
}

/// Counts an open event stream and holds its connection slot until it is dropped.
struct OpenStream {
    open: metrics::Gauge,
    _place: OwnedSemaphorePermit,
}

impl OpenStream {
    fn new(place: OwnedSemaphorePermit) -> Self {
        let open = metrics::gauge!("line_open", "transport" => "events");
        open.increment(1.0);
        Self { open, _place: place }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

/// Opens a WebSocket for a shopper. The event loop owns it as soon as the handshake is answered.
async fn upgrade(
    entry: Arc<LineEntry>,
    room: Arc<Room>,
    query: &EntryQuery,
    client: IpAddr,
    mut request: Request,
    place: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    let acceptance = handshake::acceptance(request.headers()).ok_or(RoomError::BadHandshake)?;
    let upgraded = request.extensions_mut().remove::<OnUpgrade>().ok_or(RoomError::BadHandshake)?;
    let Entered { tab, cookie, .. } =
        entry.enter(room, request.headers(), client, query.mode(), &query.credentials).await?;
    let event_loop = entry.event_loop.clone();
    entry.shutdown.spawn(async move {
        match upgraded.await.map_err(std::io::Error::other).and_then(handshake::into_socket) {
            Ok((stream, said)) => event_loop.add(stream, said, tab, place).await,
            // The client disconnected during the upgrade: the tab closes and the grace period
            // starts.
            Err(error) => debug!(%error, "websocket upgrade failed"),
        }
    });
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, acceptance).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// A page that can't send messages says that its token has arrived.
#[utoipa::path(post, path = "/api/flash-sales/{id}/line/claim", params(("id" = String, Path)),
    security(("ticket" = [])), responses(
    (status = 204, description = "Noted."),
    (status = 403, description = "The request comes from a page of another site.", body = ProblemBody),
    (status = 404, description = "There is no such sale, or no ticket.", body = ProblemBody),
    (status = 503, description = "The line can't be reached.", body = ProblemBody),
))]
async fn claim_turn(
    State(entry): State<Arc<LineEntry>>,
    Path(sale): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let room = entry.room(&sale)?;
    entry.check_origin(&headers)?;
    let ticket = entry.ticket(room.sale, &headers).ok_or(RoomError::NoTicket)?;
    entry.store.claim(&ticket).await.map_err(RoomError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give the place up.
#[utoipa::path(delete, path = "/api/flash-sales/{id}/line", params(("id" = String, Path)),
    security(("ticket" = [])), responses(
    (status = 204, description = "The place is given up. The ticket stays: `rejoin=true` exchanges it for a new one."),
    (status = 403, description = "The request comes from a page of another site.", body = ProblemBody),
    (status = 404, description = "There is no such sale, or no ticket.", body = ProblemBody),
    (status = 503, description = "The line can't be reached.", body = ProblemBody),
))]
async fn leave_line(
    State(entry): State<Arc<LineEntry>>,
    Path(sale): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let room = entry.room(&sale)?;
    entry.check_origin(&headers)?;
    let ticket = entry.ticket(room.sale, &headers).ok_or(RoomError::NoTicket)?;
    entry.leave(&ticket).await?;
    Ok(StatusCode::NO_CONTENT)
}
