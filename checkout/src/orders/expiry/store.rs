//! Expiry of holds.

use fairline_sale::SaleId;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    db::{PgPool, StoreError},
    orders::{
        holds::store::hold_after,
        state::{HoldEvent, HoldState},
    },
};

/// Holds that one transaction expires, at most.
const EXPIRED_MAX: i64 = 500;
/// A payment younger than this keeps its hold beyond the hold's expiry. An authorised payment keeps
/// it until the payment ends.
const STARTED_KEEPS_HOLD_S: f64 = 120.0;
/// The same while the gateway does not respond, which is not the shopper's fault. An older payment
/// without a known authorisation is given up.
pub(crate) const UNANSWERED_KEEPS_HOLD_S: f64 = 900.0;
/// A report that the gateway is down is valid for this long after the last heartbeat of its
/// process.
const DOWN_VALID_FOR_S: f64 = 10.0;

/// Whether no payment keeps an expired hold. An authorised payment keeps it until it ends, and a
/// recent one for the first number of seconds; or for the second, if the gateway has not responded
/// or a process has found it down.
macro_rules! no_payment_keeps_it {
    ($seconds:literal, $unanswered_seconds:literal, $believed_seconds:literal) => {
        concat!(
            "NOT EXISTS (SELECT FROM payments WHERE hold_id = holds.id AND (state = 'authorised' \
             OR state = 'started' AND created_at > now() - make_interval(secs => CASE WHEN gateway_ref IS NULL \
                OR EXISTS (SELECT FROM checkouts WHERE gateway_down AND heartbeat_at > now() - make_interval(secs => ",
            $believed_seconds,
            ")) THEN ",
            $unanswered_seconds,
            " ELSE ",
            $seconds,
            " END)))"
        )
    };
}

/// Locks expired holds of a sale that no payment keeps.
const LOCK_EXPIRED: &str = concat!(
    "SELECT id FROM holds WHERE sale_id = $1 AND state IN ('promised', 'held') AND expires_at <= now() AND ",
    no_payment_keeps_it!("$3", "$4", "$5"),
    " ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED"
);

/// Expires these holds. Repeats the check, since it sees every payment that began before the locks
/// were taken.
const EXPIRE: &str = concat!(
    "WITH expired AS (UPDATE holds SET state = $3 FROM (SELECT id, state FROM holds WHERE id = ANY ($2)) AS was \
     WHERE holds.id = was.id AND ",
    no_payment_keeps_it!("$4", "$5", "$6"),
    " RETURNING holds.id, quantity, traceparent, was.state = 'held' AS was_held \
     ), freed AS ( \
        UPDATE stock SET held = held - (SELECT coalesce(sum(quantity), 0) FROM expired WHERE was_held), \
        promised = promised - (SELECT coalesce(sum(quantity), 0) FROM expired WHERE NOT was_held) \
        WHERE sale_id = $1 AND item = 1 AND EXISTS (SELECT FROM expired) RETURNING sale_id \
     ), published AS ( \
        INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, number_events(sale_id, count(*)), 'InventoryReleased', json_agg( \
        json_build_object('order_id', id, 'quantity', quantity, 'reason', 'expired', 'traceparent', traceparent)) \
        FROM expired, freed WHERE was_held GROUP BY sale_id \
     ) \
     SELECT count(*) AS holds, coalesce(sum(quantity), 0) AS units FROM expired"
);

/// Units that went back to the stock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub(crate) struct ExpiredUnits {
    pub(crate) holds: i64,
    pub(crate) units: i64,
}

/// The expiry of holds.
#[derive(Clone)]
pub(crate) struct ExpiryStore(pub(crate) PgPool);

impl ExpiryStore {
    /// Sales with expired holds.
    pub(crate) async fn sales_with_expired_holds(&self) -> Result<Vec<SaleId>, StoreError> {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            // One lookup finds the next sale with holds, and one whether any has expired: LIMIT
            // keeps the planner from reading those of all sales.
            "WITH RECURSIVE selling (id) AS ( \
                (SELECT sale_id FROM holds WHERE state IN ('promised', 'held') ORDER BY sale_id LIMIT 1) UNION ALL \
                SELECT (SELECT sale_id FROM holds WHERE state IN ('promised', 'held') AND sale_id > selling.id ORDER BY sale_id LIMIT 1) \
                FROM selling WHERE id IS NOT NULL \
             ) \
             SELECT id FROM selling WHERE id IS NOT NULL AND (SELECT true FROM holds WHERE sale_id = selling.id \
             AND state IN ('promised', 'held') AND expires_at <= now() LIMIT 1)",
        )
        .fetch_all(&self.0)
        .await?;
        Ok(ids.into_iter().map(SaleId).collect())
    }

    /// Releases the units of expired holds that no payment keeps. Handles one sale at a time, so
    /// that no two sweepers wait for each other's stock.
    pub(crate) async fn expire_holds(&self, sale: SaleId) -> Result<ExpiredUnits, StoreError> {
        let mut transaction = self.0.begin().await?;
        let expired: Vec<Uuid> = sqlx::query_scalar(LOCK_EXPIRED)
            .bind(sale.0)
            .bind(EXPIRED_MAX)
            .bind(STARTED_KEEPS_HOLD_S)
            .bind(UNANSWERED_KEEPS_HOLD_S)
            .bind(DOWN_VALID_FOR_S)
            .fetch_all(&mut *transaction)
            .await?;
        if expired.is_empty() {
            return Ok(ExpiredUnits::default());
        }
        let expired: ExpiredUnits = sqlx::query_as(EXPIRE)
            .bind(sale.0)
            .bind(expired)
            .bind(hold_after(HoldState::Held, HoldEvent::Expire)?.as_str())
            .bind(STARTED_KEEPS_HOLD_S)
            .bind(UNANSWERED_KEEPS_HOLD_S)
            .bind(DOWN_VALID_FOR_S)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(expired)
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statements_of_expiry_match_their_snapshots() {
        assert_snapshot!("lock_expired", statement(LOCK_EXPIRED));
        assert_snapshot!("expire", statement(EXPIRE));
    }
}
