//! Work in the background: samples of sales, statistics of tables, deletion of old rows and unused
//! images, crowds of rehearsals.
//!
//! No job makes decisions about a sale. A failed job is logged, and repeated in the next round.

pub(crate) mod media;
pub(crate) mod rehearsals;
pub(crate) mod retention;
pub(crate) mod samples {
    pub(crate) mod store;
}
pub(crate) mod statistics {
    pub(crate) mod store;
}

use std::time::Duration;

use fairline_media::MediaStore;
use fairline_server::Shutdown;
use tracing::warn;

use self::{
    media::store::UnusedMediaStore, rehearsals::store::RehearsalStore, retention::Retention,
    samples::store::SampleStore, statistics::store::StatisticsStore,
};

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples between two reads of the sizes of tables.
const ANALYSE_AFTER: u32 = 5;
/// Samples between two deletions of old rows: five minutes.
const DELETE_AFTER: u32 = 300;

/// Dependencies of the jobs.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) samples: SampleStore,
    pub(crate) statistics: StatisticsStore,
    pub(crate) rehearsals: RehearsalStore,
    pub(crate) retention: Retention,
    pub(crate) unused_media: UnusedMediaStore,
    /// The storage of images, if one is configured.
    pub(crate) files: Option<MediaStore>,
}

/// Takes samples, ends rehearsals whose controller has died, and deletes old rows and unused
/// images, until shutdown.
pub(crate) async fn run(work: Work, shutdown: Shutdown) {
    let (mut rounds, mut nth) = (shutdown.rounds(SAMPLE_EVERY), 0);
    while rounds.next().await {
        if let Err(error) = work.samples.sample().await {
            warn!(%error, "take samples failed");
        }
        if let Err(error) = work.rehearsals.end_silent_rehearsal().await {
            warn!(%error, "end silent rehearsal failed");
        }
        if nth % ANALYSE_AFTER == 0
            && let Err(error) = work.statistics.analyse_grown().await
        {
            warn!(%error, "analyse tables failed");
        }
        if nth == 0
            && let Err(error) = work.retention.delete_old_rows().await
        {
            warn!(%error, "delete old rows failed");
        }
        if nth == 0
            && let Some(files) = &work.files
            && let Err(error) = media::delete_unused(&work.unused_media, files).await
        {
            warn!(%error, "delete unused images failed");
        }
        nth = (nth + 1) % DELETE_AFTER;
    }
}
