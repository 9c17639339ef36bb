//! Checks an uploaded image, and makes the images that are stored from it. Pure.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits, Rgba,
    codecs::{jpeg::JpegEncoder, webp::WebPEncoder},
    imageops::FilterType,
    metadata::Orientation,
};
use sha2::{Digest as _, Sha256};

use crate::name::{MediaFormat, MediaHash, MediaName, WIDTHS};

/// The longest upload, in bytes.
pub const BYTES_MAX: usize = 10 * 1024 * 1024;
/// The maximum number of pixels of an upload.
pub const PIXELS_MAX: u64 = 40_000_000;
/// The maximum width and height of an upload, in pixels.
pub const SIDE_MAX: u32 = 16_384;

/// Memory for a decoded upload, in bytes: 40 megapixels with four channels, and some.
const DECODED_BYTES_MAX: u64 = 192 * 1024 * 1024;
const JPEG_QUALITY: u8 = 82;
/// The longest colour profile that is kept.
const PROFILE_BYTES_MAX: usize = 64 * 1024;
/// Part of the hash: raise it when the stored images change, since the content of a name never
/// changes.
const RECIPE: &[u8] = b"fairline-media 1\0";

/// The types of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadType {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
    /// `image/webp`.
    WebP,
}

/// Why an upload is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// It has another type than declared, or none of the known ones.
    #[error("the content is not an image of the declared type")]
    OtherType,
    /// It has too many bytes.
    #[error("the image has more than {} bytes", BYTES_MAX)]
    TooLong,
    /// It has too many pixels.
    #[error("the image has more than {} megapixels, or a side of more than {} pixels", PIXELS_MAX / 1_000_000, SIDE_MAX)]
    TooLarge,
    /// It can't be decoded to its end.
    #[error("the image is damaged")]
    Damaged,
}

/// The images that are stored for an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The hash in their names.
    pub hash: MediaHash,
    /// Their format.
    pub format: MediaFormat,
    /// The width of the upload, as it is shown.
    pub width: u32,
    /// The height of the upload, as it is shown.
    pub height: u32,
    /// The images, from the narrowest.
    pub renditions: Vec<Rendition>,
}

/// An image in one width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Its width in pixels.
    pub width: u32,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Prepared {
    /// The images that are stored, with their names.
    pub fn files(&self) -> impl Iterator<Item = (MediaName, &[u8])> {
        let name = |width| MediaName { hash: self.hash, width, format: self.format };
        self.renditions.iter().map(move |one| (name(one.width), one.bytes.as_slice()))
    }
}

impl UploadType {
    /// The type that a `Content-Type` names.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        match content_type.split(';').next()?.trim().to_ascii_lowercase().as_str() {
            "image/jpeg" => Some(Self::Jpeg),
            "image/png" => Some(Self::Png),
            "image/webp" => Some(Self::WebP),
            _ => None,
        }
    }

    fn format(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::WebP => ImageFormat::WebP,
        }
    }
}

/// The hash under which an upload is stored.
pub(crate) fn hash_of(bytes: &[u8]) -> MediaHash {
    MediaHash(Sha256::new_with_prefix(RECIPE).chain_update(bytes).finalize().into())
}

/// Makes the stored images from an upload. Takes up to seconds: call it on a thread that may block.
///
/// # Errors
/// Returns an error if the upload is not an image of its type, is damaged, or exceeds a limit.
pub fn prepare(bytes: &[u8], upload_type: UploadType) -> Result<Prepared, UploadError> {
    if bytes.len() > BYTES_MAX {
        return Err(UploadError::TooLong);
    }
    let Decoded { mut image, orientation, profile } = decoded(bytes, upload_type)?;
    let is_turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    // As it is shown.
    let (width, height) = if is_turned { (image.height(), image.width()) } else { (image.width(), image.height()) };
    let mut widths = WIDTHS.map(|most| most.min(width)).to_vec();
    widths.dedup();
    let (mut renditions, mut format) = (Vec::new(), MediaFormat::Jpeg);
    // Each one is made from the next larger one; turning a small one costs little.
    for (nth, width_shown) in widths.into_iter().rev().enumerate() {
        let height_shown = scaled(height, width_shown, width);
        let (across, down) = if is_turned { (height_shown, width_shown) } else { (width_shown, height_shown) };
        image = shrunk(image, across, down);
        if nth == 0 {
            (image, format) = plain(image);
        }
        let mut shown = unweighted(image.clone());
        shown.apply_orientation(orientation);
        renditions.insert(0, Rendition { width: width_shown, bytes: encoded(&shown, format, profile.as_deref())? });
    }
    Ok(Prepared { hash: hash_of(bytes), format, width, height, renditions })
}

struct Decoded {
    /// RGB, or RGBA with colours weighted by alpha.
    image: DynamicImage,
    orientation: Orientation,
    profile: Option<Vec<u8>>,
}

fn decoded(bytes: &[u8], upload_type: UploadType) -> Result<Decoded, UploadError> {
    let format = upload_type.format();
    if image::guess_format(bytes).ok() != Some(format) {
        return Err(UploadError::OtherType);
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let rejected = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => UploadError::TooLarge,
        _ => UploadError::Damaged,
    };
    let mut decoder = reader.into_decoder().map_err(rejected)?;
    let (width, height) = decoder.dimensions();
    let is_too_large = u64::from(width) * u64::from(height) > PIXELS_MAX || decoder.total_bytes() > DECODED_BYTES_MAX;
    if is_too_large {
        return Err(UploadError::TooLarge);
    }
    // Without orientation or profile, the image is shown as it is.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten().filter(|profile| is_rgb_profile(profile));
    let image = DynamicImage::from_decoder(decoder).map_err(rejected)?;
    let image = if image.color().has_alpha() { weighted(image) } else { DynamicImage::ImageRgb8(image.into_rgb8()) };
    Ok(Decoded { image, orientation, profile })
}

/// Whether a colour profile is short and describes RGB: without it, photos of many phones look
/// pale. It does not reveal where or by whom a photo was taken.
fn is_rgb_profile(profile: &[u8]) -> bool {
    profile.len() <= PROFILE_BYTES_MAX && profile.get(16..20) == Some(b"RGB ") && profile.get(36..40) == Some(b"acsp")
}

/// The length of a side after scaling the other one from `of` to `to`; at least a pixel.
fn scaled(length: u32, to: u32, of: u32) -> u32 {
    let scaled = (u64::from(length) * u64::from(to) + u64::from(of) / 2) / u64::from(of.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

/// Makes an image smaller: averaging first, where it is much smaller, which takes little time and
/// memory.
fn shrunk(mut image: DynamicImage, width: u32, height: u32) -> DynamicImage {
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    if image.width() > 3 * width && image.height() > 3 * height {
        image = image.thumbnail_exact(2 * width, 2 * height);
    }
    image.resize_exact(width, height, FilterType::Lanczos3)
}

/// An image whose pixels are all opaque as RGB, and the format to store an image in.
fn plain(image: DynamicImage) -> (DynamicImage, MediaFormat) {
    match image {
        DynamicImage::ImageRgba8(pixels) if pixels.pixels().any(|Rgba([.., alpha])| *alpha < u8::MAX) => {
            (DynamicImage::ImageRgba8(pixels), MediaFormat::WebP)
        }
        image => (DynamicImage::ImageRgb8(image.into_rgb8()), MediaFormat::Jpeg),
    }
}

/// Weights colours by alpha, so that the colour of invisible pixels does not bleed into others when
/// the image is resized.
fn weighted(image: DynamicImage) -> DynamicImage {
    let mut pixels = image.into_rgba8();
    for Rgba([red, green, blue, alpha]) in pixels.pixels_mut() {
        for colour in [red, green, blue] {
            *colour = u8::try_from((u16::from(*colour) * u16::from(*alpha) + 127) / 255).unwrap_or(u8::MAX);
        }
    }
    DynamicImage::ImageRgba8(pixels)
}

/// Takes the weight back.
fn unweighted(image: DynamicImage) -> DynamicImage {
    let DynamicImage::ImageRgba8(mut pixels) = image else { return image };
    for Rgba([red, green, blue, alpha]) in pixels.pixels_mut() {
        let weight = u16::from(*alpha).max(1);
        for colour in [red, green, blue] {
            *colour = u8::try_from((u16::from(*colour) * 255 + weight / 2) / weight).unwrap_or(u8::MAX);
        }
    }
    DynamicImage::ImageRgba8(pixels)
}

fn encoded(image: &DynamicImage, format: MediaFormat, profile: Option<&[u8]>) -> Result<Vec<u8>, UploadError> {
    let mut bytes = Vec::new();
    // An encoder that does not support profiles leaves the profile out.
    let written = match format {
        MediaFormat::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
            profile.into_iter().for_each(|profile| drop(encoder.set_icc_profile(profile.to_vec())));
            image.write_with_encoder(encoder)
        }
        MediaFormat::WebP => {
            let mut encoder = WebPEncoder::new_lossless(&mut bytes);
            profile.into_iter().for_each(|profile| drop(encoder.set_icc_profile(profile.to_vec())));
            image.write_with_encoder(encoder)
        }
    };
    written.map_err(|_| UploadError::Damaged)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
