//! The public facts of a sale.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Look, SaleId, Status};

/// The facts of a sale that anybody may see; the controller publishes it, waiting rooms show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SaleCard {
    /// The sale.
    pub id: SaleId,
    /// Its name in addresses: lower-case letters, digits and single hyphens.
    pub slug: String,
    /// What is sold.
    pub name: String,
    /// A sentence or two about it. Plain text.
    pub description: String,
    /// Price of one unit, in the currency's minor unit (cents).
    pub price_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Units one shopper may buy.
    pub per_shopper_limit: u32,
    /// Units one account may buy, where only those who are signed in may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub per_account_limit: Option<u32>,
    /// Units in the sale.
    pub total: u32,
    /// Units that are neither held, paid for nor promised.
    pub remaining: u32,
    /// What the sale is doing.
    pub status: Status,
    /// When it opens or opened.
    #[serde(with = "time::serde::rfc3339")]
    pub opens_at: OffsetDateTime,
    /// When it ends, if it ends by the clock.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub ends_at: Option<OffsetDateTime>,
    /// People let in per second at most.
    pub rate_cap_per_s: f64,
    /// What the shop says to everybody who waits.
    #[schema(required)]
    pub message: Option<String>,
    /// What being let in means.
    #[serde(default)]
    pub mode: SaleMode,
    /// In which order the line is served.
    #[serde(default)]
    pub order: LineOrder,
    /// Of a draw: what binds it before it is made, and proves it afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub draw: Option<DrawFacts>,
    /// Of a lane: what it leads to, and what it takes to join. The facts above are the sale's, but for the id and the slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lane: Option<LaneFacts>,
    /// Seconds for which a shopper who went silent keeps the place, where it is not as in every other sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub grace_s: Option<u32>,
    /// Whether it is a rehearsal: no list that shoppers see shows it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rehearsal: bool,
    /// What its pages look like, and say.
    #[serde(default, skip_serializing_if = "Look::is_plain")]
    pub look: Look,
    /// Where the sale's record stands. The messages of the line are without it.
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
            look: Look::default(),
            record: None,
        }
    }
}

// serde requires this signature.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What being let in means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaleMode {
    /// A shopper who redeems in time finds a unit: no more are admitted than there are units for.
    #[default]
    Guarantee,
    /// More shoppers are admitted than there are units for, since some will not buy. A unit is held only
    /// while its payment runs, and at a stated risk a shopper finds none.
    Yield,
}

/// In which order a line is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineOrder {
    /// In the order of joining.
    #[default]
    Fifo,
    /// Those who joined before the opening by lot; everybody else after them, in the order of joining.
    Draw,
}

/// What binds a draw before it is made, and proves it afterwards.
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
    /// Its name in addresses, after the sale's slug and two hyphens.
    pub name: String,
    /// The Ed25519 key that its invitations are verified with, as base64url.
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
