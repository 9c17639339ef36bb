//! Responses of the merchant API.

use fairline_sale::OrderRequestState;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::stock::Stock;

/// The state of a refund.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefundStatus {
    /// `done` once the payment gateway has accepted it.
    pub(super) status: OrderRequestState,
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
