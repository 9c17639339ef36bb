//! The waiting room's HTTP API.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response, sse::Sse},
};
use fairline_sale::SaleCard;
use fairline_server::{ClientAddress, Problem, Query};
use fairline_update_policy::LineMessage;
use hyper::upgrade::OnUpgrade;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        AppState,
        connections::{ConnectionSlot, Connections},
        entry::{EnteredShopper, EntryCredentials, EntryMode, EntryRequest, LineEntry},
        error::RoomError,
        extract::{HeldTicket, SaleRoom},
        polls::Polls,
    },
    line::rooms::Rooms,
    stream::session::StreamSession,
    websocket::handshake,
};

/// Polling interval that the API recommends to pages, in ms. Random, so that pages that began at
/// one moment do not poll together.
const POLL_AFTER_MS: RangeInclusive<u64> = 1500..=2000;
/// The same while the line can't be reached: a recovering line waits for clients that polled.
const POLL_AGAIN_AFTER_MS: RangeInclusive<u64> = 500..=1000;

/// The state of the routes to a line.
#[derive(Clone)]
pub(crate) struct LineApi {
    pub(crate) entry: Arc<LineEntry>,
    pub(crate) polls: Arc<Polls>,
    pub(crate) connections: Connections,
}

/// The routes of the API.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
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
async fn active_sales(State(rooms): State<Rooms>) -> Response {
    let sales = active(&rooms);
    ([(header::CACHE_CONTROL, "public, max-age=1")], axum::Json(ActiveSales { sales })).into_response()
}

/// Listed sales that are not over, the next to open first. Lanes and rehearsals are not listed.
pub(crate) fn active(rooms: &Rooms) -> Vec<Arc<SaleCard>> {
    let cards = rooms.all().into_iter().map(|room| room.card());
    let mut sales: Vec<Arc<SaleCard>> =
        cards.filter(|card| !card.status.is_over() && card.lane.is_none() && !card.rehearsal).collect();
    sales.sort_unstable_by_key(|card| (card.opens_at, card.id));
    sales
}

/// The status of a sale, and its remaining units.
#[utoipa::path(get, path = "/api/flash-sales/{id}/status", params(("id" = String, Path, description = "The sale, or its lane.")), responses(
    (status = 200, description = "The sale. May be cached for a second.", body = SaleCard),
    (status = 404, description = "There is no such sale."),
))]
async fn sale_status(SaleRoom(room): SaleRoom) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=1")], axum::Json(room.card())).into_response()
}

/// How to enter a line.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryQuery {
    /// `false`: only with the ticket in the cookie.
    join: Option<bool>,
    /// `true`: exchange a ticket whose turn is over. The limit counts all turns of a shopper.
    rejoin: Option<bool>,
    #[serde(flatten)]
    #[param(ignore)]
    credentials: EntryCredentials,
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

/// The messages to a page that polls.
#[derive(Debug, Serialize, ToSchema)]
struct LineSnapshot {
    /// All messages that the page lacks.
    messages: Vec<LineMessage>,
    /// Milliseconds until the next poll.
    poll_after_ms: u64,
}

/// Join or resume a line, as a WebSocket, as Server-Sent Events, or as JSON for polling.
#[utoipa::path(get, path = "/api/flash-sales/{id}/line", params(("id" = String, Path, description = "The sale, or its lane."), EntryQuery, EntryCredentials),
    security((), ("ticket" = [])), responses(
    (status = 101, description = "The line as a WebSocket: see docs/line-protocol.md."),
    (status = 200, description = "The line as it is now, or as a stream of events.",
        content((LineSnapshot = "application/json"), (LineMessage = "text/event-stream"))),
    (status = 403, description = "The request comes from a page of another site, or the line is a lane and there is no \
        invitation to it."),
    (status = 404, description = "There is no such sale, or (with join=false) no ticket."),
    (status = 409, description = "The sale is over, and its line accepts no shoppers."),
    (status = 429, description = "Too many new tickets for one address."),
    (status = 503, description = "The line can't be reached, or this node is full. The place is kept."),
))]
async fn line(
    State(LineApi { entry, polls, connections }): State<LineApi>,
    (Query(query), ClientAddress(client)): (Query<EntryQuery>, ClientAddress),
    SaleRoom(room): SaleRoom,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let (headers, mode) = (&parts.headers, query.mode());
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (upgrades, streams) = (headers.contains_key(header::UPGRADE), accept.contains("text/event-stream"));
    let entering = EntryRequest { room, headers, client, mode, waits: true, credentials: &query.credentials };
    if !upgrades && !streams {
        return poll(&entry, &polls, entering).await;
    }
    // Reserve the connection slot first: a full node rejects a request before it does any work.
    match connections.reserve() {
        Err(full) => Ok(([(header::CONNECTION, "close")], Problem::from(full)).into_response()),
        Ok(slot) if upgrades => upgrade(&entry, slot, parts.extensions, entering).await,
        Ok(slot) => events(&entry, slot, entering).await,
    }
}

/// The headers of a response that sets a ticket cookie.
fn ticket_headers(cookie: HeaderValue) -> [(HeaderName, HeaderValue); 2] {
    [(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// Returns all messages that the page lacks, once.
async fn poll(entry: &LineEntry, polls: &Polls, entering: EntryRequest<'_>) -> Result<Response, Problem> {
    let (room, headers): (_, &HeaderMap) = (entering.room.clone(), entering.headers);
    let EnteredShopper { tab, ticket, cookie } = entry.enter(entering).await?;
    let mut session = StreamSession::new(tab);
    let messages: Vec<_> = std::iter::from_fn(|| session.now()).collect();
    if !session.is_over() {
        polls.start_grace(&room, &ticket, headers, Duration::ZERO).await?;
    }
    let poll_after_ms = rand::random_range(if room.is_line_reachable() { POLL_AFTER_MS } else { POLL_AGAIN_AFTER_MS });
    Ok((ticket_headers(cookie), axum::Json(LineSnapshot { messages, poll_after_ms })).into_response())
}

/// Opens an event stream for a shopper.
async fn events(entry: &LineEntry, slot: ConnectionSlot, entering: EntryRequest<'_>) -> Result<Response, Problem> {
    let EnteredShopper { tab, cookie, .. } = entry.enter(entering).await?;
    // Disables nginx's response buffering, which would delay events.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let events = Sse::new(slot.events(tab));
    Ok((ticket_headers(cookie), unbuffered, events).into_response())
}

/// Opens a WebSocket for a shopper. The event loop owns it after the handshake.
async fn upgrade(
    entry: &LineEntry,
    slot: ConnectionSlot,
    mut extensions: Extensions,
    entering: EntryRequest<'_>,
) -> Result<Response, Problem> {
    let acceptance = handshake::acceptance(entering.headers).ok_or(RoomError::InvalidHandshake)?;
    let upgraded = extensions.remove::<OnUpgrade>().ok_or(RoomError::InvalidHandshake)?;
    let EnteredShopper { tab, cookie, .. } = entry.enter(entering).await?;
    slot.upgrade(upgraded, tab);
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, acceptance).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Confirm that the token has arrived, from a page that can't send messages.
#[utoipa::path(post, path = "/api/flash-sales/{id}/line/claim", params(("id" = String, Path, description = "The sale, or its lane.")),
    security(("ticket" = [])), responses(
    (status = 204, description = "The claim is recorded."),
    (status = 403, description = "The request comes from a page of another site."),
    (status = 404, description = "There is no such sale, or no ticket."),
    (status = 503, description = "The line can't be reached."),
))]
async fn claim_turn(State(line): State<LineApi>, HeldTicket(ticket): HeldTicket) -> Result<StatusCode, Problem> {
    line.entry.store.claim(&ticket).await.map_err(RoomError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give the place up.
#[utoipa::path(delete, path = "/api/flash-sales/{id}/line", params(("id" = String, Path, description = "The sale, or its lane.")),
    security(("ticket" = [])), responses(
    (status = 204, description = "The place is given up. The ticket stays: `rejoin=true` exchanges it for a new one."),
    (status = 403, description = "The request comes from a page of another site."),
    (status = 404, description = "There is no such sale, or no ticket."),
    (status = 503, description = "The line can't be reached."),
))]
async fn leave_line(State(line): State<LineApi>, HeldTicket(ticket): HeldTicket) -> Result<StatusCode, Problem> {
    line.entry.store.leave(&ticket).await.map_err(RoomError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
