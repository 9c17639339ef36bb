//! What one shopper saw, written down for the count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::plan::{Behaviour, Transport};

/// What one shopper saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) index: u32,
    /// Where it waits: the sale's own line, by the sale's id, or a lane.
    pub(crate) line: Uuid,
    pub(crate) behaviour: Behaviour,
    pub(crate) transport: Transport,
    /// The ordinal of its ticket, from the first message that named it.
    pub(crate) ordinal: Option<u64>,
    /// From the first attempt to reach the waiting room to the first place or turn.
    pub(crate) join_ms: Option<f64>,
    /// It left, or closed the lid.
    pub(crate) walked_out: bool,
    /// The longest time without a connection between joining and its first turn.
    pub(crate) away_ms_max: u64,
    /// Connections that it had to make anew.
    pub(crate) reconnects: u32,
    /// Messages that named another ordinal than before.
    pub(crate) places_lost: u32,
    /// Its turns, each admission once.
    pub(crate) turns: Vec<Turn>,
    /// Every purchase that was answered with 201.
    pub(crate) accepted: Vec<Accepted>,
    /// How it came to its hold.
    pub(crate) redemption: Option<Redemption>,
    /// Refusals of its own, real token.
    pub(crate) refusals: Vec<Refusal>,
    /// The hold was called lapsed before its time.
    pub(crate) lapsed_early: bool,
    /// It wanted to pay, and every unit was sold or being paid for.
    pub(crate) no_unit: bool,
    /// Forgeries that checkout answered, whatever it said.
    pub(crate) forged_tried: u32,
    /// Kinds of forgeries that bought something.
    pub(crate) forged_accepted: Vec<String>,
    /// Purchases with its token and somebody else's ticket that checkout answered.
    pub(crate) stolen_tried: u32,
    pub(crate) stolen_accepted: u32,
    /// Answers that showed the order to somebody else.
    pub(crate) leaked: u32,
    /// Tokens that were accepted after they had expired.
    pub(crate) expired_accepted: u32,
    /// Purchases beyond the sale's limit per shopper that were accepted.
    pub(crate) over_limit: u32,
    /// It had all that one shopper may, came again, and was told so.
    pub(crate) told_of_limit: bool,
    pub(crate) paid: Option<Paid>,
    /// `None`: it never learned one.
    pub(crate) outcome: Option<Outcome>,
    /// Answers and messages that the documentation doesn't lead one to expect, and how often.
    pub(crate) unexpected: BTreeMap<String, u32>,
}

/// Most refusals, turns and kinds of surprise that one shopper writes down.
pub(crate) const NOTES_MAX: usize = 32;

impl Record {
    pub(crate) fn new(index: u32, line: Uuid, behaviour: Behaviour, transport: Transport) -> Record {
        Record {
            index,
            line,
            behaviour,
            transport,
            ordinal: None,
            join_ms: None,
            walked_out: false,
            away_ms_max: 0,
            reconnects: 0,
            places_lost: 0,
            turns: Vec::new(),
            accepted: Vec::new(),
            redemption: None,
            refusals: Vec::new(),
            lapsed_early: false,
            no_unit: false,
            forged_tried: 0,
            forged_accepted: Vec::new(),
            stolen_tried: 0,
            stolen_accepted: 0,
            leaked: 0,
            expired_accepted: 0,
            over_limit: 0,
            told_of_limit: false,
            paid: None,
            outcome: None,
            unexpected: BTreeMap::new(),
        }
    }

    /// Writes a surprise down.
    pub(crate) fn surprised_by(&mut self, what: String) {
        if self.unexpected.len() < NOTES_MAX || self.unexpected.contains_key(&what) {
            *self.unexpected.entry(what).or_default() += 1;
        }
    }

    /// Kept its place in the line to the end of its wait: never left, and never away for longer than `grace_ms`.
    pub(crate) fn stayed(&self, grace_ms: u64) -> bool {
        self.join_ms.is_some() && !self.walked_out && self.away_ms_max <= grace_ms
    }
}

/// A turn, when it was first seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) admission: Uuid,
    /// The token's holder, as the token writes it.
    pub(crate) visitor: String,
    /// When the token says that it was issued.
    pub(crate) issued_at_s: i64,
    /// Since when the connection that brought it had been up.
    pub(crate) connected_at_us: i64,
    pub(crate) seen_at_us: i64,
}

/// A purchase that was answered with 201.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) admission: Uuid,
    pub(crate) order: Uuid,
}

/// A hold, and how long it took to get it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Redemption {
    pub(crate) admission: Uuid,
    pub(crate) order: Uuid,
    pub(crate) took_ms: f64,
}

/// A purchase that was refused although the token was real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) admission: Uuid,
    /// When the purchase was answered.
    pub(crate) at_us: i64,
    /// Status and problem.
    pub(crate) why: String,
}

/// An order that its shopper saw paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paid {
    pub(crate) order: Uuid,
    pub(crate) units: u32,
}

/// How the visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Paid,
    SoldOut,
    Closed,
    /// The turn was claimed, and the token ran out.
    Expired,
    /// The hold ran out before it was paid.
    Lapsed,
    /// Paid, but too late; the money went back.
    Refunded,
    /// Left by message.
    Left,
    /// Taken out of the line by an operator.
    Removed,
    /// Away when the turn came, and back too late.
    Missed,
    /// Has as many units of the sale as one shopper may.
    Limit,
    /// Closed the lid for good: wanted to know nothing more.
    LidClosed,
}

impl Outcome {
    /// As it is written.
    pub(crate) fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
    }
}
