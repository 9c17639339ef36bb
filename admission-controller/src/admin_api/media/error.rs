//! Why an image is not stored or shown, and the mapping to HTTP.

use fairline_media::{MediaStoreError, PrepareError, UploadError};
use fairline_server::Problem;
use tracing::error;

use crate::{db::StoreError, error::CommonError, problem_types};

/// Why a request about an image was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    #[error("no storage for images is configured")]
    NoMedia,
    #[error("the request body is not an image")]
    UnsupportedImage,
    #[error(transparent)]
    Rejected(UploadError),
    #[error("too many images are uploaded at the same time")]
    TooManyUploads,
    #[error("there is no such image")]
    ImageNotFound,
    #[error(transparent)]
    Storage(#[from] MediaStoreError),
    #[error("an internal error occurred")]
    Failed,
    #[error(transparent)]
    Common(CommonError),
}

impl From<PrepareError> for MediaError {
    fn from(not_prepared: PrepareError) -> Self {
        match not_prepared {
            PrepareError::Busy => Self::TooManyUploads,
            PrepareError::Rejected(rejected) => Self::Rejected(rejected),
        }
    }
}

impl From<StoreError> for MediaError {
    fn from(error: StoreError) -> Self {
        Self::Common(error.into())
    }
}

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::NoMedia => Self::new(&problem_types::IMAGES_NOT_CONFIGURED)
                .detail("Start the controllers with `FAIRLINE_MEDIA_URL`; see docs/operations.md."),
            MediaError::UnsupportedImage => Self::new(&problem_types::UNSUPPORTED_IMAGE)
                .detail("Send a JPEG, PNG or WebP image with the header `Content-Type: image/jpeg`, `image/png` or `image/webp`."),
            MediaError::Rejected(rejected) => {
                Self::new(&problem_types::IMAGE_REJECTED).detail(format!("It was not stored: {rejected}."))
            }
            MediaError::TooManyUploads => {
                Self::unavailable("Other images are being prepared. Try again in a few seconds.")
            }
            MediaError::ImageNotFound => {
                Self::new(&problem_types::IMAGE_NOT_FOUND).detail("It was deleted, or the path is wrong.")
            }
            MediaError::Storage(_) => {
                error!(%error, "read or write image failed");
                Self::unavailable("The storage of images does not respond. Try again.")
            }
            MediaError::Failed => {
                error!(%error, "store image failed");
                Self::new(&fairline_server::problem_types::INTERNAL)
                    .detail("The request failed and was logged. Try again.")
            }
            MediaError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(MediaError {
            NoMedia,
            UnsupportedImage,
            Rejected(UploadError::Damaged),
            TooManyUploads,
            ImageNotFound,
            Storage(MediaStoreError("no response within 10 s".to_owned())),
            Failed,
            Common(CommonError::Store(StoreError::Corrupt("a row".to_owned()))),
        }))
    }
}
