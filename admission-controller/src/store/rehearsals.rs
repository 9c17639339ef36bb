//! Rehearsals: copies of sales that a crowd was sent to.

use fairline_events::Kind;
use fairline_sale::SaleId;
use serde_json::{Value, json};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{By, Sale, Store, StoreError, audit, nothing_more, told};
use crate::rehearsal::Crowd;

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
    /// runs. The crowd has no accounts and no invitations: the copy has no limit per account, and no lanes.
    pub async fn begin_rehearsal(
        &self,
        by: &By,
        sale: &Sale,
        crowd: Crowd,
    ) -> Result<Option<RehearsalRow>, StoreError> {
        self.end_silent_rehearsal().await?;
        let (id, copy) = (Uuid::now_v7(), Uuid::now_v7());
        let mut transaction = self.begin(by, "rehearse").await?;
        sqlx::query(concat!(
            "WITH original AS (SELECT sales.*, stock.total FROM sales JOIN stock ON sale_id = sales.id WHERE sales.id = $1), \
             copy AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, rate_cap_per_s, \
                token_ttl_s, claim_window_s, hold_s, opens_at, ends_at, recall_window_s, grace_s, line_order, seed, mode, risk, \
                inside_max, like_sale, look, time_zone, rehearsal_of) \
                SELECT $2, 'rehearsal-' || $3, left('Rehearsal of ' || name, 120), description, price_minor, currency, per_shopper_limit, \
                rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opening.at, opening.at + (ends_at - opens_at), recall_window_s, \
                grace_s, line_order, CASE WHEN line_order = 'draw' THEN $4 END, mode, risk, inside_max, like_sale, look, time_zone, id \
                FROM original CROSS JOIN LATERAL (SELECT now() + CASE WHEN line_order = 'draw' THEN interval '10 seconds' \
                    ELSE interval '0' END AS at) AS opening RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM copy), \
             told AS (INSERT INTO outbox (sale_id, number, kind, data) SELECT id, 1, $5, ",
            nothing_more!(),
            " FROM copy) INSERT INTO stock (sale_id, total, events) SELECT copy.id, total, 1 FROM copy, original",
        ))
        .bind(sale.row.id)
        .bind(copy)
        .bind(copy.simple().to_string())
        .bind(&rand::random::<[u8; 32]>()[..])
        .bind(Kind::FlashSaleScheduled.word())
        .execute(&mut *transaction)
        .await?;
        let begun = sqlx::query_as(
            "INSERT INTO rehearsals (id, sale_id, original_id, shoppers) VALUES ($1, $2, $3, $4) \
             ON CONFLICT ((true)) WHERE ended_at IS NULL DO NOTHING RETURNING *",
        )
        .bind(id)
        .bind(copy)
        .bind(sale.row.id)
        .bind(i32::try_from(crowd.shoppers).unwrap_or(i32::MAX))
        .fetch_optional(&mut *transaction)
        .await?;
        if begun.is_some() {
            let Crowd { shoppers, arrival_s, abandon } = crowd;
            let after = json!({ "rehearsal": copy, "shoppers": shoppers, "arrival_s": arrival_s, "abandon": abandon });
            audit::note(&mut transaction, by, "rehearse", &sale.row.slug, Some(sale.row.id), Some(after)).await?;
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
        sqlx::query(concat!(
            "WITH ended AS (UPDATE rehearsals SET state = $2, progress = coalesce($3, progress), report = $4, ended_at = now() \
             WHERE id = $1 AND ended_at IS NULL RETURNING sale_id), \
             closed AS (UPDATE sales SET status = 'closed' FROM ended WHERE sales.id = sale_id AND status <> 'closed' \
             RETURNING sales.id), ",
            told!("closed", "$5")
        ))
        .bind(id)
        .bind(state)
        .bind(why)
        .bind(report)
        .bind(Kind::FlashSaleEnded.word())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes the end of a rehearsal whose controller has died, and closes its copy.
    pub async fn end_silent_rehearsal(&self) -> Result<(), StoreError> {
        let silent: Option<Uuid> = sqlx::query_scalar(
            "SELECT id FROM rehearsals WHERE ended_at IS NULL AND beat_at < now() - make_interval(secs => $1)",
        )
        .bind(SILENT_S)
        .fetch_optional(&self.pool)
        .await?;
        match silent {
            Some(id) => self.end_rehearsal(id, "failed", Some("The controller that ran it has died."), None).await,
            None => Ok(()),
        }
    }

    /// Asks for a rehearsal to end. Whether it runs.
    pub async fn stop_rehearsal(&self, by: &By, id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.begin(by, "stop_rehearsal").await?;
        let stopping: Option<(Uuid, String, Uuid)> = sqlx::query_as(
            "UPDATE rehearsals SET state = 'stopping' FROM sales WHERE rehearsals.id = $1 AND ended_at IS NULL \
             AND sales.id = original_id RETURNING original_id, slug, sale_id",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((original, slug, copy)) = stopping else { return Ok(false) };
        let after = json!({ "rehearsal": copy });
        audit::note(&mut transaction, by, "stop_rehearsal", &slug, Some(original), Some(after)).await?;
        transaction.commit().await?;
        Ok(true)
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
