//! Work in the background: samples of sales, deletion of old rows, crowds of rehearsals.

pub(crate) mod rehearsals;
mod retention;
mod samples {
    mod store;
}

use std::time::Duration;

use fairline_server::Shutdown;
use tracing::warn;

use crate::db::Store;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples between two deletions of old rows: five minutes.
const DELETE_AFTER: u32 = 300;

/// Takes samples, ends rehearsals whose controller has died, and deletes old rows, until shutdown.
pub(crate) async fn run(store: Store, sales_kept_days: Option<u32>, shutdown: Shutdown) {
    let (mut rounds, mut nth) = (shutdown.rounds(SAMPLE_EVERY), 0);
    while rounds.next().await {
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
        nth = (nth + 1) % DELETE_AFTER;
    }
}
