//! The stock of a sale. Pure.

use fairline_sale::{SaleId, Status};
use serde::Serialize;
use utoipa::ToSchema;

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
