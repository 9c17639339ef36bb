//! A sale in the public list.

use fairline_sale::{SaleId, Status};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A sale, and what it offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ListedSale {
    /// The sale's id.
    pub(crate) id: SaleId,
    /// URL slug.
    pub(crate) slug: String,
    /// Name of the product.
    pub(crate) name: String,
    /// A short description. Plain text.
    pub(crate) description: String,
    /// Price of one unit, in the currency's minor unit (cents).
    pub(crate) price_minor: i64,
    /// ISO 4217 code.
    pub(crate) currency: String,
    /// Units that one shopper may buy.
    pub(crate) per_shopper_limit: i32,
    /// Units that one account may buy; null unless the sale is for accounts only.
    #[schema(required)]
    pub(crate) per_account_limit: Option<i32>,
    /// State of the sale.
    pub(crate) status: Status,
    /// Units in the sale.
    pub(crate) total: i32,
    /// Units that are neither sold, held nor promised.
    pub(crate) remaining: i32,
    /// When the sale opens or opened.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) opens_at: OffsetDateTime,
    /// When the sale ends, if it has a fixed end.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub(crate) ends_at: Option<OffsetDateTime>,
}
