//! The waiting room's HTTP API.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts as _, Path, Query, Request, State, ws::WebSocketUpgrade},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use fairline_sale::SaleCard;
use fairline_service::{ClientAddress, Problem, ProblemBody};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    door::{Door, Entered, Wish},
    message::LineMessage,
    problem::RoomError,
    socket,
};

/// How soon a page that polls should ask again.
const POLL_AFTER: Duration = Duration::from_secs(2);

/// The routes of the API.
pub(crate) fn routes() -> OpenApiRouter<Door> {
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
async fn active_sales(State(door): State<Door>) -> Response {
    let sales = active(&door);
    ([(header::CACHE_CONTROL, "public, max-age=1")], axum::Json(ActiveSales { sales })).into_response()
}

/// The sales that are not over, the next to open first.
pub(crate) fn active(door: &Door) -> Vec<Arc<SaleCard>> {
    let cards = door.rooms.all().into_iter().map(|room| room.card());
    let mut sales: Vec<Arc<SaleCard>> = cards.filter(|card| !card.status.is_over()).collect();
    sales.sort_unstable_by_key(|card| (card.opens_at, card.id));
    sales
}

/// What a sale is doing, and how much of it is left.
#[utoipa::path(get, path = "/api/flash-sales/{id}/status", params(("id" = String, Path)), responses(
    (status = 200, description = "The sale. May be cached for a second.", body = SaleCard),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
))]
async fn sale_status(State(door): State<Door>, Path(sale): Path<String>) -> Result<Response, Problem> {
    let card = door.room(&sale)?.card();
    Ok(([(header::CACHE_CONTROL, "public, max-age=1")], axum::Json(card)).into_response())
}

/// How to enter a line.
#[derive(Debug, Deserialize, IntoParams)]
struct Entering {
    /// `false`: only with the ticket that the cookie brings.
    join: Option<bool>,
    /// `true`: exchange a ticket whose turn is over for a new one.
    rejoin: Option<bool>,
    /// The account of the shopper: a JSON Web Token that the shop has signed.
    account: Option<String>,
}

impl Entering {
    fn wish(&self) -> Wish {
        match (self.join, self.rejoin) {
            (Some(false), _) => Wish::Resume,
            (_, Some(true)) => Wish::Rejoin,
            _ => Wish::JoinOrResume,
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
#[utoipa::path(get, path = "/api/flash-sales/{id}/line", params(("id" = String, Path), Entering), responses(
    (status = 101, description = "The line as a WebSocket: see docs/line-protocol.md."),
    (status = 200, description = "The line as it is now, or as a stream of events.",
        content((LineSnapshot = "application/json"), (LineMessage = "text/event-stream"))),
    (status = 403, description = "The request comes from a page of another site.", body = ProblemBody),
    (status = 404, description = "There is no such sale, or (with join=false) no ticket.", body = ProblemBody),
    (status = 409, description = "The sale is over and takes nobody in.", body = ProblemBody),
    (status = 429, description = "Too many new tickets for one address.", body = ProblemBody),
    (status = 503, description = "The line can't be reached, or this node is full. The place is kept.", body = ProblemBody),
))]
async fn line(
    State(door): State<Door>,
    Path(sale): Path<String>,
    Query(entering): Query<Entering>,
    ClientAddress(client): ClientAddress,
    request: Request,
) -> Result<Response, Problem> {
    let room = door.room(&sale)?;
    let (mut parts, _) = request.into_parts();
    if parts.headers.contains_key(header::UPGRADE) {
        return upgrade(door, &sale, &entering, client, &mut parts).await;
    }
    let accept = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let streams = accept.contains("text/event-stream");
    let place = if streams { Some(door.take_place()?) } else { None };
    let Entered { mut session, cookie } =
        door.enter(room.clone(), &parts.headers, client, entering.wish(), entering.account.as_deref()).await?;
    let cookie = [(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

    if !streams {
        let messages: Vec<_> = std::iter::from_fn(|| session.now()).collect();
        // Between two polls nobody is connected: the grace period starts anew with each.
        if !session.is_over() {
            let absent = door.store.absent(room.sale, door.grace, false, &[session.ticket().ordinal]).await;
            absent.map_err(RoomError::from)?;
        }
        let poll_after_ms = u64::try_from(POLL_AFTER.as_millis()).unwrap_or(u64::MAX);
        return Ok((cookie, axum::Json(LineSnapshot { messages, poll_after_ms })).into_response());
    }

    let stopping = door.shutdown.clone();
    let events = stream::unfold((session, OpenStream::new(place)), |(mut session, open)| async move {
        if session.is_over() {
            return None;
        }
        let message = session.next().await;
        let json = serde_json::to_string(&message).expect("messages are strings, numbers and dates");
        Some((Ok::<_, Infallible>(Event::default().data(json)), (session, open)))
    });
    let events = events.take_until(async move { stopping.triggered().await });
    // Said to nginx, which otherwise gathers events before it passes them on.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((cookie, unbuffered, Sse::new(events).keep_alive(KeepAlive::default())).into_response())
}

/// Counts a stream of events for as long as it is open, and holds its place among the open lines.
struct OpenStream {
    open: metrics::Gauge,
    _place: Option<OwnedSemaphorePermit>,
}

impl OpenStream {
    fn new(place: Option<OwnedSemaphorePermit>) -> Self {
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

async fn upgrade(
    door: Door,
    sale: &str,
    entering: &Entering,
    client: IpAddr,
    parts: &mut Parts,
) -> Result<Response, Problem> {
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await.map_err(|_| RoomError::BadHandshake)?;
    let place = door.take_place()?;
    let account = entering.account.as_deref();
    let entered = door.enter(door.room(sale)?, &parts.headers, client, entering.wish(), account).await?;
    let Entered { session, cookie } = entered;
    let shutdown = door.shutdown.clone();
    let attended = move |socket| socket::attend(socket, session, door, place);
    let mut response = socket::small(upgrade).on_upgrade(move |socket| shutdown.track(attended(socket)));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// A page that can't send messages says that its token has arrived.
#[utoipa::path(post, path = "/api/flash-sales/{id}/line/claim", params(("id" = String, Path)), responses(
    (status = 204, description = "Noted."),
    (status = 403, description = "The request comes from a page of another site.", body = ProblemBody),
    (status = 404, description = "There is no such sale, or no ticket.", body = ProblemBody),
    (status = 503, description = "The line can't be reached.", body = ProblemBody),
))]
async fn claim_turn(
    State(door): State<Door>,
    Path(sale): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let room = door.room(&sale)?;
    door.check_origin(&headers)?;
    let ticket = door.ticket(room.sale, &headers).ok_or(RoomError::NoTicket)?;
    door.store.claim(&ticket).await.map_err(RoomError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give the place up.
#[utoipa::path(delete, path = "/api/flash-sales/{id}/line", params(("id" = String, Path)), responses(
    (status = 204, description = "The place is given up, and the ticket forgotten."),
    (status = 403, description = "The request comes from a page of another site.", body = ProblemBody),
    (status = 404, description = "There is no such sale, or no ticket.", body = ProblemBody),
    (status = 503, description = "The line can't be reached.", body = ProblemBody),
))]
async fn leave_line(
    State(door): State<Door>,
    Path(sale): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let room = door.room(&sale)?;
    door.check_origin(&headers)?;
    let ticket = door.ticket(room.sale, &headers).ok_or(RoomError::NoTicket)?;
    door.leave(&ticket).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, door.no_cookie(room.sale))]).into_response())
}
