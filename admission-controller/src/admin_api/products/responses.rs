//! Products as the admin API shows them.

use fairline_media::MediaHash;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    fields::Attribute,
    store::{ImageRow, Product, ProductSummary, VariantRow},
};
use crate::admin_api::media::responses::{MediaSize, sizes};

/// A product, with its variants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminProduct {
    id: Uuid,
    name: String,
    description: String,
    /// In the order of display.
    attributes: Vec<Attribute>,
    /// In the order of display.
    variants: Vec<AdminVariant>,
    /// In the order of display.
    images: Vec<AdminImage>,
    /// Whether it is offered for new sales no more.
    archived: bool,
    /// Raised by each change. A change names the version that it is based on.
    version: i32,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

/// A variant of a product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminVariant {
    id: Uuid,
    /// Stock keeping unit: unique in the shop.
    sku: String,
    /// What distinguishes it from the product's other variants.
    title: String,
    /// In the order of display.
    attributes: Vec<Attribute>,
    /// The list price of one unit in the currency's minor unit.
    price_minor: i64,
    /// ISO 4217 code.
    currency: String,
    /// Its Global Trade Item Number, if it has one.
    #[schema(required)]
    gtin: Option<String>,
}

/// An image of a product, or the banner of a sale.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminImage {
    media: String,
    /// What the image shows, for screen readers; empty if it adds nothing to the text.
    alt: String,
    /// The width of the upload, in pixels.
    width: i32,
    /// The height of the upload, in pixels.
    height: i32,
    /// Its files, from the narrowest.
    sizes: Vec<MediaSize>,
}

/// A product in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminProductSummary {
    pub(super) id: Uuid,
    name: String,
    /// Whether it is offered for new sales no more.
    archived: bool,
    version: i32,
    /// The number of its variants.
    variants: i64,
    /// The SKU of its first variant, if it has one.
    #[schema(required)]
    first_sku: Option<String>,
    /// Its first image, if it has one.
    #[schema(required)]
    image: Option<AdminImage>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<Product> for AdminProduct {
    fn from(Product { row, variants, images }: Product) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            attributes: row.attributes.0,
            variants: variants.into_iter().map(AdminVariant::from).collect(),
            images: images.into_iter().filter_map(AdminImage::of).collect(),
            archived: row.archived,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl AdminImage {
    /// An image, if its hash is one: the database holds no other.
    pub(crate) fn of(row: ImageRow) -> Option<Self> {
        let ImageRow { media, alt, format, width, height, widths } = row;
        let hash: MediaHash = media.parse().ok()?;
        Some(Self { media, alt, width, height, sizes: sizes(hash, &format, &widths) })
    }
}

impl From<VariantRow> for AdminVariant {
    fn from(row: VariantRow) -> Self {
        let VariantRow { id, sku, title, attributes, price_minor, currency, gtin } = row;
        Self { id, sku, title, attributes: attributes.0, price_minor, currency, gtin }
    }
}

impl From<ProductSummary> for AdminProductSummary {
    fn from(row: ProductSummary) -> Self {
        let ProductSummary { id, name, archived, version, variants, first_sku, image, created_at, updated_at } = row;
        let image = image.and_then(|image| AdminImage::of(image.0));
        Self { id, name, archived, version, variants, first_sku, image, created_at, updated_at }
    }
}
