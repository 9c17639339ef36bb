//! Images, as rows: which files exist.
//!
//! An upload makes its row first, then writes the files, then marks the row as stored. The job that
//! deletes unused images goes the other way, and locks the row while it deletes files.

use fairline_media::{MediaHash, Prepared};

use crate::db::{Database, StoreError};

/// Uploaded images.
#[derive(Clone)]
pub(crate) struct UploadStore(pub(crate) Database);

impl UploadStore {
    /// Inserts the row of an image, or extends the time for which an unused one is kept. Returns
    /// whether its files are stored already.
    pub async fn begin_media(&self, prepared: &Prepared) -> Result<bool, StoreError> {
        let widths: Vec<i32> =
            prepared.renditions.iter().map(|one| i32::try_from(one.width).unwrap_or(i32::MAX)).collect();
        Ok(sqlx::query_scalar(
            "INSERT INTO media AS image (hash, format, width, height, widths) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (hash) DO UPDATE SET unused_since = CASE WHEN image.uses = 0 THEN now() END \
             RETURNING stored_at IS NOT NULL",
        )
        .bind(prepared.hash.0.as_slice())
        .bind(prepared.format.extension())
        .bind(i32::try_from(prepared.width).unwrap_or(i32::MAX))
        .bind(i32::try_from(prepared.height).unwrap_or(i32::MAX))
        .bind(widths)
        .fetch_one(&self.0.pool)
        .await?)
    }

    /// Marks the files of an image as stored. `false` if the row was deleted.
    pub async fn end_media(&self, hash: MediaHash) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE media SET stored_at = now() WHERE hash = $1");
        Ok(done.bind(hash.0.as_slice()).execute(&self.0.pool).await?.rows_affected() == 1)
    }
}
