//! Rehearsals, as operators begin, stop and list them.

use fairline_events::EventKind;
use fairline_sale::SaleId;
use serde_json::json;
use uuid::Uuid;

use crate::{
    controller::sale::Sale,
    db::{Author, NewAuditEntry, StoreError, audit, event_data},
    jobs::rehearsals::{
        RehearsalCrowd,
        state::RehearsalState,
        store::{RehearsalRow, RehearsalStore},
    },
};

impl RehearsalStore {
    /// Copies a sale, to open now, and begins a rehearsal of the copy. `None` while another
    /// rehearsal runs. The crowd has no accounts and no invitations, so the copy has no limit per
    /// account and no lanes.
    pub async fn begin_rehearsal(
        &self,
        by: &Author,
        sale: &Sale,
        crowd: RehearsalCrowd,
    ) -> Result<Option<RehearsalRow>, StoreError> {
        self.end_silent_rehearsal().await?;
        let (id, copy) = (Uuid::now_v7(), Uuid::now_v7());
        let mut transaction = self.0.begin(by, "rehearse").await?;
        sqlx::query(concat!(
            "WITH original AS (SELECT sales.*, stock.total FROM sales JOIN stock ON sale_id = sales.id WHERE sales.id = $1 AND item = 1), \
             copy AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, rate_cap_per_s, \
                token_ttl_s, claim_window_s, hold_s, opens_at, ends_at, recall_window_s, grace_s, line_order, seed, mode, risk, \
                in_checkout_max, prior_sale, theme, time_zone, rehearsal_of) \
                SELECT $2, 'rehearsal-' || $3, left('Rehearsal of ' || name, 120), description, price_minor, currency, per_shopper_limit, \
                rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opening.at, opening.at + (ends_at - opens_at), recall_window_s, \
                grace_s, line_order, CASE WHEN line_order = 'draw' THEN $4 END, mode, risk, in_checkout_max, prior_sale, theme, time_zone, id \
                FROM original CROSS JOIN LATERAL (SELECT now() + CASE WHEN line_order = 'draw' THEN interval '10 seconds' \
                    ELSE interval '0' END AS at) AS opening RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM copy), \
             item AS (INSERT INTO items (sale_id, item, variant_id, sku, name, attributes, list_minor, price_minor, position) \
                SELECT id, item, variant_id, sku, items.name, attributes, list_minor, items.price_minor, 0 FROM copy, items \
                WHERE sale_id = $1 AND item = 1), \
             counters AS (INSERT INTO sale_counters (sale_id, events) SELECT id, 1 FROM copy), \
             event AS (INSERT INTO outbox (sale_id, number, kind, data) SELECT id, 1, $5, ",
            event_data!(),
            " FROM copy) INSERT INTO stock (sale_id, item, total) SELECT copy.id, 1, total FROM copy, original",
        ))
        .bind(sale.row.id)
        .bind(copy)
        .bind(copy.simple().to_string())
        .bind(&rand::random::<[u8; 32]>()[..])
        .bind(EventKind::FlashSaleScheduled.as_str())
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
            let RehearsalCrowd { shoppers, arrival_s, abandon } = crowd;
            let after = json!({ "rehearsal": copy, "shoppers": shoppers, "arrival_s": arrival_s, "abandon": abandon });
            let (action, subject, sale) = ("rehearse", sale.row.slug.as_str(), Some(sale.row.id));
            audit(&mut transaction, by, NewAuditEntry { action, subject, sale, after: Some(after) }).await?;
            transaction.commit().await?;
        }
        Ok(begun)
    }

    /// Stops a rehearsal. `false` if it does not run.
    pub async fn stop_rehearsal(&self, by: &Author, id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, "stop_rehearsal").await?;
        let stopping: Option<(Uuid, String, Uuid)> = sqlx::query_as(
            "UPDATE rehearsals SET state = $2 FROM sales WHERE rehearsals.id = $1 AND ended_at IS NULL \
             AND sales.id = original_id RETURNING original_id, slug, sale_id",
        )
        .bind(id)
        .bind(RehearsalState::Stopping.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((original, slug, copy)) = stopping else { return Ok(false) };
        let after = json!({ "rehearsal": copy });
        let entry =
            NewAuditEntry { action: "stop_rehearsal", subject: &slug, sale: Some(original), after: Some(after) };
        audit(&mut transaction, by, entry).await?;
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
        .fetch_all(&self.0.pool)
        .await?)
    }
}
