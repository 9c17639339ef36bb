//! The public list of sales.

use fairline_sale::{SaleId, Status, presented_status};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    db::{PgPool, StoreError},
    sales::listed_sale::ListedSale,
};

/// Maximum number of listed sales, the newest first.
const SALES_MAX: i64 = 1000;

#[derive(FromRow)]
struct ListedSaleRow {
    id: Uuid,
    slug: String,
    name: String,
    description: String,
    price_minor: i64,
    currency: String,
    per_shopper_limit: i32,
    per_account_limit: Option<i32>,
    status: String,
    total: i32,
    promised: i32,
    held: i32,
    sold: i32,
    opens_at: OffsetDateTime,
    ends_at: Option<OffsetDateTime>,
}

impl From<ListedSaleRow> for ListedSale {
    fn from(row: ListedSaleRow) -> Self {
        let stored = Status::from_stored(&row.status);
        Self {
            id: SaleId(row.id),
            slug: row.slug,
            name: row.name,
            description: row.description,
            price_minor: row.price_minor,
            currency: row.currency,
            per_shopper_limit: row.per_shopper_limit,
            per_account_limit: row.per_account_limit,
            status: presented_status(stored, row.total.unsigned_abs(), row.sold.unsigned_abs()),
            total: row.total,
            // In yield mode, promises exceed the stock.
            remaining: (row.total - row.promised - row.held - row.sold).max(0),
            opens_at: row.opens_at,
            ends_at: row.ends_at,
        }
    }
}

/// The list of sales.
#[derive(Clone)]
pub(crate) struct SaleStore(pub(crate) PgPool);

impl SaleStore {
    /// The id of this database among all that share a Redis.
    pub(crate) async fn installation(&self) -> Result<Uuid, StoreError> {
        Ok(sqlx::query_scalar("SELECT id FROM installation").fetch_one(&self.0).await?)
    }

    /// Sales that run or are scheduled, and sales that ended within a week, the newest first.
    /// Rehearsals are not listed.
    pub(crate) async fn listed_sales(&self) -> Result<Vec<ListedSale>, StoreError> {
        let rows: Vec<ListedSaleRow> = sqlx::query_as(
            "SELECT id, slug, name, description, price_minor, currency, per_shopper_limit, per_account_limit, status, total, promised, held, sold, \
             opens_at, ends_at FROM (SELECT id AS shown FROM sales WHERE status <> 'closed' UNION \
                SELECT sale_id FROM sale_counters WHERE active_at > now() - interval '7 days') AS shown \
             CROSS JOIN LATERAL (SELECT * FROM sales JOIN stock ON sale_id = id WHERE id = shown AND item = 1 LIMIT 1) AS sale \
             WHERE rehearsal_of IS NULL \
             ORDER BY opens_at DESC, id LIMIT $1",
        )
        .bind(SALES_MAX)
        .fetch_all(&self.0)
        .await?;
        Ok(rows.into_iter().map(ListedSale::from).collect())
    }
}
