//! Products and variants.

use fairline_media::MediaHash;
use fairline_postgres::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::fields::{Attribute, ImageFields, PRODUCTS_MAX, VariantFields};
use crate::db::{Author, Database, NewAuditEntry, StoreError, audit};

/// Selects products.
#[derive(Debug, Default)]
pub struct ProductSearch<'a> {
    /// A part of the name, or the beginning of a SKU.
    pub text: Option<&'a str>,
    pub archived: Option<bool>,
    /// Only those that were created before this one.
    pub before: Option<Uuid>,
}

/// A product in a list.
#[derive(Debug, FromRow)]
pub struct ProductSummary {
    pub id: Uuid,
    pub name: String,
    pub archived: bool,
    pub version: i32,
    pub variants: i64,
    pub first_sku: Option<String>,
    pub image: Option<Json<ImageRow>>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// A product.
#[derive(Debug)]
pub struct Product {
    pub row: ProductRow,
    pub variants: Vec<VariantRow>,
    pub images: Vec<ImageRow>,
}

/// The fields of a product.
#[derive(Debug, FromRow)]
pub struct ProductRow {
    pub id: Uuid,
    pub name: String,
    pub description: String,
    pub attributes: Json<Vec<Attribute>>,
    pub archived: bool,
    pub version: i32,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// A variant.
#[derive(Debug, FromRow)]
pub struct VariantRow {
    pub id: Uuid,
    pub sku: String,
    pub title: String,
    pub attributes: Json<Vec<Attribute>>,
    pub price_minor: i64,
    pub currency: String,
    pub gtin: Option<String>,
}

/// An image of a product.
#[derive(Debug, FromRow, Deserialize)]
pub struct ImageRow {
    /// The hash in hexadecimal digits.
    pub media: String,
    pub alt: String,
    pub format: String,
    pub width: i32,
    pub height: i32,
    pub widths: Vec<i32>,
}

/// A product that is added.
#[derive(Debug)]
pub struct NewProduct {
    pub name: String,
    pub description: String,
    pub attributes: Vec<Attribute>,
    /// In their order.
    pub variants: Vec<VariantFields>,
    /// In their order.
    pub images: Vec<ImageFields>,
}

/// The changes of a product.
#[derive(Debug)]
pub struct ProductChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub attributes: Option<Vec<Attribute>>,
    /// All variants, in their order.
    pub variants: Option<Vec<VariantFields>>,
    /// All images, in their order.
    pub images: Option<Vec<ImageFields>>,
}

/// The outcome of writing a product. Only `Done` has an effect.
#[derive(Debug)]
pub enum WriteOutcome {
    Done(Uuid),
    Unknown,
    TooMany,
    /// It has another version by now.
    Changed {
        version: i32,
    },
    /// The id of a variant, given by its place, is not one of the product's.
    UnknownVariant(usize),
    /// An image, given by its place, is not stored.
    ImageNotFound(usize),
    /// A variant of another product has this SKU.
    SkuTaken(String),
    /// A sale that is not closed offers the product, or a variant that would be deleted.
    InUse,
}

/// A variant that is written, as `jsonb_to_recordset` reads it.
#[derive(Debug, Serialize)]
struct WrittenVariant<'a> {
    id: Uuid,
    is_new: bool,
    position: usize,
    sku: &'a str,
    title: &'a str,
    attributes: &'a [Attribute],
    price_minor: i64,
    currency: &'a str,
    gtin: Option<&'a str>,
}

/// Products.
#[derive(Clone)]
pub(crate) struct ProductStore(pub(crate) Database);

impl ProductStore {
    /// The newest products, or the newest before one.
    pub async fn products(&self, listing: &ProductSearch<'_>, limit: usize) -> Result<Vec<ProductSummary>, StoreError> {
        let sku = listing.text.map(|text| format!("{}%", escaped(&text.to_lowercase())));
        Ok(sqlx::query_as(
            "SELECT id, name, archived, version, created_at, updated_at, \
             (SELECT count(*) FROM variants WHERE product_id = products.id) AS variants, \
             (SELECT sku FROM variants WHERE product_id = products.id ORDER BY position LIMIT 1) AS first_sku, \
             (SELECT jsonb_build_object('media', encode(hash, 'hex'), 'alt', alt, 'format', format, 'width', width, \
                'height', height, 'widths', widths) FROM product_images JOIN media ON hash = product_images.media \
                WHERE product_id = products.id ORDER BY position LIMIT 1) AS image \
             FROM products \
             WHERE ($1::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM products WHERE id = $1)) \
             AND ($2::text IS NULL OR strpos(lower(name), lower($2)) > 0 \
                OR id IN (SELECT product_id FROM variants WHERE lower(sku) LIKE $3)) \
             AND ($4::boolean IS NULL OR archived = $4) ORDER BY created_at DESC, id DESC LIMIT $5",
        )
        .bind(listing.before)
        .bind(listing.text)
        .bind(sku)
        .bind(listing.archived)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.0.pool)
        .await?)
    }

    /// A product with its variants.
    pub async fn product(&self, id: Uuid) -> Result<Option<Product>, StoreError> {
        let row: Option<ProductRow> = sqlx::query_as(
            "SELECT id, name, description, attributes, archived, version, created_at, updated_at FROM products WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.0.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let variants = sqlx::query_as(
            "SELECT id, sku, title, attributes, price_minor, currency, gtin FROM variants WHERE product_id = $1 ORDER BY position",
        )
        .bind(id)
        .fetch_all(&self.0.pool)
        .await?;
        let images = sqlx::query_as(
            "SELECT encode(hash, 'hex') AS media, alt, format, width, height, widths \
             FROM product_images JOIN media ON hash = product_images.media WHERE product_id = $1 ORDER BY position",
        )
        .bind(id)
        .fetch_all(&self.0.pool)
        .await?;
        Ok(Some(Product { row, variants, images }))
    }

    pub async fn create_product(&self, by: &Author, new: &NewProduct) -> Result<WriteOutcome, StoreError> {
        let mut transaction = self.0.begin(by, "create_product").await?;
        // With the lock, two requests can't both add the last one.
        sqlx::query("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        let id: Option<Uuid> = sqlx::query_scalar(
            "INSERT INTO products (id, name, description, attributes) SELECT $1, $2, $3, $4 \
             WHERE (SELECT count(*) FROM products) < $5 RETURNING id",
        )
        .bind(Uuid::now_v7())
        .bind(&new.name)
        .bind(&new.description)
        .bind(Json(&new.attributes))
        .bind(PRODUCTS_MAX)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(id) = id else { return Ok(WriteOutcome::TooMany) };
        if let Some(rejected) = write_variants(&mut transaction, id, &new.variants).await? {
            return Ok(rejected);
        }
        if let Some(rejected) = write_images(&mut transaction, by, id, &new.images).await? {
            return Ok(rejected);
        }
        transaction.commit().await?;
        Ok(WriteOutcome::Done(id))
    }

    /// Changes a product that has a version.
    pub async fn change_product(
        &self,
        by: &Author,
        (id, version): (Uuid, i32),
        change: &ProductChange,
    ) -> Result<WriteOutcome, StoreError> {
        let mut transaction = self.0.begin(by, "change_product").await?;
        // Before the lock of the row: an import locks the table first.
        sqlx::query("LOCK TABLE products IN ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        let current: Option<i32> = sqlx::query_scalar("SELECT version FROM products WHERE id = $1 FOR UPDATE")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        match current {
            None => return Ok(WriteOutcome::Unknown),
            Some(current) if current != version => return Ok(WriteOutcome::Changed { version: current }),
            Some(_) => {}
        }
        sqlx::query(
            "UPDATE products SET name = coalesce($2, name), description = coalesce($3, description), \
             attributes = coalesce($4, attributes), version = version + 1, updated_at = now() WHERE id = $1",
        )
        .bind(id)
        .bind(&change.name)
        .bind(&change.description)
        .bind(change.attributes.as_ref().map(Json))
        .execute(&mut *transaction)
        .await?;
        if let Some(variants) = &change.variants
            && let Some(rejected) = write_variants(&mut transaction, id, variants).await?
        {
            return Ok(rejected);
        }
        if let Some(images) = &change.images
            && let Some(rejected) = write_images(&mut transaction, by, id, images).await?
        {
            return Ok(rejected);
        }
        transaction.commit().await?;
        Ok(WriteOutcome::Done(id))
    }

    /// Archives a product or takes it back. `false` if no product has this id.
    pub async fn archive_product(&self, by: &Author, id: Uuid, archived: bool) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, if archived { "archive_product" } else { "unarchive_product" }).await?;
        let done = sqlx::query(
            "UPDATE products SET archived = $2, version = version + (archived <> $2)::integer, \
             updated_at = CASE WHEN archived <> $2 THEN now() ELSE updated_at END WHERE id = $1",
        );
        let done = done.bind(id).bind(archived).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deletes a product.
    pub async fn delete_product(&self, by: &Author, id: Uuid) -> Result<WriteOutcome, StoreError> {
        let mut transaction = self.0.begin(by, "delete_product").await?;
        let gone = sqlx::query(
            "DELETE FROM products WHERE id = $1 AND NOT EXISTS (SELECT FROM variants \
             JOIN items ON variant_id = variants.id JOIN sales ON sales.id = sale_id \
             WHERE product_id = $1 AND NOT withdrawn AND status <> 'closed')",
        );
        let gone = gone.bind(id).execute(&mut *transaction).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM products WHERE id = $1)")
            .bind(id)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(match (gone.rows_affected(), exists) {
            (1, _) => WriteOutcome::Done(id),
            (_, true) => WriteOutcome::InUse,
            _ => WriteOutcome::Unknown,
        })
    }
}

/// A text as a pattern of `LIKE` that matches only itself.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '\\' | '%' | '_').then_some('\\').into_iter().chain([c])).collect()
}

/// Replaces the variants of a product. Those that stay keep their ids. Returns the reason if they
/// are rejected.
async fn write_variants(
    connection: &mut PgConnection,
    product: Uuid,
    variants: &[VariantFields],
) -> Result<Option<WriteOutcome>, StoreError> {
    let skus: Vec<&str> = variants.iter().map(|variant| variant.sku.as_str()).collect();
    let taken: Option<String> =
        sqlx::query_scalar("SELECT sku FROM variants WHERE sku = ANY ($1) AND product_id <> $2 LIMIT 1")
            .bind(&skus)
            .bind(product)
            .fetch_optional(&mut *connection)
            .await?;
    if let Some(sku) = taken {
        return Ok(Some(WriteOutcome::SkuTaken(sku)));
    }
    let existing: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, sku FROM variants WHERE product_id = $1")
        .bind(product)
        .fetch_all(&mut *connection)
        .await?;
    if let Some(nth) =
        variants.iter().position(|one| one.id.is_some_and(|id| existing.iter().all(|(known, _)| *known != id)))
    {
        return Ok(Some(WriteOutcome::UnknownVariant(nth)));
    }
    let written: Vec<WrittenVariant<'_>> = with_ids(variants, &existing);
    let kept: Vec<Uuid> = written.iter().map(|variant| variant.id).collect();
    let deleted: Vec<Uuid> = existing.iter().map(|(id, _)| *id).filter(|id| !kept.contains(id)).collect();
    let is_in_use: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM items JOIN sales ON id = sale_id WHERE variant_id = ANY ($1) AND NOT withdrawn AND status <> 'closed')",
    )
    .bind(&deleted)
    .fetch_one(&mut *connection)
    .await?;
    if is_in_use {
        return Ok(Some(WriteOutcome::InUse));
    }
    // Deleted ones make room for the SKUs and the places of the others.
    sqlx::query("DELETE FROM variants WHERE product_id = $1 AND id <> ALL ($2)")
        .bind(product)
        .bind(&kept)
        .execute(&mut *connection)
        .await?;
    for statement in [
        "UPDATE variants SET position = new.position, sku = new.sku, title = new.title, attributes = new.attributes, \
         price_minor = new.price_minor, currency = new.currency, gtin = new.gtin \
         FROM jsonb_to_recordset($2) AS new (id uuid, position integer, sku text, title text, attributes jsonb, \
            price_minor bigint, currency text, gtin text) \
         WHERE variants.id = new.id AND product_id = $1",
        "INSERT INTO variants (id, product_id, position, sku, title, attributes, price_minor, currency, gtin) \
         SELECT id, $1, position, sku, title, attributes, price_minor, currency, gtin \
         FROM jsonb_to_recordset($2) AS new (id uuid, is_new boolean, position integer, sku text, title text, \
            attributes jsonb, price_minor bigint, currency text, gtin text) WHERE is_new",
    ] {
        sqlx::query(statement).bind(product).bind(Json(&written)).execute(&mut *connection).await?;
    }
    Ok(None)
}

/// Replaces the images of a product, if they differ. Returns the reason if they are rejected.
async fn write_images(
    connection: &mut PgConnection,
    by: &Author,
    product: Uuid,
    images: &[ImageFields],
) -> Result<Option<WriteOutcome>, StoreError> {
    // In one order, and so that none is withdrawn meanwhile.
    let hashes: Vec<Vec<u8>> =
        images.iter().filter_map(|image| image.media.parse().ok()).map(|MediaHash(hash)| hash.to_vec()).collect();
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT encode(hash, 'hex') FROM media WHERE stored_at IS NOT NULL AND (hash = ANY ($1) \
            OR hash IN (SELECT media FROM product_images WHERE product_id = $2)) ORDER BY hash FOR NO KEY UPDATE",
    )
    .bind(&hashes)
    .bind(product)
    .fetch_all(&mut *connection)
    .await?;
    if let Some(nth) = images.iter().position(|image| !stored.contains(&image.media)) {
        return Ok(Some(WriteOutcome::ImageNotFound(nth)));
    }
    let existing: Vec<(String, String)> =
        sqlx::query_as("SELECT encode(media, 'hex'), alt FROM product_images WHERE product_id = $1 ORDER BY position")
            .bind(product)
            .fetch_all(&mut *connection)
            .await?;
    if existing.iter().map(|(media, alt)| (media, alt)).eq(images.iter().map(|image| (&image.media, &image.alt))) {
        return Ok(None);
    }
    sqlx::query("DELETE FROM product_images WHERE product_id = $1").bind(product).execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO product_images (product_id, position, media, alt) \
         SELECT $1, (place - 1)::integer, decode(image ->> 'media', 'hex'), image ->> 'alt' \
         FROM jsonb_array_elements($2) WITH ORDINALITY AS list (image, place)",
    )
    .bind(product)
    .bind(Json(images))
    .execute(&mut *connection)
    .await?;
    let name: String =
        sqlx::query_scalar("SELECT name FROM products WHERE id = $1").bind(product).fetch_one(&mut *connection).await?;
    let after = Some(json!({ "images": images }));
    audit(connection, by, NewAuditEntry { action: "change_images", subject: &name, after, ..NewAuditEntry::default() })
        .await?;
    Ok(None)
}

/// The variants in their order: with their own id, with that of the existing one with the SKU, or
/// with a new one.
fn with_ids<'a>(variants: &'a [VariantFields], existing: &[(Uuid, String)]) -> Vec<WrittenVariant<'a>> {
    let is_claimed = |id: Uuid| variants.iter().any(|one| one.id == Some(id));
    let of_sku = |sku: &str| existing.iter().find(|(id, known)| known == sku && !is_claimed(*id)).map(|(id, _)| *id);
    let written = |(position, one): (usize, &'a VariantFields)| {
        let known = one.id.or_else(|| of_sku(&one.sku));
        WrittenVariant {
            id: known.unwrap_or_else(Uuid::now_v7),
            is_new: known.is_none(),
            position,
            sku: &one.sku,
            title: &one.title,
            attributes: &one.attributes,
            price_minor: one.price_minor,
            currency: &one.currency,
            gtin: one.gtin.as_deref(),
        }
    };
    variants.iter().enumerate().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_only_themselves() {
        assert_eq!(escaped(r"a_b%c\d"), r"a\_b\%c\\d");
    }

    #[test]
    fn variants_keep_their_ids_by_id_and_by_sku() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let existing = [(one, "A".to_owned()), (two, "B".to_owned())];
        let variant = |id: Option<Uuid>, sku: &str| VariantFields {
            id,
            sku: sku.to_owned(),
            title: String::new(),
            attributes: Vec::new(),
            price_minor: 1,
            currency: "EUR".to_owned(),
            gtin: None,
        };
        let variants = [variant(None, "B"), variant(Some(one), "C"), variant(None, "A")];
        let written = with_ids(&variants, &existing);
        assert_eq!(written.iter().map(|one| one.is_new).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!((written[0].id, written[1].id), (two, one));
        assert!(written[2].id != one, "the id moved with the variant that names it");
    }
}
