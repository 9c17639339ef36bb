//! A sale's theme: the colours and texts of its pages.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum length of a text, in characters.
const TEXT_MAX: usize = 500;
/// Minimum contrast of text: WCAG 2.2, success criterion 1.4.3.
const CONTRAST_MIN: f64 = 4.5;
/// The text colour of all pages in light mode, and the default background.
const INK: Colour = Colour([0x19, 0x1b, 0x22]);
const PAPER: Colour = Colour([0xf3, 0xf1, 0xea]);
const BLACK: Colour = Colour([0, 0, 0]);
const WHITE: Colour = Colour([255, 255, 255]);

/// A colour, written `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "#2743d2")]
pub struct Colour([u8; 3]);

/// Not `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is written #rrggbb, in hexadecimal digits")]
pub struct InvalidColour;

impl TryFrom<String> for Colour {
    type Error = InvalidColour;

    fn try_from(text: String) -> Result<Self, InvalidColour> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(InvalidColour)?;
        let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal).ok_or(InvalidColour)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    /// Relative luminance, from 0 to 1, as WCAG 2.2 defines it.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// The contrast ratio of two colours, from 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Black or white, whichever has the higher contrast on this colour.
    #[must_use]
    pub fn ink(self) -> Self {
        if self.contrast(BLACK) > self.contrast(WHITE) { BLACK } else { WHITE }
    }
}

/// The theme of a sale's pages: colours and texts. A missing field has the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Theme {
    /// Buttons and links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub accent: Option<Colour>,
    /// The ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub paper: Option<Colour>,
    /// For waiting shoppers. Plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub waiting_text: Option<String>,
    /// For shoppers with a turn. Plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub turn_text: Option<String>,
    /// For shoppers of a sold-out sale. Plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sold_out_text: Option<String>,
}

/// Why a theme is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTheme {
    /// The invalid field.
    pub field: &'static str,
    /// The requirement on its value.
    pub must: &'static str,
}

impl Theme {
    /// Whether the theme is the default.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that the pages are readable.
    ///
    /// # Errors
    /// When a text is too long, or a contrast is too low.
    pub fn check(&self) -> Result<(), InvalidTheme> {
        let texts = [
            ("waiting_text", &self.waiting_text),
            ("turn_text", &self.turn_text),
            ("sold_out_text", &self.sold_out_text),
        ];
        for (field, text) in texts {
            if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_MAX) {
                return Err(InvalidTheme { field, must: "be at most 500 characters" });
            }
        }
        let paper = self.paper.unwrap_or(PAPER);
        if INK.contrast(paper) < CONTRAST_MIN {
            return Err(InvalidTheme {
                field: "paper",
                must: "be light enough for dark text: a contrast of 4.5 to #191b22",
            });
        }
        if self.accent.is_some_and(|accent| accent.contrast(paper) < CONTRAST_MIN) {
            return Err(InvalidTheme { field: "accent", must: "be read on the paper: a contrast of 4.5 to it" });
        }
        Ok(())
    }

    /// The theme's colours as a style sheet; empty without any. They apply to light mode only; dark
    /// mode keeps its own.
    #[must_use]
    pub fn style_sheet(&self) -> String {
        let accent = self.accent.map(|accent| format!("--accent:{accent};--on-accent:{};", accent.ink()));
        let paper = self.paper.map(|paper| format!("--paper:{paper};"));
        match [accent, paper].into_iter().flatten().collect::<String>() {
            colours if colours.is_empty() => colours,
            colours => format!("@media (prefers-color-scheme: light){{:root{{{colours}}}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(text: &str) -> Colour {
        text.to_owned().try_into().expect("a colour")
    }

    #[test]
    fn colours_are_written_in_one_way() {
        assert_eq!(colour("#2743D2").to_string(), "#2743d2");
        for wrong in ["2743d2", "#2743d", "#2743d2f", "#27 3d2", "#+743d2", "red", ""] {
            assert_eq!(Colour::try_from(wrong.to_owned()), Err(InvalidColour), "{wrong}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 1e-9);
        assert!((colour("#777777").contrast(WHITE) - 4.478).abs() < 1e-3, "the grey that just fails");
        assert_eq!((colour("#ffee00").ink(), colour("#2743d2").ink()), (BLACK, WHITE));
    }

    #[test]
    fn illegible_themes_are_rejected() {
        let field = |theme: Theme| theme.check().err().map(|wrong| wrong.field);
        assert_eq!(field(Theme::default()), None);
        assert_eq!(field(Theme { accent: Some(colour("#ffee00")), ..Theme::default() }), Some("accent"));
        assert_eq!(field(Theme { paper: Some(colour("#333333")), ..Theme::default() }), Some("paper"));
        assert_eq!(field(Theme { accent: Some(colour("#7a0019")), paper: Some(WHITE), ..Theme::default() }), None);
        assert_eq!(field(Theme { turn_text: Some("é".repeat(500)), ..Theme::default() }), None);
        assert_eq!(field(Theme { turn_text: Some("é".repeat(501)), ..Theme::default() }), Some("turn_text"));
    }

    #[test]
    fn a_style_sheet_has_only_what_differs() {
        assert_eq!(Theme::default().style_sheet(), "");
        let theme = Theme { accent: Some(colour("#7a0019")), ..Theme::default() };
        assert_eq!(
            theme.style_sheet(),
            "@media (prefers-color-scheme: light){:root{--accent:#7a0019;--on-accent:#ffffff;}}"
        );
    }
}
