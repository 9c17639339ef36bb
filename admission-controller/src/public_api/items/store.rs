//! The items of a sale, for shoppers.

use fairline_sale::SaleId;
use sqlx::{FromRow, types::Json};

use crate::{
    admin_api::products::{fields::Attribute, store::ImageRow},
    db::{Database, StoreError},
};

/// An item with the first image of its product.
#[derive(Debug, FromRow)]
pub struct OfferedRow {
    pub currency: String,
    pub item: i16,
    pub sku: String,
    pub name: String,
    pub attributes: Json<Vec<Attribute>>,
    pub list_minor: Option<i64>,
    pub price_minor: i64,
    pub per_shopper_limit: i32,
    pub withdrawn: bool,
    pub image: Option<Json<ImageRow>>,
    /// Of the sale.
    pub banner: Option<Json<ImageRow>>,
}

/// What sales offer.
#[derive(Clone)]
pub(crate) struct OfferStore(pub(crate) Database);

impl OfferStore {
    /// The items of the sale of a line, in the order of display.
    pub async fn items(&self, line: SaleId) -> Result<Vec<OfferedRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT sales.currency, item, items.sku, items.name, items.attributes, list_minor, items.price_minor, \
             least(items.per_shopper_limit, sales.per_shopper_limit) AS per_shopper_limit, withdrawn, \
             (SELECT jsonb_build_object('media', encode(hash, 'hex'), 'alt', alt, 'format', format, 'width', width, \
                'height', height, 'widths', widths) FROM variants JOIN product_images USING (product_id) \
                JOIN media ON hash = product_images.media WHERE variants.id = variant_id \
                ORDER BY product_images.position LIMIT 1) AS image, \
             (SELECT jsonb_build_object('media', encode(hash, 'hex'), 'alt', banner_alt, 'format', format, 'width', width, \
                'height', height, 'widths', widths) FROM media WHERE hash = banner) AS banner \
             FROM lines JOIN sales ON sales.id = lines.sale_id JOIN items ON items.sale_id = sales.id \
             WHERE lines.id = $1 ORDER BY items.position",
        )
        .bind(line.0)
        .fetch_all(&self.0.pool)
        .await?)
    }
}
