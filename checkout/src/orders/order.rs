//! An order: a hold, and what became of it.

use std::fmt;

use fairline_sale::SaleId;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::orders::state::OrderStatus;

/// The id of an order, which is that of its hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Uuid)]
pub struct OrderId(pub Uuid);

/// The id of one payment: an order may have seen several, of which at most one was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PaymentId(pub Uuid);

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A hold, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Order {
    /// The order.
    pub id: OrderId,
    /// The sale.
    pub sale_id: SaleId,
    /// How it stands.
    pub status: OrderStatus,
    /// Units.
    pub quantity: i32,
    /// What it costs, in the currency's minor unit (cents).
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// What has gone back to its shopper, in the currency's minor unit.
    pub refunded_minor: i64,
    /// How a dispute of its payment stands, in the gateway's word, if there is or was one: `needs_response`, `won`, `lost` …
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dispute: Option<String>,
    /// Until when the units are held for its shopper.
    #[serde(with = "time::serde::rfc3339")]
    pub hold_expires_at: OffsetDateTime,
    /// When it was paid, if it was.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub paid_at: Option<OffsetDateTime>,
    /// When the token was redeemed.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Something that its shopper has to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub notice: Option<&'static str>,
}
