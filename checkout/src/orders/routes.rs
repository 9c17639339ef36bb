//! HTTP routes that read and anonymise orders: extract, call the service method with the name of
//! the endpoint, map the result.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use fairline_server::{Path, Problem};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::caller::{Caller, ShopperIdentity},
    error::{CommonError, OrderNotFound},
    http::NO_STORE,
    orders::{
        order::{Order, OrderId},
        service::{FoundOrder, Orders},
        state::OrderStatus,
    },
};

/// Read-only routes, and the one that anonymises orders.
pub(crate) fn routes() -> OpenApiRouter<Arc<Orders>> {
    OpenApiRouter::new()
        .routes(routes!(show_order_status))
        .routes(routes!(show_order))
        .routes(routes!(list_orders, forget_orders))
}

/// Parses the id of an order. An invalid one names no order.
pub(crate) fn order_id(text: &str) -> Result<OrderId, CommonError> {
    Uuid::try_parse(text).map(OrderId).map_err(|_| CommonError::OrderNotFound)
}

/// The shopper's orders, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Orders)]
struct OrderList {
    orders: Vec<Order>,
}

/// An order, or the orders of an account, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum OrderOrList {
    One(Box<Order>),
    All(OrderList),
}

/// The status of an order.
#[derive(Debug, Serialize, ToSchema)]
struct OrderStatusView {
    id: OrderId,
    status: OrderStatus,
    /// When its hold or its promise expires.
    #[serde(with = "time::serde::rfc3339")]
    hold_expires_at: OffsetDateTime,
}

/// The result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErasureResult {
    /// Number of anonymised orders. Open orders are kept until they end.
    pub(crate) forgotten: u64,
}

/// An order of the shopper, or all orders of an account.
#[utoipa::path(get, path = "/api/orders/{id}",
    params(("id" = String, Path, description = "The order; or the signed-in account. With the merchant key, any account.")),
    security(("ticket" = []), ("account" = []), ("merchant" = [])), responses(
    (status = 200, description = "The order; or the newest 100 orders of the account.", body = OrderOrList),
    OrderNotFound,
))]
async fn show_order(
    State(orders): State<Arc<Orders>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok((
        NO_STORE,
        axum::Json(match orders.find(order_id(&id)?, &caller).await? {
            FoundOrder::Order(order) => OrderOrList::One(order),
            FoundOrder::OrdersOfAccount(orders) => OrderOrList::All(OrderList { orders }),
        }),
    ))
}

/// List the shopper's orders, the newest first.
#[utoipa::path(get, path = "/api/orders", security(("ticket" = [])), responses(
    (status = 200, description = "The newest 100 orders of this browser's tickets.", body = OrderList),
))]
async fn list_orders(
    State(orders): State<Arc<Orders>>,
    shopper: ShopperIdentity,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(OrderList { orders: orders.orders(&shopper).await? })))
}

/// The status of an order.
#[utoipa::path(get, path = "/orders/{id}/status", params(("id" = String, Path, description = "The order.")),
    security(("ticket" = []), ("merchant" = [])), responses(
    (status = 200, description = "The status of the order.", body = OrderStatusView),
    OrderNotFound,
))]
async fn show_order_status(
    State(orders): State<Arc<Orders>>,
    Path(order): Path<String>,
    caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    let Order { id, status, hold_expires_at, .. } = orders.order_for(order_id(&order)?, &caller).await?;
    Ok((NO_STORE, axum::Json(OrderStatusView { id, status, hold_expires_at })))
}

/// Anonymise these orders. Ended orders are no longer linked to a shopper, and no longer shown to
/// this browser; units and amounts are kept for accounting. It can't be undone.
#[utoipa::path(delete, path = "/api/orders", security(("ticket" = [])), responses(
    (status = 200, description = "The number of anonymised orders of this browser's tickets.", body = ErasureResult),
    (status = 503, description = "The database does not respond; nothing was anonymised."),
))]
async fn forget_orders(
    State(orders): State<Arc<Orders>>,
    shopper: ShopperIdentity,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(ErasureResult { forgotten: orders.forget(shopper).await? })))
}
