//! Images of products: checked, resized, and stored under the hash of their content.
//!
//! - [`prepare()`] decodes an uploaded image within limits, and re-encodes it in a few widths: none
//!   of the uploaded bytes are kept, and so no locations, cameras or hidden files.
//! - [`ImageProcessor`] runs that on a few threads, and rejects more work than it can queue.
//! - [`MediaStore`] keeps the results in a folder or in S3-compatible storage. A [`MediaName`]
//!   never gets other content, so it can be cached for ever; it names no file outside the store.
//!
//! Contains no concept of a product, and calls no database.
//!
//! ```
//! use std::io::Cursor;
//!
//! use fairline_media::{MediaFormat, UploadError, UploadType, prepare};
//! use image::{ImageFormat, RgbImage};
//!
//! let mut upload = Cursor::new(Vec::new());
//! RgbImage::new(40, 30).write_to(&mut upload, ImageFormat::Png).expect("a PNG");
//!
//! let prepared = prepare(upload.get_ref(), UploadType::Png)?;
//! assert_eq!((prepared.width, prepared.height, prepared.format), (40, 30, MediaFormat::Jpeg));
//! assert_eq!(prepare(b"<svg/>", UploadType::Png), Err(UploadError::OtherType));
//! # Ok::<(), UploadError>(())
//! ```

mod image_processor;
mod name;
mod prepare;
mod s3;
mod store;

pub use self::{
    image_processor::{ImageProcessor, PrepareError},
    name::{InvalidMediaName, MediaFormat, MediaHash, MediaName, WIDTHS},
    prepare::{BYTES_MAX, PIXELS_MAX, Prepared, Rendition, SIDE_MAX, UploadError, UploadType, prepare},
    store::{InvalidStorageUrl, MediaStore, MediaStoreError},
};
