//! The size of a run.

use std::time::Duration;

/// The size of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunSize {
    /// Rounds, each of our services and the baselines in turn.
    pub(crate) rounds: usize,
    /// Shoppers per round who redeem by direct calls, and how many of them concurrently.
    pub(crate) batched: usize,
    pub(crate) at_once: usize,
    /// Shoppers per round who redeem over HTTP.
    pub(crate) over_http: usize,
    /// Order requests per redemption in the load whose transactions Postgres counts.
    pub(crate) asked: usize,
    /// Clients over HTTP: few, and many.
    pub(crate) few: usize,
    pub(crate) many: usize,
    /// Duration of each baseline per round, and its clients.
    pub(crate) baseline: Duration,
    pub(crate) baseline_clients: usize,
    /// Requests offered per second, for how long, and with how many waiting shoppers.
    pub(crate) offered_per_s: usize,
    pub(crate) offered_for: Duration,
    pub(crate) waiting: usize,
    /// Tokens rejected per round.
    pub(crate) rejected: usize,
    /// Shoppers who redeem while checkout and Postgres are killed, and how often each is.
    pub(crate) through_crashes: usize,
    pub(crate) crashes: usize,
    /// Seconds for each way to sync a file.
    pub(crate) fsync_s: u32,
}

impl RunSize {
    /// The published size.
    pub(crate) fn full() -> Self {
        Self {
            rounds: 3,
            batched: 100_000,
            at_once: 2_000,
            over_http: 20_000,
            asked: 3,
            few: 64,
            many: 1_000,
            baseline: Duration::from_secs(8),
            baseline_clients: 64,
            offered_per_s: 20_500,
            offered_for: Duration::from_secs(6),
            waiting: 2_000,
            rejected: 60_000,
            through_crashes: 40_000,
            crashes: 3,
            fsync_s: 2,
        }
    }

    /// A few seconds in total.
    pub(crate) fn smoke() -> Self {
        Self {
            rounds: 1,
            batched: 50,
            at_once: 10,
            over_http: 50,
            asked: 3,
            few: 4,
            many: 10,
            baseline: Duration::from_secs(1),
            baseline_clients: 4,
            offered_per_s: 500,
            offered_for: Duration::from_secs(1),
            waiting: 10,
            rejected: 60,
            through_crashes: 200,
            crashes: 1,
            fsync_s: 1,
        }
    }
}
