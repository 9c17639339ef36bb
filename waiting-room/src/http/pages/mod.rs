//! Server-rendered pages: sales, a sale, and the line for browsers without JavaScript.
//!
//! - `view`: what the templates render; `problem`: problems as pages. The handlers are here.

mod problem;
mod view;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use fairline_line::store::LineStore;
use fairline_server::{ClientAddress, Path, Problem, Query};
use fairline_update_policy::LineMessage;
use serde::Deserialize;
use time::{OffsetDateTime, macros::format_description};

use self::{
    problem::{PageProblem, no_cookies},
    view::{Assets, HomePage, LinePage, SalePage, clock_text, page},
};
use crate::{
    auth::ticket::TicketAuth,
    http::{
        AppState,
        api::active,
        entry::{EnteredShopper, EntryCredentials, EntryMode, EntryRequest, LineEntry, invited},
        error::RoomError,
        polls::Polls,
    },
    line::{room::Room, rooms::Rooms},
    stream::session::StreamSession,
};

/// The state of the pages.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) rooms: Rooms,
    pub(crate) store: LineStore,
    pub(crate) tickets: Arc<TicketAuth>,
    pub(crate) entry: Arc<LineEntry>,
    pub(crate) polls: Arc<Polls>,
    /// The URL prefix of the shop's own checkout, up to the token; empty without one.
    pub(crate) own_checkout: Arc<str>,
}

impl Pages {
    fn room(&self, slug: &str) -> Result<Arc<Room>, RoomError> {
        self.rooms.requested_by_slug(slug).ok_or(RoomError::SaleNotFound)
    }
}

/// The routes of the pages.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(home))
        .route("/sales/{slug}", get(sale))
        .route("/sales/{slug}/theme.css", get(theme))
        .route("/sales/{slug}/line", get(line).post(join))
        .route("/sales/{slug}/line/leave", post(leave))
        .route("/assets/{file}", get(asset))
}

async fn home(State(pages): State<Pages>) -> Response {
    let sales = active(&pages.rooms).iter().map(|card| card.as_ref().into()).collect();
    page(StatusCode::OK, &HomePage { assets: Assets::new(), sales })
}

async fn sale(
    State(pages): State<Pages>,
    Path(slug): Path<String>,
    Query(credentials): Query<EntryCredentials>,
    headers: HeaderMap,
) -> Result<Response, PageProblem> {
    let room = pages.room(&slug)?;
    let card = room.card();
    let now = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let template = SalePage {
        assets: Assets::new(),
        can_join: !card.status.is_over(),
        invited: card.lane.is_none() || invited(&card, &credentials).is_some(),
        invitation: credentials.invitation.unwrap_or_default(),
        joined: pages.tickets.ticket(room.sale, &headers).is_some(),
        secure_cookies: pages.tickets.secure_cookies,
        now_rfc3339: OffsetDateTime::now_utc().format(now).unwrap_or_default(),
        sale: card.as_ref().into(),
        own_checkout: pages.own_checkout.to_string(),
    };
    let mut response = page(StatusCode::OK, &template);
    if !pages.tickets.keeps_cookies(room.sale, &headers) {
        response.headers_mut().insert(header::SET_COOKIE, pages.tickets.probe());
    }
    Ok(response)
}

/// The style sheet of a sale's theme.
async fn theme(State(pages): State<Pages>, Path(slug): Path<String>) -> Result<Response, Problem> {
    let colours = pages.room(&slug)?.card().theme.style_sheet();
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    Ok((headers, colours).into_response())
}

#[derive(Deserialize)]
pub(crate) struct JoinForm {
    #[serde(default)]
    rejoin: bool,
    #[serde(flatten)]
    credentials: EntryCredentials,
}

/// Joins without JavaScript and redirects to the line's page.
async fn join(
    State(pages): State<Pages>,
    (Path(slug), Query(joining)): (Path<String>, Query<JoinForm>),
    ClientAddress(client): ClientAddress,
    headers: HeaderMap,
) -> Result<Response, PageProblem> {
    let room = pages.room(&slug)?;
    if !pages.tickets.keeps_cookies(room.sale, &headers) {
        return Ok(no_cookies(&pages.tickets));
    }
    let mode = if joining.rejoin { EntryMode::Rejoin } else { EntryMode::JoinOrResume };
    let entering =
        EntryRequest { room, headers: &headers, client, mode, waits: false, credentials: &joining.credentials };
    let EnteredShopper { cookie, .. } = pages.entry.enter(entering).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&format!("/sales/{slug}/line"))).into_response())
}

#[derive(Deserialize)]
pub(crate) struct Loading {
    /// Whether the browser refreshed the page automatically.
    #[serde(default)]
    refreshed: bool,
    /// The turn that the shopper claimed with this page, identified by the Unix second in which it
    /// ends.
    claimed: Option<i64>,
}

/// The line without JavaScript: a page that refreshes itself. Only a load by the shopper claims a
/// turn; an automatic refresh of a hidden tab does not show that the shopper saw it.
async fn line(
    State(pages): State<Pages>,
    (Path(slug), Query(loading)): (Path<String>, Query<Loading>),
    ClientAddress(client): ClientAddress,
    headers: HeaderMap,
) -> Result<Response, PageProblem> {
    let room = pages.room(&slug)?;
    if pages.tickets.ticket(room.sale, &headers).is_none() {
        return Ok(Redirect::to(&format!("/sales/{slug}")).into_response());
    }
    let credentials = EntryCredentials::default();
    let mode = EntryMode::Resume;
    let entering =
        EntryRequest { room: room.clone(), headers: &headers, client, mode, waits: false, credentials: &credentials };
    let EnteredShopper { tab, ticket, cookie } = pages.entry.enter(entering).await?;
    let mut session = StreamSession::new(tab);
    let mut template = LinePage::new(&room.card(), ticket.ordinal);
    let mut claimed = String::new();
    while let Some(message) = session.now() {
        if let LineMessage::Turn { claim_by, expires_at, .. } = &message {
            let turn = expires_at.unix_timestamp();
            if !loading.refreshed {
                pages.store.claim(&ticket).await.map_err(RoomError::from)?;
            }
            if loading.refreshed && loading.claimed != Some(turn) {
                template.claim_by_text = clock_text(*claim_by);
            } else {
                claimed = format!("&claimed={turn}");
            }
        }
        template.show(message, &pages.own_checkout);
    }
    if !session.is_over() {
        // A shopper remains present between two refreshes, and while one refresh is missed.
        let until_refresh = Duration::from_secs(3 * template.refresh_s);
        pages.polls.start_grace(&room, &ticket, &headers, until_refresh).await?;
    }
    let mut response = page(StatusCode::OK, &template);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    let refresh = format!("{}; url=/sales/{slug}/line?refreshed=true{claimed}", template.refresh_s);
    if template.outcome.is_empty()
        && let Ok(refresh) = HeaderValue::try_from(refresh)
    {
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    Ok(response)
}

/// Leaves without JavaScript. The ticket is kept, so that the page shows the outcome and offers to
/// join again.
async fn leave(
    State(pages): State<Pages>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageProblem> {
    let room = pages.room(&slug)?;
    if pages.tickets.is_foreign(&headers) {
        return Err(RoomError::ForeignOrigin.into());
    }
    if let Some(ticket) = pages.tickets.ticket(room.sale, &headers) {
        pages.store.leave(&ticket).await.map_err(RoomError::from)?;
    }
    Ok(Redirect::to(&format!("/sales/{slug}/line")).into_response())
}

async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    fairline_assets::serve(&file, &headers)
}
