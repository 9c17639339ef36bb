//! Counts of request outcomes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// A slower response counts as slow.
const SLOW: Duration = Duration::from_secs(2);

/// The outcomes of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestStats {
    pub(crate) answered: u32,
    /// Responses with a server error.
    pub(crate) failed: u32,
    /// Purchases that took too long.
    pub(crate) slow: u32,
}

/// The outcomes of requests since the last heartbeat.
#[derive(Debug, Default)]
struct RequestCounts {
    answered: AtomicU32,
    failed: AtomicU32,
    slow: AtomicU32,
}

/// Counts the outcomes of requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestCounter(Arc<RequestCounts>);

impl RequestCounter {
    /// Counts the outcome of a request.
    pub(crate) fn record(&self, failed: bool, took: Duration) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
        self.0.failed.fetch_add(failed.into(), Ordering::AcqRel);
        self.0.slow.fetch_add((took > SLOW).into(), Ordering::AcqRel);
    }

    pub(super) fn take(&self) -> RequestStats {
        let [failed, slow, answered] =
            [&self.0.failed, &self.0.slow, &self.0.answered].map(|count| count.swap(0, Ordering::AcqRel));
        RequestStats { answered, failed, slow }
    }
}
