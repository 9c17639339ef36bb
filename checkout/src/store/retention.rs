//! Personal data, and forgetting it. What leads to somebody is the visitor, whom a ticket cookie names, what was paid with, and what the
//! shop calls a reservation or a payment. Units and amounts stay, for the books.

use fairline_postgres::PgConnection;
use uuid::Uuid;

use super::{Store, StoreError, account, column};
use crate::{account::AccountId, holder::Holders};

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
        let mut unlinked = paid_with.bind(days).bind(UNLINKED_MAX).execute(&self.background).await?.rows_affected();
        for visitors in [
            "UPDATE orders SET visitor = $3, paid_as = CASE WHEN paid_as IS NOT NULL THEN 'forgotten' END WHERE id IN (SELECT id FROM orders \
             WHERE paid_at < now() - make_interval(days => $1) AND (visitor <> $3 OR paid_as <> 'forgotten') LIMIT $2)",
            "UPDATE holds SET visitor = $3, account_id = NULL, \
             reserved_as = CASE WHEN reserved_as IS NOT NULL THEN 'forgotten ' || id END WHERE id IN (SELECT id FROM holds \
             WHERE created_at < now() - make_interval(days => $1) \
             AND (visitor <> $3 OR account_id IS NOT NULL OR reserved_as <> 'forgotten ' || id) AND state NOT IN ('promised', 'held') LIMIT $2)",
            "UPDATE interventions SET visitor = $3 WHERE (line_id, ordinal, kind) IN (SELECT line_id, ordinal, kind FROM interventions \
             WHERE at < now() - make_interval(days => $1) AND visitor <> $3 AND (kind = 'removed' OR done) LIMIT $2)",
            "UPDATE admissions SET visitor = $3 WHERE id IN (SELECT id FROM admissions \
             WHERE issued_at < now() - make_interval(days => $1) AND visitor <> $3 AND state <> 'promised' LIMIT $2)",
        ] {
            let done =
                sqlx::query(visitors).bind(days).bind(UNLINKED_MAX).bind(&NOBODY[..]).execute(&self.background).await?;
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

    /// Forgets, for the shop, who made an order; or under an account's id the account, and who made its orders.
    pub(crate) async fn erase(&self, id: Uuid) -> Result<Erased, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let ended: Option<bool> = sqlx::query_scalar(
            "SELECT state NOT IN ('promised', 'held') AND NOT EXISTS (SELECT FROM payments WHERE hold_id = holds.id \
             AND state IN ('started', 'authorised', 'refund_due')) FROM holds WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        match ended {
            Some(true) => {
                unlink(&mut transaction, &[id]).await?;
                transaction.commit().await?;
                return Ok(Erased::Orders(1));
            }
            Some(false) => return Ok(Erased::UnderWay),
            None => {}
        }
        let is_one: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM accounts WHERE id = $1) OR EXISTS (SELECT FROM holds WHERE account_id = $1)",
        )
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
        drop(transaction);
        if !is_one {
            return Ok(Erased::Unknown);
        }
        Ok(self.forget_account(AccountId(id)).await?.map_or(Erased::UnderWay, Erased::Orders))
    }
}

/// What became of the shop's wish to have somebody forgotten.
#[derive(Debug)]
pub(crate) enum Erased {
    /// So many orders no longer lead to anybody.
    Orders(u64),
    /// One has not ended.
    UnderWay,
    /// There is neither an order nor an account under this id.
    Unknown,
}

/// Unlinks holds, and what led to them and came of them, from whoever made them.
pub(super) async fn unlink(connection: &mut PgConnection, holds: &[Uuid]) -> Result<(), StoreError> {
    for visitors in [
        "UPDATE admissions SET visitor = $2 WHERE id IN (SELECT admission_id FROM holds WHERE id = ANY ($1))",
        "UPDATE interventions SET visitor = $2 WHERE visitor IN (SELECT visitor FROM holds WHERE id = ANY ($1)) AND (kind = 'removed' OR done)",
        "UPDATE holds SET visitor = $2, account_id = NULL, reserved_as = CASE WHEN reserved_as IS NOT NULL THEN 'forgotten ' || id END \
         WHERE id = ANY ($1)",
        "UPDATE orders SET visitor = $2, paid_as = CASE WHEN paid_as IS NOT NULL THEN 'forgotten' END WHERE id = ANY ($1)",
    ] {
        sqlx::query(visitors).bind(holds).bind(&NOBODY[..]).execute(&mut *connection).await?;
    }
    let paid_with = sqlx::query("UPDATE payments SET payment_method = '' WHERE hold_id = ANY ($1)");
    paid_with.bind(holds).execute(connection).await?;
    Ok(())
}
