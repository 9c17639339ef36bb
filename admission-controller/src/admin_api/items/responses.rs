//! Items as the admin API shows them.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::ItemRow;
use crate::admin_api::products::fields::Attribute;

/// An item of a sale, with its stock.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminItem {
    /// Its number in the sale, from 1 to 200, which never changes.
    item: i16,
    /// The variant of the catalogue that it was made from; null without one.
    #[schema(required)]
    variant_id: Option<Uuid>,
    /// Stock keeping unit: unique in the sale.
    sku: String,
    /// What is sold.
    name: String,
    /// In the order of display.
    attributes: Vec<Attribute>,
    /// The usual price, in the currency's minor unit; null: none is shown.
    #[schema(required)]
    list_minor: Option<i64>,
    /// The price of one unit in the sale, in the currency's minor unit.
    price_minor: i64,
    /// Units of the item that one shopper may buy; null: the sale's limit.
    #[schema(required)]
    per_shopper_limit: Option<i32>,
    /// Its place in the order of display, from 0.
    position: i16,
    /// Whether it is withdrawn.
    withdrawn: bool,
    /// Raised by each change. A change names the version that it is based on.
    version: i32,
    /// Units in the sale.
    total: i32,
    /// Units out as tokens.
    promised: i32,
    /// Units in checkout.
    held: i32,
    /// Units paid for.
    sold: i32,
}

impl From<ItemRow> for AdminItem {
    fn from(ItemRow { stored, version, promised, held, sold }: ItemRow) -> Self {
        Self {
            item: stored.item,
            variant_id: stored.variant_id,
            sku: stored.sku,
            name: stored.name,
            attributes: stored.attributes,
            list_minor: stored.list_minor,
            price_minor: stored.price_minor,
            per_shopper_limit: stored.per_shopper_limit,
            position: stored.position,
            withdrawn: stored.withdrawn,
            version,
            total: stored.total,
            promised,
            held,
            sold,
        }
    }
}
