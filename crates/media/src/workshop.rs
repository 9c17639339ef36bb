//! Prepares images on threads that may block, a few at a time.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::prepare::{Prepared, Rejected, UploadType, prepare};

/// Concurrent preparations of images. Each takes up to some 400 MB for a moment.
const AT_ONCE: usize = 1;
/// Images that wait or are prepared. Each keeps its upload in memory.
const QUEUED_MAX: usize = 4;

/// Why an image was not prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPrepared {
    /// The queue is full. The caller may try again.
    #[error("too many images are prepared at the same time")]
    Busy,
    /// The image is rejected.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// Prepares images, a few at a time.
#[derive(Debug, Clone)]
pub struct Workshop {
    queue: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Workshop {
    fn default() -> Self {
        Self { queue: Arc::new(Semaphore::new(QUEUED_MAX)), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Workshop {
    /// Whether another image would have to be rejected. Checked before an upload is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.available_permits() == 0
    }

    /// Makes the stored images from an upload.
    ///
    /// # Errors
    /// Returns an error if other images wait, or the upload is rejected.
    pub async fn prepare(&self, bytes: Bytes, upload_type: UploadType) -> Result<Prepared, NotPrepared> {
        let queued = self.queue.clone().try_acquire_owned().map_err(|_| NotPrepared::Busy)?;
        let place = self.places.clone().acquire_owned().await.map_err(|_| NotPrepared::Busy)?;
        // The thread keeps its slot, even if the caller has disconnected.
        let prepared = spawn_blocking(move || {
            let prepared = prepare(&bytes, upload_type);
            drop((queued, place));
            prepared
        });
        // A decoder that panics was given an image that it can't read.
        Ok(prepared.await.unwrap_or(Err(Rejected::Damaged))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_images_than_the_queue_holds_are_rejected() {
        let workshop = Workshop::default();
        let held = workshop.places.clone().acquire_owned().await.expect("a place");
        let waiting: Vec<_> = (0..QUEUED_MAX)
            .map(|_| {
                let workshop = workshop.clone();
                tokio::spawn(async move { workshop.prepare(Bytes::from_static(b"x"), UploadType::Png).await })
            })
            .collect();
        while !workshop.is_full() {
            tokio::task::yield_now().await;
        }
        let refused = workshop.prepare(Bytes::from_static(b"x"), UploadType::Png).await;
        assert_eq!(refused, Err(NotPrepared::Busy));
        drop(held);
        for one in waiting {
            assert_eq!(one.await.expect("no panic"), Err(NotPrepared::Rejected(Rejected::OtherType)));
        }
        assert!(!workshop.is_full(), "the places are free again");
    }
}
