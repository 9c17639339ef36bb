//! Prepares images on threads that may block, a few at a time.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::prepare::{Prepared, UploadError, UploadType, prepare};

/// Concurrent preparations of images. Each takes up to some 400 MB for a moment.
const AT_ONCE: usize = 1;
/// Images that wait or are prepared. Each keeps its upload in memory.
const QUEUED_MAX: usize = 4;

/// Why an image was not prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The queue is full. The caller may try again.
    #[error("too many images are prepared at the same time")]
    Busy,
    /// The image is rejected.
    #[error(transparent)]
    Rejected(#[from] UploadError),
}

/// Prepares images, a few at a time.
#[derive(Debug, Clone)]
pub struct ImageProcessor {
    queue: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for ImageProcessor {
    fn default() -> Self {
        Self { queue: Arc::new(Semaphore::new(QUEUED_MAX)), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl ImageProcessor {
    /// Whether another image would have to be rejected. Checked before an upload is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.available_permits() == 0
    }

    /// Makes the stored images from an upload.
    ///
    /// # Errors
    /// Returns an error if other images wait, or the upload is rejected.
    pub async fn prepare(&self, bytes: Bytes, upload_type: UploadType) -> Result<Prepared, PrepareError> {
        let queued = self.queue.clone().try_acquire_owned().map_err(|_| PrepareError::Busy)?;
        let place = self.places.clone().acquire_owned().await.map_err(|_| PrepareError::Busy)?;
        // The thread keeps its slot, even if the caller has disconnected.
        let prepared = spawn_blocking(move || {
            let prepared = prepare(&bytes, upload_type);
            drop((queued, place));
            prepared
        });
        // A decoder that panics was given an image that it can't read.
        Ok(prepared.await.unwrap_or(Err(UploadError::Damaged))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_images_than_the_queue_holds_are_rejected() {
        let image_processor = ImageProcessor::default();
        let held = image_processor.places.clone().acquire_owned().await.expect("a place");
        let waiting: Vec<_> = (0..QUEUED_MAX)
            .map(|_| {
                let image_processor = image_processor.clone();
                tokio::spawn(async move { image_processor.prepare(Bytes::from_static(b"x"), UploadType::Png).await })
            })
            .collect();
        while !image_processor.is_full() {
            tokio::task::yield_now().await;
        }
        let refused = image_processor.prepare(Bytes::from_static(b"x"), UploadType::Png).await;
        assert_eq!(refused, Err(PrepareError::Busy));
        drop(held);
        for one in waiting {
            assert_eq!(one.await.expect("no panic"), Err(PrepareError::Rejected(UploadError::OtherType)));
        }
        assert!(!image_processor.is_full(), "the places are free again");
    }
}
