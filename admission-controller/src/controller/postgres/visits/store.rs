//! The observations of the control law: visits, counted from the rows that they leave behind.

use fairline_admission::{BIN_STARTS_S, Memory, Prior, QUANTITIES, STAGES, Visits};
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::{controller::postgres::LockedSale, db::StoreError};

/// How much later than their time events are taken in, in seconds: transactions of checkout commit
/// later than the time that they write.
const SETTLED_S: f64 = 1.0;

/// Counts visits. LATERAL with LIMIT makes the planner go from each new payment to its hold, not
/// through all holds of the sale.
const COUNT_VISITS: &str = "WITH seen (what, stage, age, at) AS ( \
        SELECT CASE WHEN claimed_at IS NULL AND claim_by <= $6 THEN 'lapsed' ELSE 'under_way' END, \
            CASE WHEN claimed_at IS NULL THEN 0 ELSE 1 END, $6 - coalesce(claimed_at, issued_at), NULL::integer \
        FROM admissions WHERE sale_id = $1 AND state = 'promised' \
        UNION ALL SELECT CASE WHEN payments.id IS NULL AND reserved_as IS NULL THEN 'under_way' ELSE 'paying' END, 2, \
            $6 - holds.created_at, NULL \
        FROM holds LEFT JOIN payments ON hold_id = holds.id AND payments.state IN ('started', 'authorised') \
        WHERE sale_id = $1 AND holds.state IN ('promised', 'held') \
        UNION ALL SELECT 'moved_on', 0, claimed_at - issued_at, NULL \
        FROM admissions WHERE sale_id = $1 AND claimed_at > $4 AND claimed_at <= $5 \
        UNION ALL SELECT 'moved_on', 1, holds.created_at - coalesce(claimed_at, issued_at), NULL \
        FROM holds JOIN admissions ON admissions.id = admission_id \
        WHERE holds.sale_id = $1 AND holds.created_at > $4 AND holds.created_at <= $5 \
        UNION ALL SELECT 'moved_on', 2, payments.created_at - holds.created_at, NULL \
        FROM payments CROSS JOIN LATERAL (SELECT sale_id, created_at FROM holds WHERE id = hold_id LIMIT 1) AS holds \
        WHERE sale_id = $1 AND payments.created_at > $4 AND payments.created_at <= $5 \
        UNION ALL SELECT 'left', CASE WHEN claimed_at IS NULL THEN 0 ELSE 1 END, \
            left_at - coalesce(claimed_at, issued_at), NULL \
        FROM admissions WHERE sale_id = $1 AND left_at > $4 AND left_at <= $5 \
        UNION ALL SELECT 'moved_on', 2, paid_at - holds.created_at, NULL \
        FROM orders JOIN holds USING (id) WHERE orders.sale_id = $1 AND paid_as IS NOT NULL AND reserved_as IS NULL \
        AND paid_at > $4 AND paid_at <= $5 \
        UNION ALL SELECT 'left', 2, cancelled_at - created_at, NULL \
        FROM holds WHERE sale_id = $1 AND reserved_as IS NULL AND cancelled_at > $4 AND cancelled_at <= $5 \
        UNION ALL SELECT 'failed', 2, interval '0', NULL \
        FROM payments CROSS JOIN LATERAL (SELECT sale_id FROM holds WHERE id = hold_id LIMIT 1) AS holds WHERE sale_id = $1 \
        AND payments.state IN ('declined', 'voided') AND payments.updated_at > $4 AND payments.updated_at <= $5 \
        UNION ALL SELECT 'paid', 2, interval '0', least(orders.quantity, $3) - 1 \
        FROM orders JOIN holds USING (id) WHERE orders.sale_id = $1 AND reserved_as IS NULL \
        AND paid_at > $4 AND paid_at <= $5 \
    ) \
    SELECT what, stage, coalesce(at, greatest(width_bucket(date_part('epoch', age), $2), 1) - 1) AS at, \
    count(*) AS visits FROM seen GROUP BY 1, 2, 3";

/// A count: what is counted, in which stage, at which age or of how many units.
#[derive(FromRow)]
struct Count {
    what: String,
    stage: i32,
    at: i32,
    visits: i64,
}

impl LockedSale {
    /// See [`LockedLedger::visits`](crate::controller::ledger::LockedLedger::visits).
    pub(in crate::controller::postgres) async fn read_visits(
        &mut self,
    ) -> Result<(Visits, OffsetDateTime), StoreError> {
        let now = self.sale.now;
        let until = now - time::Duration::seconds_f64(SETTLED_S);
        // After a clock was set back, nothing is taken in until it has caught up.
        let after = if self.sale.observed_at > now { until } else { self.sale.observed_at };
        let until = until.max(after);
        let counts: Vec<Count> = sqlx::query_as(COUNT_VISITS)
            .bind(self.sale.id)
            .bind(BIN_STARTS_S)
            .bind(i32::try_from(QUANTITIES).unwrap_or(i32::MAX))
            .bind(after)
            .bind(until)
            .bind(now)
            .fetch_all(&mut *self.transaction)
            .await?;
        let mut visits = Visits::default();
        for Count { what, stage, at, visits: count } in counts {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let (stage, at) = (usize::try_from(stage).unwrap_or(0).min(STAGES - 1), usize::try_from(at).unwrap_or(0));
            match what.as_str() {
                "under_way" => visits.under_way.0[stage][at] = count,
                "moved_on" => visits.moved_on.0[stage][at] = count,
                "left" => visits.left.0[stage][at] = count,
                "lapsed" => visits.lapsed += count,
                "paying" => visits.paying += count,
                "failed" => visits.failed += count,
                _ => {
                    visits.paid += count;
                    visits.quantities[at.min(QUANTITIES - 1)] += count;
                }
            }
        }
        Ok((visits, until))
    }

    /// See [`LockedLedger::prior`](crate::controller::ledger::LockedLedger::prior).
    pub(in crate::controller::postgres) async fn read_prior(&mut self) -> Result<Prior, StoreError> {
        let read = |prior: &str| serde_json::from_str(prior).ok();
        if let Some(prior) = self.sale.prior.as_deref().and_then(read) {
            return Ok(prior);
        }
        let earlier: Option<(Option<String>, String)> =
            sqlx::query_as("SELECT prior::text, memory::text FROM lines WHERE id = $1")
                .bind(self.sale.prior_sale)
                .fetch_optional(&mut *self.transaction)
                .await?;
        let prior = earlier.map_or_else(Prior::cautious, |(prior, memory)| {
            let memory = Memory::read(&memory);
            prior.as_deref().and_then(read).unwrap_or_else(Prior::cautious).after(&memory.learned)
        });
        if let Ok(text) = serde_json::to_string(&prior) {
            let keep = sqlx::query("UPDATE lines SET prior = $2::jsonb WHERE id = $1");
            keep.bind(self.sale.id).bind(text).execute(&mut *self.transaction).await?;
        }
        Ok(prior)
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statement_of_visits_matches_its_snapshot() {
        assert_snapshot!("count_visits", statement(COUNT_VISITS));
    }
}
