//! The routes of orders.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_postgres::Word;
use fairline_sale::{OrderRequestKind, OrderRequestState, OrderStatus};
use fairline_server::{Json, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    service::{PAGE, SaleOrders},
    store::{AdminOrderRow, OrderAction},
};
use crate::{admin_api::AdminState, auth::operator::Operator, error::SaleNotFound};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list_orders)).routes(routes!(refund_order)).routes(routes!(cancel_order))
}

/// Selects orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrdersQuery {
    /// An order's id, a ticket's number, an e-mail address, a phone number, or the reference of the
    /// payment gateway or of the merchant.
    search: Option<String>,
    /// Only orders made before this one.
    before: Option<Uuid>,
}

/// The last request to refund or cancel an order.
#[derive(Debug, Serialize, ToSchema)]
struct LastRequest {
    kind: OrderRequestKind,
    state: OrderRequestState,
    /// Why it failed.
    #[schema(required)]
    error: Option<String>,
}

/// An order of a sale.
#[derive(Debug, Serialize, ToSchema)]
struct AdminOrder {
    id: Uuid,
    status: OrderStatus,
    quantity: i32,
    /// In the currency's minor unit.
    amount_minor: i64,
    currency: String,
    /// The refunded amount, whether it was refunded here or at the payment gateway.
    refunded_minor: i64,
    /// The disputed amount that the bank has taken back and not returned.
    disputed_minor: i64,
    /// The status of the newest dispute, in the payment gateway's word.
    #[schema(required)]
    dispute: Option<String>,
    /// The payment gateway's reference; or the merchant's, if the merchant took the payment.
    #[schema(required)]
    reference: Option<String>,
    /// The number of its ticket; null if the merchant has reserved it.
    #[schema(required)]
    ordinal: Option<i64>,
    /// The e-mail address or phone number of its account, if it has one.
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

impl From<AdminOrderRow> for AdminOrder {
    fn from(row: AdminOrderRow) -> Self {
        let request = row.request.zip(row.request_state);
        Self {
            id: row.id,
            status: row.status.0,
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
            request: request.map(|(Word(kind), Word(state))| LastRequest { kind, state, error: row.request_error }),
        }
    }
}

/// Orders, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminOrders {
    orders: Vec<AdminOrder>,
    /// The value of `before` for the next page, if there is one.
    #[schema(required)]
    next: Option<Uuid>,
}

/// The amount to refund, and the reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundOrder {
    /// In the currency's minor unit; by default the whole remaining amount.
    amount_minor: Option<i64>,
    /// For the audit log; at most 500 characters.
    reason: String,
}

/// The reason of a cancellation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelOrder {
    /// For the audit log; at most 500 characters.
    reason: String,
}

/// List or search the orders of a sale, the newest first.
#[utoipa::path(get, path = "/api/admin/sales/{id}/orders", params(("id" = String, Path, description = "The sale."), OrdersQuery), security(("admin" = [])), responses(
    (status = 200, description = "Up to 50 orders.", body = AdminOrders),
    SaleNotFound,
    (status = 422, description = "The text to search for is too long."),
))]
async fn list_orders(
    State(orders): State<SaleOrders>,
    Path(id): Path<String>,
    Query(OrdersQuery { search, before }): Query<OrdersQuery>,
) -> Result<axum::Json<AdminOrders>, Problem> {
    let found = orders.search(&id, search.as_deref(), before).await?;
    let orders: Vec<AdminOrder> = found.into_iter().map(AdminOrder::from).collect();
    let next = orders.last().filter(|_| orders.len() as i64 == PAGE).map(|order| order.id);
    Ok(axum::Json(AdminOrders { orders, next }))
}

/// Refund all or a part of a paid order. Its units stay sold: raise the stock to sell them again. A
/// checkout executes the refund within a second, or as soon as the payment gateway responds;
/// `request` of the order shows the state.
#[utoipa::path(post, path = "/api/admin/sales/{id}/orders/{order}/refund", request_body = RefundOrder,
    params(("id" = String, Path, description = "The sale."), ("order" = Uuid, Path, description = "The order.")), security(("admin" = [])), responses(
    (status = 202, description = "The request is accepted.", body = AdminOrder),
    (status = 404, description = "There is no such sale or order."),
    (status = 409, description = "The amount exceeds what is left of the payment, or another request has not ended."),
))]
async fn refund_order(
    State(orders): State<SaleOrders>,
    Extension(operator): Extension<Operator>,
    Path(order): Path<(String, Uuid)>,
    Json(RefundOrder { amount_minor, reason }): Json<RefundOrder>,
) -> Result<(StatusCode, axum::Json<AdminOrder>), Problem> {
    let by = operator.with_reason(&reason)?;
    let order = orders.request(&by, order, OrderAction::Refund(amount_minor)).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(order.into())))
}

/// Cancel an unpaid order. Its units are free for the next shopper, and a payment under way is
/// withdrawn unless the bank has approved it.
#[utoipa::path(post, path = "/api/admin/sales/{id}/orders/{order}/cancel", request_body = CancelOrder,
    params(("id" = String, Path, description = "The sale."), ("order" = Uuid, Path, description = "The order.")), security(("admin" = [])), responses(
    (status = 202, description = "The request is accepted.", body = AdminOrder),
    (status = 404, description = "There is no such sale or order."),
    (status = 409, description = "The order is paid or has ended, or another request has not ended."),
))]
async fn cancel_order(
    State(orders): State<SaleOrders>,
    Extension(operator): Extension<Operator>,
    Path(order): Path<(String, Uuid)>,
    Json(CancelOrder { reason }): Json<CancelOrder>,
) -> Result<(StatusCode, axum::Json<AdminOrder>), Problem> {
    let order = orders.request(&operator.with_reason(&reason)?, order, OrderAction::Cancel).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(order.into())))
}
