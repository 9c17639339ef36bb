//! The items of a sale and their stock.

use fairline_events::EventKind;
use fairline_postgres::{PgConnection, Transaction};
use fairline_sale::{SaleId, SaleMode, Status};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::fields::{CatalogueVariant, CatalogueVariants, ItemRow, StoredItem};
use crate::{
    admin_api::products::fields::Attribute,
    db::{Author, Database, StoreError, insert_events},
};

/// The columns of an item with its stock.
macro_rules! item_rows {
    ($rest:literal) => {
        concat!(
            "SELECT item, variant_id, sku, name, attributes, list_minor, price_minor, per_shopper_limit, position, withdrawn, \
             version, total, promised, held, sold FROM items JOIN stock USING (sale_id, item) ",
            $rest
        )
    };
}

#[derive(FromRow)]
struct ItemColumns {
    item: i16,
    variant_id: Option<Uuid>,
    sku: String,
    name: String,
    attributes: Json<Vec<Attribute>>,
    list_minor: Option<i64>,
    price_minor: i64,
    per_shopper_limit: Option<i32>,
    position: i16,
    withdrawn: bool,
    version: i32,
    total: i32,
    promised: i32,
    held: i32,
    sold: i32,
}

impl From<ItemColumns> for ItemRow {
    fn from(row: ItemColumns) -> Self {
        let stored = StoredItem {
            item: row.item,
            variant_id: row.variant_id,
            sku: row.sku,
            name: row.name,
            attributes: row.attributes.0,
            list_minor: row.list_minor,
            price_minor: row.price_minor,
            per_shopper_limit: row.per_shopper_limit,
            position: row.position,
            withdrawn: row.withdrawn,
            total: row.total,
        };
        Self { stored, version: row.version, promised: row.promised, held: row.held, sold: row.sold }
    }
}

#[derive(FromRow)]
struct VariantColumns {
    sku: String,
    id: Uuid,
    name: String,
    attributes: Json<Vec<Attribute>>,
    price_minor: i64,
    currency: String,
}

/// What the rules of items depend on.
#[derive(Debug, FromRow)]
struct SaleColumns {
    status: String,
    currency: String,
    mode: String,
}

/// The items of a sale that is locked for changing them.
pub struct LockedItems {
    transaction: Transaction,
    sale: SaleId,
    pub status: Status,
    pub currency: String,
    pub mode: SaleMode,
    /// In the order of display.
    pub items: Vec<ItemRow>,
}

/// Items.
#[derive(Clone)]
pub(crate) struct ItemStore(pub(crate) Database);

impl ItemStore {
    /// The items of a sale, in the order of display.
    pub async fn items(&self, sale: SaleId) -> Result<Vec<ItemRow>, StoreError> {
        let rows: Vec<ItemColumns> = sqlx::query_as(item_rows!("WHERE sale_id = $1 ORDER BY position"))
            .bind(sale.0)
            .fetch_all(&self.0.pool)
            .await?;
        Ok(rows.into_iter().map(ItemRow::from).collect())
    }

    /// Locks a sale, so that no other request changes its items and it does not open meanwhile;
    /// `None` if there is no such sale.
    pub async fn lock(&self, by: &Author, what: &str, sale: SaleId) -> Result<Option<LockedItems>, StoreError> {
        let mut transaction = self.0.begin(by, what).await?;
        let locked: Option<SaleColumns> =
            sqlx::query_as("SELECT status, currency, mode FROM sales WHERE id = $1 FOR NO KEY UPDATE")
                .bind(sale.0)
                .fetch_optional(&mut *transaction)
                .await?;
        let Some(SaleColumns { status, currency, mode }) = locked else { return Ok(None) };
        let rows: Vec<ItemColumns> = sqlx::query_as(item_rows!("WHERE sale_id = $1 ORDER BY position"))
            .bind(sale.0)
            .fetch_all(&mut *transaction)
            .await?;
        let items = rows.into_iter().map(ItemRow::from).collect();
        let mode = mode.parse().unwrap_or_default();
        Ok(Some(LockedItems { transaction, sale, status: Status::from_stored(&status), currency, mode, items }))
    }

    /// The variants with these SKUs, of products that are not archived.
    pub async fn catalogue(&self, skus: &[&str]) -> Result<CatalogueVariants, StoreError> {
        let mut connection = self.0.pool.acquire().await?;
        catalogue(&mut connection, skus).await
    }
}

impl LockedItems {
    /// The variants with these SKUs, of products that are not archived.
    pub async fn catalogue(&mut self, skus: &[&str]) -> Result<CatalogueVariants, StoreError> {
        catalogue(&mut self.transaction, skus).await
    }

    /// Writes new and changed items. Their sale gets the lowest price.
    pub async fn write(&mut self, new: &[StoredItem], changed: &[StoredItem]) -> Result<(), StoreError> {
        if !new.is_empty() {
            sqlx::query(
                "WITH new AS (SELECT * FROM jsonb_to_recordset($2) AS new (item smallint, variant_id uuid, sku text, name text, \
                    attributes jsonb, list_minor bigint, price_minor bigint, per_shopper_limit integer, position smallint, \
                    withdrawn boolean, total integer)), \
                 inserted AS (INSERT INTO items (sale_id, item, variant_id, sku, name, attributes, list_minor, price_minor, \
                    per_shopper_limit, position, withdrawn) \
                    SELECT $1, item, variant_id, sku, name, attributes, list_minor, price_minor, per_shopper_limit, position, \
                    withdrawn FROM new) \
                 INSERT INTO stock (sale_id, item, total) SELECT $1, item, total FROM new",
            )
            .bind(self.sale.0)
            .bind(Json(new))
            .execute(&mut *self.transaction)
            .await?;
        }
        if !changed.is_empty() {
            sqlx::query(
                "UPDATE items SET name = new.name, attributes = new.attributes, list_minor = new.list_minor, \
                 price_minor = new.price_minor, per_shopper_limit = new.per_shopper_limit, withdrawn = new.withdrawn, \
                 version = version + 1 FROM jsonb_to_recordset($2) AS new (item smallint, name text, attributes jsonb, \
                    list_minor bigint, price_minor bigint, per_shopper_limit integer, withdrawn boolean) \
                 WHERE sale_id = $1 AND items.item = new.item",
            )
            .bind(self.sale.0)
            .bind(Json(changed))
            .execute(&mut *self.transaction)
            .await?;
        }
        sqlx::query(
            "UPDATE sales SET price_minor = lowest FROM (SELECT min(price_minor) AS lowest FROM items \
             WHERE sale_id = $1 AND NOT withdrawn) AS offered WHERE id = $1 AND price_minor <> lowest",
        )
        .bind(self.sale.0)
        .execute(&mut *self.transaction)
        .await?;
        self.write_totals(changed).await
    }

    /// Stock rows are locked last, in the order of their keys, and only those that change.
    async fn write_totals(&mut self, changed: &[StoredItem]) -> Result<(), StoreError> {
        let (items, totals): (Vec<i16>, Vec<i32>) = changed.iter().map(|one| (one.item, one.total)).unzip();
        sqlx::query(
            "WITH locked AS (SELECT stock.item, new.total FROM stock JOIN unnest($2, $3) AS new (item, total) \
                ON new.item = stock.item WHERE sale_id = $1 AND stock.total <> new.total ORDER BY sale_id, stock.item \
                FOR UPDATE OF stock) \
             UPDATE stock SET total = locked.total, overbook = CASE WHEN mode = 'yield' \
                THEN greatest(0, promised + held + sold - locked.total) ELSE overbook END \
             FROM locked, sales WHERE sale_id = $1 AND id = sale_id AND stock.item = locked.item",
        )
        .bind(self.sale.0)
        .bind(items)
        .bind(totals)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Puts the items into an order.
    pub async fn order(&mut self, items: &[i16]) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE items SET position = place - 1 FROM unnest($2) WITH ORDINALITY AS new (item, place) \
             WHERE sale_id = $1 AND items.item = new.item AND position <> place - 1",
        )
        .bind(self.sale.0)
        .bind(items)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Writes the event of the change, and commits.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        sqlx::query(insert_events!("sales WHERE id = $1", "$2"))
            .bind(self.sale.0)
            .bind(EventKind::FlashSaleChanged.as_str())
            .execute(&mut *self.transaction)
            .await?;
        Ok(self.transaction.commit().await?)
    }

    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }
}

async fn catalogue(connection: &mut PgConnection, skus: &[&str]) -> Result<CatalogueVariants, StoreError> {
    let rows: Vec<VariantColumns> = sqlx::query_as(
        "SELECT sku, variants.id, concat_ws(', ', name, nullif(title, '')) AS name, variants.attributes, price_minor, currency \
         FROM variants JOIN products ON products.id = product_id WHERE sku = ANY ($1) AND NOT archived",
    )
    .bind(skus)
    .fetch_all(connection)
    .await?;
    let variant = |row: VariantColumns| {
        let VariantColumns { sku, id, name, attributes, price_minor, currency } = row;
        (sku, CatalogueVariant { id, name, attributes: attributes.0, price_minor, currency })
    };
    Ok(rows.into_iter().map(variant).collect())
}
