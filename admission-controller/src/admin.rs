//! The admin API: who runs a sale, and how.

mod keys;
mod lanes;
mod webhooks;

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
};
use fairline_line::store::LineStore;
use fairline_once::Once;
use fairline_sale::{LineOrder, SaleCard, SaleId, SaleMode, Status};
use fairline_service::{Json, Problem, Secret, Shutdown};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Deserializer, Serialize};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use tokio::sync::Notify;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::lanes::AdminLane;
use crate::{
    keys::Keys,
    lifecycle::{self, Action},
    problem::AdminError,
    store::{Lanes, LineRow, NewSale, Sale, SaleChange, Store},
};

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) store: Store,
    pub(crate) line: LineStore,
    pub(crate) keys: Arc<Keys>,
    pub(crate) nudge: Arc<Notify>,
    pub(crate) token: Arc<Secret>,
}

/// The routes under `/api/admin`, behind the bearer token. A `POST` with an `Idempotency-Key` is done once.
pub(crate) fn routes(admin: Admin, shutdown: &Shutdown) -> OpenApiRouter {
    // Whoever comes so far has the token, and there is one.
    let once = Once::new(admin.store.pool().clone(), |_| Some(b"admin".to_vec()), shutdown);
    OpenApiRouter::new()
        .routes(routes!(create_sale, list_sales))
        .routes(routes!(show_sale, change_sale))
        .routes(routes!(open_sale))
        .routes(routes!(pause_sale))
        .routes(routes!(resume_sale))
        .routes(routes!(close_sale))
        .merge(keys::routes())
        .merge(lanes::routes())
        .merge(webhooks::routes())
        .route_layer(axum::middleware::from_fn_with_state(once, fairline_once::once))
        .route_layer(axum::middleware::from_fn_with_state(admin.clone(), signed_in))
        .with_state(admin)
}

async fn signed_in(State(admin): State<Admin>, request: Request, next: Next) -> Result<Response, Problem> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).ok_or(AdminError::NoToken)?;
    if !bool::from(given.as_bytes().ct_eq(admin.token.expose().as_bytes())) {
        return Err(AdminError::WrongToken.into());
    }
    Ok(next.run(request).await)
}

/// A sale as its admin sees it.
#[derive(Debug, Serialize, ToSchema)]
struct AdminSale {
    #[serde(flatten)]
    card: SaleCard,
    /// Units out as tokens.
    promised: u32,
    /// Units in checkout.
    held: u32,
    /// Units paid for.
    sold: u32,
    /// People who wait in its own line; null while that does not answer.
    waiting: Option<u64>,
    /// Admissions made from its own line.
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
    inside_max: Option<i32>,
    /// The earlier sale whose shoppers behaved as this one's are expected to, if there is one.
    like: Option<SaleId>,
    /// When the sale was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Why the controller lets in no more than it does, in words.
    last_decision: Option<String>,
}

/// All sales, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminSales {
    sales: Vec<AdminSale>,
}

/// A sale to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateSale {
    /// Its name in addresses: lower-case letters, digits and single hyphens.
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
    /// Units one account may buy, of all sorts of tickets: then only whoever is signed in may. Unless said, nobody has to be.
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
struct ChangeSale {
    /// Admissions a second at most.
    rate_cap_per_s: Option<f64>,
    /// Units in the sale; not fewer than are promised, held or sold.
    total: Option<i32>,
    /// Seconds after its turn for which a ticket is still recalled when its shopper comes back.
    recall_window_s: Option<i32>,
    /// Shoppers inside checkout, and on their way there, at most; null lifts the cap.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    inside_max: Option<Option<i32>>,
    /// What the shop says to everybody who waits; null takes it back.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    message: Option<Option<String>>,
}

/// Tells `null` from a field that is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
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

fn check_inside(inside_max: Option<i32>) -> Result<(), AdminError> {
    let ok = inside_max.is_none_or(|most| (1..=10_000_000).contains(&most));
    field("inside_max", ok, "be between 1 and 10000000, or null")
}

fn check_message(message: &str) -> Result<(), AdminError> {
    field("message", message.chars().count() <= 500, "be at most 500 characters")
}

impl CreateSale {
    fn checked(self) -> Result<NewSale, AdminError> {
        let plain = |slug: &str| {
            let part =
                |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            slug.len() <= 63 && slug.split('-').all(part)
        };
        let length = |text: &str, range: std::ops::RangeInclusive<usize>| range.contains(&text.chars().count());
        field("slug", plain(&self.slug), "be lower-case letters, digits and single hyphens, at most 63 of them")?;
        field("name", length(self.name.trim(), 1..=120), "have 1 to 120 characters")?;
        field("description", length(&self.description, 0..=2000), "be at most 2000 characters")?;
        field("price_minor", (0..=1_000_000_000).contains(&self.price_minor), "be between 0 and 1000000000")?;
        let iso = self.currency.len() == 3 && self.currency.chars().all(|c| c.is_ascii_uppercase());
        field("currency", iso, "be an ISO 4217 code such as EUR")?;
        check_total(self.total)?;
        field("per_shopper_limit", (1..=100).contains(&self.per_shopper_limit), "be between 1 and 100")?;
        let ok = self.per_account_limit.is_none_or(|limit| (1..=100).contains(&limit));
        field("per_account_limit", ok, "be between 1 and 100, or null")?;
        check_rate(self.rate_cap_per_s)?;
        field("token_ttl_s", is_a_window(self.token_ttl_s), "be between 1 and 86400")?;
        field("claim_window_s", is_a_window(self.claim_window_s), "be between 1 and 86400")?;
        field("hold_s", is_a_window(self.hold_s), "be between 1 and 86400")?;
        field("recall_window_s", is_a_window(self.recall_window_s), "be between 1 and 86400")?;
        field("risk", (0.000_01..=0.1).contains(&self.risk), "be between 0.00001 and 0.1")?;
        check_inside(self.inside_max)?;
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
            seed: (self.order == LineOrder::Draw).then(rand::random),
            mode: match self.mode {
                SaleMode::Guarantee => "guarantee",
                SaleMode::Yield => "yield",
            },
            risk: self.risk,
            inside_max: self.inside_max,
            like_sale: self.like.map(|sale| sale.0),
        })
    }
}

impl Admin {
    async fn waiting(&self, line: &LineRow) -> Option<u64> {
        self.line.upcoming(line.line(), line.cursor(), 0, 0).await.ok().map(|line| line.waiting)
    }

    /// A sale, with what its lines know.
    async fn told(&self, sale: Sale) -> Result<AdminSale, AdminError> {
        let mut lanes = Vec::new();
        for line in &sale.lines {
            lanes.extend(self.lane(&sale, line).await?);
        }
        let Sale { row, lines } = sale;
        let own = lines.first().ok_or(AdminError::UnknownSale)?;
        Ok(AdminSale {
            card: row.card(own),
            promised: row.promised(),
            held: row.held(),
            sold: row.sold(),
            waiting: self.waiting(own).await,
            admitted: self.store.admitted(own.line()).await?,
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
            created_at: row.created_at,
            last_decision: row.last_decision,
        })
    }

    async fn sale(&self, id: &str) -> Result<Sale, AdminError> {
        let id: SaleId = id.parse().map_err(|_| AdminError::UnknownSale)?;
        self.store.show(id).await?.ok_or(AdminError::UnknownSale)
    }

    async fn lanes(&self, sale: &str) -> Result<Lanes, AdminError> {
        let id: SaleId = sale.parse().map_err(|_| AdminError::UnknownSale)?;
        self.store.lanes(id).await?.ok_or(AdminError::UnknownSale)
    }

    async fn take(&self, sale: &str, action: Action) -> Result<axum::Json<AdminSale>, Problem> {
        let row = self.sale(sale).await?.row;
        let refused = AdminError::IllegalTransition { status: row.shown_status() };
        let to = lifecycle::after(row.stored_status(), action).ok_or(refused)?;
        if !self.store.set_status(row.sale(), row.stored_status(), to).await.map_err(AdminError::from)? {
            let status = self.sale(sale).await?.row.shown_status();
            return Err(AdminError::IllegalTransition { status }.into());
        }
        self.nudge.notify_one();
        Ok(axum::Json(self.told(self.sale(sale).await?).await?))
    }
}

/// Create a sale.
#[utoipa::path(post, path = "/api/admin/sales", request_body = CreateSale, security(("admin" = [])), responses(
    (status = 201, description = "The sale.", body = AdminSale),
    (status = 401, description = "No admin token, or a wrong one.", body = fairline_service::ProblemBody),
    (status = 409, description = "The slug is taken.", body = fairline_service::ProblemBody),
    (status = 422, description = "A field is wrong.", body = fairline_service::ProblemBody),
))]
async fn create_sale(
    State(admin): State<Admin>,
    Json(new): Json<CreateSale>,
) -> Result<(StatusCode, axum::Json<AdminSale>), Problem> {
    let sale = admin.store.create(&new.checked()?).await.map_err(AdminError::from)?;
    Ok((StatusCode::CREATED, axum::Json(admin.told(sale).await?)))
}

/// All sales, the newest first.
#[utoipa::path(get, path = "/api/admin/sales", security(("admin" = [])), responses(
    (status = 200, description = "The newest 200 sales.", body = AdminSales),
    (status = 401, description = "No admin token, or a wrong one.", body = fairline_service::ProblemBody),
))]
async fn list_sales(State(admin): State<Admin>) -> Result<axum::Json<AdminSales>, Problem> {
    let sales = admin.store.list().await.map_err(AdminError::from)?;
    let sales = stream::iter(sales).map(|sale| admin.told(sale)).buffered(4).try_collect().await?;
    Ok(axum::Json(AdminSales { sales }))
}

/// One sale.
#[utoipa::path(get, path = "/api/admin/sales/{id}", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_service::ProblemBody),
))]
async fn show_sale(State(admin): State<Admin>, Path(sale): Path<String>) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(admin.told(admin.sale(&sale).await?).await?))
}

/// Change the rate cap, the stock, or the message.
#[utoipa::path(patch, path = "/api/admin/sales/{id}", params(("id" = String, Path)), request_body = ChangeSale,
    security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_service::ProblemBody),
    (status = 409, description = "Fewer units than are promised, held or sold.", body = fairline_service::ProblemBody),
    (status = 422, description = "A field is wrong.", body = fairline_service::ProblemBody),
))]
async fn change_sale(
    State(admin): State<Admin>,
    Path(sale): Path<String>,
    Json(change): Json<ChangeSale>,
) -> Result<axum::Json<AdminSale>, Problem> {
    change.rate_cap_per_s.map_or(Ok(()), check_rate)?;
    change.total.map_or(Ok(()), check_total)?;
    let window = change.recall_window_s.is_none_or(is_a_window);
    field("recall_window_s", window, "be between 1 and 86400")?;
    check_inside(change.inside_max.flatten())?;
    change.message.iter().flatten().try_for_each(|message| check_message(message))?;
    let row = admin.sale(&sale).await?.row;
    let change = SaleChange {
        rate_cap_per_s: change.rate_cap_per_s,
        total: change.total,
        recall_window_s: change.recall_window_s,
        inside_max: change.inside_max,
        message: change.message,
    };
    admin.store.change(row.sale(), &change).await.map_err(AdminError::from)?;
    admin.nudge.notify_one();
    Ok(axum::Json(admin.told(admin.sale(&sale).await?).await?))
}

/// Open a scheduled sale now.
#[utoipa::path(post, path = "/api/admin/sales/{id}/open", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_service::ProblemBody),
    (status = 409, description = "The sale is not scheduled.", body = fairline_service::ProblemBody),
))]
async fn open_sale(State(admin): State<Admin>, Path(sale): Path<String>) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&sale, Action::Open).await
}

/// Let nobody in for now. Places are kept; whoever was let in may buy.
#[utoipa::path(post, path = "/api/admin/sales/{id}/pause", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_service::ProblemBody),
    (status = 409, description = "The sale is not open.", body = fairline_service::ProblemBody),
))]
async fn pause_sale(State(admin): State<Admin>, Path(sale): Path<String>) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&sale, Action::Pause).await
}

/// Let people in again.
#[utoipa::path(post, path = "/api/admin/sales/{id}/resume", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_service::ProblemBody),
    (status = 409, description = "The sale is not paused.", body = fairline_service::ProblemBody),
))]
async fn resume_sale(State(admin): State<Admin>, Path(sale): Path<String>) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&sale, Action::Resume).await
}

/// End a sale. Tokens that are out can no longer be redeemed; holds can still be paid.
#[utoipa::path(post, path = "/api/admin/sales/{id}/close", params(("id" = String, Path)), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    (status = 404, description = "There is no such sale.", body = fairline_service::ProblemBody),
    (status = 409, description = "The sale has ended already.", body = fairline_service::ProblemBody),
))]
async fn close_sale(State(admin): State<Admin>, Path(sale): Path<String>) -> Result<axum::Json<AdminSale>, Problem> {
    admin.take(&sale, Action::Close).await
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
