//! Deletes the rows of old sales: of rehearsals always, of other sales if that is configured.
//!
//! A sale is marked first. Then its rows are deleted in several transactions, each under the lock
//! of the sale's row, so that an interruption can be resumed. The sale's own row stays, with its
//! lines, its stock and the audit log.

use uuid::Uuid;

use crate::db::{Database, StoreError};

/// Rows of a table that one transaction deletes at most.
const AT_ONCE: i64 = 5000;
/// Transactions of one pass, and sales that it marks, at most.
const TIMES_MAX: u32 = 40;
const SALES_MAX: i64 = 20;

/// Deletes some rows of a sale by their addresses, which a `SELECT` finds with an index.
macro_rules! some_of {
    ($table:literal, $addresses:literal) => {
        concat!("DELETE FROM ", $table, " WHERE ctid = ANY (ARRAY (", $addresses, " LIMIT $2))")
    };
}

/// The rows of one sale in every table. Referring tables come before the referenced ones.
const LEFT_BEHIND: [&str; 13] = [
    some_of!("order_requests", "SELECT ctid FROM order_requests WHERE sale_id = $1"),
    some_of!("shopper_allowances", "SELECT ctid FROM shopper_allowances WHERE sale_id = $1"),
    some_of!("orders", "SELECT ctid FROM orders WHERE sale_id = $1"),
    some_of!("payments", "SELECT payments.ctid FROM holds JOIN payments ON hold_id = holds.id WHERE sale_id = $1"),
    some_of!("holds", "SELECT ctid FROM holds WHERE sale_id = $1"),
    some_of!(
        "admissions",
        "SELECT made.ctid FROM lines JOIN admissions AS made ON line_id = lines.id AND state <> 'lapsed' WHERE lines.sale_id = $1"
    ),
    some_of!(
        "admissions",
        "SELECT made.ctid FROM lines JOIN admissions AS made ON line_id = lines.id AND state = 'lapsed' WHERE lines.sale_id = $1"
    ),
    some_of!(
        "ticket_actions",
        "SELECT one.ctid FROM lines JOIN ticket_actions AS one ON line_id = lines.id WHERE sale_id = $1"
    ),
    some_of!(
        "record_entries",
        "SELECT entry.ctid FROM lines JOIN record_entries AS entry ON line_id = lines.id WHERE sale_id = $1"
    ),
    some_of!("samples", "SELECT ctid FROM samples WHERE sale_id = $1"),
    some_of!("allowances", "SELECT ctid FROM allowances WHERE sale_id = $1"),
    some_of!("outbox", "SELECT ctid FROM outbox WHERE sale_id = $1"),
    some_of!(
        "deliveries",
        "SELECT one.ctid FROM webhooks JOIN deliveries AS one ON webhook_id = webhooks.id WHERE sale_id = $1"
    ),
];

/// Marks sales of a kind that have been closed and unchanged for a number of days, without anything
/// under way.
macro_rules! over {
    ($kind:literal) => {
        concat!(
            "UPDATE sales SET retention_state = 'deleting' WHERE id = ANY (ARRAY (SELECT sales.id FROM sales JOIN sale_counters ON sale_counters.sale_id = sales.id \
             WHERE ",
            $kind,
            " AND status = 'closed' AND retention_state = 'kept' AND created_at < now() - make_interval(days => $1) \
             AND active_at < now() - make_interval(days => $1) \
             AND NOT EXISTS (SELECT FROM admissions WHERE sale_id = sales.id AND state = 'promised') \
             AND NOT EXISTS (SELECT FROM holds WHERE sale_id = sales.id AND state IN ('promised', 'held')) \
             AND NOT EXISTS (SELECT FROM payments JOIN holds ON holds.id = hold_id WHERE payments.state IN ('started', 'authorised', 'refund_due') \
                AND holds.sale_id = sales.id) \
             ORDER BY created_at LIMIT $2 FOR UPDATE OF sales SKIP LOCKED))"
        )
    };
}

/// The deletion of old sales.
#[derive(Clone)]
pub(crate) struct SaleRetentionStore(pub(crate) Database);

impl SaleRetentionStore {
    /// Deletes some rows of rehearsals and, with `sales_days`, of other sales that ended before
    /// this many days. Returns the number of rows.
    pub async fn delete_old_sales(&self, rehearsals_days: i32, sales_days: Option<i32>) -> Result<u64, StoreError> {
        sqlx::query(over!("rehearsal_of IS NOT NULL"))
            .bind(rehearsals_days)
            .bind(SALES_MAX)
            .execute(&self.0.pool)
            .await?;
        if let Some(days) = sales_days {
            sqlx::query(over!("rehearsal_of IS NULL")).bind(days).bind(SALES_MAX).execute(&self.0.pool).await?;
        }
        let mut deleted = 0;
        for _ in 0..TIMES_MAX {
            match self.delete_some_of_a_sale().await? {
                Some(rows) => deleted += rows,
                None => break,
            }
        }
        Ok(deleted)
    }

    /// Deletes some rows of a marked sale, and returns their number; `None` without one.
    async fn delete_some_of_a_sale(&self) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.0.pool.begin().await?;
        let sale: Option<Uuid> = sqlx::query_scalar(
            "SELECT id FROM sales WHERE retention_state = 'deleting' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(sale) = sale else { return Ok(None) };
        let mut deleted = 0;
        for statement in LEFT_BEHIND {
            let rows =
                sqlx::query(statement).bind(sale).bind(AT_ONCE).execute(&mut *transaction).await?.rows_affected();
            deleted += rows;
            if rows == AT_ONCE.unsigned_abs() {
                transaction.commit().await?;
                return Ok(Some(deleted));
            }
        }
        // The lines have no record any more.
        for statement in [
            "UPDATE lines SET record_seq = NULL WHERE sale_id = $1",
            "UPDATE sales SET retention_state = 'deleted' WHERE id = $1",
        ] {
            sqlx::query(statement).bind(sale).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Some(deleted))
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn every_statement_matches_its_snapshot() {
        let marks = [over!("rehearsal_of IS NOT NULL"), over!("rehearsal_of IS NULL")];
        let text = |sql: &&str| format!("{}\n\n", statement(sql));
        assert_snapshot!("statements", marks.iter().chain(&LEFT_BEHIND).map(text).collect::<String>());
    }
}
