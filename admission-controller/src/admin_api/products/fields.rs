//! The fields of products and variants, and their checks. Pure.

use fairline_media::MediaHash;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ProductError;
use crate::error::CommonError;

/// The length of a product's body, in bytes.
pub(crate) const PRODUCT_BYTES_MAX: usize = 512 * 1024;
/// The maximum number of products.
pub(crate) const PRODUCTS_MAX: i64 = 10_000;
/// The maximum number of variants of a product.
pub(crate) const VARIANTS_MAX: usize = 200;
/// The maximum number of images of a product.
const IMAGES_MAX: usize = 12;
/// The maximum number of attributes of a product, and of a variant.
pub(crate) const ATTRIBUTES_MAX: usize = 30;

/// A rule that a field breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidField {
    pub(crate) field: &'static str,
    pub(crate) must: &'static str,
}

impl From<InvalidField> for ProductError {
    fn from(InvalidField { field, must }: InvalidField) -> Self {
        CommonError::InvalidField { field, must }.into()
    }
}

fn check(field: &'static str, ok: bool, must: &'static str) -> Result<(), InvalidField> {
    if ok { Ok(()) } else { Err(InvalidField { field, must }) }
}

/// Whether a text is one line of bounded length.
pub(crate) fn is_line(text: &str, range: std::ops::RangeInclusive<usize>) -> bool {
    range.contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// An attribute, such as `Material: leather`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attribute {
    #[schema(example = "Material", min_length = 1, max_length = 60)]
    pub(crate) name: String,
    #[schema(example = "leather", min_length = 1, max_length = 200)]
    pub(crate) value: String,
}

/// A variant, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VariantFields {
    /// The id of an existing variant of the product, which this one replaces. By default the
    /// variant with the same SKU, or a new one.
    #[schema(nullable = false)]
    pub(crate) id: Option<Uuid>,
    /// Stock keeping unit: unique in the shop. Letters, digits and `._/+-`.
    #[schema(example = "SHOE-42", max_length = 64)]
    pub(crate) sku: String,
    /// What distinguishes it from the product's other variants.
    #[serde(default)]
    #[schema(example = "EU 42", max_length = 120)]
    pub(crate) title: String,
    /// In the order of display; at most 30.
    #[serde(default)]
    #[schema(max_items = 30)]
    pub(crate) attributes: Vec<Attribute>,
    /// The list price of one unit in the currency's minor unit.
    pub(crate) price_minor: i64,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    pub(crate) currency: String,
    /// Its Global Trade Item Number (EAN, UPC), if it has one: 8, 12, 13 or 14 digits.
    #[schema(example = "4006381333931")]
    pub(crate) gtin: Option<String>,
}

/// An image, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageFields {
    /// `media` of an uploaded image.
    pub(crate) media: String,
    /// What the image shows, for screen readers; empty if it adds nothing to the text.
    #[serde(default)]
    #[schema(max_length = 250)]
    pub(crate) alt: String,
}

/// A new product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateProduct {
    #[schema(example = "Running shoe", min_length = 1, max_length = 120)]
    pub(crate) name: String,
    /// A sentence or two about it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub(crate) description: String,
    /// In the order of display; at most 30.
    #[serde(default)]
    #[schema(max_items = 30)]
    pub(crate) attributes: Vec<Attribute>,
    /// In the order of display; at most 200.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub(crate) variants: Vec<VariantFields>,
    /// In the order of display; at most 12.
    #[serde(default)]
    #[schema(max_items = 12)]
    pub(crate) images: Vec<ImageFields>,
}

/// The changes of a product. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeProduct {
    /// The version that the change is based on. If the product has another one by now, nothing is
    /// changed.
    pub(crate) version: i32,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 120)]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_length = 2000)]
    pub(crate) description: Option<String>,
    /// All attributes, in the order of display.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 30)]
    pub(crate) attributes: Option<Vec<Attribute>>,
    /// All variants, in the order of display. Those that are missing are deleted.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 200)]
    pub(crate) variants: Option<Vec<VariantFields>>,
    /// All images, in the order of display.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 12)]
    pub(crate) images: Option<Vec<ImageFields>>,
}

/// A field that may be left out, but not be null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl CreateProduct {
    pub(crate) fn check(&self) -> Result<(), ProductError> {
        check_name(&self.name)?;
        check_description(&self.description)?;
        check_attributes(&self.attributes)?;
        check_variants(&self.variants)?;
        check_images(&self.images)
    }
}

impl ChangeProduct {
    pub(crate) fn check(&self) -> Result<(), ProductError> {
        self.name.as_deref().map_or(Ok(()), check_name)?;
        self.description.as_deref().map_or(Ok(()), check_description)?;
        self.attributes.as_deref().map_or(Ok(()), check_attributes)?;
        self.variants.as_deref().map_or(Ok(()), check_variants)?;
        self.images.as_deref().map_or(Ok(()), check_images)
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), InvalidField> {
    check("name", is_line(name, 1..=120) && name.trim() == name, "have 1 to 120 characters, without spaces around them")
}

pub(crate) fn check_description(description: &str) -> Result<(), InvalidField> {
    let is_text = description.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    check("description", is_text && description.chars().count() <= 2000, "be a text of at most 2000 characters")
}

pub(crate) fn check_attributes(attributes: &[Attribute]) -> Result<(), InvalidField> {
    let are_lines = attributes.iter().all(|one| is_line(&one.name, 1..=60) && is_line(&one.value, 1..=200));
    let ok = are_lines && attributes.len() <= ATTRIBUTES_MAX;
    check("attributes", ok, "be at most 30 names of 1 to 60 characters with values of 1 to 200 characters")
}

/// Checks the fields of each variant, and that no two share a SKU or an id.
fn check_variants(variants: &[VariantFields]) -> Result<(), ProductError> {
    check("variants", variants.len() <= VARIANTS_MAX, "be at most 200")?;
    for (nth, variant) in variants.iter().enumerate() {
        let earlier = &variants[..nth];
        let checked = variant.check().and_then(|()| {
            let is_new = earlier.iter().all(|other| other.sku != variant.sku);
            check("sku", is_new, "differ from those of the other variants")?;
            let is_new = variant.id.is_none() || earlier.iter().all(|other| other.id != variant.id);
            check("id", is_new, "differ from those of the other variants")
        });
        checked.map_err(|InvalidField { field, must }| wrong_variant(nth, field, must))?;
    }
    Ok(())
}

fn check_images(images: &[ImageFields]) -> Result<(), ProductError> {
    check("images", images.len() <= IMAGES_MAX, "be at most 12")?;
    for (nth, image) in images.iter().enumerate() {
        let is_one = image.media.parse::<MediaHash>().is_ok();
        let is_new = images[..nth].iter().all(|other| other.media != image.media);
        let checked = check("media", is_one, "be `media` of an uploaded image")
            .and_then(|()| check("media", is_new, "differ from those of the other images"))
            .and_then(|()| check("alt", is_line(&image.alt, 0..=250), "be one line of at most 250 characters"));
        checked.map_err(|InvalidField { field, must }| wrong_image(nth, field, must))?;
    }
    Ok(())
}

/// The error of an image's field.
pub(crate) fn wrong_image(nth: usize, field: &str, must: &'static str) -> ProductError {
    ProductError::InvalidPart { field: format!("images[{nth}].{field}"), must }
}

/// The error of a variant's field.
pub(crate) fn wrong_variant(nth: usize, field: &str, must: &'static str) -> ProductError {
    ProductError::InvalidPart { field: format!("variants[{nth}].{field}"), must }
}

impl VariantFields {
    pub(crate) fn check(&self) -> Result<(), InvalidField> {
        check_sku(&self.sku)?;
        check_title(&self.title)?;
        check_attributes(&self.attributes)?;
        check_price(self.price_minor)?;
        check_currency(&self.currency)?;
        self.gtin.as_deref().map_or(Ok(()), check_gtin)
    }
}

pub(crate) fn check_sku(sku: &str) -> Result<(), InvalidField> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/+-".contains(c);
    let begins = sku.starts_with(|c: char| c.is_ascii_alphanumeric());
    let must = "have 1 to 64 letters, digits and `._/+-`, and begin with a letter or digit";
    check("sku", begins && sku.len() <= 64 && sku.chars().all(is_plain), must)
}

pub(crate) fn check_title(title: &str) -> Result<(), InvalidField> {
    check("title", is_line(title, 0..=120), "be one line of at most 120 characters")
}

pub(crate) fn check_price(price_minor: i64) -> Result<(), InvalidField> {
    check("price_minor", (1..=1_000_000_000).contains(&price_minor), "be between 1 and 1000000000")
}

pub(crate) fn check_currency(currency: &str) -> Result<(), InvalidField> {
    let is_iso = currency.len() == 3 && currency.chars().all(|c| c.is_ascii_uppercase());
    check("currency", is_iso, "be an ISO 4217 code such as EUR")
}

pub(crate) fn check_gtin(gtin: &str) -> Result<(), InvalidField> {
    let is_length = matches!(gtin.len(), 8 | 12 | 13 | 14);
    let is_one = is_length && gtin.bytes().all(|digit| digit.is_ascii_digit()) && has_check_digit(gtin);
    check("gtin", is_one, "have 8, 12, 13 or 14 digits, of which the last is their check digit, or be null")
}

/// Whether the last digit is the one that GS1 computes from the others: their sum with the weights
/// 3 and 1, from the right, completes it to a multiple of ten.
fn has_check_digit(digits: &str) -> bool {
    let weighted = |(nth, digit): (usize, u8)| u32::from(digit - b'0') * if nth % 2 == 1 { 3 } else { 1 };
    digits.bytes().rev().enumerate().map(weighted).sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(sku: &str) -> VariantFields {
        VariantFields {
            id: None,
            sku: sku.to_owned(),
            title: String::new(),
            attributes: Vec::new(),
            price_minor: 100,
            currency: "EUR".to_owned(),
            gtin: None,
        }
    }

    #[test]
    fn skus_are_plain() {
        for sku in ["A", "shoe-42", "0.5/L+x_", &"a".repeat(64)] {
            assert_eq!(check_sku(sku), Ok(()), "{sku}");
        }
        for sku in ["", "-1", "=1+1", "a b", "ä", "a\n", &"a".repeat(65)] {
            assert!(check_sku(sku).is_err(), "{sku}");
        }
    }

    #[test]
    fn gtins_have_their_check_digit() {
        for gtin in ["4006381333931", "73513537", "036000291452", "10614141000415"] {
            assert_eq!(check_gtin(gtin), Ok(()), "{gtin}");
        }
        for gtin in ["4006381333932", "7351353", "", "abcdefgh", "400638133393१"] {
            assert!(check_gtin(gtin).is_err(), "{gtin}");
        }
    }

    #[test]
    fn texts_are_bounded_and_have_no_control_characters() {
        for name in ["a", &"ä".repeat(120)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", " ", " a", "a\0", "a\nb", &"a".repeat(121)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert_eq!(check_description("one\ntwo"), Ok(()));
        assert!(check_description("a\0").is_err() && check_description(&"a".repeat(2001)).is_err());
        let attribute = |name: &str, value: &str| Attribute { name: name.to_owned(), value: value.to_owned() };
        assert_eq!(check_attributes(&vec![attribute("a", "b"); ATTRIBUTES_MAX]), Ok(()));
        assert!(check_attributes(&vec![attribute("a", "b"); ATTRIBUTES_MAX + 1]).is_err());
        assert!(check_attributes(&[attribute("a", "")]).is_err());
    }

    #[test]
    fn a_wrong_variant_is_named_by_its_place() {
        let field = |variants: &[VariantFields]| match check_variants(variants) {
            Err(ProductError::InvalidPart { field, .. }) => field,
            Err(ProductError::Common(CommonError::InvalidField { field, .. })) => field.to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(field(&[variant("a"), variant("a")]), "variants[1].sku");
        assert_eq!(field(&[variant("a"), VariantFields { price_minor: 0, ..variant("b") }]), "variants[1].price_minor");
        assert_eq!(
            field(&[variant("a"), VariantFields { currency: "eur".into(), ..variant("b") }]),
            "variants[1].currency"
        );
        let id = Some(Uuid::nil());
        assert_eq!(
            field(&[VariantFields { id, ..variant("a") }, VariantFields { id, ..variant("b") }]),
            "variants[1].id"
        );
        assert_eq!(field(&vec![variant("a"); VARIANTS_MAX + 1]), "variants");
        assert!(check_variants(&[variant("a"), variant("A")]).is_ok());
    }

    #[test]
    fn images_are_different_uploads() {
        let image = |media: &str, alt: &str| ImageFields { media: media.to_owned(), alt: alt.to_owned() };
        let (one, other) = ("0a".repeat(32), "0b".repeat(32));
        assert!(check_images(&[image(&one, ""), image(&other, "A shoe")]).is_ok());
        let field = |images: &[ImageFields]| match check_images(images) {
            Err(ProductError::InvalidPart { field, .. }) => field,
            other => format!("{other:?}"),
        };
        assert_eq!(field(&[image(&one, ""), image(&one, "")]), "images[1].media");
        assert_eq!(field(&[image("../x", "")]), "images[0].media");
        assert_eq!(field(&[image(&one, &"a".repeat(251))]), "images[0].alt");
        let many: Vec<_> = (0..13).map(|nth| image(&format!("{nth:064x}"), "")).collect();
        assert!(matches!(
            check_images(&many),
            Err(ProductError::Common(CommonError::InvalidField { field: "images", .. }))
        ));
    }
}
