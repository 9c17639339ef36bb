//! Server-rendered pages: sales, a sale, and the line for browsers without JavaScript.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use fairline_line::store::LineStore;
use fairline_sale::{SaleCard, Status, price_text};
use fairline_server::{ClientAddress, Path, Problem, Query};
use fairline_update_policy::LineMessage;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::{
    auth::ticket::TicketAuth,
    http::{
        AppState,
        api::active,
        entry::{Entered, EntryCredentials, EntryMode, EntryRequest, LineEntry, invited},
        error::RoomError,
        polls::Polls,
    },
    line::{room::Room, rooms::Rooms},
    stream::session::StreamSession,
};

/// Pages run only their own scripts and styles, and refuse to be framed.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

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
        self.rooms.requested_by_slug(slug).ok_or(RoomError::UnknownSale)
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

/// URLs of the built assets.
struct Assets {
    shopper_css: String,
    shopper_js: String,
    attention_js: String,
    sign_in_js: String,
    icon: String,
}

impl Assets {
    fn new() -> Self {
        let address = |name| format!("/assets/{}", fairline_assets::file_name(name).unwrap_or(name));
        Self {
            shopper_css: address("shopper.css"),
            shopper_js: address("shopper.js"),
            attention_js: address("attention.js"),
            sign_in_js: address("sign-in.js"),
            icon: address("icon.svg"),
        }
    }
}

/// A sale as the templates render it.
struct SaleCardView {
    id: String,
    slug: String,
    name: String,
    description: String,
    price_text: String,
    limit_text: String,
    /// Units that one account may buy, if the sale requires sign-in.
    account_limit: Option<u32>,
    total: u32,
    remaining: u32,
    status: String,
    status_text: String,
    opens_at_rfc3339: String,
    opens_at_text: String,
    message: String,
    /// The commitment of a draw; empty where the line is served in order of joining.
    commitment: String,
    /// "guarantee" or "yield".
    mode: String,
    /// The name of a lane; empty for a sale's own line.
    lane: String,
    /// The title of the sale that the lane belongs to.
    leads_to: String,
    /// The slug of that sale.
    own_slug: String,
    /// Whether the sale has its own theme colours.
    coloured: bool,
    /// The shop's texts for shoppers who wait, who have a turn, and who came too late; empty by
    /// default.
    waiting_text: String,
    turn_text: String,
    sold_out_text: String,
}

impl From<&SaleCard> for SaleCardView {
    fn from(card: &SaleCard) -> Self {
        let status_text = match card.status {
            Status::Scheduled => "Opens soon",
            Status::Open => "Open",
            Status::Paused => "Paused",
            Status::SoldOut => "Sold out",
            Status::Closed => "Closed",
        };
        let limit_text = match card.per_shopper_limit {
            1 => "One per shopper".to_owned(),
            limit => format!("Up to {limit} per shopper"),
        };
        let opens = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
        let (lane, leads_to) = match &card.lane {
            Some(lane) => (lane.name.clone(), lane.sale),
            None => (String::new(), card.id),
        };
        Self {
            id: card.id.to_string(),
            leads_to: leads_to.to_string(),
            own_slug: card.slug.split_once("--").map_or(card.slug.as_str(), |(own, _)| own).to_owned(),
            lane,
            mode: card.mode.as_str().to_owned(),
            price_text: price_text(card.price_minor, &card.currency),
            limit_text,
            account_limit: card.per_account_limit,
            status: card.status.as_str().to_owned(),
            status_text: status_text.to_owned(),
            opens_at_rfc3339: card.opens_at.format(&Rfc3339).unwrap_or_default(),
            opens_at_text: card.opens_at.format(opens).unwrap_or_default(),
            slug: card.slug.clone(),
            name: card.name.clone(),
            description: card.description.clone(),
            total: card.total,
            remaining: card.remaining,
            message: card.message.clone().unwrap_or_default(),
            coloured: !card.theme.style_sheet().is_empty(),
            waiting_text: card.theme.waiting_text.clone().unwrap_or_default(),
            turn_text: card.theme.turn_text.clone().unwrap_or_default(),
            sold_out_text: card.theme.sold_out_text.clone().unwrap_or_default(),
            commitment: card.draw.as_ref().map(|draw| draw.commitment.clone()).unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    assets: Assets,
    sales: Vec<SaleCardView>,
}

#[derive(Template)]
#[template(path = "sale.html")]
struct SalePage {
    assets: Assets,
    sale: SaleCardView,
    can_join: bool,
    invited: bool,
    invitation: String,
    joined: bool,
    secure_cookies: bool,
    now_rfc3339: String,
    own_checkout: String,
}

#[derive(Template)]
#[template(path = "line.html")]
struct LinePage {
    assets: Assets,
    sale: SaleCardView,
    turn: bool,
    /// The deadline to claim the turn; empty without an unclaimed turn.
    claim_by_text: String,
    turn_ends_text: String,
    /// With a turn: the URL of the shop's own checkout, token included; empty without one.
    own_checkout: String,
    ordinal: u64,
    in_draw: Option<u64>,
    place: u64,
    behind: u64,
    recalled: u64,
    wait_text: String,
    bounds_text: String,
    beyond_stock: bool,
    refresh_s: u64,
    outcome: String,
}

impl LinePage {
    fn new(card: &SaleCard, ordinal: u64) -> Self {
        Self {
            assets: Assets::new(),
            sale: card.into(),
            turn: false,
            claim_by_text: String::new(),
            turn_ends_text: String::new(),
            own_checkout: String::new(),
            ordinal,
            in_draw: None,
            place: 0,
            behind: 0,
            recalled: 0,
            wait_text: String::new(),
            bounds_text: String::new(),
            beyond_stock: false,
            refresh_s: 3,
            outcome: String::new(),
        }
    }

    /// Shows what a message says.
    fn show(&mut self, message: LineMessage, own_checkout: &str) {
        match message {
            LineMessage::Place { place, behind, recalled, wait, beyond_stock, .. } => {
                (self.place, self.behind, self.recalled) = (place, behind, recalled);
                self.wait_text = wait.map(|wait| range_text(wait.likely_s)).unwrap_or_default();
                self.bounds_text = wait.map(|wait| range_text(wait.bounds_s)).unwrap_or_default();
                self.beyond_stock = beyond_stock;
                self.refresh_s = if place < 20 { 3 } else { 10 };
            }
            LineMessage::Draw { participants, .. } => self.in_draw = Some(participants),
            LineMessage::Turn { expires_at, token, .. } => {
                self.turn = true;
                self.turn_ends_text = clock_text(expires_at);
                if !own_checkout.is_empty() {
                    self.own_checkout = format!("{own_checkout}{token}");
                }
            }
            LineMessage::Over { outcome } => self.outcome = outcome.as_str().to_owned(),
            LineMessage::Sale { .. } | LineMessage::Heartbeat { .. } | LineMessage::Reconnecting { .. } => {}
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    assets: Assets,
    heading: String,
    text: String,
    /// The label of the retry button; empty where a retry makes no sense.
    retry: String,
}

/// Renders a page with the common headers. Pages show current state, so caches must not store them.
fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "render page failed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(html)).into_response()
}

/// A problem, rendered as a page.
struct PageProblem(Problem);

impl<E: Into<Problem>> From<E> for PageProblem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let template = ProblemPage {
            assets: Assets::new(),
            heading: problem.title().to_owned(),
            text: problem.detail_text().unwrap_or_default().to_owned(),
            retry: String::new(),
        };
        let mut response = page(problem.status(), &template);
        if let Some(wait) = problem.clone().into_response().headers().get(header::RETRY_AFTER) {
            response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
        }
        response
    }
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
    let entering = EntryRequest { room, headers: &headers, client, mode, credentials: &joining.credentials };
    let Entered { cookie, .. } = pages.entry.enter(entering).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&format!("/sales/{slug}/line"))).into_response())
}

/// A cookie holds the place. A browser that stores none would receive a new place with each request
/// and show none of them.
fn no_cookies(tickets: &TicketAuth) -> Response {
    let template = ProblemPage {
        assets: Assets::new(),
        heading: "Cookies are blocked".to_owned(),
        text: "Your place in line is stored in a cookie. Allow cookies for this site, then join again. You have no place yet."
            .to_owned(),
        retry: "Join the line".to_owned(),
    };
    ([(header::SET_COOKIE, tickets.probe())], page(StatusCode::FORBIDDEN, &template)).into_response()
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
    let entering = EntryRequest { room: room.clone(), headers: &headers, client, mode, credentials: &credentials };
    let Entered { tab, ticket, cookie } = pages.entry.enter(entering).await?;
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

fn clock_text(at: OffsetDateTime) -> String {
    at.format(format_description!("[hour]:[minute]:[second] UTC")).unwrap_or_default()
}

fn range_text((from_s, to_s): (u64, u64)) -> String {
    let minutes = |s: u64| s.div_ceil(60);
    match to_s {
        0..=120 => format!("{from_s} to {to_s} seconds"),
        _ => format!("{} to {} minutes", minutes(from_s), minutes(to_s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_in_seconds_or_minutes() {
        assert_eq!(range_text((20, 40)), "20 to 40 seconds");
        assert_eq!(range_text((150, 290)), "3 to 5 minutes");
    }
}
