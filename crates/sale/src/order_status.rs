//! The status of an order, as both services with an API for orders show it.

use serde::Serialize;
use strum::EnumString;
use utoipa::ToSchema;

/// The status of an order, as the shopper sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderStatus {
    /// Units are promised until the order expires; they are reserved while a payment is pending.
    Promised,
    /// Units are reserved until the order expires.
    Held,
    /// A payment is pending.
    PaymentPending,
    /// Paid for.
    Paid,
    /// The order expired; nothing was charged.
    Expired,
    /// All of the money was refunded, or is being refunded: the payment came too late and no unit
    /// was left, or the shop refunded it.
    Refunded,
    /// It was cancelled before it was paid.
    Cancelled,
}
