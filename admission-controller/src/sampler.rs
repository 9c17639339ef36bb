//! Takes samples of how sales go, for the console and its reports, and forgets what was kept long enough.

use std::time::Duration;

use fairline_service::Shutdown;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::store::{Store, StoreError};

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples between two times that old things are forgotten: five minutes.
const FORGET_AFTER: u32 = 300;

/// Until asked to stop.
pub(crate) async fn run(store: Store, shutdown: Shutdown) {
    let mut beat = interval(SAMPLE_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for nth in (0..FORGET_AFTER).cycle() {
        tokio::select! {
            _ = beat.tick() => {}
            () = shutdown.triggered() => return,
        }
        fairline_service::beat();
        if let Err(error) = store.sample().await {
            warn!(%error, "how the sales go could not be noted");
        }
        if let Err(error) = store.end_silent_rehearsal().await {
            warn!(%error, "whether a rehearsal has died could not be seen");
        }
        if nth == 0
            && let Err(error) = forget(&store).await
        {
            warn!(%error, "old samples and sessions could not be forgotten");
        }
    }
}

/// Each, whatever becomes of the other.
async fn forget(store: &Store) -> Result<(), StoreError> {
    let samples = store.forget_old_samples().await;
    store.forget_ended_sessions().await?;
    samples
}
