//! The admin API: who runs a sale, and how.

mod audit;
mod keys;
pub(crate) mod lanes;
mod live;
pub(crate) mod operators;
pub(crate) mod orders;
pub(crate) mod rehearsals;
mod report;
pub(crate) mod sessions;
pub(crate) mod tickets;
pub(crate) mod tokens;
pub(crate) mod webhooks;

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, request::Parts},
    middleware::{from_fn, from_fn_with_state},
};
use fairline_idempotency::Once;
use fairline_line::store::LineStore;
use fairline_sale::{LineOrder, Look, SaleCard, SaleId, SaleMode, Status, gateway_refuses};
use fairline_server::{Json, Origins, Path, Problem, Query, Secret, Shutdown};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::live::{Consoles, News};
use self::{lanes::AdminLane, sessions::Operator};
use crate::{
    keys::Keys,
    lifecycle::{self, Action},
    problem::AdminError,
    rehearsal::Stage,
    schedule::Nudges,
    store::{Lanes, NewSale, SALES_PAGE, Sale, SaleChange, Store},
};

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) store: Store,
    pub(crate) line: LineStore,
    pub(crate) keys: Arc<Keys>,
    pub(crate) nudges: Nudges,
    pub(crate) token: Arc<Secret>,
    pub(crate) secure_cookies: bool,
    pub(crate) origins: Origins,
    pub(crate) consoles: Consoles,
    /// Where rehearsals are held, if they are.
    pub(crate) stage: Option<Arc<Stage>>,
}

/// The routes under `/api/admin`, for operators who are signed in. A `POST` with an `Idempotency-Key` is
/// executed once.
pub(crate) fn routes(admin: Admin, shutdown: &Shutdown) -> OpenApiRouter {
    // Whoever comes so far has a name.
    let asker = |parts: &Parts| {
        let operator = parts.extensions.get::<Operator>();
        operator.map(|operator| operator.name.as_bytes().to_vec()).into_iter().collect()
    };
    let once = from_fn_with_state(Once::new(admin.store.pool().clone(), asker, shutdown), fairline_idempotency::once);
    let owners = OpenApiRouter::new()
        .merge(keys::routes())
        .merge(operators::routes())
        .merge(tokens::routes())
        .merge(webhooks::routes())
        // Before it is known whether it was done: who is an owner no more is told nothing.
        .route_layer(once.clone())
        .route_layer(from_fn(sessions::owners_only));
    OpenApiRouter::new()
        .routes(routes!(create_sale, list_sales))
        .routes(routes!(show_sale, change_sale))
        .routes(routes!(open_sale))
        .routes(routes!(pause_sale))
        .routes(routes!(resume_sale))
        .routes(routes!(close_sale))
        .merge(audit::routes())
        .merge(lanes::routes())
        .merge(live::routes())
        .merge(orders::routes())
        .merge(rehearsals::routes())
        .merge(report::routes())
        .merge(sessions::routes())
        .merge(tickets::routes())
        .merge(keys::seen_routes())
        .merge(webhooks::seen_routes())
        .route_layer(once)
        .merge(owners)
        .route_layer(from_fn_with_state(admin.clone(), sessions::signed_in))
        .merge(operators::open_routes())
        .merge(sessions::open_routes())
        .with_state(admin)
}

/// A sale as its admin sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminSale {
    #[serde(flatten)]
    card: SaleCard,
    /// Units out as tokens.
    promised: u32,
    /// Units in checkout.
    held: u32,
    /// Units paid for.
    sold: u32,
    /// People who wait in all its lines, as of the last tick.
    waiting: i64,
    /// Of these, the ones with the page open.
    present: i64,
    /// Visits under way in checkout and on the way there, a second ago.
    inside: i64,
    /// Orders paid, a second ago.
    orders: i64,
    /// Tickets let in, from all its lines; one that came again is one.
    admitted: i64,
    /// Its lanes.
    lanes: Vec<AdminLane>,
    /// The highest ordinal whose turn has come.
    cursor: u64,
    /// The highest ordinal given.
    highest_ordinal: u64,
    /// Seconds in which a token can be redeemed.
    token_ttl_s: i32,
    /// Seconds in which a page must claim its token.
    claim_window_s: i32,
    /// Seconds in which a hold must be paid.
    hold_s: i32,
    /// Seconds after its turn for which a ticket is still recalled when its shopper comes back.
    recall_window_s: i32,
    /// In yield mode: the share of those let in who want to pay that may find no unit.
    risk: f64,
    /// Shoppers inside checkout, and on their way there, at most; null: any number.
    #[schema(required)]
    inside_max: Option<i32>,
    /// The earlier sale whose shoppers behaved as this one's are expected to, if there is one.
    #[schema(required)]
    like: Option<SaleId>,
    /// The sale that this one is a rehearsal of, if it is one.
    #[schema(required)]
    rehearsal_of: Option<SaleId>,
    /// The clocks that its operators think in: a name of the IANA time zone database.
    time_zone: String,
    /// When the sale was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Why the controller lets in no more than it does, in words.
    #[schema(required)]
    last_decision: Option<String>,
}

/// Sales, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminSales {
    sales: Vec<AdminSale>,
    /// What to give as `before` for the next page, if there is one.
    #[schema(required)]
    next: Option<SaleId>,
}

/// Which sales.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// Only sales that were created before this one.
    before: Option<SaleId>,
    /// Only the one of this name in addresses.
    slug: Option<String>,
}

/// A sale to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSale {
    /// The URL slug: lower-case letters, digits and single hyphens.
    slug: String,
    /// What is sold.
    name: String,
    /// A sentence or two about it.
    #[serde(default)]
    description: String,
    /// Price of one unit in the currency's minor unit.
    price_minor: i64,
    /// ISO 4217 code.
    currency: String,
    /// Units in the sale.
    total: i32,
    /// Units one shopper may buy; 1 unless said.
    #[serde(default = "one")]
    per_shopper_limit: i32,
    /// Units that one account may buy, over all its tickets. With it shoppers have to sign in to buy; without
    /// it they need not.
    per_account_limit: Option<i32>,
    /// Admissions a second at most; 10 unless said.
    #[serde(default = "ten_a_second")]
    rate_cap_per_s: f64,
    /// When it opens; now unless said.
    #[serde(default, with = "time::serde::rfc3339::option")]
    opens_at: Option<OffsetDateTime>,
    /// When it ends; never by the clock unless said.
    #[serde(default, with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
    /// Seconds in which a token can be redeemed; 120 unless said.
    #[serde(default = "two_minutes")]
    token_ttl_s: i32,
    /// Seconds in which a page must claim its token; 15 unless said.
    #[serde(default = "a_quarter_minute")]
    claim_window_s: i32,
    /// Seconds in which a hold must be paid; 300 unless said.
    #[serde(default = "five_minutes")]
    hold_s: i32,
    /// Seconds after its turn for which a ticket is still recalled when its shopper comes back; 1800 unless said.
    #[serde(default = "half_an_hour")]
    recall_window_s: i32,
    /// Seconds for which a shopper who went silent keeps the place, phones in proportion; unless said, as long as the waiting rooms
    /// are set to.
    grace_s: Option<i32>,
    /// In which order the line is served: of joining, unless said. It can't be changed later.
    #[serde(default)]
    order: LineOrder,
    /// How it lets people in; `guarantee` unless said. It can't be changed later.
    #[serde(default)]
    mode: SaleMode,
    /// In yield mode: the share of those let in who want to pay that may find no unit; 0.001 unless said.
    #[serde(default = "one_in_a_thousand")]
    risk: f64,
    /// Shoppers inside checkout, and on their way there, at most; any number unless said.
    inside_max: Option<i32>,
    /// The id of an earlier sale whose shoppers behaved as this one's are expected to: what its visits have taught is what
    /// this sale begins with. Unless said, it expects nearly everybody to buy, until its own visits have taught it better.
    like: Option<SaleId>,
    /// What its pages look like, and say; as all pages do, unless said.
    #[serde(default)]
    look: Look,
    /// The clocks that its operators think in: a name of the IANA time zone database. It decides nothing; UTC unless said.
    #[serde(default = "utc")]
    time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn one_in_a_thousand() -> f64 {
    0.001
}

fn one() -> i32 {
    1
}
fn ten_a_second() -> f64 {
    10.0
}
fn two_minutes() -> i32 {
    120
}
fn a_quarter_minute() -> i32 {
    15
}
fn five_minutes() -> i32 {
    300
}
fn half_an_hour() -> i32 {
    1800
}

fn is_a_window(seconds: i32) -> bool {
    (1..=86_400).contains(&seconds)
}

/// What to change of a sale; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeSale {
    /// Admissions a second at most.
    rate_cap_per_s: Option<f64>,
    /// Units in the sale; not fewer than are promised, held or sold.
    total: Option<i32>,
    /// Seconds after its turn for which a ticket is still recalled when its shopper comes back.
    recall_window_s: Option<i32>,
    /// Seconds for which a shopper who went silent keeps the place; null: as long as the waiting rooms are set to.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    grace_s: Option<Option<i32>>,
    /// Shoppers inside checkout, and on their way there, at most; null lifts the cap.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    inside_max: Option<Option<i32>>,
    /// What the shop says to everybody who waits; null takes it back.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    message: Option<Option<String>>,
    /// What its pages look like, and say: all of it.
    look: Option<Look>,
    /// Of a sale that is scheduled: when it opens.
    #[serde(default, with = "time::serde::rfc3339::option")]
    opens_at: Option<OffsetDateTime>,
    /// Of a sale that is scheduled: when it ends; null: never by the clock.
    #[serde(default, deserialize_with = "given_moment")]
    #[schema(value_type = Option<String>)]
    ends_at: Option<Option<OffsetDateTime>>,
}

/// Tells `null` from a field that is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn given_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<OffsetDateTime>>, D::Error> {
    time::serde::rfc3339::option::deserialize(deserializer).map(Some)
}

fn field(name: &'static str, ok: bool, must: &'static str) -> Result<(), AdminError> {
    if ok { Ok(()) } else { Err(AdminError::WrongField { field: name, must }) }
}

fn check_rate(rate: f64) -> Result<(), AdminError> {
    field("rate_cap_per_s", rate > 0.0 && rate <= 100_000.0, "be above 0 and at most 100000")
}

fn check_total(total: i32) -> Result<(), AdminError> {
    field("total", (0..=10_000_000).contains(&total), "be between 0 and 10000000")
}

fn check_grace(grace_s: Option<i32>) -> Result<(), AdminError> {
    field("grace_s", grace_s.is_none_or(is_a_window), "be between 1 and 86400, or null")
}

fn check_inside(inside_max: Option<i32>) -> Result<(), AdminError> {
    let ok = inside_max.is_none_or(|most| (1..=10_000_000).contains(&most));
    field("inside_max", ok, "be between 1 and 10000000, or null")
}

fn check_message(message: &str) -> Result<(), AdminError> {
    field("message", message.chars().count() <= 500, "be at most 500 characters")
}

fn check_look(look: &Look) -> Result<(), AdminError> {
    look.check().map_err(|wrong| AdminError::WrongField { field: wrong.field, must: wrong.must })
}

/// As text for the database.
fn stored(look: &Look) -> serde_json::Value {
    serde_json::to_value(look).unwrap_or_default()
}

impl CreateSale {
    pub(crate) fn checked(self) -> Result<NewSale, AdminError> {
        let plain = |slug: &str| {
            let part =
                |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            slug.len() <= 63 && slug.split('-').all(part)
        };
        let length = |text: &str, range: std::ops::RangeInclusive<usize>| range.contains(&text.chars().count());
        field("slug", plain(&self.slug), "be lower-case letters, digits and single hyphens, at most 63 of them")?;
        field("name", length(self.name.trim(), 1..=120), "have 1 to 120 characters")?;
        field("description", length(&self.description, 0..=2000), "be at most 2000 characters")?;
        field(
            "price_minor",
            (1..=1_000_000_000).contains(&self.price_minor),
            "be between 1 and 1000000000: a payment company takes no payment of nothing",
        )?;
        let iso = self.currency.len() == 3 && self.currency.chars().all(|c| c.is_ascii_uppercase());
        field("currency", iso, "be an ISO 4217 code such as EUR")?;
        if let Some(must) = gateway_refuses(self.price_minor, &self.currency) {
            return Err(AdminError::WrongPrice { must });
        }
        check_total(self.total)?;
        field("per_shopper_limit", (1..=100).contains(&self.per_shopper_limit), "be between 1 and 100")?;
        let ok = self.per_account_limit.is_none_or(|limit| (1..=100).contains(&limit));
        field("per_account_limit", ok, "be between 1 and 100, or null")?;
        check_rate(self.rate_cap_per_s)?;
        field("token_ttl_s", is_a_window(self.token_ttl_s), "be between 1 and 86400")?;
        field("claim_window_s", is_a_window(self.claim_window_s), "be between 1 and 86400")?;
        field("hold_s", is_a_window(self.hold_s), "be between 1 and 86400")?;
        field("recall_window_s", is_a_window(self.recall_window_s), "be between 1 and 86400")?;
        check_grace(self.grace_s)?;
        field("risk", (0.000_01..=0.1).contains(&self.risk), "be between 0.00001 and 0.1")?;
        check_inside(self.inside_max)?;
        check_look(&self.look)?;
        let opens_at = self.opens_at.unwrap_or_else(OffsetDateTime::now_utc);
        field("ends_at", self.ends_at.is_none_or(|ends_at| ends_at > opens_at), "be later than opens_at")?;
        Ok(NewSale {
            slug: self.slug,
            name: self.name.trim().to_owned(),
            description: self.description,
            price_minor: self.price_minor,
            currency: self.currency,
            total: self.total,
            per_shopper_limit: self.per_shopper_limit,
            per_account_limit: self.per_account_limit,
            rate_cap_per_s: self.rate_cap_per_s,
            opens_at: self.opens_at,
            ends_at: self.ends_at,
            token_ttl_s: self.token_ttl_s,
            claim_window_s: self.claim_window_s,
            hold_s: self.hold_s,
            recall_window_s: self.recall_window_s,
            grace_s: self.grace_s,
            seed: (self.order == LineOrder::Draw).then(rand::random),
            mode: match self.mode {
                SaleMode::Guarantee => "guarantee",
                SaleMode::Yield => "yield",
            },
            risk: self.risk,
            inside_max: self.inside_max,
            like_sale: self.like.map(|sale| sale.0),
            look: stored(&self.look),
            time_zone: self.time_zone,
        })
    }
}

/// A sale, with its lanes.
fn told(sale: Sale) -> Result<AdminSale, AdminError> {
    let lanes = sale.lines.iter().filter_map(|line| lanes::shown(&sale, line)).collect();
    let Sale { row, lines } = sale;
    let own = lines.first().ok_or(AdminError::UnknownSale)?;
    Ok(AdminSale {
        card: row.card(own),
        promised: row.promised(),
        held: row.held(),
        sold: row.sold(),
        waiting: lines.iter().map(|line| line.waiting).sum(),
        present: lines.iter().map(|line| line.present).sum(),
        inside: row.inside,
        orders: row.orders,
        admitted: lines.iter().map(|line| line.admitted).sum(),
        lanes,
        cursor: own.cursor(),
        highest_ordinal: own.highest(),
        token_ttl_s: row.token_ttl_s,
        claim_window_s: row.claim_window_s,
        hold_s: row.hold_s,
        recall_window_s: row.recall_window_s,
        risk: row.risk,
        inside_max: row.inside_max,
        like: row.like_sale.map(SaleId),
        rehearsal_of: row.rehearsal_of.map(SaleId),
        time_zone: row.time_zone,
        created_at: row.created_at,
        last_decision: row.last_decision,
    })
}

impl Admin {
    async fn sale(&self, id: &str) -> Result<Sale, AdminError> {
        let id: SaleId = id.parse().map_err(|_| AdminError::UnknownSale)?;
        self.store.show(id).await?.ok_or(AdminError::UnknownSale)
    }

    async fn shown(&self, id: &str) -> Result<AdminSale, AdminError> {
        told(self.sale(id).await?)
    }

    /// The newest sales.
    async fn sales(&self) -> Result<Vec<AdminSale>, AdminError> {
        self.store.list(None, None).await?.into_iter().map(told).collect()
    }

    async fn lanes(&self, operator: &Operator, what: &str, sale: &str) -> Result<Lanes, AdminError> {
        let id: SaleId = sale.parse().map_err(|_| AdminError::UnknownSale)?;
        self.store.lanes(&operator.by(), what, id).await?.ok_or(AdminError::UnknownSale)
    }

    async fn take(&self, operator: &Operator, sale: &str, action: Action) -> Result<axum::Json<AdminSale>, Problem> {
        let row = self.sale(sale).await?.row;
        let refused = AdminError::IllegalTransition { status: row.shown_status() };
        let to = lifecycle::after(row.stored_status(), action).ok_or(refused)?;
        let moved = self.store.set_status(&operator.by(), action.word(), row.sale(), row.stored_status(), to).await;
        if !moved.map_err(AdminError::from)? {
            let status = self.sale(sale).await?.row.shown_status();
            return Err(AdminError::IllegalTransition { status }.into());
        }
        self.nudges.sale(row.sale());
        Ok(axum::Json(self.shown(sale).await?))
    }
}

/// Create a sale.
#[utoipa::path(post, path = "/api/admin/sales", request_body = CreateSale, security(("admin" = [])), responses(
    (status = 201, description = "The sale.", body = AdminSale),
    (status = 401, description = "No admin token, or a wrong one.", body = fairline_server::ProblemBody),
    (status = 409, description = "The slug is taken.", body = fairline_server::ProblemBody),
    (status = 422, description = "A field is wrong.", body = fairline_server::ProblemBody),
))]
async fn create_sale(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Json(new): Json<CreateSale>,
) -> Result<(StatusCode, axum::Json<AdminSale>), Problem> {
    let new = new.checked()?;
    let is_zone = admin.store.knows_time_zone(&new.time_zone).await.map_err(AdminError::from)?;
    field("time_zone", is_zone, "be a name of the IANA time zone database, such as Europe/Berlin")?;
    let sale = admin.store.create(&operator.by(), &new).await.map_err(AdminError::from)?;
    Ok((StatusCode::CREATED, axum::Json(told(sale)?)))
}

/// All sales, the newest first.
#[utoipa::path(get, path = "/api/admin/sales", params(Listing), security(("admin" = [])), responses(
    (status = 200, description = "A page of at most 200 sales.", body = AdminSales),
    (status = 401, description = "No admin token, or a wrong one.", body = fairline_server::ProblemBody),
))]
async fn list_sales(
    State(admin): State<Admin>,
    Query(listing): Query<Listing>,
) -> Result<axum::Json<AdminSales>, Problem> {
    let sales = admin.store.list(listing.before, listing.slug.as_deref()).await.map_err(AdminError::from)?;
    let next = sales.last().map(|sale| sale.row.sale()).filter(|_| sales.len() == SALES_PAGE);
    let sales = sales.into_iter().map(told).collect::<Result<_, _>>()?;
    Ok(axum::Json(AdminSales { sales, next }))
}

/// One sale.
#[utoipa::path(get, path = "/api/admin/sales/{id}", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_server::ProblemBody),
))]
async fn show_sale(State(admin): State<Admin>, Path(sale): Path<String>) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(admin.shown(&sale).await?))
}

/// Change what may be changed of a sale; its window, as long as it is scheduled.
#[utoipa::path(patch, path = "/api/admin/sales/{id}", params(("id" = String, Path)), request_body = ChangeSale,
    security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_server::ProblemBody),
    (status = 409, description = "Fewer units than are promised, held or sold; or a window of a sale that has opened.", body = fairline_server::ProblemBody),
    (status = 422, description = "A field is wrong.", body = fairline_server::ProblemBody),
))]
async fn change_sale(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
    Json(change): Json<ChangeSale>,
) -> Result<axum::Json<AdminSale>, Problem> {
    change.rate_cap_per_s.map_or(Ok(()), check_rate)?;
    change.total.map_or(Ok(()), check_total)?;
    let window = change.recall_window_s.is_none_or(is_a_window);
    field("recall_window_s", window, "be between 1 and 86400")?;
    check_grace(change.grace_s.flatten())?;
    check_inside(change.inside_max.flatten())?;
    change.message.iter().flatten().try_for_each(|message| check_message(message))?;
    change.look.iter().try_for_each(check_look)?;
    let row = admin.sale(&sale).await?.row;
    let is_moved = change.opens_at.is_some() || change.ends_at.is_some();
    if is_moved && row.stored_status() != Status::Scheduled {
        return Err(AdminError::IllegalTransition { status: row.shown_status() }.into());
    }
    let (opens_at, ends_at) = (change.opens_at.unwrap_or(row.opens_at), change.ends_at.unwrap_or(row.ends_at));
    let is_a_window = !is_moved || ends_at.is_none_or(|ends_at| ends_at > opens_at.max(row.now));
    field("ends_at", is_a_window, "be later than now and than opens_at, or null")?;
    let change = SaleChange {
        opens_at: change.opens_at,
        ends_at: change.ends_at,
        rate_cap_per_s: change.rate_cap_per_s,
        total: change.total,
        recall_window_s: change.recall_window_s,
        grace_s: change.grace_s,
        inside_max: change.inside_max,
        message: change.message,
        look: change.look.as_ref().map(stored),
    };
    if !admin.store.change(&operator.by(), row.sale(), &change).await.map_err(AdminError::from)? {
        let status = admin.sale(&sale).await?.row.shown_status();
        return Err(AdminError::IllegalTransition { status }.into());
    }
    admin.nudges.sale(row.sale());
    Ok(axum::Json(admin.shown(&sale).await?))
}

/// Open a scheduled sale now.
#[utoipa::path(post, path = "/api/admin/sales/{id}/open", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_server::ProblemBody),
    (status = 409, description = "The sale is not scheduled.", body = fairline_server::ProblemBody),
))]
async fn open_sale(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&operator, &sale, Action::Open).await
}

/// Pause admissions. Places are kept, and admitted shoppers may buy.
#[utoipa::path(post, path = "/api/admin/sales/{id}/pause", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_server::ProblemBody),
    (status = 409, description = "The sale is not open.", body = fairline_server::ProblemBody),
))]
async fn pause_sale(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&operator, &sale, Action::Pause).await
}

/// Let people in again.
#[utoipa::path(post, path = "/api/admin/sales/{id}/resume", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_server::ProblemBody),
    (status = 409, description = "The sale is not paused.", body = fairline_server::ProblemBody),
))]
async fn resume_sale(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&operator, &sale, Action::Resume).await
}

/// End a sale. Tokens that are out can no longer be redeemed; holds can still be paid.
#[utoipa::path(post, path = "/api/admin/sales/{id}/close", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_server::ProblemBody),
    (status = 409, description = "The sale has ended already.", body = fairline_server::ProblemBody),
))]
async fn close_sale(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&operator, &sale, Action::Close).await
}

/// The status word of a sale, as admins read it.
pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::Scheduled => "scheduled",
        Status::Open => "open",
        Status::Paused => "paused",
        Status::SoldOut => "sold out",
        Status::Closed => "closed",
    }
}
