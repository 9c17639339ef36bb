//! HTTP routes of orders: extract, call the service method with the name of the endpoint, map the
//! result.

use std::num::NonZeroU16;

use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use fairline_server::{Json, Path, Problem, ProblemBody};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    Checkout,
    accounts::account::AccountId,
    auth::caller::{BearerToken, Caller, Holders},
    error::CheckoutError,
    orders::{
        holds::store::PaymentStanding,
        order::{Order, OrderId},
        state::OrderStatus,
    },
};

/// The route that takes units.
pub(crate) fn purchasing() -> OpenApiRouter<Checkout> {
    OpenApiRouter::new().routes(routes!(purchase))
}

/// The route that pays for an order.
pub(crate) fn paying() -> OpenApiRouter<Checkout> {
    OpenApiRouter::new().routes(routes!(pay))
}

/// The route that gives units back.
pub(crate) fn giving_back() -> OpenApiRouter<Checkout> {
    OpenApiRouter::new().routes(routes!(give_back))
}

/// The route that withdraws a payment.
pub(crate) fn withdrawing() -> OpenApiRouter<Checkout> {
    OpenApiRouter::new().routes(routes!(withdraw))
}

/// Read-only routes, and the one that anonymises orders.
pub(crate) fn looking() -> OpenApiRouter<Checkout> {
    OpenApiRouter::new()
        .routes(routes!(show_order_status))
        .routes(routes!(show_payment_status))
        .routes(routes!(show_order))
        .routes(routes!(list_orders, forget_orders))
}

/// A purchase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purchase {
    /// Units, up to the quantity of the admission.
    #[schema(value_type = u16, minimum = 1)]
    quantity: NonZeroU16,
}

/// A payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pay {
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

/// The shopper's orders, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct Orders {
    orders: Vec<Order>,
}

/// An order, or the orders of an account, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum OneOrAll {
    One(Box<Order>),
    All(Orders),
}

/// The status of an order.
#[derive(Debug, Serialize, ToSchema)]
struct OrderStanding {
    id: OrderId,
    status: OrderStatus,
    /// When its hold or its promise expires.
    #[serde(with = "time::serde::rfc3339")]
    hold_expires_at: OffsetDateTime,
}

/// The status of a payment.
#[derive(Debug, Serialize, ToSchema)]
struct Standing {
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

/// The result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Forgotten {
    /// Number of anonymised orders. Open orders are kept until they end.
    pub(crate) forgotten: u64,
}

/// No cache may store an order or a payment.
pub(crate) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Redeem an admission token: its units are held until they are paid for or the hold expires.
#[utoipa::path(post, path = "/api/flash-sales/{id}/purchase", request_body = Purchase,
    params(("id" = String, Path, description = "The sale."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")),
    security(("admission" = [])), responses(
    (status = 201, description = "The units are held.", body = Order),
    (status = 400, description = "The Idempotency-Key is invalid.", body = ProblemBody),
    (status = 401, description = "No token, or it is not genuine or belongs to another shopper; or the sale is for accounts, and the client is not \
        signed in.", body = ProblemBody),
    (status = 403, description = "The token is for another sale, or the request comes from another site's page.", body = ProblemBody),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 409, description = "The token was used before (`order` contains its order), or the sale is not open; or the first \
        request with this Idempotency-Key is still being processed.", body = ProblemBody),
    (status = 410, description = "The token has expired.", body = ProblemBody),
    (status = 413, description = "The body is too large.", body = ProblemBody),
    (status = 415, description = "The Content-Type is not JSON.", body = ProblemBody),
    (status = 422, description = "A field is wrong, or the quantity exceeds the promise or the limit of the account or of \
        the shopper (`shopper-over-limit`: `left` has the rest); or the Idempotency-Key was used \
        with another body before.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was lost.", body = ProblemBody),
))]
async fn purchase(
    State(checkout): State<Checkout>,
    Path(sale): Path<String>,
    token: BearerToken,
    holders: Holders,
    Json(Purchase { quantity }): Json<Purchase>,
) -> Result<impl IntoResponse, Problem> {
    let order = checkout.purchase(&sale, &token, &holders, quantity).await?;
    Ok((StatusCode::CREATED, NO_STORE, axum::Json(order)))
}

/// Pay for an order. A repeated request charges once.
#[utoipa::path(post, path = "/api/orders/{id}/payment", request_body = Pay,
    params(("id" = String, Path, description = "The order."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")),
    security(("ticket" = [])), responses(
    (status = 200, description = "Paid; or paid too late, and refunded.", body = Order),
    (status = 202, description = "A payment is pending: read the status of the order.", body = Order),
    (status = 400, description = "The Idempotency-Key is invalid.", body = ProblemBody),
    (status = 402, description = "Declined. There is still time to pay.", body = ProblemBody),
    (status = 403, description = "The request comes from another site's page.", body = ProblemBody),
    (status = 404, description = "There is no such order, or it belongs to another shopper.", body = ProblemBody),
    (status = 409, description = "The hold has expired; or the payment company rejects the payment with any card (`payment-rejected`, with its \
        `code`); or the first request with this Idempotency-Key is still being processed.", body = ProblemBody),
    (status = 413, description = "The body is too large.", body = ProblemBody),
    (status = 415, description = "The Content-Type is not JSON.", body = ProblemBody),
    (status = 422, description = "A field is wrong; or the Idempotency-Key was used with another body before.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address; or too many payments of this order have failed (`too-many-attempts`), and it \
        can't be paid any more.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was lost.", body = ProblemBody),
))]
async fn pay(
    State(checkout): State<Checkout>,
    Path(order): Path<String>,
    holders: Holders,
    Json(Pay { payment_method: PaymentMethod(method) }): Json<Pay>,
) -> Result<Response, Problem> {
    let order = checkout.pay(order_id(&order)?, &holders, method).await?;
    let status = if order.status == OrderStatus::PaymentPending { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, NO_STORE, axum::Json(order)).into_response())
}

/// An order of the shopper, or all orders of an account.
#[utoipa::path(get, path = "/api/orders/{id}",
    params(("id" = String, Path, description = "The order; or the signed-in account. With the shop key, any account.")),
    security(("ticket" = []), ("account" = []), ("shop" = [])), responses(
    (status = 200, description = "The order; or the newest 100 orders of the account.", body = OneOrAll),
    (status = 404, description = "There is no such order, or it belongs to another shopper.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn show_order(
    State(checkout): State<Checkout>,
    Path(id): Path<String>,
    asker: Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(checkout.one_or_all(order_id(&id)?, &asker).await?)))
}

/// List the shopper's orders, the newest first.
#[utoipa::path(get, path = "/api/orders", security(("ticket" = [])), responses(
    (status = 200, description = "The newest 100 orders of this browser's tickets.", body = Orders),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn list_orders(State(checkout): State<Checkout>, holders: Holders) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(Orders { orders: checkout.orders(&holders).await? })))
}

/// Give an order back before it expires. Its units go to the next in line, and a pending payment is
/// withdrawn. May be repeated.
#[utoipa::path(post, path = "/api/orders/{id}/cancel",
    params(("id" = String, Path, description = "The order."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")),
    security(("ticket" = []), ("shop" = [])), responses(
    (status = 200, description = "The order was given back.", body = Order),
    (status = 403, description = "The request comes from another site's page.", body = ProblemBody),
    (status = 404, description = "There is no such order, or it belongs to another shopper.", body = ProblemBody),
    (status = 409, description = "It is paid for, the bank has approved its payment, or it has expired.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was lost.", body = ProblemBody),
))]
async fn give_back(
    State(checkout): State<Checkout>,
    Path(order): Path<String>,
    asker: Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(checkout.give_back(order_id(&order)?, asker).await?)))
}

/// Withdraw a pending payment, whether or not the payment company answers. Nothing is charged, and
/// the order can be paid another way while there is time. May be repeated.
#[utoipa::path(delete, path = "/api/orders/{id}/payment", params(("id" = String, Path, description = "The order.")),
    security(("ticket" = []), ("shop" = [])), responses(
    (status = 200, description = "No payment is pending: the order as it is.", body = Order),
    (status = 403, description = "The request comes from another site's page.", body = ProblemBody),
    (status = 404, description = "There is no such order, or it belongs to another shopper.", body = ProblemBody),
    (status = 409, description = "The bank has approved it: it is being completed, or the order is paid.", body = ProblemBody),
    (status = 429, description = "Too many requests from this address.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was changed.", body = ProblemBody),
))]
async fn withdraw(
    State(checkout): State<Checkout>,
    Path(order): Path<String>,
    asker: Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(checkout.withdraw(order_id(&order)?, asker).await?)))
}

/// The status of an order.
#[utoipa::path(get, path = "/orders/{id}/status", params(("id" = String, Path, description = "The order.")),
    security(("ticket" = []), ("shop" = [])), responses(
    (status = 200, description = "The status of the order.", body = OrderStanding),
    (status = 404, description = "There is no such order, or it belongs to another shopper.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn show_order_status(
    State(checkout): State<Checkout>,
    Path(order): Path<String>,
    asker: Caller,
) -> Result<impl IntoResponse, Problem> {
    let order = checkout.store.order_for(order_id(&order)?, &asker).await.map_err(CheckoutError::from)?;
    let Order { id, status, hold_expires_at, .. } = order.ok_or(CheckoutError::UnknownOrder)?;
    Ok((NO_STORE, axum::Json(OrderStanding { id, status, hold_expires_at })))
}

/// The status of a payment.
#[utoipa::path(get, path = "/payments/{id}/status",
    params(("id" = String, Path, description = "The payment; or an order, for its newest payment.")),
    security(("ticket" = []), ("shop" = [])), responses(
    (status = 200, description = "The status of the payment.", body = Standing),
    (status = 404, description = "There is no such payment, or it belongs to another shopper.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn show_payment_status(
    State(checkout): State<Checkout>,
    Path(id): Path<String>,
    asker: Caller,
) -> Result<impl IntoResponse, Problem> {
    let id = Uuid::try_parse(&id).map_err(|_| CheckoutError::UnknownPayment)?;
    let payment = checkout.store.payment_for(id, &asker).await.map_err(CheckoutError::from)?;
    let PaymentStanding { id, order, state, amount_minor, currency, updated_at, client_secret } =
        payment.ok_or(CheckoutError::UnknownPayment)?;
    let status = state.word();
    let standing = Standing { id: id.0, order_id: order, status, amount_minor, currency, updated_at, client_secret };
    Ok((NO_STORE, axum::Json(standing)))
}

/// Anonymise these orders. Ended orders are no longer linked to a shopper, and no longer shown to
/// this browser; units and amounts stay for the books. It can't be undone.
#[utoipa::path(delete, path = "/api/orders", security(("ticket" = [])), responses(
    (status = 200, description = "The number of anonymised orders of this browser's tickets.", body = Forgotten),
    (status = 503, description = "The database does not answer; nothing was anonymised.", body = ProblemBody),
))]
async fn forget_orders(State(checkout): State<Checkout>, holders: Holders) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, axum::Json(Forgotten { forgotten: checkout.forget(holders).await? })))
}

pub(crate) fn order_id(text: &str) -> Result<OrderId, CheckoutError> {
    Uuid::try_parse(text).map(OrderId).map_err(|_| CheckoutError::UnknownOrder)
}

impl Checkout {
    pub(crate) async fn order(&self, order: OrderId, holders: &Holders) -> Result<Order, CheckoutError> {
        self.store.order(order, holders).await?.ok_or(CheckoutError::UnknownOrder)
    }

    pub(crate) async fn orders(&self, holders: &Holders) -> Result<Vec<Order>, CheckoutError> {
        Ok(self.store.orders(holders).await?)
    }

    /// The order with an id, or the orders of the account with it.
    async fn one_or_all(&self, id: OrderId, asker: &Caller) -> Result<OneOrAll, CheckoutError> {
        let account = AccountId(id.0);
        if asker.holders().account() == Some(account) {
            return Ok(OneOrAll::All(Orders { orders: self.store.orders_of_account(account).await? }));
        }
        if let Some(order) = self.store.order_for(id, asker).await? {
            return Ok(OneOrAll::One(Box::new(order)));
        }
        let orders = if asker.is_shop() { self.store.orders_of_account(account).await? } else { Vec::new() };
        if orders.is_empty() { Err(CheckoutError::UnknownOrder) } else { Ok(OneOrAll::All(Orders { orders })) }
    }

    async fn forget(&self, holders: Holders) -> Result<u64, CheckoutError> {
        let store = self.store.clone();
        Ok(self.shutdown.spawn(async move { store.forget(&holders).await }).await??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_method_is_a_token_and_never_a_card() {
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
