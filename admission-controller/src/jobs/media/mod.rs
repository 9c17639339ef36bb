//! Deletes images that no product has used for a while.

pub(crate) mod store;

use std::time::Duration;

use fairline_media::{MediaStore, MediaStoreError};
use tokio::time::timeout;
use tracing::{info, warn};

use self::store::UnusedMediaStore;
use crate::db::StoreError;

/// Hours for which an unused image is kept: an upload waits for its product to be saved.
const UNUSED_KEPT_HOURS: i32 = 24;
/// Images that one pass deletes at most.
const IMAGES_MAX: i64 = 50;
/// The time for the files of one image. The transaction that holds the lock may idle no longer.
const DELETE_WITHIN: Duration = Duration::from_secs(2);

/// Why unused images were not deleted.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeleteMediaError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Storage(#[from] MediaStoreError),
}

/// Deletes the files of unused images, and then their rows.
pub(super) async fn delete_unused(store: &UnusedMediaStore, files: &MediaStore) -> Result<(), DeleteMediaError> {
    let mut deleted = 0;
    for hash in store.withdraw_unused_media(UNUSED_KEPT_HOURS, IMAGES_MAX).await? {
        let Some((mut transaction, names)) = store.lock_unused_media(hash, UNUSED_KEPT_HOURS).await? else { continue };
        let delete = async {
            for name in names {
                files.delete(name).await?;
            }
            Ok::<_, DeleteMediaError>(())
        };
        match timeout(DELETE_WITHIN, delete).await {
            Ok(done) => done?,
            Err(_) => {
                warn!(%hash, "delete unused image failed: the media storage is slow");
                continue;
            }
        }
        store::delete_media(&mut transaction, hash).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        deleted += 1;
    }
    if deleted > 0 {
        info!(deleted, "unused images deleted");
    }
    Ok(())
}
