//! Uploads of all kinds: honest, damaged and hostile.

use image::{GenericImageView as _, ImageBuffer, Rgb, RgbImage, RgbaImage, codecs::png::PngEncoder};

use super::*;

/// An image whose left half is red and whose right half is blue.
fn two_halves(width: u32, height: u32) -> RgbImage {
    ImageBuffer::from_fn(width, height, |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) })
}

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_with_encoder(PngEncoder::new(&mut bytes)).expect("encoded");
    bytes
}

fn jpeg(image: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).expect("JPEG has metadata");
    }
    image.write_with_encoder(encoder).expect("encoded");
    bytes
}

/// The metadata of a camera: an orientation, and a text.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
    // Software (0x0131), text of 12 bytes at offset 38. Orientation (0x0112), one short.
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0".iter().chain([orientation, 0, 0].iter()));
    exif.extend(b"\x01\x31\0\x02\0\0\0\x0c\0\0\0\x26\0\0\0\0SECRET-PLACE");
    exif
}

fn open(rendition: &Rendition) -> DynamicImage {
    image::load_from_memory(&rendition.bytes).expect("an image")
}

fn widths(prepared: &Prepared) -> Vec<u32> {
    prepared.renditions.iter().map(|rendition| rendition.width).collect()
}

/// Whether a pixel is about this colour.
fn is_about(image: &DynamicImage, (x, y): (u32, u32), colour: [u8; 3]) -> bool {
    let pixel = image.get_pixel(x, y).0;
    pixel.iter().zip(colour).all(|(one, other)| one.abs_diff(other) < 40)
}

#[test]
fn an_image_is_resized_to_a_few_widths_and_never_enlarged() {
    for (width, height, expected) in [
        (2000, 1000, vec![320, 640, 1280]),
        (1280, 1280, vec![320, 640, 1280]),
        (1000, 10, vec![320, 640, 1000]),
        (100, 2000, vec![100]),
        (1, 1, vec![1]),
    ] {
        let prepared = prepare(&jpeg(&two_halves(width, height), None), UploadType::Jpeg).expect("prepared");
        assert_eq!((widths(&prepared), prepared.format), (expected, MediaFormat::Jpeg), "{width} x {height}");
        assert_eq!((prepared.width, prepared.height), (width, height));
        for rendition in &prepared.renditions {
            let shown = open(rendition);
            assert_eq!((shown.width(), shown.height()), (rendition.width, scaled(height, rendition.width, width)));
        }
    }
    let prepared = prepare(&jpeg(&two_halves(2000, 1000), None), UploadType::Jpeg).expect("prepared");
    let small = open(&prepared.renditions[0]);
    assert!(is_about(&small, (20, 80), [255, 0, 0]) && is_about(&small, (300, 80), [0, 0, 255]));
}

#[test]
fn the_same_upload_has_the_same_hash() {
    let (one, other) = (jpeg(&two_halves(10, 10), None), jpeg(&two_halves(11, 10), None));
    assert_eq!(prepare(&one, UploadType::Jpeg), prepare(&one, UploadType::Jpeg));
    assert!(hash_of(&one) != hash_of(&other));
}

#[test]
fn images_are_turned_as_their_camera_was_and_metadata_is_removed() {
    // Red is on the left; the orientation determines where it is shown.
    for (orientation, is_turned, red, blue) in [
        (1, false, (10, 50), (190, 50)),
        (2, false, (190, 50), (10, 50)),
        (3, false, (190, 50), (10, 50)),
        (4, false, (10, 50), (190, 50)),
        (5, true, (50, 10), (50, 190)),
        (6, true, (50, 10), (50, 190)),
        (7, true, (50, 190), (50, 10)),
        (8, true, (50, 190), (50, 10)),
    ] {
        let upload = jpeg(&two_halves(200, 100), Some(exif(orientation)));
        let holds = |bytes: &[u8]| bytes.windows(12).any(|text| text == b"SECRET-PLACE");
        assert!(holds(&upload), "the control");
        let prepared = prepare(&upload, UploadType::Jpeg).expect("prepared");
        let expected = if is_turned { (100, 200) } else { (200, 100) };
        assert_eq!((prepared.width, prepared.height), expected, "{orientation}");
        let shown = open(&prepared.renditions[0]);
        assert_eq!((shown.width(), shown.height()), expected, "{orientation}");
        assert!(is_about(&shown, red, [255, 0, 0]) && is_about(&shown, blue, [0, 0, 255]), "{orientation}");
        assert!(!holds(&prepared.renditions[0].bytes));
    }
    // A wide photo that is shown upright: its shown width counts.
    let upright = prepare(&jpeg(&two_halves(2000, 1000), Some(exif(6))), UploadType::Jpeg).expect("prepared");
    assert_eq!((widths(&upright), upright.height), (vec![320, 640, 1000], 2000));
}

#[test]
fn transparent_images_keep_their_alpha_and_opaque_ones_become_jpeg() {
    // Invisible pixels are green, and must not colour the edge of the red ones.
    let image: RgbaImage =
        ImageBuffer::from_fn(700, 700, |x, _| if x < 350 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 255, 0, 0]) });
    let prepared = prepare(&png(&DynamicImage::ImageRgba8(image)), UploadType::Png).expect("prepared");
    assert_eq!((widths(&prepared), prepared.format), (vec![320, 640, 700], MediaFormat::WebP));
    let small = open(&prepared.renditions[0]).into_rgba8();
    assert_eq!((small.get_pixel(10, 100).0, small.get_pixel(310, 100).0[3]), ([255, 0, 0, 255], 0));
    assert!(small.pixels().all(|pixel| pixel.0[3] < 20 || pixel.0[1] < 20), "no green edge");

    let opaque: RgbaImage = ImageBuffer::from_pixel(10, 10, Rgba([1, 2, 3, 255]));
    let prepared = prepare(&png(&DynamicImage::ImageRgba8(opaque)), UploadType::Png).expect("prepared");
    assert_eq!(prepared.format, MediaFormat::Jpeg);
    let deep = DynamicImage::ImageRgb8(two_halves(400, 10)).into_rgb16();
    assert!(prepare(&png(&DynamicImage::ImageRgb16(deep)), UploadType::Png).is_ok());
    let grey = DynamicImage::ImageRgb8(two_halves(10, 10)).into_luma8();
    assert!(prepare(&png(&DynamicImage::ImageLuma8(grey)), UploadType::Png).is_ok());
    let mut webp = Vec::new();
    DynamicImage::ImageRgb8(two_halves(10, 10))
        .write_with_encoder(WebPEncoder::new_lossless(&mut webp))
        .expect("encoded");
    assert_eq!(prepare(&webp, UploadType::WebP).map(|prepared| prepared.format), Ok(MediaFormat::Jpeg));
}

#[test]
fn another_type_is_rejected() {
    let (png, jpeg) = (png(&DynamicImage::ImageRgb8(two_halves(4, 4))), jpeg(&two_halves(4, 4), None));
    for (bytes, declared) in [
        (png.as_slice(), UploadType::Jpeg),
        (jpeg.as_slice(), UploadType::Png),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>".as_slice(), UploadType::Png),
        (b"<!doctype html>".as_slice(), UploadType::WebP),
        (b"GIF89a\x01\0\x01\0\0\0\0".as_slice(), UploadType::Png),
        (b"".as_slice(), UploadType::Jpeg),
    ] {
        assert_eq!(prepare(bytes, declared), Err(UploadError::OtherType));
    }
    for (text, expected) in [
        ("image/jpeg", Some(UploadType::Jpeg)),
        ("Image/PNG; x=y", Some(UploadType::Png)),
        ("image/webp", Some(UploadType::WebP)),
        ("image/svg+xml", None),
        ("", None),
    ] {
        assert_eq!(UploadType::of_content_type(text), expected, "{text}");
    }
}

#[test]
fn damaged_images_are_rejected() {
    let png = png(&DynamicImage::ImageRgb8(two_halves(300, 300)));
    for length in [8, 20, 40, png.len() / 2] {
        assert_eq!(prepare(&png[..length], UploadType::Png), Err(UploadError::Damaged), "{length}");
    }
    let mut webp = Vec::new();
    DynamicImage::ImageRgb8(two_halves(300, 300))
        .write_with_encoder(WebPEncoder::new_lossless(&mut webp))
        .expect("encoded");
    for length in [13, webp.len() / 2] {
        assert_eq!(prepare(&webp[..length], UploadType::WebP), Err(UploadError::Damaged), "{length}");
    }
    let jpeg = jpeg(&two_halves(300, 300), None);
    for length in [4, 100] {
        assert_eq!(prepare(&jpeg[..length], UploadType::Jpeg), Err(UploadError::Damaged), "{length}");
    }
    // Browsers show the part of a JPEG that has arrived, and so does the decoder.
    let _ = prepare(&jpeg[..jpeg.len() * 3 / 4], UploadType::Jpeg);
}

/// A PNG that declares a size and a kind of pixels, with little content.
fn png_of((width, height): (u32, u32), depth: u8, colour: u8) -> Vec<u8> {
    let mut png = png(&DynamicImage::ImageRgb8(two_halves(1, 1)));
    (png[24], png[25]) = (depth, colour);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

#[test]
fn huge_dimensions_are_rejected_before_they_are_decoded() {
    for (width, height) in [(20_000, 20_000), (u32::MAX / 2, 1), (1, SIDE_MAX + 1), (SIDE_MAX + 1, 1), (8000, 5001)] {
        assert_eq!(
            prepare(&png_of((width, height), 8, 2), UploadType::Png),
            Err(UploadError::TooLarge),
            "{width} x {height}"
        );
    }
    assert_eq!(
        prepare(&png_of((8000, 5000), 8, 2), UploadType::Png),
        Err(UploadError::Damaged),
        "the control: it is decoded"
    );
    let mut jpeg = jpeg(&two_halves(8, 8), None);
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(prepare(&jpeg, UploadType::Jpeg), Err(UploadError::TooLarge));
}

#[test]
fn a_long_upload_is_rejected() {
    let mut long = jpeg(&two_halves(4, 4), None);
    long.resize(BYTES_MAX + 1, 0);
    assert_eq!(prepare(&long, UploadType::Jpeg), Err(UploadError::TooLong));
}

#[test]
fn a_decompression_bomb_is_decoded_within_its_bounds_or_rejected() {
    // 36 megapixels of one colour take half a megabyte as a PNG.
    let white: RgbImage = ImageBuffer::from_pixel(6000, 6000, Rgb([255, 255, 255]));
    let bomb = png(&DynamicImage::ImageRgb8(white));
    assert!(bomb.len() < 1_000_000, "{}", bomb.len());
    assert_eq!(prepare(&bomb, UploadType::Png).map(|prepared| widths(&prepared)), Ok(vec![320, 640, 1280]));
    // With 16 bits and alpha, it would take 288 MB.
    assert_eq!(prepare(&png_of((6000, 6000), 16, 6), UploadType::Png), Err(UploadError::TooLarge));
}

#[test]
fn only_short_profiles_of_rgb_are_kept() {
    let mut profile = vec![0; 128];
    profile[16..20].copy_from_slice(b"RGB ");
    profile[36..40].copy_from_slice(b"acsp");
    assert!(is_rgb_profile(&profile));
    assert!(!is_rgb_profile(b"") && !is_rgb_profile(&[0; 128]));
    profile.resize(PROFILE_BYTES_MAX + 1, 0);
    assert!(!is_rgb_profile(&profile));
    let mut cmyk = vec![0; 128];
    cmyk[16..20].copy_from_slice(b"CMYK");
    cmyk[36..40].copy_from_slice(b"acsp");
    assert!(!is_rgb_profile(&cmyk));
}
