//! Work in the background: samples of sales, deletion of old rows, crowds of rehearsals.

pub(crate) mod rehearsals;
mod retention;
mod samples {
    mod store;
}

use std::time::Duration;

use fairline_server::Shutdown;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::db::Store;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples between two deletions of old rows: five minutes.
const DELETE_AFTER: u32 = 300;

/// Takes samples, ends rehearsals whose controller has died, and deletes old rows, until shutdown.
pub(crate) async fn run(store: Store, sales_kept_days: Option<u32>, shutdown: Shutdown) {
    let mut beat = interval(SAMPLE_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for nth in (0..DELETE_AFTER).cycle() {
        tokio::select! {
            _ = beat.tick() => {}
            () = shutdown.triggered() => return,
        }
        fairline_server::beat();
        if let Err(error) = store.sample().await {
            warn!(%error, "take samples failed");
        }
        if let Err(error) = store.end_silent_rehearsal().await {
            warn!(%error, "end silent rehearsal failed");
        }
        if nth == 0
            && let Err(error) = retention::delete_old_rows(&store, sales_kept_days).await
        {
            warn!(%error, "delete old rows failed");
        }
    }
}
