//! Deletes the rows of old sales: of rehearsals always, of other sales if that is configured.
//!
//! A sale is marked first. Then its rows are deleted in several transactions, each under the lock
//! of the sale's row, so that an interruption can be resumed. The sale's own row stays, with its
//! lines, its stock and the audit log.
//!
//! A batch costs the same however many rows the sale had: it reads an index from where the sale's
//! rows begin, up to as many rows as it deletes.

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
const LEFT_BEHIND: [&str; 12] = [
    some_of!("order_requests", "SELECT ctid FROM order_requests WHERE sale_id = $1"),
    some_of!("shopper_allowances", "SELECT ctid FROM shopper_allowances WHERE sale_id = $1"),
    some_of!("orders", "SELECT ctid FROM orders WHERE sale_id = $1"),
    // Payments have no sale: with their holds, so that no batch looks for payments of those before.
    "WITH found AS (SELECT ctid AS address, id FROM holds WHERE sale_id = $1 LIMIT $2), \
     paid AS (DELETE FROM payments WHERE hold_id = ANY (ARRAY (SELECT id FROM found))) \
     DELETE FROM holds WHERE ctid = ANY (ARRAY (SELECT address FROM found))",
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
/// under way. LIMIT keeps the look-ups inside: a join may read the tokens of all sales.
macro_rules! over {
    ($kind:literal) => {
        concat!(
            "UPDATE sales SET retention_state = 'deleting' WHERE id = ANY (ARRAY (SELECT sales.id FROM sales JOIN sale_counters ON sale_counters.sale_id = sales.id \
             WHERE ",
            $kind,
            " AND status = 'closed' AND retention_state = 'kept' AND created_at < now() - make_interval(days => $1) \
             AND active_at < now() - make_interval(days => $1) \
             AND (SELECT true FROM admissions WHERE sale_id = sales.id AND state = 'promised' LIMIT 1) IS NULL \
             AND (SELECT true FROM holds WHERE sale_id = sales.id AND state IN ('promised', 'held') LIMIT 1) IS NULL \
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
        // A bitmap has all rows of the sale, for each batch anew.
        sqlx::query("SET LOCAL enable_bitmapscan = off").execute(&mut *transaction).await?;
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
    use std::{
        env,
        time::{Duration, Instant},
    };

    use fairline_postgres::connect_for_tool;
    use fairline_private_servers::testing;
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    /// Rows of the larger sale, in [`TABLES`] tables; more with `make bench-retention`.
    const ROWS: u32 = 500_000;
    const TABLES: u32 = 10;

    #[test]
    fn every_statement_matches_its_snapshot() {
        let marks = [over!("rehearsal_of IS NOT NULL"), over!("rehearsal_of IS NULL")];
        let text = |sql: &&str| format!("{}\n\n", statement(sql));
        assert_snapshot!("statements", marks.iter().chain(&LEFT_BEHIND).map(text).collect::<String>());
    }

    /// The deletion of a sale.
    struct Deletion {
        batches: u32,
        /// Pages of tables and indexes that a batch reads, at most.
        pages_max: i64,
        took: Duration,
    }

    /// Deletes a sale with this number of rows.
    async fn delete(rows: u32) -> Deletion {
        let url = testing::database_url();
        crate::db::migrate(&url).await.expect("migrated");
        let tool = connect_for_tool(&url, 1).await.expect("a connection");
        let fixture = include_str!("fixture.sql").replace(":rows", &(rows / TABLES).to_string());
        sqlx::raw_sql(sqlx::AssertSqlSafe(fixture)).execute(&tool).await.expect("the fixture");
        // It has one connection, which reports its own statistics.
        let store = SaleRetentionStore(Database::for_command(&url).expect("a database"));
        let pages = async || -> i64 {
            let flush = sqlx::query("SELECT pg_stat_force_next_flush()").execute(&store.0.pool).await;
            flush.expect("flushed");
            let read = "SELECT sum(coalesce(heap_blks_hit + heap_blks_read, 0) + coalesce(idx_blks_hit + idx_blks_read, 0))::bigint \
                 FROM pg_statio_user_tables";
            sqlx::query_scalar(read).fetch_one(&store.0.pool).await.expect("statistics")
        };
        let mut deletion = Deletion { batches: 0, pages_max: 0, took: Duration::ZERO };
        let mut before = pages().await;
        loop {
            let begun = Instant::now();
            if store.delete_some_of_a_sale().await.expect("deleted").is_none() {
                break;
            }
            deletion.took += begun.elapsed();
            let after = pages().await;
            deletion.pages_max = deletion.pages_max.max(after - before);
            (before, deletion.batches) = (after, deletion.batches + 1);
        }
        let left = "SELECT (SELECT count(*) FROM payments) + (SELECT count(*) FROM holds) + (SELECT count(*) FROM admissions) \
             + (SELECT count(*) FROM record_entries)";
        let left: i64 = sqlx::query_scalar(left).fetch_one(&tool).await.expect("counted");
        assert_eq!(left, 0);
        deletion
    }

    #[tokio::test]
    async fn a_batch_of_a_large_sale_costs_what_one_of_a_small_sale_does() {
        let rows = env::var("FAIRLINE_RETENTION_ROWS").map_or(ROWS, |rows| rows.parse().expect("a number"));
        let mut pages = Vec::new();
        for rows in [rows / 10, rows] {
            let Deletion { batches, pages_max, took } = delete(rows).await;
            let per_s = f64::from(rows) / took.as_secs_f64();
            println!("{rows} rows: {per_s:.0} rows/s, {batches} batches, at most {pages_max} pages in one");
            pages.push(pages_max);
        }
        println!("pages, large to small: {:.2}", pages[1] as f64 / pages[0] as f64);
        assert!(pages[1] * 2 <= pages[0] * 3, "the cost of a batch grows with the sale: {pages:?} pages");
    }
}
