//! The agenda of a tick: the pending work, read in one step after the sale is locked. Pure.

use std::time::Duration;

use fairline_admission::Health;
use sqlx::FromRow;

use super::columns::count;

/// A checkout without a heartbeat for this long is unreachable. Outages of the database do not
/// count.
pub(super) const SILENT: Duration = Duration::from_secs(4);
/// Responses that take longer count as slow; checkout itself counts them.
const SLOW_MS: f64 = 2_000.0;
/// Checkout is slow if more than one response in this many is.
const SLOW_PART: i64 = 20;

/// The pending work, and the inputs of the decision.
#[derive(Debug, FromRow)]
#[allow(missing_docs, reason = "the columns of the query")]
pub struct Agenda {
    pub total: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
    pub admit_now: i32,
    /// The revoked keys. No other is revoked while the sale is locked.
    pub revoked: Vec<String>,
    /// Tokens have expired, or were not claimed in time.
    pub lapses: bool,
    /// The key of outstanding tokens is not valid.
    pub unsigned: bool,
    /// Ended turns are not in the record.
    pub unrecorded: bool,
    /// The current state of admissions is not published.
    pub unpublished: bool,
    /// Actions of operators on tickets are not done yet.
    pub ticket_actions: bool,
    /// Removals are not published in this epoch.
    pub unpublished_removals: bool,
    pub known: i64,
    pub here: i64,
    pub answered: i64,
    pub failed: i64,
    pub slow: i64,
}

impl Agenda {
    /// Extra admissions that an operator has requested.
    pub fn at_once(&self) -> u32 {
        count(self.admit_now)
    }

    /// The health of checkout, from the heartbeats of its processes. Without any, it counts as
    /// healthy.
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

    /// Whether there is pending work that does not come from Redis.
    pub fn is_empty(&self) -> bool {
        !(self.lapses
            || self.unsigned
            || self.unrecorded
            || self.unpublished
            || self.ticket_actions
            || self.unpublished_removals)
    }
}
