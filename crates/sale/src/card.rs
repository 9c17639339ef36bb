//! The public facts of a sale.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;

use crate::{SaleId, Status, Theme};

/// The public facts of a sale. The controller publishes them; waiting rooms show them.
///
/// ```
/// use fairline_sale::{SaleCard, Status, price_text};
///
/// fn price(card: &SaleCard) -> Option<String> {
///     let is_on_sale = card.status == Status::Open && card.remaining > 0;
///     is_on_sale.then(|| price_text(card.price_minor, &card.currency))
/// }
/// # assert!(price(&SaleCard::example()).is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SaleCard {
    /// The sale.
    pub id: SaleId,
    /// The URL slug: lower-case letters, digits and single hyphens.
    pub slug: String,
    /// What is sold.
    pub name: String,
    /// A short description. Plain text.
    pub description: String,
    /// Price of one unit, in the currency's minor unit (cents).
    pub price_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Units one shopper may buy.
    pub per_shopper_limit: u32,
    /// Units one account may buy, if the sale requires sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub per_account_limit: Option<u32>,
    /// Units in the sale.
    pub total: u32,
    /// Units that are neither held, paid for nor promised.
    pub remaining: u32,
    /// The status of the sale.
    pub status: Status,
    /// When it opens or opened.
    #[serde(with = "time::serde::rfc3339")]
    pub opens_at: OffsetDateTime,
    /// When it ends, if it ends at a set time.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub ends_at: Option<OffsetDateTime>,
    /// Maximum admissions per second.
    pub rate_cap_per_s: f64,
    /// A message of the shop to all waiting shoppers.
    #[schema(required)]
    pub message: Option<String>,
    /// What an admission guarantees.
    #[serde(default)]
    pub mode: SaleMode,
    /// The order of service.
    #[serde(default)]
    pub order: LineOrder,
    /// For a draw: its commitment, and its proof once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub draw: Option<DrawFacts>,
    /// For a lane: its sale and its key. Other facts, except id and slug, are the sale's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lane: Option<LaneFacts>,
    /// Grace period in seconds, if the sale sets its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub grace_s: Option<u32>,
    /// Whether it is a rehearsal, which is not listed for shoppers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rehearsal: bool,
    /// The theme of its pages.
    #[serde(default, skip_serializing_if = "Theme::is_plain")]
    pub theme: Theme,
    /// The head of the sale's record. Messages of the line omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub record: Option<RecordHead>,
}

impl SaleCard {
    /// An open sale of ten units, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn example() -> Self {
        Self {
            id: SaleId(uuid::Uuid::from_u128(1)),
            slug: "first-drop".to_owned(),
            name: "First drop".to_owned(),
            description: String::new(),
            price_minor: 4900,
            currency: "EUR".to_owned(),
            per_shopper_limit: 1,
            per_account_limit: None,
            total: 10,
            remaining: 10,
            status: Status::Open,
            opens_at: OffsetDateTime::UNIX_EPOCH,
            ends_at: None,
            rate_cap_per_s: 10.0,
            message: None,
            mode: SaleMode::Guarantee,
            order: LineOrder::Fifo,
            draw: None,
            lane: None,
            grace_s: None,
            rehearsal: false,
            theme: Theme::default(),
            record: None,
        }
    }
}

// serde requires this signature.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What an admission guarantees.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SaleMode {
    /// A shopper who redeems in time finds a unit: no more are admitted than there are units for.
    #[default]
    Guarantee,
    /// More shoppers are admitted than there are units for, since some will not buy. A unit is held
    /// only while its payment runs, and at a stated risk a shopper finds none.
    Yield,
}

impl SaleMode {
    /// The mode as one word, as stored and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The order of service of a line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LineOrder {
    /// In the order of joining.
    #[default]
    Fifo,
    /// Shoppers who joined before the opening by lot; all others after them, in the order of
    /// joining.
    Draw,
}

impl LineOrder {
    /// The order as one word, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The commitment of a draw, and its proof once it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DrawFacts {
    /// The SHA-256 of the seed, as 64 hexadecimal digits. It never changes.
    pub commitment: String,
    /// Once the draw is made: the ordinals from 1 to this one were shuffled.
    #[schema(required)]
    pub pool: Option<u64>,
    /// Once the draw is made: the seed, as 64 hexadecimal digits.
    #[schema(required)]
    pub seed: Option<String>,
}

/// A lane: a line beside a sale's own, to the same stock. Joining it needs an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LaneFacts {
    /// The sale that it leads to.
    pub sale: SaleId,
    /// The end of its URL slug, after the sale's slug and two hyphens.
    pub name: String,
    /// The Ed25519 key that verifies its invitations, as base64url.
    pub key: String,
}

/// The last entry of a sale's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RecordHead {
    /// Its number.
    pub seq: u64,
    /// Its hash, as 64 hexadecimal digits.
    pub hash: String,
}
