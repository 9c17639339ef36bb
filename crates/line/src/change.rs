//! Changes of a line, as every node receives them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ticket::Ordinal;

/// A state of a line: its epoch, and the number of changes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
pub struct Revision {
    /// The life of the line; it grows when Redis may have lost data.
    pub epoch: u32,
    /// Changes in that epoch: the next one has the next number.
    pub rev: u64,
}

impl Revision {
    /// The revision of the next change in this epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self { rev: self.rev + 1, ..self }
    }
}

/// A change of a line, as the function library publishes it; `kind` distinguishes them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Grace periods ran out.
    Departed {
        /// The tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Shoppers left.
    Left {
        /// The tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Departed tickets came back before their turn.
    Returned {
        /// The tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Tickets came back after their turn, and are served next.
    Recalled {
        /// The tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Sockets closed. A node to which the shopper is still connected resumes the ticket
    /// immediately.
    Absent {
        /// The tickets.
        ordinals: Vec<Ordinal>,
    },
    /// The controller admitted tickets, or earlier turns have outcomes.
    Moved {
        /// The highest number whose turn has come.
        cursor: u64,
        /// The highest ordinal given.
        highest: Ordinal,
        /// Turns, as [`Turn::from_text`] reads them.
        #[serde(default)]
        turns: Vec<(Ordinal, String)>,
    },
    /// The draw took effect: tickets given before it are served by number from now on.
    Drawn {
        /// The ordinals from 1 to this one were shuffled.
        pool: Ordinal,
    },
    /// The sale's public facts changed.
    Card {
        /// The card, as JSON.
        card: String,
    },
}

/// The turn of a ticket, or its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It has not come yet, or comes again: the ticket waits.
    Waiting,
    /// It is now.
    Now(LiveTurn),
    /// No page claimed it; the ticket is recalled when its shopper comes back.
    Lapsed,
    /// It ran out unused.
    Expired,
    /// The token was redeemed.
    Bought,
    /// The shopper left the line.
    Left,
    /// An operator removed the ticket from the line.
    Removed,
    /// It passed while the shopper was away, too long ago to be recalled.
    Missed,
    /// The shopper has reached the sale's limit: the ticket was removed from the line.
    Limit,
}

/// A turn that is now: the token, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTurn {
    /// The admission token.
    pub token: String,
    /// Units promised.
    pub quantity: u32,
    /// Until when a page must have claimed it.
    #[serde(with = "time::serde::rfc3339")]
    pub claim_by: OffsetDateTime,
    /// Until when it can be redeemed.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

impl Turn {
    /// The turn as Redis has it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Turn::Waiting => "waiting".to_owned(),
            Turn::Now(turn) => serde_json::to_string(turn).expect("strings, numbers and dates"),
            Turn::Lapsed => "lapsed".to_owned(),
            Turn::Expired => "expired".to_owned(),
            Turn::Bought => "bought".to_owned(),
            Turn::Left => "left".to_owned(),
            Turn::Removed => "removed".to_owned(),
            Turn::Missed => "missed".to_owned(),
            Turn::Limit => "limit".to_owned(),
        }
    }

    /// Reads a turn as Redis has it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "waiting" => Turn::Waiting,
            "lapsed" => Turn::Lapsed,
            "expired" => Turn::Expired,
            "bought" => Turn::Bought,
            "left" => Turn::Left,
            "removed" => Turn::Removed,
            "missed" => Turn::Missed,
            "limit" => Turn::Limit,
            json => Turn::Now(serde_json::from_str(json).ok()?),
        })
    }
}
