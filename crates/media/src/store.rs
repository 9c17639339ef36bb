//! The storage of images: a folder, or S3-compatible storage.

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use bytes::Bytes;
use fairline_http_client::HttpClient;
use object_store::{
    BackoffConfig, Error, ObjectStore, ObjectStoreExt as _, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path, prefix::PrefixStore,
};
use tokio::time::timeout;

use crate::{name::MediaName, prepare::BYTES_MAX, s3::Connector};

/// The deadline of a call, with its repetitions.
const WITHIN: Duration = Duration::from_secs(10);
/// The deadline of one request to S3.
const REQUEST_WITHIN: Duration = Duration::from_secs(4);
const RETRIES_MAX: usize = 2;
/// A stored image is never longer: what is encoded is at most 1280 pixels wide.
const RESPONSE_BYTES_MAX: usize = 8 * BYTES_MAX;

/// Stores images by their names.
#[derive(Debug, Clone)]
pub struct MediaStore(Arc<dyn ObjectStore>);

/// The URL of the storage is not valid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStorageUrl {
    /// It is neither a folder nor a bucket.
    #[error("use file:///folder or s3://bucket/prefix")]
    Other,
    /// The folder can't be used.
    #[error("the folder {folder} can't be used: {why}")]
    Folder {
        /// Its path.
        folder: String,
        /// The reason.
        why: String,
    },
    /// The settings of S3 are not complete.
    #[error("the settings of S3 (AWS_*) are not valid: {0}")]
    S3(String),
}

/// The storage does not respond, or has rejected a call.
#[derive(Debug, thiserror::Error)]
#[error("media storage failed: {0}")]
pub struct MediaStoreError(pub String);

impl MediaStore {
    /// Opens a folder, which is created if it is missing (`file:///var/lib/fairline/media`), or a
    /// bucket (`s3://bucket/prefix`), whose credentials, region and endpoint are in the usual
    /// variables (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`).
    /// Connects with the first call.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid or the folder can't be created.
    pub fn open(url: &str) -> Result<Self, InvalidStorageUrl> {
        if let Some(folder) = url.strip_prefix("file://") {
            return Self::folder(FilePath::new(folder));
        }
        let place = url.strip_prefix("s3://").ok_or(InvalidStorageUrl::Other)?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(InvalidStorageUrl::Other);
        }
        let client = HttpClient::new(REQUEST_WITHIN).with_response_bytes_max(RESPONSE_BYTES_MAX);
        let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: WITHIN };
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_http_connector(Connector(client))
            .with_retry(retry)
            .build()
            .map_err(|error| InvalidStorageUrl::S3(error.to_string()))?;
        let prefix = Path::parse(prefix).map_err(|_| InvalidStorageUrl::Other)?;
        Ok(Self(Arc::new(PrefixStore::new(store, prefix))))
    }

    fn folder(folder: &FilePath) -> Result<Self, InvalidStorageUrl> {
        let unusable = |why: String| InvalidStorageUrl::Folder { folder: folder.display().to_string(), why };
        if !folder.is_absolute() {
            return Err(InvalidStorageUrl::Other);
        }
        std::fs::create_dir_all(folder).map_err(|error| unusable(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| unusable(error.to_string()))?;
        Ok(Self(Arc::new(store)))
    }

    /// Stores an image. Storing it again changes nothing.
    ///
    /// # Errors
    /// Returns an error if the storage does not confirm it.
    pub async fn put(&self, name: MediaName, bytes: Bytes) -> Result<(), MediaStoreError> {
        in_time(self.0.put(&path(name), bytes.into())).await?.map_err(failed)?;
        Ok(())
    }

    /// Reads an image, if there is one.
    ///
    /// # Errors
    /// Returns an error if the storage does not respond.
    pub async fn get(&self, name: MediaName) -> Result<Option<Bytes>, MediaStoreError> {
        let path = path(name);
        let read = async { self.0.get(&path).await?.bytes().await };
        match in_time(read).await? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Deletes an image, if there is one.
    ///
    /// # Errors
    /// Returns an error if the storage does not confirm it.
    pub async fn delete(&self, name: MediaName) -> Result<(), MediaStoreError> {
        match in_time(self.0.delete(&path(name))).await? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: Error) -> MediaStoreError {
    MediaStoreError(error.to_string())
}

async fn in_time<T>(
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<object_store::Result<T>, MediaStoreError> {
    timeout(WITHIN, call).await.map_err(|_| MediaStoreError(format!("no response within {} s", WITHIN.as_secs())))
}

/// The place of an image: in one of 256 folders. A name has only letters, digits, `-` and `.`.
fn path(name: MediaName) -> Path {
    let name = name.to_string();
    Path::from_iter([&name[..2], name.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{MediaFormat, MediaHash};

    const NAME: MediaName = MediaName { hash: MediaHash([0xa5; 32]), width: 320, format: MediaFormat::Jpeg };

    #[tokio::test]
    async fn a_folder_keeps_images() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = MediaStore::open(&format!("file://{}/new/media", folder.path().display())).expect("opened");
        assert_eq!(store.get(NAME).await.expect("a response"), None);
        for _ in 0..2 {
            store.put(NAME, Bytes::from_static(b"image")).await.expect("stored");
        }
        assert_eq!(store.get(NAME).await.expect("a response"), Some(Bytes::from_static(b"image")));
        let file = folder.path().join("new/media/a5").join(NAME.to_string());
        assert_eq!(std::fs::read(file).expect("a file"), b"image");
        for _ in 0..2 {
            store.delete(NAME).await.expect("deleted");
        }
        assert_eq!(store.get(NAME).await.expect("a response"), None);
    }

    #[test]
    fn urls_name_a_folder_or_a_bucket() {
        for url in ["", "media", "file://", "file://media", "s3://", "s3:///x", "https://media.example", "/media"] {
            assert!(matches!(MediaStore::open(url), Err(InvalidStorageUrl::Other)), "{url}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("file"), "").expect("written");
        let url = format!("file://{}/file", folder.path().display());
        assert!(matches!(MediaStore::open(&url), Err(InvalidStorageUrl::Folder { .. })), "{url}");
    }

    #[tokio::test]
    async fn a_bucket_that_does_not_respond_is_an_error() {
        // No server listens there; the credentials are those of a test.
        let store = AmazonS3Builder::new()
            .with_bucket_name("media")
            .with_access_key_id("id")
            .with_secret_access_key("key")
            .with_endpoint("http://127.0.0.1:1")
            .with_allow_http(true)
            .with_http_connector(Connector(HttpClient::new(REQUEST_WITHIN)))
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .build()
            .expect("built");
        let store = MediaStore(Arc::new(store));
        assert!(store.get(NAME).await.is_err());
        assert!(store.put(NAME, Bytes::from_static(b"image")).await.is_err());
    }
}
