//! Checks, resizes and stores an uploaded image.

use axum::body::{Body, Bytes};
use fairline_media::{BYTES_MAX, MediaStore, Prepared, UploadType, Workshop};
use fairline_server::{Problem, Shutdown, read_body};

use super::{error::MediaError, store::UploadStore};

/// What the route of uploads needs.
#[derive(Clone)]
pub(crate) struct Media {
    pub(crate) store: UploadStore,
    /// The storage, if one is configured.
    pub(crate) files: Option<MediaStore>,
    pub(crate) workshop: Workshop,
    pub(crate) shutdown: Shutdown,
}

impl Media {
    /// Stores an uploaded image. Products refer to it by its hash; unused ones are deleted after a
    /// while.
    pub(super) async fn upload(&self, upload_type: UploadType, body: Body) -> Result<Prepared, Problem> {
        let files = self.files.clone().ok_or(MediaError::NoMedia)?;
        // Before the body takes memory.
        if self.workshop.is_full() {
            return Err(MediaError::TooManyUploads.into());
        }
        let bytes = read_body(body, BYTES_MAX).await?;
        let prepared = self.workshop.prepare(bytes, upload_type).await.map_err(MediaError::from)?;
        // A task of its own: a caller that disconnects leaves no image half stored.
        let store = self.store.clone();
        let stored = self.shutdown.spawn(async move { write(&store, &files, prepared).await });
        Ok(stored.await.map_err(|_| MediaError::Failed)??)
    }
}

async fn write(store: &UploadStore, files: &MediaStore, prepared: Prepared) -> Result<Prepared, MediaError> {
    if store.begin_media(&prepared).await? {
        return Ok(prepared);
    }
    for (name, bytes) in prepared.files() {
        files.put(name, Bytes::copy_from_slice(bytes)).await.map_err(MediaError::from)?;
    }
    if store.end_media(prepared.hash).await? { Ok(prepared) } else { Err(MediaError::Failed) }
}
