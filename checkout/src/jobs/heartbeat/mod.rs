//! The heartbeat reports the health of this checkout process.
//!
//! - Controllers admit fewer shoppers while a checkout is slow, fails or is gone.
//! - Other checkouts read whether this one has found the payment gateway down.

pub(crate) mod store;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use fairline_server::Shutdown;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use uuid::Uuid;

use crate::{db::Store, payments::gateway::circuit_breaker::CircuitState};

/// A slower response counts as slow.
const SLOW: Duration = Duration::from_secs(2);
const BEAT: Duration = Duration::from_secs(1);
/// A round that takes longer counts as stalled.
const STANDS_STILL: Duration = Duration::from_secs(30);
/// Beats that are reported as one sum.
const BEATS_TOLD: usize = 5;

/// The outcomes of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestStats {
    pub(crate) answered: u32,
    /// Responses with a server error.
    pub(crate) failed: u32,
    /// Purchases that took too long.
    pub(crate) slow: u32,
}

/// The outcomes of requests since the last beat.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU32,
    failed: AtomicU32,
    slow: AtomicU32,
}

/// Counts the outcomes of requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health(Arc<Counts>);

impl Health {
    /// Counts the outcome of a request.
    pub(crate) fn note(&self, failed: bool, took: Duration) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
        self.0.failed.fetch_add(failed.into(), Ordering::AcqRel);
        self.0.slow.fetch_add((took > SLOW).into(), Ordering::AcqRel);
    }

    fn take(&self) -> RequestStats {
        let [failed, slow, answered] =
            [&self.0.failed, &self.0.slow, &self.0.answered].map(|count| count.swap(0, Ordering::AcqRel));
        RequestStats { answered, failed, slow }
    }
}

/// A layer that counts the outcome of each payment. It ignores the duration: that depends on the
/// payment company, and on banks that ask their customer first.
pub(crate) async fn paid(State(health): State<Health>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    health.note(response.status().is_server_error(), Duration::ZERO);
    response
}

/// Reports once a second until shutdown, and then deregisters this checkout.
pub(crate) fn start(health: Health, gateway: CircuitState, store: Store, shutdown: &Shutdown) {
    let id = Uuid::now_v7();
    shutdown.keep("heartbeat", STANDS_STILL, move |stop| {
        let (health, gateway, store) = (health.clone(), gateway.clone(), store.clone());
        async move {
            let (mut beat, mut beats) = (interval(BEAT), Beats::default());
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = beat.tick() => {}
                    () = stop.triggered() => break,
                }
                fairline_server::beat();
                let noted = store.heartbeat(id, beats.with(health.take()), gateway.is_away()).await;
                beats.noted(noted.is_ok());
                if let Err(error) = noted {
                    warn!(%error, "checkout heartbeat failed");
                }
            }
            if let Err(error) = store.take_leave(id).await {
                warn!(%error, "deregister checkout failed; it expires in a minute");
            }
        }
    });
}

/// The last beats.
///
/// Failures while Postgres is unreachable say nothing about the load of admissions; with them,
/// controllers would slow down for seconds after it is back. So beats that could not be stored are
/// dropped, together with the beat in which Postgres came back.
#[derive(Debug, Default)]
struct Beats {
    last: VecDeque<RequestStats>,
    missed: bool,
}

impl Beats {
    /// Adds a beat and returns the sum to be stored.
    fn with(&mut self, stats: RequestStats) -> RequestStats {
        if self.last.len() == BEATS_TOLD {
            self.last.pop_front();
        }
        if !self.missed {
            self.last.push_back(stats);
        }
        sum(&self.last)
    }

    /// Records whether the sum was stored.
    fn noted(&mut self, is_noted: bool) {
        if !is_noted {
            self.last.clear();
        }
        self.missed = !is_noted;
    }
}

fn sum<'a>(beats: impl IntoIterator<Item = &'a RequestStats>) -> RequestStats {
    let add = |all: RequestStats, one: &RequestStats| RequestStats {
        answered: all.answered.saturating_add(one.answered),
        failed: all.failed.saturating_add(one.failed),
        slow: all.slow.saturating_add(one.slow),
    };
    let RequestStats { answered, failed, slow } = beats.into_iter().fold(RequestStats::default(), add);
    // A response may be counted in this beat, and its failure in the next.
    RequestStats { answered, failed: failed.min(answered), slow: slow.min(answered) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_requests_is_counted_once() {
        let health = Health::default();
        health.note(false, Duration::from_millis(3));
        health.note(true, Duration::from_secs(3));
        let stats = health.take();
        assert_eq!(stats, RequestStats { answered: 2, failed: 1, slow: 1 });
        assert_eq!(health.take(), RequestStats::default());
        assert_eq!(sum(&[stats, stats]), RequestStats { answered: 4, failed: 2, slow: 2 });
    }

    #[test]
    fn what_failed_while_postgres_was_away_is_forgotten() {
        let mut beats = Beats::default();
        let [well, failing] = [0, 9].map(|failed| RequestStats { answered: 10, failed, slow: 0 });
        let two = RequestStats { answered: 20, failed: 9, slow: 0 };
        assert_eq!(beats.with(well), well);
        beats.noted(true);
        assert_eq!(beats.with(failing), two);
        beats.noted(false);
        // Postgres comes back within this beat, in which some requests have failed.
        assert_eq!(beats.with(failing), RequestStats::default());
        beats.noted(true);
        assert_eq!(beats.with(failing), failing);
        beats.noted(true);
        for nth in 2..9 {
            assert_eq!(beats.with(well).answered, 10 * nth.min(BEATS_TOLD as u32));
            beats.noted(true);
        }
    }
}
