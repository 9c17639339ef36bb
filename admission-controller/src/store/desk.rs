//! What operators do to a running sale, ticket by ticket.

use async_trait::async_trait;
use fairline_line::ticket::Ordinal;
use fairline_sale::{SaleId, VisitorId};
use serde_json::json;

use super::{By, LockedSale, Store, StoreError, audit, ordinal};
use crate::ledger::DeskStatements;

/// Tickets that one tick removes or prefers, of one line, at most.
const AT_ONCE: i64 = 500;

/// Tickets that are to be let in at once, above the rate, at most.
const AT_ONCE_MAX: i32 = 1_000_000;

/// What is done to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intervention {
    /// It is taken out of the line.
    Remove,
    /// It is served before all others.
    Prefer,
}

impl Intervention {
    fn word(self) -> &'static str {
        match self {
            Self::Remove => "removed",
            Self::Prefer => "preferred",
        }
    }

    /// Its word in the audit log.
    fn action(self) -> &'static str {
        match self {
            Self::Remove => "remove_ticket",
            Self::Prefer => "prefer_ticket",
        }
    }
}

impl Store {
    /// Has so many more let in at once, beside those that others want in: a sale that is open alone has them.
    pub async fn admit_now(&self, by: &By, sale: SaleId, slug: &str, count: i32) -> Result<(), StoreError> {
        let mut transaction = self.begin(by, "admit_now").await?;
        sqlx::query("UPDATE lines SET admit_now = least(admit_now + $2, $3) WHERE id = $1")
            .bind(sale.0)
            .bind(count)
            .bind(AT_ONCE_MAX)
            .execute(&mut *transaction)
            .await?;
        audit::note(&mut transaction, by, "admit_now", slug, Some(sale.0), Some(json!({ "count": count }))).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes or prefers a ticket, between two ticks. Nothing if it has a token, or had one that was used.
    pub async fn intervene(
        &self,
        by: &By,
        sale: SaleId,
        slug: &str,
        what: Intervention,
        (line, ticket, visitor): (SaleId, Ordinal, VisitorId),
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin(by, what.action()).await?;
        let number = i64::try_from(ticket).unwrap_or(i64::MAX);
        sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE").bind(sale.0).execute(&mut *transaction).await?;
        let done = sqlx::query(
            "INSERT INTO interventions (line_id, ordinal, kind, visitor) SELECT $1, $2, $3, $4 \
             WHERE NOT EXISTS (SELECT FROM admissions WHERE line_id = $1 AND ordinal = $2 AND state <> 'lapsed') \
             ON CONFLICT (line_id, ordinal, kind) DO UPDATE SET done = false, published = false, told_epoch = 0",
        )
        .bind(line.0)
        .bind(number)
        .bind(what.word())
        .bind(visitor.0.to_vec())
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            == 1;
        if done {
            let after = Some(json!({ "ticket": number }));
            audit::note(&mut transaction, by, what.action(), slug, Some(sale.0), after).await?;
            transaction.commit().await?;
        }
        Ok(done)
    }

    /// Lets every token of a sale that is out lapse as if nobody had claimed it: its shopper waits again, in front, and it is not
    /// counted among the turns that were missed. Gives how many there were.
    pub async fn revoke_tokens(&self, by: &By, sale: SaleId, slug: &str) -> Result<i64, StoreError> {
        let mut transaction = self.begin(by, "revoke_tokens").await?;
        sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE").bind(sale.0).execute(&mut *transaction).await?;
        let (revoked, units): (i64, i64) = sqlx::query_as(
            "WITH lapsed AS (UPDATE admissions SET state = 'lapsed', claimed_at = NULL, excused = true WHERE sale_id = $1 AND state = 'promised' \
             RETURNING quantity) SELECT count(*), coalesce(sum(quantity), 0) FROM lapsed",
        )
        .bind(sale.0)
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query("UPDATE stock SET promised = promised - $2::integer WHERE sale_id = $1")
            .bind(sale.0)
            .bind(units)
            .execute(&mut *transaction)
            .await?;
        let after = Some(json!({ "tokens": revoked }));
        audit::note(&mut transaction, by, "revoke_tokens", slug, Some(sale.0), after).await?;
        transaction.commit().await?;
        Ok(revoked)
    }
}

#[async_trait]
impl DeskStatements for LockedSale {
    async fn unrecorded_removals(&mut self, at: usize) -> Result<Vec<Ordinal>, StoreError> {
        let numbers: Vec<i64> = sqlx::query_scalar(
            "SELECT ordinal FROM interventions WHERE line_id = $1 AND kind = 'removed' AND NOT done ORDER BY at LIMIT $2",
        )
        .bind(self.sale.lines[at].id)
        .bind(AT_ONCE)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(numbers.into_iter().map(ordinal).collect())
    }

    async fn untold_removals(&mut self, at: usize, again: &[Ordinal]) -> Result<Vec<(Ordinal, bool)>, StoreError> {
        let again: Vec<i64> = again.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        let removals: Vec<(i64, bool)> = sqlx::query_as(
            "(SELECT ordinal, reason = 'limit' FROM interventions \
              WHERE line_id = $1 AND kind = 'removed' AND told_epoch < $2 LIMIT $3) UNION \
             SELECT ordinal, reason = 'limit' FROM interventions WHERE line_id = $1 AND kind = 'removed' AND ordinal = ANY($4)",
        )
        .bind(self.sale.lines[at].id)
        .bind(self.sale.lines[at].epoch)
        .bind(AT_ONCE)
        .bind(again)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(removals.into_iter().map(|(number, at_limit)| (ordinal(number), at_limit)).collect())
    }

    async fn preferred(&mut self, at: usize) -> Result<Vec<(Ordinal, VisitorId)>, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT ordinal, visitor FROM interventions WHERE line_id = $1 AND kind = 'preferred' AND NOT done ORDER BY at LIMIT $2",
        )
        .bind(self.sale.lines[at].id)
        .bind(AT_ONCE)
        .fetch_all(&mut *self.transaction)
        .await?;
        // The schema checks the length.
        let visitor = |bytes: Vec<u8>| VisitorId(bytes.try_into().unwrap_or_default());
        Ok(rows.into_iter().map(|(number, bytes)| (ordinal(number), visitor(bytes))).collect())
    }

    async fn note_done(&mut self, at: usize, what: Intervention, tickets: &[Ordinal]) -> Result<(), StoreError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = tickets.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        sqlx::query(
            "UPDATE interventions SET done = true, published = published OR kind = 'preferred' \
             WHERE line_id = $1 AND kind = $2 AND ordinal = ANY($3)",
        )
        .bind(self.sale.lines[at].id)
        .bind(what.word())
        .bind(numbers)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn note_removals_told(&mut self, at: usize, tickets: &[Ordinal]) -> Result<(), StoreError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = tickets.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        sqlx::query(
            "UPDATE interventions SET published = true, told_epoch = $3 \
             WHERE line_id = $1 AND kind = 'removed' AND ordinal = ANY($2)",
        )
        .bind(self.sale.lines[at].id)
        .bind(numbers)
        .bind(self.sale.lines[at].epoch)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn note_at_once(&mut self, left: u32) -> Result<(), StoreError> {
        sqlx::query("UPDATE lines SET admit_now = $2 WHERE id = $1")
            .bind(self.sale.row.id)
            .bind(i32::try_from(left).unwrap_or(i32::MAX))
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}
