//! Checks, resizes and stores an uploaded image.

use bytes::Bytes;
use fairline_media::{ImageProcessor, MediaStore, Prepared, UploadType};
use fairline_server::Shutdown;

use super::{error::MediaError, store::UploadStore};

/// Dependencies of the route of uploads.
#[derive(Clone)]
pub(crate) struct Media {
    pub(crate) store: UploadStore,
    /// The storage, if one is configured.
    pub(crate) files: Option<MediaStore>,
    pub(crate) image_processor: ImageProcessor,
    pub(crate) shutdown: Shutdown,
}

impl Media {
    /// Whether an upload can be stored now. Checked before its body takes memory.
    pub(super) fn check_free(&self) -> Result<(), MediaError> {
        if self.files.is_none() {
            return Err(MediaError::NoMedia);
        }
        if self.image_processor.is_full() { Err(MediaError::TooManyUploads) } else { Ok(()) }
    }

    /// Stores an uploaded image. Products refer to it by its hash; unused ones are deleted after a
    /// while.
    pub(super) async fn upload(&self, upload_type: UploadType, bytes: Bytes) -> Result<Prepared, MediaError> {
        let files = self.files.clone().ok_or(MediaError::NoMedia)?;
        let prepared = self.image_processor.prepare(bytes, upload_type).await?;
        // A task of its own: a caller that disconnects leaves no image half stored.
        let store = self.store.clone();
        let stored = self.shutdown.spawn(async move { write(&store, &files, prepared).await });
        stored.await.map_err(|_| MediaError::Failed)?
    }
}

async fn write(store: &UploadStore, files: &MediaStore, prepared: Prepared) -> Result<Prepared, MediaError> {
    if store.begin_media(&prepared).await? {
        return Ok(prepared);
    }
    for (name, bytes) in prepared.files() {
        files.put(name, Bytes::copy_from_slice(bytes)).await?;
    }
    if store.end_media(prepared.hash).await? { Ok(prepared) } else { Err(MediaError::Failed) }
}
