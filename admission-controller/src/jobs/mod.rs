//! Work in the background: samples of sales, deletion of old rows and unused images, crowds of
//! rehearsals.
//!
//! No job decides about a sale. A failed one is logged, and the next round repeats it.

mod media;
pub(crate) mod rehearsals;
mod retention;
mod samples {
    mod store;
}

use std::time::Duration;

use fairline_media::MediaStore;
use fairline_server::Shutdown;
use tracing::warn;

use crate::db::Store;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples between two deletions of old rows: five minutes.
const DELETE_AFTER: u32 = 300;

/// What the work needs.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) store: Store,
    pub(crate) sales_kept_days: Option<u32>,
    /// The storage of images, if one is configured.
    pub(crate) files: Option<MediaStore>,
}

/// Takes samples, ends rehearsals whose controller has died, and deletes old rows and unused
/// images, until shutdown.
pub(crate) async fn run(Work { store, sales_kept_days, files }: Work, shutdown: Shutdown) {
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
        if nth == 0
            && let Some(files) = &files
            && let Err(error) = media::delete_unused(&store, files).await
        {
            warn!(%error, "delete unused images failed");
        }
        nth = (nth + 1) % DELETE_AFTER;
    }
}
