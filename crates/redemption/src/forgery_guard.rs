//! Ignores a visitor for a while after many forged tokens, since checking a signature is expensive.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fairline_sale::VisitorId;
use tokio::time::Instant;

use crate::generational_cache::GenerationalCache;

/// Forged tokens of one visitor that are checked, so that a few mistakes do not block the genuine
/// token.
const CHECKED_MAX: u32 = 20;
/// How long such a visitor is ignored.
const IGNORED_FOR: Duration = Duration::from_secs(30);
/// Visitors that are remembered at least; twice as many at most, so that a crowd can't evict
/// itself. One takes about 50 bytes.
const KNOWN_MAX: usize = 65_536;

/// Visitors with forged tokens: how many, and when the last.
#[derive(Clone, Default)]
pub struct ForgeryGuard(Arc<Mutex<GenerationalCache<VisitorId, (u32, Instant), KNOWN_MAX>>>);

impl ForgeryGuard {
    /// Whether a visitor's tokens are ignored now.
    #[must_use]
    pub fn ignores(&self, visitor: VisitorId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&visitor).copied();
        known.is_some_and(|(forged, last)| forged >= CHECKED_MAX && last.elapsed() < IGNORED_FOR)
    }

    /// Records a forged token of a visitor.
    pub fn record(&self, visitor: VisitorId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before =
            known.get(&visitor).filter(|(_, last)| last.elapsed() < IGNORED_FOR).map_or(0, |(forged, _)| *forged);
        known.keep(visitor, (before.saturating_add(1), Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_forger_is_ignored_for_a_while() {
        let (forgery_guard, forger, other) = (ForgeryGuard::default(), VisitorId([1; 16]), VisitorId([2; 16]));
        for _ in 0..CHECKED_MAX {
            assert!(!forgery_guard.ignores(forger));
            forgery_guard.record(forger);
        }
        assert!(forgery_guard.ignores(forger) && !forgery_guard.ignores(other));
        tokio::time::advance(IGNORED_FOR).await;
        assert!(!forgery_guard.ignores(forger));
        forgery_guard.record(forger);
        assert!(!forgery_guard.ignores(forger), "it starts again");
    }
}
