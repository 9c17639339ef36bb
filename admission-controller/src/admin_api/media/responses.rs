//! Images as the admin API shows them.

use fairline_media::{MediaFormat, MediaHash, MediaName};
use serde::Serialize;
use utoipa::ToSchema;

/// A file of an image.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MediaSize {
    /// In pixels.
    width: u32,
    /// Its path on the public address.
    #[schema(example = "/media/5a3c1b…-320.jpg")]
    path: String,
}

impl MediaSize {
    pub(crate) fn of(name: MediaName) -> Self {
        Self { width: name.width, path: format!("/media/{name}") }
    }
}

/// The files of an image, as the database holds them.
pub(crate) fn sizes(hash: MediaHash, format: &str, widths: &[i32]) -> Vec<MediaSize> {
    let format = MediaFormat::of_extension(format).unwrap_or(MediaFormat::Jpeg);
    let size = |width: &i32| MediaSize::of(MediaName { hash, width: width.unsigned_abs(), format });
    widths.iter().map(size).collect()
}
