//! Creating a sale: its fields, their defaults and their checks.

use fairline_sale::{LineOrder, SaleId, SaleMode, Theme, gateway_refuses};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    checks::{check_grace, check_in_checkout_max, check_rate, check_theme, check_total, is_a_window, stored},
    error::SaleError,
    store::NewSale,
};
use crate::{
    admin_api::items::{
        error::ItemError,
        fields::{CatalogueVariants, ITEMS_MAX, NewItem, StoredItem, new_items},
    },
    error::check_field,
};

/// A new sale.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSale {
    /// Its name in URLs: lower-case letters, digits and single hyphens.
    slug: String,
    /// What is sold.
    name: String,
    /// A sentence or two about it.
    #[serde(default)]
    description: String,
    /// Price of one unit in the currency's minor unit. Required without `items`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    price_minor: Option<i64>,
    /// ISO 4217 code.
    currency: String,
    /// Units in the sale. Required without `items`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    total: Option<i32>,
    /// What it offers, in the order of display, instead of `price_minor` and `total`: 1 to 200
    /// items. Without it, the sale offers one item with its slug as SKU and its name. A sale with
    /// more than one item can't open yet.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 1, max_items = 200)]
    items: Option<Vec<NewItem>>,
    /// Units that one shopper may buy; 1 by default.
    #[serde(default = "one")]
    per_shopper_limit: i32,
    /// Units that one account may buy with all its tickets. If it is set, shoppers must sign in to
    /// buy.
    per_account_limit: Option<i32>,
    /// The maximum admissions per second; 10 by default.
    #[serde(default = "ten_a_second")]
    rate_cap_per_s: f64,
    /// When it opens; now by default.
    #[serde(default, with = "time::serde::rfc3339::option")]
    opens_at: Option<OffsetDateTime>,
    /// When it ends; by default only when an operator closes it.
    #[serde(default, with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
    /// Seconds in which a token can be redeemed; 120 by default.
    #[serde(default = "two_minutes")]
    token_ttl_s: i32,
    /// Seconds in which a page must claim its token; 15 by default.
    #[serde(default = "a_quarter_minute")]
    claim_window_s: i32,
    /// Seconds in which a hold must be paid; 300 by default.
    #[serde(default = "five_minutes")]
    hold_s: i32,
    /// Seconds after its turn for which a ticket is still recalled when its shopper comes back;
    /// 1800 by default.
    #[serde(default = "half_an_hour")]
    recall_window_s: i32,
    /// Seconds for which a disconnected shopper keeps the place, on phones proportionally longer;
    /// by default the setting of the waiting rooms.
    grace_s: Option<i32>,
    /// The order in which the line is served; by default in the order of joining. It can't be
    /// changed later.
    #[serde(default)]
    order: LineOrder,
    /// How it admits shoppers; `guarantee` by default. It can't be changed later.
    #[serde(default)]
    mode: SaleMode,
    /// In yield mode: the accepted share of admitted shoppers who want to pay and find no unit;
    /// 0.001 by default.
    #[serde(default = "one_in_a_thousand")]
    risk: f64,
    /// The maximum number of shoppers in checkout and on the way there; no limit by default.
    in_checkout_max: Option<i32>,
    /// The id of an earlier sale with similar shoppers: this sale begins with what was learnt from
    /// its visits. By default, the controller expects nearly every shopper to buy until it has
    /// learnt from this sale's visits.
    prior_sale: Option<SaleId>,
    /// The colours and texts of its pages; the common ones by default.
    #[serde(default)]
    theme: Theme,
    /// The time zone of its operators: a name of the IANA time zone database. Only for display; UTC
    /// by default.
    #[serde(default = "utc")]
    time_zone: String,
}

/// A field that may be left out, but not be null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn utc() -> String {
    "UTC".to_owned()
}

fn one_in_a_thousand() -> f64 {
    0.001
}

fn one() -> i32 {
    1
}
fn ten_a_second() -> f64 {
    10.0
}
fn two_minutes() -> i32 {
    120
}
fn a_quarter_minute() -> i32 {
    15
}
fn five_minutes() -> i32 {
    300
}
fn half_an_hour() -> i32 {
    1800
}

impl CreateSale {
    /// Checks the fields. The time zone is checked by the database.
    pub(crate) fn checked(self) -> Result<NewSale, SaleError> {
        let plain = |slug: &str| {
            let part =
                |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            slug.len() <= 63 && slug.split('-').all(part)
        };
        let length = |text: &str, range: std::ops::RangeInclusive<usize>| range.contains(&text.chars().count());
        check_field("slug", plain(&self.slug), "be lower-case letters, digits and single hyphens, at most 63 of them")?;
        check_field("name", length(self.name.trim(), 1..=120), "have 1 to 120 characters")?;
        check_field("description", length(&self.description, 0..=2000), "be at most 2000 characters")?;
        let iso = self.currency.len() == 3 && self.currency.chars().all(|c| c.is_ascii_uppercase());
        check_field("currency", iso, "be an ISO 4217 code such as EUR")?;
        let (items, is_simple) = self.offered()?;
        check_field("per_shopper_limit", (1..=100).contains(&self.per_shopper_limit), "be between 1 and 100")?;
        let ok = self.per_account_limit.is_none_or(|limit| (1..=100).contains(&limit));
        check_field("per_account_limit", ok, "be between 1 and 100, or null")?;
        check_rate(self.rate_cap_per_s)?;
        check_field("token_ttl_s", is_a_window(self.token_ttl_s), "be between 1 and 86400")?;
        check_field("claim_window_s", is_a_window(self.claim_window_s), "be between 1 and 86400")?;
        check_field("hold_s", is_a_window(self.hold_s), "be between 1 and 86400")?;
        check_field("recall_window_s", is_a_window(self.recall_window_s), "be between 1 and 86400")?;
        check_grace(self.grace_s)?;
        check_field("risk", (0.000_01..=0.1).contains(&self.risk), "be between 0.00001 and 0.1")?;
        check_in_checkout_max(self.in_checkout_max)?;
        check_theme(&self.theme)?;
        // Without `opens_at` it opens now by the database's clock, and a constraint checks this.
        let is_a_window = self.opens_at.zip(self.ends_at).is_none_or(|(opens_at, ends_at)| ends_at > opens_at);
        check_field("ends_at", is_a_window, "be later than opens_at")?;
        Ok(NewSale {
            slug: self.slug,
            name: self.name.trim().to_owned(),
            description: self.description,
            items,
            is_simple,
            currency: self.currency,
            per_shopper_limit: self.per_shopper_limit,
            per_account_limit: self.per_account_limit,
            rate_cap_per_s: self.rate_cap_per_s,
            opens_at: self.opens_at,
            ends_at: self.ends_at,
            token_ttl_s: self.token_ttl_s,
            claim_window_s: self.claim_window_s,
            hold_s: self.hold_s,
            recall_window_s: self.recall_window_s,
            grace_s: self.grace_s,
            seed: (self.order == LineOrder::Draw).then(rand::random),
            mode: self.mode.as_str(),
            risk: self.risk,
            in_checkout_max: self.in_checkout_max,
            prior_sale: self.prior_sale.map(|sale| sale.0),
            theme: stored(&self.theme),
            time_zone: self.time_zone,
        })
    }

    /// What the sale offers, and whether that is only one item, which has its name and price.
    fn offered(&self) -> Result<(Vec<NewItem>, bool), SaleError> {
        if let Some(items) = &self.items {
            check_field("price_minor", self.price_minor.is_none(), "be left out: each item has its own")?;
            check_field("total", self.total.is_none(), "be left out: each item has its own")?;
            check_field("items", (1..=ITEMS_MAX).contains(&items.len()), "be 1 to 200 items")?;
            return Ok((items.clone(), false));
        }
        let price_minor = self.price_minor.unwrap_or_default();
        check_field(
            "price_minor",
            (1..=1_000_000_000).contains(&price_minor),
            "be between 1 and 1000000000: payment gateways reject payments of 0",
        )?;
        if let Some(must) = gateway_refuses(price_minor, &self.currency) {
            return Err(SaleError::InvalidPrice { must });
        }
        check_field("total", self.total.is_some(), "be given, or `items`")?;
        let total = self.total.unwrap_or_default();
        check_total(total)?;
        let item = NewItem {
            sku: self.slug.clone(),
            name: Some(self.name.trim().to_owned()),
            attributes: None,
            list_minor: None,
            price_minor,
            total,
            per_shopper_limit: None,
        };
        Ok((vec![item], true))
    }
}

impl NewSale {
    /// The SKUs of its items.
    pub(super) fn skus(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.sku.as_str()).collect()
    }

    /// Its items as they are stored, with what the catalogue has.
    pub(super) fn stored_items(&self, variants: &CatalogueVariants) -> Result<Vec<StoredItem>, SaleError> {
        let items = new_items(self.items.clone(), variants, &self.currency);
        items.map_err(|(nth, wrong)| {
            let error = if self.is_simple { ItemError::from(wrong) } else { ItemError::of_nth((nth, wrong)) };
            error.into()
        })
    }
}
