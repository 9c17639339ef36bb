//! HTTP routes of payments: pay, withdraw a payment, cancel an order, read a payment.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use fairline_server::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::caller::{Caller, ShopperIdentity},
    error::OrderNotFound,
    http::NO_STORE,
    orders::{
        order::{Order, OrderId},
        routes::order_id,
        state::OrderStatus,
    },
    payments::{error::PaymentError, service::Payments, store::PaymentView},
};

/// The route that pays for an order.
pub(crate) fn paying() -> OpenApiRouter<Arc<Payments>> {
    OpenApiRouter::new().routes(routes!(pay))
}

/// Routes that undo: withdraw a payment, cancel an order.
pub(crate) fn cancellation_routes() -> OpenApiRouter<Arc<Payments>> {
    OpenApiRouter::new().routes(routes!(cancel_order)).routes(routes!(withdraw))
}

/// Read-only routes.
pub(crate) fn reading() -> OpenApiRouter<Arc<Payments>> {
    OpenApiRouter::new().routes(routes!(show_payment_status))
}

/// A payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentRequest {
    payment_method: PaymentMethod,
}

/// The length from which digits may be a card number (ISO/IEC 7812-1).
const CARD_DIGITS_MIN: usize = 12;

/// The gateway's token of a payment method, such as `tok_visa`. Card numbers are rejected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[a-z]+_[A-Za-z0-9_]{1,100}$", example = "tok_visa")]
struct PaymentMethod(String);

impl TryFrom<String> for PaymentMethod {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_token = text.split_once('_').is_some_and(|(kind, token)| {
            !kind.is_empty()
                && kind.chars().all(|c| c.is_ascii_lowercase())
                && (1..=100).contains(&token.len())
                && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && token.split(|c: char| !c.is_ascii_digit()).all(|digits| digits.len() < CARD_DIGITS_MIN)
        });
        if is_token { Ok(Self(text)) } else { Err("this is not a payment gateway's token such as tok_visa") }
    }
}

/// The status of a payment.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentStatus {
    id: Uuid,
    order_id: OrderId,
    /// `started`, `authorised`, `captured`, `declined`, `voided`, `refund_due` or `refunded`.
    status: &'static str,
    /// In the currency's minor unit (cents).
    amount_minor: i64,
    /// ISO 4217 code.
    currency: String,
    /// The time of the last change.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    /// Stripe's `client_secret`, while the shopper has to authenticate: for
    /// `stripe.handleNextAction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

/// Pay for an order. A repeated request charges once.
#[utoipa::path(post, path = "/api/orders/{id}/payment", request_body = PaymentRequest,
    params(("id" = String, Path, description = "The order.")),
    security(("ticket" = [])), responses(
    (status = 200, description = "Paid; or paid too late, and refunded.", body = Order),
    (status = 202, description = "A payment is pending: read the status of the order.", body = Order),
    (status = 402, description = "Declined. There is still time to pay."),
    OrderNotFound,
    (status = 409, description = "The hold has expired; or the payment gateway rejects the payment with any card (`payment-rejected`, with its \
        `code`)."),
    (status = 429, description = "Too many requests from this address; or too many payments of this order have failed (`too-many-attempts`), and it \
        can't be paid any more."),
    (status = 503, description = "The database does not respond; nothing was lost."),
))]
async fn pay(
    State(payments): State<Arc<Payments>>,
    Path(order): Path<String>,
    shopper: ShopperIdentity,
    Json(PaymentRequest { payment_method: PaymentMethod(method) }): Json<PaymentRequest>,
) -> Result<Response, Problem> {
    let order = payments.pay(order_id(&order)?, &shopper, method).await?;
    let status = if order.status == OrderStatus::PaymentPending { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, NO_STORE, axum::Json(order)).into_response())
}

/// Cancel an order before it expires. Its units go to the next in line, and a pending payment is
/// withdrawn. May be repeated.
#[utoipa::path(post, path = "/api/orders/{id}/cancel",
    params(("id" = String, Path, description = "The order.")),
    security(("ticket" = []), ("merchant" = [])), responses(
    (status = 200, description = "The order was cancelled.", body = Order),
    OrderNotFound,
    (status = 409, description = "It is paid for, the bank has approved its payment, or it has expired."),
    (status = 503, description = "The database does not respond; nothing was lost."),
))]
async fn cancel_order(
    State(payments): State<Arc<Payments>>,
    Path(order): Path<String>,
    caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(payments.cancel_order(order_id(&order)?, caller).await?)))
}

/// Withdraw a pending payment, whether or not the payment gateway responds. Nothing is charged, and
/// the order can be paid another way while there is time. May be repeated.
#[utoipa::path(delete, path = "/api/orders/{id}/payment", params(("id" = String, Path, description = "The order.")),
    security(("ticket" = []), ("merchant" = [])), responses(
    (status = 200, description = "No payment is pending: the order as it is.", body = Order),
    OrderNotFound,
    (status = 409, description = "The bank has approved it: it is being completed, or the order is paid."),
    (status = 503, description = "The database does not respond; nothing was changed."),
))]
async fn withdraw(
    State(payments): State<Arc<Payments>>,
    Path(order): Path<String>,
    caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(payments.withdraw(order_id(&order)?, caller).await?)))
}

/// The status of a payment.
#[utoipa::path(get, path = "/payments/{id}/status",
    params(("id" = String, Path, description = "The payment; or an order, for its newest payment.")),
    security(("ticket" = []), ("merchant" = [])), responses(
    (status = 200, description = "The status of the payment.", body = PaymentStatus),
    (status = 404, description = "There is no such payment, or it belongs to another shopper."),
))]
async fn show_payment_status(
    State(payments): State<Arc<Payments>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| PaymentError::PaymentNotFound)?;
    let PaymentView { id, order, state, amount_minor, currency, updated_at, client_secret } =
        payments.payment_for(id, &caller).await?;
    let status = state.as_str();
    let payment =
        PaymentStatus { id: id.0, order_id: order, status, amount_minor, currency, updated_at, client_secret };
    Ok((NO_STORE, axum::Json(payment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_method_is_a_token_not_a_card_number() {
        for (text, accepted) in [
            ("tok_visa", true),
            ("pm_1AbC_2", true),
            ("4242424242424242", false),
            ("card_4242424242424242", false),
            ("tok_my_4242424242424242_x", false),
            ("tok_424242424242", false),
            ("tok_42424242424", true),
            ("4242_4242", false),
            ("tok_", false),
            ("_visa", false),
            ("tok_vi sa", false),
            ("tok", false),
            ("", false),
        ] {
            assert_eq!(PaymentMethod::try_from(text.to_owned()).is_ok(), accepted, "{text}");
        }
        assert!(PaymentMethod::try_from(format!("tok_{}", "a".repeat(101))).is_err());
    }
}
