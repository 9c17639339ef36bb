//! Reads products for the export, and writes those of an import.

use fairline_postgres::{PgConnection, Transaction};
use serde::Serialize;
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::plan::{ImportPlan, KnownProducts, PlannedProduct, PlannedVariant};
use crate::{
    admin_api::products::fields::Attribute,
    db::{Author, Database, StoreError},
};

/// Rows that one statement writes at most.
const ROWS_AT_ONCE: usize = 1000;

/// A row of the export: a variant with its product, or a product without variants.
#[derive(Debug, FromRow)]
pub struct ExportRow {
    pub product_id: Uuid,
    pub product: String,
    pub description: String,
    pub product_attributes: Json<Vec<Attribute>>,
    pub archived: bool,
    pub sku: Option<String>,
    pub title: Option<String>,
    pub attributes: Option<Json<Vec<Attribute>>>,
    pub price_minor: Option<i64>,
    pub currency: Option<String>,
    pub gtin: Option<String>,
}

/// What a table names.
#[derive(Debug, Default)]
pub struct NamedRows<'a> {
    pub skus: Vec<&'a str>,
    pub ids: Vec<Uuid>,
    pub names: Vec<&'a str>,
}

#[derive(FromRow)]
struct KnownProduct {
    id: Uuid,
    name: String,
    description: String,
    attributes: Json<Vec<Attribute>>,
    archived: bool,
    variants: i64,
}

#[derive(FromRow)]
struct KnownVariant {
    id: Uuid,
    product_id: Uuid,
    position: i32,
    sku: String,
    title: String,
    attributes: Json<Vec<Attribute>>,
    price_minor: i64,
    currency: String,
    gtin: Option<String>,
}

/// The table of products.
#[derive(Clone)]
pub(crate) struct ProductTableStore(pub(crate) Database);

impl ProductTableStore {
    /// The variants of the next products after one, in their order.
    pub async fn export_products(&self, after: Uuid, products: i64) -> Result<Vec<ExportRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT product.id AS product_id, product.name AS product, product.description, \
             product.attributes AS product_attributes, product.archived, sku, title, variants.attributes, price_minor, currency, gtin \
             FROM (SELECT * FROM products WHERE id > $1 ORDER BY id LIMIT $2) AS product \
             LEFT JOIN variants ON product_id = product.id ORDER BY product.id, position",
        )
        .bind(after)
        .bind(products)
        .fetch_all(&self.0.pool)
        .await?)
    }

    /// Begins an import. Until its end, no other request changes products.
    pub async fn begin_import(&self, by: &Author) -> Result<Transaction, StoreError> {
        let mut transaction = self.0.begin(by, "import_products").await?;
        sqlx::query("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        Ok(transaction)
    }
}

/// The products and variants that a table names.
pub async fn known(connection: &mut PgConnection, named: &NamedRows<'_>) -> Result<KnownProducts, StoreError> {
    let variants: Vec<KnownVariant> = sqlx::query_as(
        "SELECT id, product_id, position, sku, title, attributes, price_minor, currency, gtin FROM variants WHERE sku = ANY ($1)",
    )
    .bind(&named.skus)
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = named.ids.iter().copied().chain(variants.iter().map(|variant| variant.product_id)).collect();
    let products: Vec<KnownProduct> = sqlx::query_as(
        "SELECT id, name, description, attributes, archived, \
         (SELECT count(*) FROM variants WHERE product_id = products.id) AS variants \
         FROM products WHERE id = ANY ($1) OR name = ANY ($2)",
    )
    .bind(&ids)
    .bind(&named.names)
    .fetch_all(&mut *connection)
    .await?;
    let product = |row: KnownProduct| {
        let KnownProduct { id, name, description, attributes, archived, variants } = row;
        let product = PlannedProduct { id, name, description, attributes: attributes.0, archived };
        (product, usize::try_from(variants).unwrap_or(usize::MAX))
    };
    let variant = |row: KnownVariant| PlannedVariant {
        id: row.id,
        product_id: row.product_id,
        position: row.position,
        sku: row.sku,
        title: row.title,
        attributes: row.attributes.0,
        price_minor: row.price_minor,
        currency: row.currency,
        gtin: row.gtin,
    };
    Ok(KnownProducts {
        products: products.into_iter().map(product).collect(),
        variants: variants.into_iter().map(variant).collect(),
    })
}

/// The number of all products.
pub async fn count_products(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM products").fetch_one(connection).await?)
}

/// Writes what was planned.
pub async fn write(connection: &mut PgConnection, plan: &ImportPlan) -> Result<(), StoreError> {
    let touched = "UPDATE products SET version = version + 1, updated_at = now() WHERE id = ANY ($1)";
    sqlx::query(touched).bind(plan.touched()).execute(&mut *connection).await?;
    let insert_products = "INSERT INTO products (id, name, description, attributes, archived) \
         SELECT id, name, description, attributes, archived FROM jsonb_to_recordset($1) \
         AS new (id uuid, name text, description text, attributes jsonb, archived boolean)";
    write_rows(connection, insert_products, &plan.new_products).await?;
    let update_products = "UPDATE products SET name = new.name, description = new.description, attributes = new.attributes, \
         archived = new.archived FROM jsonb_to_recordset($1) \
         AS new (id uuid, name text, description text, attributes jsonb, archived boolean) WHERE products.id = new.id";
    write_rows(connection, update_products, &plan.changed_products).await?;
    let insert_variants = "INSERT INTO variants (id, product_id, position, sku, title, attributes, price_minor, currency, gtin) \
         SELECT id, product_id, position, sku, title, attributes, price_minor, currency, gtin FROM jsonb_to_recordset($1) \
         AS new (id uuid, product_id uuid, position integer, sku text, title text, attributes jsonb, price_minor bigint, \
            currency text, gtin text)";
    write_rows(connection, insert_variants, &plan.new_variants).await?;
    let update_variants = "UPDATE variants SET title = new.title, attributes = new.attributes, price_minor = new.price_minor, \
         currency = new.currency, gtin = new.gtin FROM jsonb_to_recordset($1) \
         AS new (id uuid, title text, attributes jsonb, price_minor bigint, currency text, gtin text) WHERE variants.id = new.id";
    write_rows(connection, update_variants, &plan.changed_variants).await
}

async fn write_rows<T: Serialize + Sync>(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &[T],
) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        sqlx::query(statement).bind(Json(rows)).execute(&mut *connection).await?;
    }
    Ok(())
}
