//! The heartbeat reports the health of this checkout process.
//!
//! - Controllers admit fewer shoppers while a checkout is slow, fails or has stopped.
//! - Other checkouts read whether this one has found the payment gateway down.

pub(crate) mod stats;
pub(crate) mod store;

use std::{collections::VecDeque, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use fairline_payment_gateway::CircuitState;
use fairline_server::Shutdown;
use tracing::warn;
use uuid::Uuid;

use crate::jobs::heartbeat::{
    stats::{RequestCounter, RequestStats},
    store::HeartbeatStore,
};

const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// A round that takes longer counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Rounds that are reported as one sum.
const ROUNDS_SUMMED: usize = 5;

/// A layer that counts the outcome of each payment. It ignores the duration: that depends on the
/// payment gateway, and on banks that authenticate their customer first.
pub(crate) async fn count_payment(State(health): State<RequestCounter>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    health.record(response.status().is_server_error(), Duration::ZERO);
    response
}

/// Reports once a second until shutdown, and then deregisters this checkout.
pub(crate) fn start(health: RequestCounter, circuit: CircuitState, store: HeartbeatStore, shutdown: &Shutdown) {
    let id = Uuid::now_v7();
    shutdown.keep("heartbeat", STALLED_AFTER, move |stop| {
        let (health, circuit, store) = (health.clone(), circuit.clone(), store.clone());
        async move {
            let (mut rounds, mut recent) = (stop.rounds(HEARTBEAT_EVERY), RecentStats::default());
            while rounds.next().await {
                let stored = store.heartbeat(id, recent.with(health.take()), circuit.is_open()).await;
                recent.stored(stored.is_ok());
                if let Err(error) = stored {
                    warn!(%error, "checkout heartbeat failed");
                }
            }
            if let Err(error) = store.deregister(id).await {
                warn!(%error, "deregister checkout failed; it expires in a minute");
            }
        }
    });
}

/// The stats of the last rounds. Those that could not be stored are dropped, with those of the
/// round in which Postgres came back: failures without Postgres do not reflect the load of
/// admissions, and controllers would slow down for seconds.
#[derive(Debug, Default)]
struct RecentStats {
    last: VecDeque<RequestStats>,
    missed: bool,
}

impl RecentStats {
    /// Adds a round and returns the sum to be stored.
    fn with(&mut self, stats: RequestStats) -> RequestStats {
        if self.last.len() == ROUNDS_SUMMED {
            self.last.pop_front();
        }
        if !self.missed {
            self.last.push_back(stats);
        }
        sum(&self.last)
    }

    /// Records whether the sum was stored.
    fn stored(&mut self, is_stored: bool) {
        if !is_stored {
            self.last.clear();
        }
        self.missed = !is_stored;
    }
}

fn sum<'a>(rounds: impl IntoIterator<Item = &'a RequestStats>) -> RequestStats {
    let add = |all: RequestStats, one: &RequestStats| RequestStats {
        answered: all.answered.saturating_add(one.answered),
        failed: all.failed.saturating_add(one.failed),
        slow: all.slow.saturating_add(one.slow),
    };
    let RequestStats { answered, failed, slow } = rounds.into_iter().fold(RequestStats::default(), add);
    // A response may be counted in this round, and its failure in the next.
    RequestStats { answered, failed: failed.min(answered), slow: slow.min(answered) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_outcome_is_counted_once() {
        let health = RequestCounter::default();
        health.record(false, Duration::from_millis(3));
        health.record(true, Duration::from_secs(3));
        let stats = health.take();
        assert_eq!(stats, RequestStats { answered: 2, failed: 1, slow: 1 });
        assert_eq!(health.take(), RequestStats::default());
        assert_eq!(sum(&[stats, stats]), RequestStats { answered: 4, failed: 2, slow: 2 });
    }

    #[test]
    fn failures_without_postgres_are_dropped() {
        let mut recent = RecentStats::default();
        let [well, failing] = [0, 9].map(|failed| RequestStats { answered: 10, failed, slow: 0 });
        let two = RequestStats { answered: 20, failed: 9, slow: 0 };
        assert_eq!(recent.with(well), well);
        recent.stored(true);
        assert_eq!(recent.with(failing), two);
        recent.stored(false);
        // Postgres comes back within this round, in which some requests have failed.
        assert_eq!(recent.with(failing), RequestStats::default());
        recent.stored(true);
        assert_eq!(recent.with(failing), failing);
        recent.stored(true);
        for nth in 2..9 {
            assert_eq!(recent.with(well).answered, 10 * nth.min(ROUNDS_SUMMED as u32));
            recent.stored(true);
        }
    }
}
