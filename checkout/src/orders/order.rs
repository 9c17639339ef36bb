//! Orders. An order begins as a hold and keeps the hold's id.

use fairline_sale::SaleId;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::orders::state::OrderStatus;

/// The id of an order, equal to that of its hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Uuid)]
pub struct OrderId(pub Uuid);

/// An order: a hold and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Order {
    /// The order.
    pub id: OrderId,
    /// The sale.
    pub sale_id: SaleId,
    /// The status of the order.
    pub status: OrderStatus,
    /// Units.
    pub quantity: i32,
    /// The price of all units, in the currency's minor unit (cents).
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The refunded amount, in the currency's minor unit.
    pub refunded_minor: i64,
    /// The state of a dispute of its payment, in the gateway's word, if there is or was one:
    /// `needs_response`, `won`, `lost` …
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dispute: Option<String>,
    /// When the hold expires.
    #[serde(with = "time::serde::rfc3339")]
    pub hold_expires_at: OffsetDateTime,
    /// When it was paid, if it was.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub paid_at: Option<OffsetDateTime>,
    /// When the token was redeemed.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// A notice for the shopper.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub notice: Option<&'static str>,
}

#[cfg(test)]
impl Order {
    /// A held order, for tests of what contains one.
    pub(crate) fn example() -> Self {
        Self {
            id: OrderId(Uuid::from_u128(1)),
            sale_id: SaleId(Uuid::from_u128(2)),
            status: OrderStatus::Held,
            quantity: 1,
            amount_minor: 100,
            currency: "EUR".to_owned(),
            refunded_minor: 0,
            dispute: None,
            hold_expires_at: OffsetDateTime::UNIX_EPOCH,
            paid_at: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            notice: None,
        }
    }
}
