//! Responses of the merchant API.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::stock::Stock;

/// The state of a refund.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefundStatus {
    /// `requested` while it is attempted, `done` once the payment gateway has accepted it, or
    /// `failed`.
    pub(super) status: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) error: Option<String>,
    /// When it was requested.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) requested_at: OffsetDateTime,
}

/// The stocks of sales.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Inventory {
    pub(super) stocks: Vec<Stock>,
}
