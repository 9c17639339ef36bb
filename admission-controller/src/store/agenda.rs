//! What a tick finds to do, read in one step once the sale is locked: what is not to be done costs no statement of its own.

use std::time::Duration;

use fairline_admission::Health;
use fairline_sale::Status;
use sqlx::FromRow;
use uuid::Uuid;

use super::{LockedSale, StoreError, count};

/// A checkout without a heartbeat for this long is unreachable. Outages of the database do not count.
const SILENT: Duration = Duration::from_secs(4);
/// Answers that take longer count as slow; checkout itself counts them.
const SLOW_MS: f64 = 2_000.0;
/// Checkout is slow when more than one answer in so many is.
const SLOW_PART: i64 = 20;

/// What there is to do, and what decides.
#[derive(Debug, FromRow)]
#[allow(missing_docs, reason = "the columns of the query")]
pub struct Agenda {
    pub total: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
    pub admit_now: i32,
    /// The keys whose tokens are not to be believed: as long as the sale is locked, no other is revoked.
    pub revoked: Vec<String>,
    /// Tokens have run out, or were not claimed in time.
    pub lapses: bool,
    /// Tokens are out whose key is not one of the good ones.
    pub unsigned: bool,
    /// Turns are over that the record has not heard of.
    pub unrecorded: bool,
    /// Redis has not heard of admissions as they are now.
    pub unpublished: bool,
    /// An operator has removed or preferred tickets, and that is not done yet.
    pub interventions: bool,
    /// Redis has not heard of all that were taken out, in this epoch.
    pub untold: bool,
    pub known: i64,
    pub here: i64,
    pub answered: i64,
    pub failed: i64,
    pub slow: i64,
}

impl Agenda {
    /// How many an operator wants in at once.
    pub fn at_once(&self) -> u32 {
        count(self.admit_now)
    }

    /// How checkout fares, by the account of its processes. Where none has ever said anything, all is well.
    pub fn checkout(&self) -> Health {
        let small = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        let is_slow = self.slow * SLOW_PART > self.answered;
        Health {
            reachable: self.known == 0 || self.here > 0,
            requests: small(self.answered),
            failures: small(self.failed),
            latency_p95_ms: if is_slow { SLOW_MS * 2.0 } else { 0.0 },
            latency_max_ms: SLOW_MS,
        }
    }

    /// Whether there is something to do that does not come from Redis.
    pub fn is_empty(&self) -> bool {
        !(self.lapses || self.unsigned || self.unrecorded || self.unpublished || self.interventions || self.untold)
    }
}

impl LockedSale {
    /// What [`Locked::agenda`](crate::ledger::Locked::agenda) gives.
    pub(super) async fn read_agenda(&mut self, good_keys: &[String]) -> Result<Agenda, StoreError> {
        let (lines, epochs): (Vec<Uuid>, Vec<i32>) = self.sale.lines.iter().map(|line| (line.id, line.epoch)).unzip();
        let agenda: Agenda = sqlx::query_as(
            "SELECT total, stock.promised, held, sold, admit_now, ARRAY(SELECT kid FROM revoked_keys) AS revoked, \
             coalesce(out.lapses, false) AS lapses, coalesce(out.unsigned, false) AS unsigned, \
             told.unrecorded IS NOT NULL AS unrecorded, told.unpublished IS NOT NULL AS unpublished, \
             EXISTS (SELECT FROM interventions WHERE line_id = ANY($2) AND NOT done) AS interventions, told.untold > 0 AS untold, \
             known, here, answered, failed, slow \
             FROM stock JOIN lines ON lines.id = stock.sale_id \
             CROSS JOIN LATERAL (SELECT bool_or($4 OR expires_at <= now() OR (claimed_at IS NULL AND claim_by <= now())) AS lapses, \
                bool_or(NOT kid = ANY($3)) AS unsigned FROM admissions WHERE sale_id = $1 AND state = 'promised') AS out \
             CROSS JOIN LATERAL (SELECT max(unrecorded::text) AS unrecorded, max(coalesce(unpublished, live)::text) AS unpublished, \
                count(untold) AS untold FROM unnest($2, $6) AS line (id, epoch) \
                LEFT JOIN LATERAL (SELECT id AS unrecorded FROM admissions WHERE line_id = line.id AND recorded_state <> state \
                    ORDER BY issued_at LIMIT 1) AS to_record ON true \
                LEFT JOIN LATERAL (SELECT id AS unpublished FROM admissions WHERE line_id = line.id \
                    AND published_state IS DISTINCT FROM state ORDER BY issued_at LIMIT 1) AS to_publish ON true \
                LEFT JOIN LATERAL (SELECT id AS live FROM admissions WHERE line_id = line.id AND state = 'promised' \
                    AND published_epoch < line.epoch LIMIT 1) AS to_tell ON true \
                LEFT JOIN LATERAL (SELECT ordinal AS untold FROM interventions WHERE line_id = line.id AND kind = 'removed' \
                    AND told_epoch < line.epoch LIMIT 1) AS to_take_out ON true) AS told \
             CROSS JOIN LATERAL (SELECT count(*) AS known, count(*) FILTER (WHERE here) AS here, \
                coalesce(sum(answered) FILTER (WHERE here), 0) AS answered, \
                coalesce(sum(failed) FILTER (WHERE here), 0) AS failed, coalesce(sum(slow) FILTER (WHERE here), 0) AS slow \
                FROM (SELECT *, beat_at > clock_timestamp() - make_interval(secs => $5) AS here FROM checkouts) AS said) AS said \
             WHERE stock.sale_id = $1",
        )
        .bind(self.sale.row.id)
        .bind(lines)
        .bind(good_keys)
        .bind(self.sale.row.stored_status() == Status::Closed)
        .bind((SILENT + self.sale.row.away_for(SILENT)).as_secs_f64())
        .bind(epochs)
        .fetch_one(&mut *self.transaction)
        .await?;
        self.sale.row.take_stock(&agenda);
        Ok(agenda)
    }
}
