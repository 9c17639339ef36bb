//! Unused images. Withdrawn first, so that no product can refer to one any more; then locked while
//! its files are deleted, so that an upload of the same image waits and writes them again.

use fairline_media::{MediaFormat, MediaHash, MediaName};
use fairline_postgres::{PgConnection, Transaction};

use crate::db::{Database, StoreError};

/// The deletion of unused images.
#[derive(Clone)]
pub(crate) struct UnusedMediaStore(pub(crate) Database);

impl UnusedMediaStore {
    /// Withdraws images that were unused for a number of hours, also those of an earlier pass that
    /// was interrupted. Returns their hashes.
    pub async fn withdraw_unused_media(&self, hours: i32, limit: i64) -> Result<Vec<MediaHash>, StoreError> {
        let withdrawn: Vec<Vec<u8>> = sqlx::query_scalar(
            "UPDATE media SET stored_at = NULL WHERE hash = ANY (ARRAY (SELECT hash FROM media \
             WHERE unused_since < now() - make_interval(hours => $1) ORDER BY unused_since LIMIT $2 FOR UPDATE SKIP LOCKED)) \
             RETURNING hash",
        )
        .bind(hours)
        .bind(limit)
        .fetch_all(&self.0.pool)
        .await?;
        Ok(withdrawn.iter().filter_map(|hash| MediaHash::from_bytes(hash)).collect())
    }

    /// Locks a withdrawn image that was not uploaded again. Returns the names of its files.
    pub async fn lock_unused_media(
        &self,
        hash: MediaHash,
        hours: i32,
    ) -> Result<Option<(Transaction, Vec<MediaName>)>, StoreError> {
        let mut transaction = self.0.pool.begin().await?;
        let row: Option<(String, Vec<i32>)> = sqlx::query_as(
            "SELECT format, widths FROM media WHERE hash = $1 AND stored_at IS NULL \
             AND unused_since < now() - make_interval(hours => $2) FOR UPDATE SKIP LOCKED",
        )
        .bind(hash.0.as_slice())
        .bind(hours)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((format, widths)) = row else { return Ok(None) };
        let format = MediaFormat::of_extension(&format).unwrap_or(MediaFormat::Jpeg);
        let name = |width: i32| MediaName { hash, width: width.unsigned_abs(), format };
        Ok(Some((transaction, widths.into_iter().map(name).collect())))
    }
}

/// Deletes the row of an image.
pub async fn delete_media(connection: &mut PgConnection, hash: MediaHash) -> Result<(), StoreError> {
    let gone = sqlx::query("DELETE FROM media WHERE hash = $1");
    gone.bind(hash.0.as_slice()).execute(connection).await?;
    Ok(())
}
