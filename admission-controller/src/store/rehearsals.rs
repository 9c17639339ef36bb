//! Rehearsals: copies of sales that a crowd was sent to.

use fairline_sale::SaleId;
use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{By, Sale, Store, StoreError};

/// A rehearsal whose controller has been silent for so long has ended with it, in seconds.
const SILENT_S: f64 = 15.0;

/// A rehearsal, as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct RehearsalRow {
    pub id: Uuid,
    pub sale_id: Uuid,
    pub original_id: Uuid,
    pub shoppers: i32,
    pub state: String,
    pub progress: Option<String>,
    pub report: Option<Value>,
    pub started_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
}

/// What was said to the one who runs a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Go on.
    GoOn,
    /// Somebody wants it to end.
    Stop,
}

impl Store {
    /// Copies a sale, to open now, and notes that a crowd is about to be sent to the copy. `None` while another rehearsal
    /// runs.
    pub async fn begin_rehearsal(
        &self,
        by: &By,
        sale: &Sale,
        shoppers: u32,
    ) -> Result<Option<RehearsalRow>, StoreError> {
        sqlx::query(
            "UPDATE rehearsals SET state = 'failed', progress = 'The controller that ran it has died.', ended_at = now() \
             WHERE ended_at IS NULL AND beat_at < now() - make_interval(secs => $1)",
        )
        .bind(SILENT_S)
        .execute(&self.pool)
        .await?;
        let (id, copy) = (Uuid::now_v7(), Uuid::now_v7());
        let mut transaction = self.begin(by, "rehearse").await?;
        sqlx::query(
            "WITH original AS (SELECT sales.*, stock.total FROM sales JOIN stock ON sale_id = sales.id WHERE sales.id = $1), \
             copy AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, rate_cap_per_s, \
                token_ttl_s, claim_window_s, hold_s, opens_at, recall_window_s, line_order, seed, mode, risk, inside_max, \
                like_sale, look, time_zone, rehearsal_of) \
                SELECT $2, 'rehearsal-' || $3, left('Rehearsal of ' || name, 120), description, price_minor, currency, per_shopper_limit, \
                rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, now() + CASE WHEN line_order = 'draw' THEN interval '10 seconds' \
                ELSE interval '0' END, recall_window_s, line_order, CASE WHEN line_order = 'draw' THEN $4 END, mode, risk, inside_max, \
                like_sale, look, time_zone, id FROM original RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM copy) \
             INSERT INTO stock (sale_id, total, events) SELECT copy.id, total, 0 FROM copy, original",
        )
        .bind(sale.row.id)
        .bind(copy)
        .bind(copy.simple().to_string())
        .bind(&rand::random::<[u8; 32]>()[..])
        .execute(&mut *transaction)
        .await?;
        let begun = sqlx::query_as(
            "INSERT INTO rehearsals (id, sale_id, original_id, shoppers) VALUES ($1, $2, $3, $4) \
             ON CONFLICT ((true)) WHERE ended_at IS NULL DO NOTHING RETURNING *",
        )
        .bind(id)
        .bind(copy)
        .bind(sale.row.id)
        .bind(i32::try_from(shoppers).unwrap_or(i32::MAX))
        .fetch_optional(&mut *transaction)
        .await?;
        if begun.is_some() {
            transaction.commit().await?;
        }
        Ok(begun)
    }

    /// Says that a rehearsal goes on, and how it stands; hears whether somebody wants it to end.
    pub async fn beat_rehearsal(&self, id: Uuid, progress: Option<&str>) -> Result<Beat, StoreError> {
        let state: Option<String> = sqlx::query_scalar(
            "UPDATE rehearsals SET beat_at = now(), progress = coalesce($2, progress) WHERE id = $1 AND ended_at IS NULL \
             RETURNING state",
        )
        .bind(id)
        .bind(progress)
        .fetch_optional(&self.pool)
        .await?;
        // Gone: it was taken for dead.
        Ok(if state.as_deref() == Some("running") { Beat::GoOn } else { Beat::Stop })
    }

    /// Notes the end of a rehearsal, and closes the copy, so that nobody goes on to wait in it.
    pub async fn end_rehearsal(
        &self,
        id: Uuid,
        state: &str,
        why: Option<&str>,
        report: Option<Value>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "WITH ended AS (UPDATE rehearsals SET state = $2, progress = coalesce($3, progress), report = $4, ended_at = now() \
             WHERE id = $1 AND ended_at IS NULL RETURNING sale_id) \
             UPDATE sales SET status = 'closed' FROM ended WHERE sales.id = sale_id AND status <> 'closed'",
        )
        .bind(id)
        .bind(state)
        .bind(why)
        .bind(report)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Asks for a rehearsal to end. Whether it runs.
    pub async fn stop_rehearsal(&self, id: Uuid) -> Result<bool, StoreError> {
        let stopping =
            sqlx::query("UPDATE rehearsals SET state = 'stopping' WHERE id = $1 AND ended_at IS NULL").bind(id);
        Ok(stopping.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// The newest rehearsals of a sale, or that of a copy.
    pub async fn rehearsals(&self, sale: SaleId) -> Result<Vec<RehearsalRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, sale_id, original_id, shoppers, state, progress, report, started_at, ended_at FROM rehearsals \
             WHERE original_id = $1 OR sale_id = $1 ORDER BY started_at DESC LIMIT 20",
        )
        .bind(sale.0)
        .fetch_all(&self.pool)
        .await?)
    }
}
