//! Orders of a sale: found, refunded and cancelled. What is wanted is written down with its reason; a checkout does it.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_sale::OrderStatus;
use fairline_server::{Json, Path, Problem, ProblemBody, Query};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{Admin, field, sessions::Operator};
use crate::{
    problem::AdminError,
    store::{OrderRow, OrderSearch, OrderWish, Wished},
};

/// Orders of one answer.
const PAGE: i64 = 50;
/// The longest text that is searched for.
const SEARCH_CHARS_MAX: usize = 254;

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(list_orders)).routes(routes!(refund_order)).routes(routes!(cancel_order))
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Reading {
    /// An order's id, a ticket's number, an e-mail address or a phone number, or the payment company's or the shop's own name of it.
    search: Option<String>,
    /// Only orders made before this one.
    before: Option<Uuid>,
}

/// The kinds of requests, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the database holds the kind as text; only the schema of this is used")]
enum RequestKind {
    Refund,
    Cancel,
}

/// The states of a request, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the database holds the state as text; only the schema of this is used")]
enum RequestState {
    Requested,
    Done,
    Failed,
}

/// What was last asked to be done with an order.
#[derive(Debug, Serialize, ToSchema)]
struct LastRequest {
    #[schema(value_type = RequestKind)]
    kind: String,
    #[schema(value_type = RequestState)]
    state: String,
    /// Why it failed.
    #[schema(required)]
    error: Option<String>,
}

/// An order of a sale.
#[derive(Debug, Serialize, ToSchema)]
struct AdminOrder {
    id: Uuid,
    #[schema(value_type = OrderStatus)]
    status: String,
    quantity: i32,
    /// In the currency's minor unit.
    amount_minor: i64,
    currency: String,
    /// What has gone back to the shopper, by whomever.
    refunded_minor: i64,
    /// What the bank has taken back, and not given back since.
    disputed_minor: i64,
    /// How the newest dispute stands, in the payment company's word.
    #[schema(required)]
    dispute: Option<String>,
    /// The payment company's name of its payment; or the shop's own, where it was paid there.
    #[schema(required)]
    reference: Option<String>,
    /// The number of its ticket; none where the shop has reserved it.
    #[schema(required)]
    ordinal: Option<i64>,
    /// Where the account is written to, if it has one.
    #[schema(required)]
    address: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    paid_at: Option<OffsetDateTime>,
    #[schema(required)]
    request: Option<LastRequest>,
}

impl From<OrderRow> for AdminOrder {
    fn from(row: OrderRow) -> Self {
        let request = row.request.zip(row.request_state);
        Self {
            id: row.id,
            status: row.status,
            quantity: row.quantity,
            amount_minor: row.amount_minor,
            currency: row.currency,
            refunded_minor: row.refunded_minor,
            disputed_minor: row.disputed_minor,
            dispute: row.dispute,
            reference: row.reference,
            ordinal: row.ordinal,
            address: row.address,
            created_at: row.created_at,
            paid_at: row.paid_at,
            request: request.map(|(kind, state)| LastRequest { kind, state, error: row.request_error }),
        }
    }
}

/// Orders, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminOrders {
    orders: Vec<AdminOrder>,
    /// What to give as `before` for the next page, if there is one.
    #[schema(required)]
    next: Option<Uuid>,
}

/// How much goes back, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefundOrder {
    /// In the currency's minor unit; all that is left unless said.
    amount_minor: Option<i64>,
    /// For the audit log; 500 characters at most.
    reason: String,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelOrder {
    /// For the audit log; 500 characters at most.
    reason: String,
}

impl Admin {
    async fn wish(
        &self,
        operator: &Operator,
        (id, order): (String, Uuid),
        reason: &str,
        wish: OrderWish,
    ) -> Result<(StatusCode, axum::Json<AdminOrder>), AdminError> {
        let by = operator.because(reason)?;
        let sale = self.sale(&id).await?.row.sale();
        match self.store.wish(&by, sale, order, wish).await? {
            Wished::Accepted => {}
            Wished::UnknownOrder => return Err(AdminError::UnknownOrder),
            Wished::NotRefundable { left_minor } => return Err(AdminError::NotRefundable { left_minor }),
            Wished::NotCancellable => return Err(AdminError::NotCancellable),
            Wished::UnderWay => return Err(AdminError::RequestUnderWay),
        }
        let search = OrderSearch { order: Some(order), ..OrderSearch::default() };
        let found = self.store.orders(sale, &search, 1).await?.pop().ok_or(AdminError::UnknownOrder)?;
        Ok((StatusCode::ACCEPTED, axum::Json(found.into())))
    }
}

/// The orders of a sale, the newest first: all, or those that are searched for.
#[utoipa::path(get, path = "/api/admin/sales/{id}/orders", params(("id" = String, Path), Reading), security(("admin" = [])), responses(
    (status = 200, description = "Up to 50 orders.", body = AdminOrders),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 422, description = "The text to search for is too long.", body = ProblemBody),
))]
async fn list_orders(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(Reading { search, before }): Query<Reading>,
) -> Result<axum::Json<AdminOrders>, Problem> {
    let text = search.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let fits = text.is_none_or(|text| text.chars().count() <= SEARCH_CHARS_MAX && !text.contains('\0'));
    field("search", fits, "have at most 254 visible characters")?;
    let order = text.and_then(|text| Uuid::try_parse(text).ok());
    let ordinal = text.and_then(|text| text.trim_start_matches('#').parse().ok());
    let name = text.filter(|_| order.is_none() && ordinal.is_none());
    let sale = admin.sale(&id).await?.row.sale();
    let found = admin.store.orders(sale, &OrderSearch { order, ordinal, name, before }, PAGE).await;
    let orders: Vec<AdminOrder> = found.map_err(AdminError::from)?.into_iter().map(AdminOrder::from).collect();
    let next = orders.last().filter(|_| orders.len() as i64 == PAGE).map(|order| order.id);
    Ok(axum::Json(AdminOrders { orders, next }))
}

/// Refund an order that was paid for, all or a part. Its units stay sold: raise the stock to sell them again. Done by a checkout within
/// a second, or as soon as the payment company answers; `request` of the order says how it stands.
#[utoipa::path(post, path = "/api/admin/sales/{id}/orders/{order}/refund", request_body = RefundOrder,
    params(("id" = String, Path), ("order" = Uuid, Path)), security(("admin" = [])), responses(
    (status = 202, description = "It is noted, and will be done.", body = AdminOrder),
    (status = 404, description = "There is no such sale or order.", body = ProblemBody),
    (status = 409, description = "Less is left of what was paid for it here, or another request has not ended.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn refund_order(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(order): Path<(String, Uuid)>,
    Json(RefundOrder { amount_minor, reason }): Json<RefundOrder>,
) -> Result<(StatusCode, axum::Json<AdminOrder>), Problem> {
    field("amount_minor", amount_minor.is_none_or(|amount| amount > 0), "be at least 1, or null")?;
    Ok(admin.wish(&operator, order, &reason, OrderWish::Refund(amount_minor)).await?)
}

/// Cancel an order that is not paid: its units are free for the next in line, and a payment under way is withdrawn unless the bank has
/// approved it.
#[utoipa::path(post, path = "/api/admin/sales/{id}/orders/{order}/cancel", request_body = CancelOrder,
    params(("id" = String, Path), ("order" = Uuid, Path)), security(("admin" = [])), responses(
    (status = 202, description = "It is noted, and will be done.", body = AdminOrder),
    (status = 404, description = "There is no such sale or order.", body = ProblemBody),
    (status = 409, description = "It is paid for or has ended, or another request has not ended.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
))]
async fn cancel_order(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Path(order): Path<(String, Uuid)>,
    Json(CancelOrder { reason }): Json<CancelOrder>,
) -> Result<(StatusCode, axum::Json<AdminOrder>), Problem> {
    Ok(admin.wish(&operator, order, &reason, OrderWish::Cancel).await?)
}
