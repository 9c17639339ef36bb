//! The names of stored images: `{hash}-{width}.{extension}`.

use std::{fmt, str::FromStr};

use strum::{EnumString, IntoStaticStr};

/// The widths of stored images, in pixels. A narrower upload is never enlarged.
pub const WIDTHS: [u32; 3] = [320, 640, 1280];

/// The hash of an uploaded image: SHA-256, in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaHash(pub [u8; 32]);

/// The format of a stored image. Its word is the extension of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
pub enum MediaFormat {
    /// JPEG, for images without transparency.
    #[strum(serialize = "jpg")]
    Jpeg,
    /// Lossless WebP, for images with transparency.
    #[strum(serialize = "webp")]
    WebP,
}

/// The name of a stored image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaName {
    /// The image.
    pub hash: MediaHash,
    /// Its width in pixels.
    pub width: u32,
    /// Its format.
    pub format: MediaFormat,
}

/// The text is not the name of a stored image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a stored image")]
pub struct InvalidMediaName;

impl MediaHash {
    /// The hash in a database: 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for MediaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MediaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MediaHash {
    type Err = InvalidMediaName;

    fn from_str(text: &str) -> Result<Self, InvalidMediaName> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(InvalidMediaName),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut hash = [0; 32];
        if pairs.len() != hash.len() || !rest.is_empty() {
            return Err(InvalidMediaName);
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

impl MediaFormat {
    /// The extension of its names.
    #[must_use]
    pub fn extension(self) -> &'static str {
        self.into()
    }

    /// The format with an extension.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        extension.parse().ok()
    }

    /// Its media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}

impl fmt::Display for MediaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.hash, self.width, self.format.extension())
    }
}

impl FromStr for MediaName {
    type Err = InvalidMediaName;

    fn from_str(text: &str) -> Result<Self, InvalidMediaName> {
        let (hash, rest) = text.split_once('-').ok_or(InvalidMediaName)?;
        let (digits, extension) = rest.split_once('.').ok_or(InvalidMediaName)?;
        let format = MediaFormat::of_extension(extension).ok_or(InvalidMediaName)?;
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
        let width = digits.parse().ok().filter(|width| is_number && (1..=WIDTHS[WIDTHS.len() - 1]).contains(width));
        Ok(Self { hash: hash.parse()?, width: width.ok_or(InvalidMediaName)?, format })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for format in [MediaFormat::Jpeg, MediaFormat::WebP] {
            for width in [1, 320, 1280] {
                let name = MediaName { hash: MediaHash([0x5a; 32]), width, format };
                assert_eq!(name.to_string().parse(), Ok(name));
                assert_eq!(MediaFormat::of_extension(format.extension()), Some(format));
            }
        }
    }

    #[test]
    fn nothing_else_is_a_name() {
        let hash = "5a".repeat(32);
        for text in [
            String::new(),
            "../../etc/passwd".to_owned(),
            format!("{hash}-320.jpg/../x"),
            format!("../{hash}-320.jpg"),
            format!("{hash}/-320.jpg"),
            format!("{hash}-320.jpg\0"),
            format!("{hash}-320.svg"),
            format!("{hash}-320"),
            format!("{hash}.jpg"),
            format!("{hash}-0.jpg"),
            format!("{hash}-0320.jpg"),
            format!("{hash}-+320.jpg"),
            format!("{hash}-1281.jpg"),
            format!("{hash}-99999999999.jpg"),
            format!("{}-320.jpg", hash.to_uppercase()),
            format!("{}-320.jpg", &hash[2..]),
            format!("{hash}5a-320.jpg"),
            format!("{}ä-320.jpg", &hash[2..]),
        ] {
            assert_eq!(text.parse::<MediaName>(), Err(InvalidMediaName), "{text}");
        }
    }
}
