//! Takes samples of how sales go, for the console and its reports, and forgets what was kept long enough.

use std::time::Duration;

use fairline_server::Shutdown;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::store::{Store, StoreError};

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples between two times that old things are forgotten: five minutes.
const FORGET_AFTER: u32 = 300;
/// What a rehearsal leaves behind is kept for so many days, as its samples are.
const REHEARSALS_KEPT_DAYS: i32 = 90;

/// Until asked to stop.
pub(crate) async fn run(store: Store, sales_kept_days: Option<u32>, shutdown: Shutdown) {
    let mut beat = interval(SAMPLE_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for nth in (0..FORGET_AFTER).cycle() {
        tokio::select! {
            _ = beat.tick() => {}
            () = shutdown.triggered() => return,
        }
        fairline_server::beat();
        if let Err(error) = store.sample().await {
            warn!(%error, "how the sales go could not be noted");
        }
        if let Err(error) = store.end_silent_rehearsal().await {
            warn!(%error, "whether a rehearsal has died could not be seen");
        }
        if nth == 0
            && let Err(error) = forget(&store, sales_kept_days).await
        {
            warn!(%error, "forget old rows failed");
        }
    }
}

/// Each, whatever becomes of the others.
async fn forget(store: &Store, sales_kept_days: Option<u32>) -> Result<(), StoreError> {
    let samples = store.forget_old_samples().await;
    let sessions = store.forget_ended_sessions().await;
    let sales_kept_days = sales_kept_days.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
    let rows = store.forget_old_sales(REHEARSALS_KEPT_DAYS, sales_kept_days).await?;
    if rows > 0 {
        info!(rows, "delete rows of old sales succeeded");
    }
    samples.and(sessions)
}
