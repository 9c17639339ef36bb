//! What happens to a line, as every node hears it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ticket::Ordinal;

/// Which state of a line a node has seen: the life of the line, and how many changes there have been in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
pub struct Revision {
    /// The life of the line; it grows when Redis may have lost something.
    pub epoch: u32,
    /// Changes in that life: the next one has the next number.
    pub rev: u64,
}

impl Revision {
    /// The revision that the next change of this life has.
    #[must_use]
    pub fn next(self) -> Self {
        Self { rev: self.rev + 1, ..self }
    }
}

/// One thing that happened to a line. The Lua functions write these; `kind` tells them apart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Their grace periods ran out.
    Departed {
        /// Who.
        ordinals: Vec<Ordinal>,
    },
    /// They left of their own will.
    Left {
        /// Who.
        ordinals: Vec<Ordinal>,
    },
    /// They had departed and came back before their turn.
    Returned {
        /// Who.
        ordinals: Vec<Ordinal>,
    },
    /// They came back after their turn, and are served next.
    Recalled {
        /// Who.
        ordinals: Vec<Ordinal>,
    },
    /// Their sockets closed; a node where they still are says so at once.
    Absent {
        /// Who.
        ordinals: Vec<Ordinal>,
    },
    /// The controller let people in, or something became of earlier turns.
    Moved {
        /// The highest number whose turn has come.
        cursor: u64,
        /// The highest ordinal given.
        highest: Ordinal,
        /// What became of whose turn, in the words of [`Turn`].
        #[serde(default)]
        turns: Vec<(Ordinal, String)>,
    },
    /// The sale opened with a draw: those who joined before are served by number from now on.
    Drawn {
        /// The ordinals from 1 to this one were shuffled.
        pool: Ordinal,
    },
    /// The sale's facts changed.
    Card {
        /// The card, as JSON.
        card: String,
    },
}

/// What became of a ticket's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It has not come yet, or comes again: the ticket waits.
    Waiting,
    /// It is now.
    Now(LiveTurn),
    /// Nobody claimed it; the ticket is recalled when its shopper comes back.
    Lapsed,
    /// It ran out unused.
    Expired,
    /// The token was redeemed.
    Bought,
    /// The shopper left the line.
    Left,
    /// An operator took the ticket out of the line.
    Removed,
    /// It came and went while the shopper was away, too long ago to be recalled.
    Missed,
    /// The shopper has as many units of the sale as one shopper may: the ticket was taken out of the line.
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
    /// The words of Redis for it.
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

    /// Reads the words of Redis.
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
