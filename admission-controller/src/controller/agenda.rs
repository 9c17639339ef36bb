//! The agenda of a tick: what there is to do, read in one step once the sale is locked. Pure.

use std::time::Duration;

use fairline_admission::Health;
use sqlx::FromRow;

use super::columns::count;

/// A checkout without a heartbeat for this long is unreachable. Outages of the database do not count.
pub(super) const SILENT: Duration = Duration::from_secs(4);
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
