//! Personal data, and forgetting it. What leads to somebody is the visitor, whom a ticket cookie names, and what was paid with.
//! Units and amounts stay, for the books.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Store, StoreError, account, column};
use crate::holder::Holders;

/// Rows of a table that are unlinked at once, at most.
const UNLINKED_MAX: i64 = 5000;
/// The visitor that nobody is, since ids are random.
pub(super) const NOBODY: [u8; 16] = [0; 16];

impl Store {
    /// Unlinks orders, and what led to them, from those who made them more than so many days ago: some of them. Gives how many
    /// rows that were.
    pub(crate) async fn unlink_old(&self, days: u32) -> Result<u64, StoreError> {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let paid_with = sqlx::query(
            "UPDATE payments SET payment_method = '' WHERE id IN (SELECT id FROM payments \
             WHERE created_at < now() - make_interval(days => $1) AND payment_method <> '' \
             AND state NOT IN ('started', 'authorised', 'refund_due') LIMIT $2)",
        );
        let mut unlinked = paid_with.bind(days).bind(UNLINKED_MAX).execute(&self.pool).await?.rows_affected();
        for visitors in [
            "UPDATE orders SET visitor = $3 WHERE id IN (SELECT id FROM orders \
             WHERE paid_at < now() - make_interval(days => $1) AND visitor <> $3 LIMIT $2)",
            "UPDATE holds SET visitor = $3, account_id = NULL WHERE id IN (SELECT id FROM holds \
             WHERE created_at < now() - make_interval(days => $1) AND (visitor <> $3 OR account_id IS NOT NULL) AND state NOT IN ('promised', 'held') LIMIT $2)",
            "UPDATE admissions SET visitor = $3 WHERE id IN (SELECT id FROM admissions \
             WHERE issued_at < now() - make_interval(days => $1) AND visitor <> $3 AND state <> 'promised' LIMIT $2)",
        ] {
            let done =
                sqlx::query(visitors).bind(days).bind(UNLINKED_MAX).bind(&NOBODY[..]).execute(&self.pool).await?;
            unlinked += done.rows_affected();
        }
        Ok(unlinked)
    }

    /// Unlinks those orders of these holders that have ended. Gives how many that were.
    pub(crate) async fn forget(&self, holders: &Holders) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let ended: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM holds WHERE (visitor = ANY ($1) OR account_id = $2) AND state NOT IN ('promised', 'held') AND NOT EXISTS (SELECT FROM payments \
             WHERE hold_id = holds.id AND state IN ('started', 'authorised', 'refund_due'))",
        )
        .bind(column(holders))
        .bind(account(holders))
        .fetch_all(&mut *transaction)
        .await?;
        unlink(&mut transaction, &ended).await?;
        transaction.commit().await?;
        Ok(ended.len() as u64)
    }
}

/// Unlinks holds, and what led to them and came of them, from whoever made them.
pub(super) async fn unlink(connection: &mut PgConnection, holds: &[Uuid]) -> Result<(), StoreError> {
    for visitors in [
        "UPDATE admissions SET visitor = $2 WHERE id IN (SELECT admission_id FROM holds WHERE id = ANY ($1))",
        "UPDATE holds SET visitor = $2, account_id = NULL WHERE id = ANY ($1)",
        "UPDATE orders SET visitor = $2 WHERE id = ANY ($1)",
    ] {
        sqlx::query(visitors).bind(holds).bind(&NOBODY[..]).execute(&mut *connection).await?;
    }
    let paid_with = sqlx::query("UPDATE payments SET payment_method = '' WHERE hold_id = ANY ($1)");
    paid_with.bind(holds).execute(connection).await?;
    Ok(())
}
