//! The merchant API for the merchant's systems, authenticated by the merchant key: a checkout of
//! its own, a box office, a point of sale.

pub(crate) mod error;

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use fairline_sale::{SaleId, Status, presented_status};
use fairline_server::{Json, Path, Problem, ProblemBody, Shutdown};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    accounts::store::Erased,
    auth::caller::{Callers, MerchantKey},
    db::{Store, StoreError},
    error::CommonError,
    http::{NO_STORE, order_id},
    merchant_api::error::MerchantApiError,
    orders::{
        holds::store::{Confirmed, NotReserved, StockRow},
        order::{Order, OrderId},
        routes::Forgotten,
    },
    payments::{refunds::store::RefundOutcome, service::Payments},
    redemption::service::{Redemptions, TokenPurchase},
};

/// How long a refund request waits for the gateway.
const REFUND_ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long units are reserved for the merchant, in seconds: the default and the maximum.
const RESERVED_FOR_S: i32 = 600;
const RESERVED_FOR_MAX_S: i32 = 7 * 24 * 3600;

/// The state of the merchant API.
pub(crate) struct MerchantApi {
    pub(crate) store: Store,
    pub(crate) callers: Callers,
    pub(crate) redemptions: Arc<Redemptions>,
    pub(crate) payments: Arc<Payments>,
    pub(crate) shutdown: Shutdown,
}

impl FromRef<Arc<MerchantApi>> for Callers {
    fn from_ref(merchant_api: &Arc<MerchantApi>) -> Self {
        merchant_api.callers.clone()
    }
}

pub(crate) fn routes() -> OpenApiRouter<Arc<MerchantApi>> {
    OpenApiRouter::new()
        .routes(routes!(redeem))
        .routes(routes!(confirm))
        .routes(routes!(refund))
        .routes(routes!(erase))
        .routes(routes!(show_inventory))
        .routes(routes!(reserve))
}

/// A response that no cache may store.
fn answer(status: StatusCode, body: impl Serialize) -> Response {
    (status, NO_STORE, axum::Json(body)).into_response()
}

/// The merchant's name of something: printable text of up to 200 bytes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200, example = "invoice-2026-1187")]
struct Reference(String);

impl TryFrom<String> for Reference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_one = (1..=200).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(char::is_control);
        if is_one { Ok(Self(text)) } else { Err("a reference has 1 to 200 bytes of visible text") }
    }
}

/// An admission token that a shopper has brought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redeem {
    /// The sale.
    sale_id: SaleId,
    /// The admission token.
    token: String,
    /// Units, up to the quantity of the admission.
    #[schema(value_type = u16, minimum = 1)]
    quantity: NonZeroU16,
    /// The merchant's name of the shopper's account, for sales with a limit per account. The
    /// merchant vouches for it.
    account: Option<Reference>,
}

/// A payment that the merchant received.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    /// The merchant's name of the payment. It may be repeated.
    reference: Reference,
}

/// The amount and the reason of a refund.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refund {
    /// In the currency's minor unit; default: the whole rest.
    #[schema(minimum = 1)]
    amount_minor: Option<i64>,
    /// Kept for accounting.
    reason: Reference,
}

/// The state of a refund.
#[derive(Debug, Serialize, ToSchema)]
struct RefundStatus {
    /// `requested` while it is attempted, `done` once the payment gateway has accepted it, or
    /// `failed`.
    status: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// When it was requested.
    #[serde(with = "time::serde::rfc3339")]
    requested_at: OffsetDateTime,
}

/// A reservation for the merchant itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reserve {
    /// The sale.
    sale_id: SaleId,
    /// Units.
    #[schema(value_type = u16, minimum = 1)]
    quantity: NonZeroU16,
    /// The merchant's name of the reservation. It may be repeated.
    reference: Reference,
    /// Seconds until the units are free again, unless confirmed: up to a week.
    #[serde(default = "reserved_for_s")]
    #[schema(minimum = 1, maximum = 604_800, default = 600)]
    held_for_s: i32,
}

fn reserved_for_s() -> i32 {
    RESERVED_FOR_S
}

/// The stocks of sales.
#[derive(Debug, Serialize, ToSchema)]
struct Inventory {
    stocks: Vec<Stock>,
}

/// The stock of a sale: each unit is promised, held, sold or free. In yield mode, promises may
/// exceed the stock.
#[derive(Debug, Serialize, ToSchema)]
struct Stock {
    sale_id: SaleId,
    /// URL slug of the sale.
    slug: String,
    status: Status,
    total: i32,
    /// Reserved for tokens that were not redeemed yet.
    promised: i32,
    /// In checkout, or reserved for the merchant.
    held: i32,
    /// Paid for.
    sold: i32,
    /// None of these.
    free: i32,
}

impl From<StockRow> for Stock {
    fn from(row: StockRow) -> Self {
        let stored = row.stored_status();
        Self {
            sale_id: SaleId(row.sale_id),
            slug: row.slug,
            status: presented_status(stored, row.total.unsigned_abs(), row.sold.unsigned_abs()),
            total: row.total,
            promised: row.promised,
            held: row.held,
            sold: row.sold,
            free: (row.total - row.promised - row.held - row.sold).max(0),
        }
    }
}

impl MerchantApi {
    /// Runs a change of the database in a task that finishes even if the client disconnects.
    async fn change<T, F>(&self, change: impl FnOnce(Store) -> F) -> Result<T, MerchantApiError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        Ok(self.shutdown.spawn(change(self.store.clone())).await??)
    }

    async fn confirm(&self, order: OrderId, Reference(reference): Reference) -> Result<Order, MerchantApiError> {
        match self.change(move |store| async move { store.confirm(order, &reference).await }).await? {
            Some(Confirmed::Sold(order)) => Ok(order),
            Some(Confirmed::NotNow(order)) => Err(MerchantApiError::NotConfirmed(Box::new(order))),
            None => Err(CommonError::UnknownOrder.into()),
        }
    }

    async fn refund(&self, order: OrderId, wanted: Refund) -> Result<RefundStatus, MerchantApiError> {
        let Refund { amount_minor, reason: Reference(reason) } = wanted;
        let requested =
            self.change(move |store| async move { store.request_refund(order, amount_minor, &reason).await });
        match requested.await? {
            RefundOutcome::Accepted(request) => {
                let payments = self.payments.clone();
                let done = self.shutdown.spawn(async move { payments.do_request(&request).await });
                // A slower refund continues in the background.
                if let Ok(done) = timeout(REFUND_ANSWER_WITHIN, done).await {
                    done??;
                }
            }
            RefundOutcome::UnknownOrder => return Err(CommonError::UnknownOrder.into()),
            RefundOutcome::NotPaid => return Err(MerchantApiError::NotRefundable { left_minor: 0 }),
            RefundOutcome::TooMuch { left_minor } => return Err(MerchantApiError::NotRefundable { left_minor }),
            RefundOutcome::UnderWay => return Err(MerchantApiError::RefundUnderWay),
        }
        let newest = self.store.newest_request(order).await?.ok_or(CommonError::UnknownOrder)?;
        let (status, error, requested_at) = newest;
        Ok(RefundStatus { status, error, requested_at })
    }

    async fn erase(&self, OrderId(id): OrderId) -> Result<u64, MerchantApiError> {
        match self.change(move |store| async move { store.erase(id).await }).await? {
            Erased::Orders(orders) => Ok(orders),
            Erased::UnderWay => Err(CommonError::OrderUnderWay.into()),
            Erased::Unknown => Err(CommonError::UnknownOrder.into()),
        }
    }

    async fn reserve(&self, wish: Reserve) -> Result<Order, MerchantApiError> {
        let Reserve { sale_id, quantity, reference: Reference(reference), held_for_s } = wish;
        let reserved = self.change(move |store| async move {
            store.reserve(sale_id, quantity.get().into(), &reference, held_for_s).await
        });
        reserved.await?.map_err(|reason| match reason {
            NotReserved::UnknownSale => CommonError::UnknownSale.into(),
            NotReserved::SaleNotOpen => CommonError::SaleNotOpen.into(),
            NotReserved::TooFew { free } => MerchantApiError::TooFewFree { free },
            NotReserved::OtherReservation => MerchantApiError::OtherReservation,
        })
    }
}

/// Redeem the admission token that a shopper has brought to the merchant's own checkout. Its units
/// are held until the merchant confirms the order or cancels it, or the hold expires. The
/// merchant is responsible for checking that the shopper holds the token.
#[utoipa::path(post, path = "/api/admissions/redeem", request_body = Redeem, security(("merchant" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")), responses(
    (status = 201, description = "The units are held.", body = Order),
    (status = 401, description = "No merchant key, or a wrong one; or the token is not genuine.", body = ProblemBody),
    (status = 403, description = "The token is for another sale.", body = ProblemBody),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 409, description = "The token was used before (`order` contains its order), or the sale is not open.", body = ProblemBody),
    (status = 410, description = "The token has expired.", body = ProblemBody),
    (status = 422, description = "A field is wrong, or the quantity exceeds the promise.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was lost.", body = ProblemBody),
))]
async fn redeem(
    State(merchant_api): State<Arc<MerchantApi>>,
    key: MerchantKey,
    Json(Redeem { sale_id, token, quantity, account }): Json<Redeem>,
) -> Result<Response, Problem> {
    let account = account.map(|Reference(name)| name);
    let purchase = TokenPurchase { sale: sale_id, token: &token, quantity };
    let order = merchant_api.redemptions.purchase_for_merchant(key, &purchase, account.as_deref()).await?;
    Ok(answer(StatusCode::CREATED, order))
}

/// Erase personal data at a customer's request. With the id of an ended order, removes the link to
/// its shopper; with the id of an account, erases the account and the links of all its orders.
/// Units and amounts are kept for accounting. It can't be undone.
#[utoipa::path(delete, path = "/api/orders/{id}", params(("id" = String, Path, description = "The order, or the account.")),
    security(("merchant" = [])), responses(
    (status = 200, description = "The number of anonymised orders.", body = Forgotten),
    (status = 401, description = "No merchant key, or a wrong one.", body = ProblemBody),
    (status = 404, description = "There is no such order or account.", body = ProblemBody),
    (status = 409, description = "An order is still open. Nothing was erased.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was erased.", body = ProblemBody),
))]
async fn erase(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, Forgotten { forgotten: merchant_api.erase(order_id(&id)?).await? }))
}

/// Confirm that the merchant was paid for an order. The order is sold; an expired one, if units are
/// free.
#[utoipa::path(post, path = "/api/orders/{id}/confirm", request_body = Confirm,
    params(("id" = String, Path, description = "The order."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")),
    security(("merchant" = [])), responses(
    (status = 200, description = "The order is paid.", body = Order),
    (status = 401, description = "No merchant key, or a wrong one.", body = ProblemBody),
    (status = 404, description = "There is no such order.", body = ProblemBody),
    (status = 409, description = "It was paid another way, a payment is pending, or its units are gone.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn confirm(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Path(order): Path<String>,
    Json(Confirm { reference }): Json<Confirm>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, merchant_api.confirm(order_id(&order)?, reference).await?))
}

/// Refund all or a part of an order that was paid for here. Its units stay sold: raise the stock to
/// sell them again. Events and the order show the refund once the payment gateway has counted it.
#[utoipa::path(post, path = "/api/orders/{id}/refund", request_body = Refund,
    params(("id" = String, Path, description = "The order."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")),
    security(("merchant" = [])), responses(
    (status = 202, description = "The state of the refund: `done`, `failed`, or `requested` while the payment gateway does not answer.", body = RefundStatus),
    (status = 401, description = "No merchant key, or a wrong one.", body = ProblemBody),
    (status = 404, description = "There is no such order.", body = ProblemBody),
    (status = 409, description = "It was not paid for here, less than the amount is left, or another refund is still open.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
    (status = 503, description = "The database does not answer; read the order before you retry.", body = ProblemBody),
))]
async fn refund(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Path(order): Path<String>,
    Json(wanted): Json<Refund>,
) -> Result<Response, Problem> {
    if wanted.amount_minor.is_some_and(|amount| amount < 1) {
        return Err(MerchantApiError::WrongAmount.into());
    }
    Ok(answer(StatusCode::ACCEPTED, merchant_api.refund(order_id(&order)?, wanted).await?))
}

/// The stocks of sales.
#[utoipa::path(get, path = "/inventory/status", security(("merchant" = [])), responses(
    (status = 200, description = "Sales that run, are scheduled, or ended with units out, the newest first.", body = Inventory),
    (status = 401, description = "No merchant key, or a wrong one.", body = ProblemBody),
    (status = 503, description = "The database does not answer.", body = ProblemBody),
))]
async fn show_inventory(State(merchant_api): State<Arc<MerchantApi>>, _key: MerchantKey) -> Result<Response, Problem> {
    let stocks = merchant_api.store.stocks().await.map_err(MerchantApiError::from)?;
    Ok(answer(StatusCode::OK, Inventory { stocks: stocks.into_iter().map(Stock::from).collect() }))
}

/// Reserve free units for the merchant itself, such as for its box office. Units that shoppers were
/// promised are not available. The order is confirmed or cancelled like any other.
#[utoipa::path(post, path = "/inventory/reserve", request_body = Reserve, security(("merchant" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats the stored response of the same key for 24 hours.")), responses(
    (status = 201, description = "The units are held, now or before, under this reference.", body = Order),
    (status = 401, description = "No merchant key, or a wrong one.", body = ProblemBody),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 409, description = "Too few units are free, the sale is closed, or the reference belongs to another reservation.", body = ProblemBody),
    (status = 422, description = "A field is wrong.", body = ProblemBody),
    (status = 503, description = "The database does not answer; nothing was reserved.", body = ProblemBody),
))]
async fn reserve(
    State(merchant_api): State<Arc<MerchantApi>>,
    _key: MerchantKey,
    Json(wish): Json<Reserve>,
) -> Result<Response, Problem> {
    if !(1..=RESERVED_FOR_MAX_S).contains(&wish.held_for_s) {
        return Err(MerchantApiError::HeldForTooLong { most_s: RESERVED_FOR_MAX_S }.into());
    }
    Ok(answer(StatusCode::CREATED, merchant_api.reserve(wish).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_short_and_visible() {
        for (text, is_one) in [("a", true), ("Rechnung 2026/7 ✓", true), ("", false), ("  ", false), ("a\nb", false)]
        {
            assert_eq!(Reference::try_from(text.to_owned()).is_ok(), is_one, "{text:?}");
        }
        assert!(Reference::try_from("a".repeat(200)).is_ok() && Reference::try_from("a".repeat(201)).is_err());
    }
}
