//! The routes of the merchant API: extract, call the service method with the name of the endpoint,
//! map the result.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use fairline_server::{Json, Path, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::caller::MerchantKey,
    http::NO_STORE,
    merchant_api::{
        request::{ConfirmRequest, RedeemRequest, RefundRequest, ReserveRequest},
        service::MerchantApi,
        view::{Inventory, RefundStatus},
    },
    orders::{
        order::Order,
        routes::{ErasureResult, order_id},
    },
};

pub(crate) fn routes() -> OpenApiRouter<Arc<MerchantApi>> {
    OpenApiRouter::new()
        .routes(routes!(redeem))
        .routes(routes!(confirm))
        .routes(routes!(refund))
        .routes(routes!(erase))
        .routes(routes!(show_inventory))
        .routes(routes!(reserve))
}

/// Redeem the admission token that a shopper has brought to the merchant's own checkout. Its units
/// are held until the merchant confirms the order or cancels it, or the hold expires. The
/// merchant is responsible for checking that the shopper holds the token.
#[utoipa::path(post, path = "/api/admissions/redeem", request_body = RedeemRequest, security(("merchant" = [])), responses(
    (status = 201, description = "The units are held.", body = Order),
    (status = 401, description = "No merchant key, or a wrong one; or the token is not genuine."),
    (status = 403, description = "The token is for another sale."),
    (status = 404, description = "There is no such sale."),
    (status = 409, description = "The token was used before (`order` contains its order), or the sale is not open."),
    (status = 410, description = "The token has expired."),
    (status = 422, description = "A field is wrong, or the quantity exceeds the promise."),
    (status = 503, description = "The database does not respond; nothing was lost."),
))]
async fn redeem(
    State(merchant_api): State<Arc<MerchantApi>>,
    key: MerchantKey,
    Json(wanted): Json<RedeemRequest>,
) -> Result<impl IntoResponse, Problem> {
    Ok((StatusCode::CREATED, NO_STORE, axum::Json(merchant_api.redeem(key, wanted).await?)))
}

/// Erase personal data at a customer's request. With the id of an ended order, removes the link to
/// its shopper; with the id of an account, erases the account and the links of all its orders.
/// Units and amounts are kept for accounting. It can't be undone.
#[utoipa::path(delete, path = "/api/orders/{id}", params(("id" = String, Path, description = "The order, or the account.")),
    security(("merchant" = [])), responses(
    (status = 200, description = "The number of anonymised orders.", body = ErasureResult),
    (status = 404, description = "There is no such order or account."),
    (status = 409, description = "An order is still open. Nothing was erased."),
    (status = 503, description = "The database does not respond; nothing was erased."),
))]
async fn erase(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(ErasureResult { forgotten: merchant_api.erase(order_id(&id)?).await? })))
}

/// Confirm that the merchant was paid for an order. The order is sold; an expired one, if units are
/// free.
#[utoipa::path(post, path = "/api/orders/{id}/confirm", request_body = ConfirmRequest,
    params(("id" = String, Path, description = "The order.")),
    security(("merchant" = [])), responses(
    (status = 200, description = "The order is paid.", body = Order),
    (status = 404, description = "There is no such order."),
    (status = 409, description = "It was paid another way, a payment is pending, or its units are sold."),
))]
async fn confirm(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Path(order): Path<String>,
    Json(ConfirmRequest { reference }): Json<ConfirmRequest>,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(merchant_api.confirm(order_id(&order)?, reference).await?)))
}

/// Refund all or a part of an order that was paid for here. Its units stay sold: raise the stock to
/// sell them again. Events and the order show the refund once the payment gateway has counted it.
#[utoipa::path(post, path = "/api/orders/{id}/refund", request_body = RefundRequest,
    params(("id" = String, Path, description = "The order.")),
    security(("merchant" = [])), responses(
    (status = 202, description = "The state of the refund: `done`, `failed`, or `requested` while the payment gateway does not respond.", body = RefundStatus),
    (status = 404, description = "There is no such order."),
    (status = 409, description = "It was not paid for here, less than the amount is left, or another refund is still open."),
    (status = 503, description = "The database does not respond; read the order before you retry."),
))]
async fn refund(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Path(order): Path<String>,
    Json(wanted): Json<RefundRequest>,
) -> Result<impl IntoResponse, Problem> {
    Ok((StatusCode::ACCEPTED, NO_STORE, axum::Json(merchant_api.refund(order_id(&order)?, wanted).await?)))
}

/// The stocks of sales.
#[utoipa::path(get, path = "/inventory/status", security(("merchant" = [])), responses(
    (status = 200, description = "Sales that run, are scheduled, or ended with units out, the newest first.", body = Inventory),
))]
async fn show_inventory(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(merchant_api.show_inventory().await?)))
}

/// Reserve free units for the merchant itself, such as for its box office. Units that shoppers were
/// promised are not available. The order is confirmed or cancelled like any other.
#[utoipa::path(post, path = "/inventory/reserve", request_body = ReserveRequest, security(("merchant" = [])), responses(
    (status = 201, description = "The units are held, now or before, under this reference.", body = Order),
    (status = 404, description = "There is no such sale."),
    (status = 409, description = "Too few units are free, the sale is closed, or the reference belongs to another reservation."),
    (status = 503, description = "The database does not respond; nothing was reserved."),
))]
async fn reserve(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Json(wanted): Json<ReserveRequest>,
) -> Result<impl IntoResponse, Problem> {
    Ok((StatusCode::CREATED, NO_STORE, axum::Json(merchant_api.reserve(wanted).await?)))
}
