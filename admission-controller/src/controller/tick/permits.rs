//! Limits the ticks that use a connection to Postgres at the same time.

use tokio::sync::{Semaphore, SemaphorePermit};

/// One in this many connections serves the sales whose last tick failed.
const FAILING_SHARE: u32 = 4;

/// Sales whose last tick failed share a quarter of the connections, so however many of them wait
/// for a lock or a silent Redis shard, the others keep three quarters.
pub(crate) struct Permits {
    healthy: Semaphore,
    failing: Semaphore,
}

impl Permits {
    /// Shares out this many connections.
    pub(crate) fn new(connections: u32) -> Self {
        let failing = (connections / FAILING_SHARE).max(1);
        let semaphore = |permits: u32| Semaphore::new(usize::try_from(permits).unwrap_or(1));
        Self { healthy: semaphore(connections.saturating_sub(failing).max(1)), failing: semaphore(failing) }
    }

    pub(crate) async fn acquire(&self, has_failed: bool) -> SemaphorePermit<'_> {
        let share = if has_failed { &self.failing } else { &self.healthy };
        share.acquire().await.expect("the semaphore is never closed")
    }
}
