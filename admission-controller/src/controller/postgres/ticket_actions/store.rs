//! Actions of operators on tickets, as a tick reads them and notes them as done.

use async_trait::async_trait;
use fairline_line::ticket::Ordinal;
use fairline_sale::VisitorId;

use crate::{
    controller::{
        columns::ordinal, ledger::TicketActionStatements, line::LineRow, postgres::LockedSale,
        ticket_actions::TicketAction,
    },
    db::StoreError,
};

/// Tickets of one line that one tick removes or prefers at most.
const AT_ONCE: i64 = 500;

#[async_trait]
impl TicketActionStatements for LockedSale {
    async fn unrecorded_removals(&mut self, line: &LineRow) -> Result<Vec<Ordinal>, StoreError> {
        let numbers: Vec<i64> = sqlx::query_scalar(
            "SELECT ordinal FROM ticket_actions WHERE line_id = $1 AND kind = 'removed' AND NOT done ORDER BY at LIMIT $2",
        )
        .bind(line.id)
        .bind(AT_ONCE)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(numbers.into_iter().map(ordinal).collect())
    }

    async fn unpublished_removals(
        &mut self,
        line: &LineRow,
        again: &[Ordinal],
    ) -> Result<Vec<(Ordinal, bool)>, StoreError> {
        let again: Vec<i64> = again.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        let removals: Vec<(i64, bool)> = sqlx::query_as(
            "(SELECT ordinal, reason = 'limit' FROM ticket_actions \
              WHERE line_id = $1 AND kind = 'removed' AND published_epoch < $2 LIMIT $3) UNION \
             SELECT ordinal, reason = 'limit' FROM ticket_actions WHERE line_id = $1 AND kind = 'removed' AND ordinal = ANY($4)",
        )
        .bind(line.id)
        .bind(line.epoch)
        .bind(AT_ONCE)
        .bind(again)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(removals.into_iter().map(|(number, at_limit)| (ordinal(number), at_limit)).collect())
    }

    async fn preferred(&mut self, line: &LineRow) -> Result<Vec<(Ordinal, VisitorId)>, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT ordinal, visitor FROM ticket_actions WHERE line_id = $1 AND kind = 'preferred' AND NOT done ORDER BY at LIMIT $2",
        )
        .bind(line.id)
        .bind(AT_ONCE)
        .fetch_all(&mut *self.transaction)
        .await?;
        // The schema checks the length.
        let visitor = |bytes: Vec<u8>| VisitorId(bytes.try_into().unwrap_or_default());
        Ok(rows.into_iter().map(|(number, bytes)| (ordinal(number), visitor(bytes))).collect())
    }

    async fn mark_done(&mut self, line: &LineRow, what: TicketAction, tickets: &[Ordinal]) -> Result<(), StoreError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = tickets.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        sqlx::query(
            "UPDATE ticket_actions SET done = true, published = published OR kind = 'preferred' \
             WHERE line_id = $1 AND kind = $2 AND ordinal = ANY($3)",
        )
        .bind(line.id)
        .bind(what.as_str())
        .bind(numbers)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn mark_removals_published(&mut self, line: &LineRow, tickets: &[Ordinal]) -> Result<(), StoreError> {
        if tickets.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = tickets.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        sqlx::query(
            "UPDATE ticket_actions SET published = true, published_epoch = $3 \
             WHERE line_id = $1 AND kind = 'removed' AND ordinal = ANY($2)",
        )
        .bind(line.id)
        .bind(numbers)
        .bind(line.epoch)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn store_admit_now(&mut self, left: u32) -> Result<(), StoreError> {
        sqlx::query("UPDATE lines SET admit_now = $2 WHERE id = $1")
            .bind(self.sale.id)
            .bind(i32::try_from(left).unwrap_or(i32::MAX))
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}
