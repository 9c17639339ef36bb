//! What the merchant API shows.

use fairline_sale::{SaleId, Status};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

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

/// The stock of a sale: each unit is promised, held, sold or free. In yield mode, promises may
/// exceed the stock.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stock {
    pub(super) sale_id: SaleId,
    /// URL slug of the sale.
    pub(super) slug: String,
    pub(super) status: Status,
    pub(super) total: i32,
    /// Reserved for tokens that were not redeemed yet.
    pub(super) promised: i32,
    /// In checkout, or reserved for the merchant.
    pub(super) held: i32,
    /// Paid for.
    pub(super) sold: i32,
    /// None of these.
    pub(super) free: i32,
}
