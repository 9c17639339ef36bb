//! The fields of items, and their checks. Pure.

use std::{borrow::Cow, collections::HashMap};

use fairline_sale::gateway_refuses;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::admin_api::products::fields::{Attribute, InvalidField, check_attributes, check_sku};

/// The maximum number of items of a sale, with withdrawn ones.
pub(crate) const ITEMS_MAX: usize = 200;
/// The length of the body of an item or a new sale, in bytes.
pub(crate) const ITEMS_BYTES_MAX: usize = 512 * 1024;

/// A rule that a field of an item breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidItem {
    pub(crate) field: &'static str,
    pub(crate) must: Cow<'static, str>,
}

impl From<InvalidField> for InvalidItem {
    fn from(InvalidField { field, must }: InvalidField) -> Self {
        Self { field, must: must.into() }
    }
}

fn check(field: &'static str, ok: bool, must: &'static str) -> Result<(), InvalidItem> {
    if ok { Ok(()) } else { Err(InvalidItem { field, must: must.into() }) }
}

/// A new item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewItem {
    /// Stock keeping unit: unique in the sale. If a variant of the catalogue has it, the item is
    /// made from this variant. Letters, digits and `._/+-`.
    #[schema(example = "SHOE-42", max_length = 64)]
    pub(crate) sku: String,
    /// What is sold; by default the product's name with the variant's title.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 250)]
    pub(crate) name: Option<String>,
    /// In the order of display; by default the variant's.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 30)]
    pub(crate) attributes: Option<Vec<Attribute>>,
    /// The usual price, in the currency's minor unit, which is shown beside the sale's; by default
    /// the variant's list price, unless that is in another currency or lower.
    pub(crate) list_minor: Option<i64>,
    /// The price of one unit in the sale, in the currency's minor unit.
    pub(crate) price_minor: i64,
    /// Units in the sale.
    pub(crate) total: i32,
    /// Units of the item that one shopper may buy; by default the sale's limit.
    pub(crate) per_shopper_limit: Option<i32>,
}

/// The changes of an item. Fields that are left out stay as they are.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeItem {
    /// The version that the change is based on. If the item has another one by now, nothing is
    /// changed.
    pub(crate) version: i32,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 250)]
    pub(crate) name: Option<String>,
    /// All attributes, in the order of display.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 30)]
    pub(crate) attributes: Option<Vec<Attribute>>,
    /// The usual price; null: none is shown.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(crate) list_minor: Option<Option<i64>>,
    /// The price; only while the sale is scheduled.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(crate) price_minor: Option<i64>,
    /// Units in the sale; at least those that are promised, held or sold.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(crate) total: Option<i32>,
    /// Units that one shopper may buy; null: the sale's limit. Only while the sale is scheduled.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>)]
    pub(crate) per_shopper_limit: Option<Option<i32>>,
    /// Its place in the order of display, from 0; the items behind move.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(crate) position: Option<u8>,
    /// Whether it is withdrawn; only while the sale is scheduled.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    pub(crate) withdrawn: Option<bool>,
}

/// A field that may be left out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A variant of the catalogue, of which an item can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueVariant {
    pub id: Uuid,
    /// The names of the product and the variant.
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub price_minor: i64,
    pub currency: String,
}

/// Variants of the catalogue, by SKU.
pub(crate) type CatalogueVariants = HashMap<String, CatalogueVariant>;

/// An item as it is stored, with its units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredItem {
    /// From 1.
    pub item: i16,
    pub variant_id: Option<Uuid>,
    pub sku: String,
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub list_minor: Option<i64>,
    pub price_minor: i64,
    pub per_shopper_limit: Option<i32>,
    /// From 0.
    pub position: i16,
    pub withdrawn: bool,
    pub total: i32,
}

/// An item with its stock.
#[derive(Debug, Clone)]
pub struct ItemRow {
    pub stored: StoredItem,
    pub version: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
}

impl NewItem {
    /// The item that a sale gets: the nth, from 0, with what its variant has.
    pub(crate) fn stored(
        self,
        nth: usize,
        variants: &CatalogueVariants,
        currency: &str,
    ) -> Result<StoredItem, InvalidItem> {
        let variant = variants.get(&self.sku);
        let Some(name) = self.name.or_else(|| variant.map(|variant| variant.name.clone())) else {
            check_sku(&self.sku)?;
            let must = "be given, since no variant of a product on offer has the SKU";
            return Err(InvalidItem { field: "name", must: must.into() });
        };
        let list_minor = self.list_minor.or_else(|| {
            let shown = |one: &&CatalogueVariant| one.currency == currency && one.price_minor >= self.price_minor;
            variant.filter(shown).map(|variant| variant.price_minor)
        });
        let place = i16::try_from(nth).unwrap_or(i16::MAX - 1);
        let item = StoredItem {
            item: place + 1,
            variant_id: variant.map(|variant| variant.id),
            sku: self.sku,
            name,
            attributes: self.attributes.or_else(|| variant.map(|one| one.attributes.clone())).unwrap_or_default(),
            list_minor,
            price_minor: self.price_minor,
            per_shopper_limit: self.per_shopper_limit,
            position: place,
            withdrawn: false,
            total: self.total,
        };
        item.check(currency)?;
        Ok(item)
    }
}

impl StoredItem {
    /// Checks all fields.
    pub(crate) fn check(&self, currency: &str) -> Result<(), InvalidItem> {
        check_sku(&self.sku)?;
        let is_line = !self.name.chars().any(char::is_control) && self.name.trim() == self.name;
        let must = "have 1 to 250 characters, without spaces around them";
        check("name", is_line && (1..=250).contains(&self.name.chars().count()), must)?;
        check_attributes(&self.attributes)?;
        let must = "be between 1 and 1000000000: payment gateways reject payments of 0";
        check("price_minor", (1..=1_000_000_000).contains(&self.price_minor), must)?;
        if let Some(must) = gateway_refuses(self.price_minor, currency) {
            return Err(InvalidItem { field: "price_minor", must: must.into() });
        }
        let is_list = self.list_minor.is_none_or(|list| (self.price_minor..=1_000_000_000).contains(&list));
        check("list_minor", is_list, "be between price_minor and 1000000000, or null")?;
        check("total", (0..=10_000_000).contains(&self.total), "be between 0 and 10000000")?;
        let is_limit = self.per_shopper_limit.is_none_or(|limit| (1..=100).contains(&limit));
        check("per_shopper_limit", is_limit, "be between 1 and 100, or null")
    }

    /// The item with changes. Its position is that of all items, and not changed here.
    pub(crate) fn changed(&self, change: ChangeItem) -> Self {
        let mut item = self.clone();
        item.name = change.name.unwrap_or(item.name);
        item.attributes = change.attributes.unwrap_or(item.attributes);
        item.list_minor = change.list_minor.unwrap_or(item.list_minor);
        item.price_minor = change.price_minor.unwrap_or(item.price_minor);
        item.total = change.total.unwrap_or(item.total);
        item.per_shopper_limit = change.per_shopper_limit.unwrap_or(item.per_shopper_limit);
        item.withdrawn = change.withdrawn.unwrap_or(item.withdrawn);
        item
    }

    /// The first field of another state of the item that may differ only while the sale is
    /// scheduled: admissions and checkout rely on it.
    pub(crate) fn fixed_field(&self, other: &Self) -> Option<&'static str> {
        [
            ("price_minor", self.price_minor != other.price_minor),
            ("per_shopper_limit", self.per_shopper_limit != other.per_shopper_limit),
            ("withdrawn", self.withdrawn != other.withdrawn),
        ]
        .into_iter()
        .find_map(|(field, differs)| differs.then_some(field))
    }
}

/// The items of a new sale. An error names the place of the item, from 0.
pub(crate) fn new_items(
    new: Vec<NewItem>,
    variants: &CatalogueVariants,
    currency: &str,
) -> Result<Vec<StoredItem>, (usize, InvalidItem)> {
    let mut items: Vec<StoredItem> = Vec::with_capacity(new.len());
    for (nth, new) in new.into_iter().enumerate() {
        let item = new.stored(nth, variants, currency).and_then(|item| {
            let is_new = items.iter().all(|other| other.sku != item.sku);
            check("sku", is_new, "differ from those of the other items")?;
            Ok(item)
        });
        items.push(item.map_err(|wrong| (nth, wrong))?);
    }
    Ok(items)
}

/// The numbers of the items in their order, after one was moved.
pub(crate) fn moved(items: &[StoredItem], item: i16, position: u8) -> Result<Vec<i16>, InvalidItem> {
    let mut order: Vec<i16> = items.iter().map(|one| one.item).filter(|one| *one != item).collect();
    let place = usize::from(position);
    check("position", place <= order.len(), "be less than the number of items")?;
    order.insert(place, item);
    Ok(order)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn new(sku: &str) -> NewItem {
        NewItem {
            sku: sku.to_owned(),
            name: Some("Shoe".to_owned()),
            attributes: None,
            list_minor: None,
            price_minor: 9900,
            total: 10,
            per_shopper_limit: None,
        }
    }

    pub(crate) fn catalogue() -> CatalogueVariants {
        let attributes = vec![Attribute { name: "Size".to_owned(), value: "42".to_owned() }];
        let variant = CatalogueVariant {
            id: Uuid::from_u128(1),
            name: "Running shoe, EU 42".to_owned(),
            attributes,
            price_minor: 12_900,
            currency: "EUR".to_owned(),
        };
        HashMap::from([("S-42".to_owned(), variant)])
    }

    fn field(new: NewItem) -> &'static str {
        new.stored(0, &catalogue(), "EUR").map_or_else(|wrong| wrong.field, |_| "none")
    }

    #[test]
    fn an_item_has_what_it_lacks_from_its_variant() {
        let of = |new: NewItem, currency: &str| new.stored(3, &catalogue(), currency).expect("valid");
        let item = of(NewItem { name: None, ..new("S-42") }, "EUR");
        assert_eq!((item.item, item.position, item.variant_id), (4, 3, Some(Uuid::from_u128(1))));
        assert_eq!((item.name.as_str(), item.attributes.len()), ("Running shoe, EU 42", 1));
        assert_eq!(item.list_minor, Some(12_900));
        // The list price is not shown if it is lower, or in another currency.
        assert_eq!(of(NewItem { price_minor: 13_000, ..new("S-42") }, "EUR").list_minor, None);
        assert_eq!(of(new("S-42"), "USD").list_minor, None);
        let own = NewItem { list_minor: Some(20_000), attributes: Some(Vec::new()), ..new("S-42") };
        let item = of(own, "EUR");
        assert_eq!((item.name.as_str(), item.attributes.len(), item.list_minor), ("Shoe", 0, Some(20_000)));
        assert_eq!(of(new("other"), "EUR").variant_id, None);
        assert_eq!(field(NewItem { name: None, ..new("other") }), "name");
    }

    #[test]
    fn fields_are_bounded() {
        for (good, wrong, name) in [
            (new(&"s".repeat(64)), new(&"s".repeat(65)), "sku"),
            (
                NewItem { name: Some("ä".repeat(250)), ..new("a") },
                NewItem { name: Some("ä".repeat(251)), ..new("a") },
                "name",
            ),
            (NewItem { price_minor: 50, ..new("a") }, NewItem { price_minor: 49, ..new("a") }, "price_minor"),
            (
                NewItem { list_minor: Some(1_000_000_000), ..new("a") },
                NewItem { list_minor: Some(1_000_000_001), ..new("a") },
                "list_minor",
            ),
            (
                NewItem { list_minor: Some(9900), ..new("a") },
                NewItem { list_minor: Some(9899), ..new("a") },
                "list_minor",
            ),
            (NewItem { total: 10_000_000, ..new("a") }, NewItem { total: 10_000_001, ..new("a") }, "total"),
            (NewItem { total: 0, ..new("a") }, NewItem { total: -1, ..new("a") }, "total"),
            (
                NewItem { per_shopper_limit: Some(100), ..new("a") },
                NewItem { per_shopper_limit: Some(101), ..new("a") },
                "per_shopper_limit",
            ),
        ] {
            assert_eq!((field(good), field(wrong)), ("none", name));
        }
        let attribute = Attribute { name: "a".to_owned(), value: "b".to_owned() };
        let with = |count: usize| NewItem { attributes: Some(vec![attribute.clone(); count]), ..new("a") };
        assert_eq!((field(with(30)), field(with(31))), ("none", "attributes"));
    }

    #[test]
    fn the_items_of_a_sale_are_numbered_and_differ() {
        let skus = (0..ITEMS_MAX).map(|nth| new(&format!("S-{nth}"))).collect();
        let items = new_items(skus, &HashMap::new(), "EUR").expect("valid");
        assert_eq!((items[0].item, items[199].item, items[199].position), (1, 200, 199));
        let wrong = new_items(vec![new("a"), new("b"), new("a")], &HashMap::new(), "EUR").expect_err("twice");
        assert_eq!((wrong.0, wrong.1.field), (2, "sku"));
    }

    #[test]
    fn an_item_is_moved_and_the_others_keep_their_order() {
        let items = new_items(["a", "b", "c"].map(new).into(), &HashMap::new(), "EUR").expect("valid");
        assert_eq!(moved(&items, 1, 2), Ok(vec![2, 3, 1]));
        assert_eq!(moved(&items, 3, 0), Ok(vec![3, 1, 2]));
        assert_eq!(moved(&items, 2, 1), Ok(vec![1, 2, 3]));
        assert_eq!(moved(&items, 2, 3).map_err(|wrong| wrong.field), Err("position"));
    }

    #[test]
    fn what_admissions_rely_on_is_fixed_after_the_opening() {
        let item = new("a").stored(0, &HashMap::new(), "EUR").expect("valid");
        let fixed = |change: ChangeItem| item.fixed_field(&item.changed(change));
        let free = ChangeItem { name: Some("b".into()), total: Some(1), list_minor: Some(None), ..Default::default() };
        assert_eq!(fixed(free), None);
        assert_eq!(fixed(ChangeItem { price_minor: Some(9900), ..Default::default() }), None, "as it was");
        assert_eq!(fixed(ChangeItem { price_minor: Some(1), ..Default::default() }), Some("price_minor"));
        assert_eq!(fixed(ChangeItem { withdrawn: Some(true), ..Default::default() }), Some("withdrawn"));
        let limit = ChangeItem { per_shopper_limit: Some(Some(1)), ..Default::default() };
        assert_eq!(fixed(limit), Some("per_shopper_limit"));
    }
}
