//! The messages of the line, as JSON. `docs/line-protocol.md` describes them; a test compares its
//! schema with these types.

use fairline_sale::SaleCard;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A message to a page.
#[derive(Debug, Clone, PartialEq, Serialize, IntoStaticStr, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LineMessage {
    /// The place of the ticket.
    Place {
        /// The ticket's number.
        ordinal: u64,
        /// Shoppers ahead: 0 for the one who is next.
        place: u64,
        /// Shoppers behind.
        behind: u64,
        /// Shoppers ahead who had departed and came back. While this grows, a place may grow.
        recalled: u64,
        /// Places per second by which a page counts down until the next message; null: it does not.
        #[schema(required)]
        rate_per_s: Option<f64>,
        /// The forecast wait; null while it is unknown.
        #[schema(required)]
        wait: Option<Wait>,
        /// Whether the remaining units are likely to be gone by then.
        beyond_stock: bool,
        /// Units that are neither held, paid for nor promised.
        remaining: u32,
    },
    /// The ticket takes part in a draw that has not been made, so it has no place yet.
    Draw {
        /// The ticket's number.
        ordinal: u64,
        /// Participants of the draw.
        participants: u64,
    },
    /// The sale's public facts: the first message, and whenever they change.
    Sale {
        /// The facts.
        sale: Box<SaleCard>,
    },
    /// It is this ticket's turn.
    Turn {
        /// The admission token.
        token: String,
        /// Until when it can be redeemed.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
        /// Until when the page must send `claim`.
        #[serde(with = "time::serde::rfc3339")]
        claim_by: OffsetDateTime,
        /// Units promised.
        quantity: u32,
    },
    /// The wait is over. The last message.
    Over {
        /// Why.
        outcome: Outcome,
    },
    /// The connection is alive. Over WebSockets and event streams: after the first messages, and in
    /// silence.
    Heartbeat {
        /// Maximum seconds until the next message. A page without one has lost its connection.
        next_in_s: u32,
        /// After a loss, reconnect at a random moment within this time, in milliseconds.
        reconnect_within_ms: u32,
    },
    /// The line can't be reached at this moment. The place is kept.
    Reconnecting {
        /// Milliseconds until the next message is likely.
        retry_after_ms: u64,
    },
}

impl LineMessage {
    /// Its `type`.
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// The heartbeat of a node that holds the connections of many pages.
    pub fn heartbeat(pages: usize) -> Self {
        Self::Heartbeat { next_in_s: HEARTBEAT_S, reconnect_within_ms: reconnect_within_ms(pages) }
    }
}

/// Interval at which a page receives at least one message, in seconds: a half-open connection looks
/// like a quiet one, and browsers hide pings and comments from pages.
pub const HEARTBEAT_S: u32 = 20;

/// Pages whose return a healthy node takes in per second, by a wide margin.
const RETURNS_PER_S: usize = 4_000;

/// The time within which the pages of a node reconnect if it dies, for [`LineMessage::Heartbeat`]:
/// 500 ms for a small room, five seconds for 20,000 pages, in steps of 500 ms.
pub fn reconnect_within_ms(pages: usize) -> u32 {
    let half_seconds = pages.div_ceil(RETURNS_PER_S / 2).clamp(1, 10);
    u32::try_from(half_seconds * 500).unwrap_or(5_000)
}

/// The forecast wait, in seconds from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Wait {
    /// From and to: half of all such waits end within this range, in seconds from now.
    pub likely_s: (u64, u64),
    /// From and to: 90 % of all such waits end within this range.
    pub bounds_s: (u64, u64),
}

/// Why the wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Every unit is sold.
    SoldOut,
    /// The sale has ended.
    Closed,
    /// The turn ran out unused.
    Expired,
    /// The token was redeemed.
    Bought,
    /// The shopper left.
    Left,
    /// An operator removed the ticket from the line.
    Removed,
    /// The turn passed while the shopper was away, too long ago to be recalled.
    Missed,
    /// The shopper has reached the sale's limit.
    Limit,
}

impl Outcome {
    /// The outcome as one word, as on pages.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A message of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PageMessage {
    /// The token has arrived.
    Claim,
    /// Give the place up.
    Leave,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_room_returns_at_once_and_a_large_one_as_a_trickle() {
        let within = [0, 1, 2_000, 2_001, 10_000, 20_000, 1_000_000].map(reconnect_within_ms);
        assert_eq!(within, [500, 500, 500, 1_000, 2_500, 5_000, 5_000]);
    }
}
