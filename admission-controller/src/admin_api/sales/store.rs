//! Sales, as operators create, change and list them.

use fairline_events::EventKind;
use fairline_sale::{LineOrder, SaleId, Status};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    admin_api::items::fields::{NewItem, StoredItem},
    controller::{
        lifecycle::{self, Action},
        postgres::{lines_of, sale_rows},
        sale::{Sale, SaleRow},
    },
    db::{Author, Database, StoreError, event_data, insert_events},
};

/// Sales of one response.
pub const SALES_PAGE: usize = 200;

/// A new sale. Must not be printed: it may have a secret seed.
#[derive(Clone)]
pub struct NewSale {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub items: Vec<NewItem>,
    /// Whether it has one item, which has its name and price.
    pub is_simple: bool,
    pub currency: String,
    pub per_shopper_limit: i32,
    pub per_account_limit: Option<i32>,
    pub rate_cap_per_s: f64,
    pub opens_at: Option<OffsetDateTime>,
    pub ends_at: Option<OffsetDateTime>,
    pub token_ttl_s: i32,
    pub claim_window_s: i32,
    pub hold_s: i32,
    pub recall_window_s: i32,
    pub grace_s: Option<i32>,
    /// The secret seed of the draw, if the line begins with one.
    pub seed: Option<[u8; 32]>,
    pub mode: &'static str,
    pub risk: f64,
    pub in_checkout_max: Option<i32>,
    pub prior_sale: Option<Uuid>,
    pub theme: serde_json::Value,
    pub time_zone: String,
}

/// The changes of a sale.
#[derive(Debug, Clone, Default)]
pub struct SaleChange {
    pub rate_cap_per_s: Option<f64>,
    pub total: Option<i32>,
    pub recall_window_s: Option<i32>,
    /// `Some(None)`: the setting of the waiting rooms.
    pub grace_s: Option<Option<i32>>,
    /// `Some(None)`: no limit.
    pub in_checkout_max: Option<Option<i32>>,
    /// `Some(None)` removes the message.
    pub message: Option<Option<String>>,
    pub theme: Option<serde_json::Value>,
    /// Only while the sale is scheduled.
    pub opens_at: Option<OffsetDateTime>,
    /// Only while the sale is scheduled; `Some(None)`: not by the clock.
    pub ends_at: Option<Option<OffsetDateTime>>,
}

/// Sales.
#[derive(Clone)]
pub(crate) struct AdminSaleStore(pub(crate) Database);

impl AdminSaleStore {
    /// Whether the database has a time zone of this name.
    pub async fn knows_time_zone(&self, name: &str) -> Result<bool, StoreError> {
        // Names that only this machine has are not valid in browsers.
        let known = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1 AND name !~ '^(posix|right)/|^(Factory|localtime|posixrules)$')",
        );
        Ok(known.bind(name).fetch_one(&self.0.pool).await?)
    }

    /// Adds a sale with its items.
    pub async fn create(&self, by: &Author, new: &NewSale, items: &[StoredItem]) -> Result<Sale, StoreError> {
        let id = Uuid::now_v7();
        let mut transaction = self.0.begin(by, "create_sale").await?;
        sqlx::query(concat!(
            "WITH sale AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, \
             rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opens_at, ends_at, recall_window_s, line_order, seed, \
             mode, risk, in_checkout_max, prior_sale, per_account_limit, theme, time_zone, grace_s) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12, now()), $13, $15, $16, $17, $18, $19, $20, \
             $21, $23, $24, $25, $26) RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM sale), \
             item AS (INSERT INTO items (sale_id, item, variant_id, sku, name, attributes, list_minor, price_minor, \
                per_shopper_limit, position) \
                SELECT id, item, variant_id, sku, name, attributes, list_minor, price_minor, per_shopper_limit, position \
                FROM sale, jsonb_to_recordset($14) AS new (item smallint, variant_id uuid, sku text, name text, attributes jsonb, \
                list_minor bigint, price_minor bigint, per_shopper_limit integer, position smallint)), \
             counters AS (INSERT INTO sale_counters (sale_id, events) SELECT id, 1 FROM sale), \
             event AS (INSERT INTO outbox (sale_id, number, kind, data) SELECT id, 1, $22, ",
            event_data!(),
            " FROM sale) INSERT INTO stock (sale_id, item, total) \
             SELECT id, item, total FROM sale, jsonb_to_recordset($14) AS new (item smallint, total integer)",
        ))
        .bind(id)
        .bind(&new.slug)
        .bind(&new.name)
        .bind(&new.description)
        .bind(items.iter().map(|item| item.price_minor).min())
        .bind(&new.currency)
        .bind(new.per_shopper_limit)
        .bind(new.rate_cap_per_s)
        .bind(new.token_ttl_s)
        .bind(new.claim_window_s)
        .bind(new.hold_s)
        .bind(new.opens_at)
        .bind(new.ends_at)
        .bind(Json(items))
        .bind(new.recall_window_s)
        .bind(if new.seed.is_some() { LineOrder::Draw } else { LineOrder::Fifo }.as_str())
        .bind(new.seed.map(|seed| seed.to_vec()))
        .bind(new.mode)
        .bind(new.risk)
        .bind(new.in_checkout_max)
        .bind(new.prior_sale)
        .bind(EventKind::FlashSaleScheduled.as_str())
        .bind(new.per_account_limit)
        .bind(&new.theme)
        .bind(&new.time_zone)
        .bind(new.grace_s)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.show(SaleId(id)).await?.ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// The newest sales, or the newest before one; all, or the one with a slug.
    pub async fn list(&self, before: Option<SaleId>, slug: Option<&str>) -> Result<Vec<Sale>, StoreError> {
        // A statement for each: a generic plan of one for all would walk all sales.
        let rows = sqlx::query_as(match (slug, before) {
            (None, None) => sale_rows!(
                "WHERE $1::uuid IS NULL AND $2::text IS NULL ORDER BY sales.created_at DESC, sales.id DESC LIMIT $3"
            ),
            (None, Some(_)) => sale_rows!(
                "WHERE $2::text IS NULL AND (sales.created_at, sales.id) < (SELECT created_at, id FROM sales WHERE id = $1) \
                 ORDER BY sales.created_at DESC, sales.id DESC LIMIT $3"
            ),
            (Some(_), _) => sale_rows!(
                "WHERE sales.slug = $2 AND ($1::uuid IS NULL \
                 OR (sales.created_at, sales.id) < (SELECT created_at, id FROM sales WHERE id = $1)) LIMIT $3"
            ),
        });
        let rows: Vec<SaleRow> = rows
            .bind(before.map(|sale| sale.0))
            .bind(slug)
            .bind(i64::try_from(SALES_PAGE).unwrap_or(i64::MAX))
            .fetch_all(&self.0.pool)
            .await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let lines = lines_of(&self.0.pool, &ids).await?;
        let sale = |row: SaleRow| {
            let lines = lines.iter().filter(|line| line.sale_id == row.id).cloned().collect();
            Sale { row, lines }
        };
        Ok(rows.into_iter().map(sale).collect())
    }

    pub async fn show(&self, sale: SaleId) -> Result<Option<Sale>, StoreError> {
        let row: Option<SaleRow> =
            sqlx::query_as(sale_rows!("WHERE sales.id = $1")).bind(sale.0).fetch_optional(&self.0.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let lines = lines_of(&self.0.pool, &[row.id]).await?;
        Ok(Some(Sale { row, lines }))
    }

    /// Moves a sale from one status to another; `false` if it was no longer in the first. A sale
    /// that is opened early gets the current time as its opening.
    pub async fn set_status(
        &self,
        by: &Author,
        action: Action,
        sale: SaleId,
        (from, to): (Status, Status),
    ) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, action.as_str()).await?;
        // Extra admissions end with a pause. Lines come first in the lock order.
        if Status::Paused == from || Status::Paused == to {
            let forget = sqlx::query("UPDATE lines SET admit_now = 0 WHERE id = $1");
            forget.bind(sale.0).execute(&mut *transaction).await?;
        }
        let done = sqlx::query(concat!(
            "WITH moved AS (UPDATE sales SET status = $3, \
             opens_at = CASE WHEN $3 = 'open' THEN least(opens_at, now()) ELSE opens_at END \
             WHERE id = $1 AND status = $2 RETURNING id) ",
            insert_events!("moved", "$4")
        ))
        .bind(sale.0)
        .bind(from.as_stored())
        .bind(to.as_stored())
        .bind(lifecycle::event_of(from, to).as_str())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Changes a sale. `false`, without a change, if its window should change and it is no longer
    /// scheduled.
    pub async fn change(&self, by: &Author, sale: SaleId, change: &SaleChange) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, "change_sale").await?;
        let done = sqlx::query(concat!(
            "WITH stocked AS (UPDATE stock SET total = coalesce($2, total), overbook = CASE WHEN mode = 'yield' \
             THEN greatest(0, promised + held + sold - coalesce($2, total)) ELSE overbook END \
             FROM sales WHERE sales.id = sale_id AND sale_id = $1 AND item = 1 RETURNING sale_id), \
             event AS (INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, number_events(sale_id, 1), $9, ",
            event_data!(),
            " FROM stocked) UPDATE sales SET rate_cap_per_s = coalesce($3, rate_cap_per_s), \
             recall_window_s = coalesce($6, recall_window_s), \
             in_checkout_max = CASE WHEN $7 THEN $8 ELSE in_checkout_max END, \
             message = CASE WHEN $4 THEN $5 ELSE message END, theme = coalesce($10, theme), \
             grace_s = CASE WHEN $11 THEN $12 ELSE grace_s END, \
             opens_at = coalesce($13, opens_at), ends_at = CASE WHEN $14 THEN $15 ELSE ends_at END \
             WHERE id = $1 AND (status = 'scheduled' OR $13 IS NULL AND NOT $14)",
        ))
        .bind(sale.0)
        .bind(change.total)
        .bind(change.rate_cap_per_s)
        .bind(change.message.is_some())
        .bind(change.message.clone().flatten())
        .bind(change.recall_window_s)
        .bind(change.in_checkout_max.is_some())
        .bind(change.in_checkout_max.flatten())
        .bind(EventKind::FlashSaleChanged.as_str())
        .bind(&change.theme)
        .bind(change.grace_s.is_some())
        .bind(change.grace_s.flatten())
        .bind(change.opens_at)
        .bind(change.ends_at.is_some())
        .bind(change.ends_at.flatten())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }
}
