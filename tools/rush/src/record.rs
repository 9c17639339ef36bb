//! The observations of one shopper, recorded for the report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::plan::{ShopperModel, Transport};

/// The observations of one shopper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShopperRecord {
    pub(crate) index: u32,
    /// The line in which it waits: the sale's own, by the sale's id, or a lane.
    pub(crate) line: Uuid,
    pub(crate) model: ShopperModel,
    pub(crate) transport: Transport,
    /// The ordinal of its ticket, from the first message that named it.
    pub(crate) ordinal: Option<u64>,
    /// Time from the first connection attempt to the first place or turn.
    pub(crate) join_ms: Option<f64>,
    /// Whether it left, or disconnected.
    pub(crate) walked_out: bool,
    /// The longest time without a connection between joining and its first turn.
    pub(crate) away_ms_max: u64,
    /// Number of reconnections.
    pub(crate) reconnects: u32,
    /// Messages with another ordinal than before.
    pub(crate) places_lost: u32,
    /// Its turns, one per admission.
    pub(crate) turns: Vec<ObservedTurn>,
    /// Every purchase with a response of 201.
    pub(crate) accepted: Vec<AcceptedPurchase>,
    /// How it got its hold.
    pub(crate) redemption: Option<RedeemedHold>,
    /// Rejections of its own, real token.
    pub(crate) rejections: Vec<ObservedRejection>,
    /// Whether the hold was reported expired before its time.
    pub(crate) expired_early: bool,
    /// Whether it wanted to pay, and every unit was sold or being paid for.
    pub(crate) no_unit: bool,
    /// Forgeries with any response of checkout.
    pub(crate) forged_tried: u32,
    /// Kinds of forgeries that bought something.
    pub(crate) forged_accepted: Vec<String>,
    /// Purchases with its token and another shopper's ticket, with any response of checkout.
    pub(crate) stolen_tried: u32,
    pub(crate) stolen_accepted: u32,
    /// Responses that showed its order to another shopper.
    pub(crate) leaked: u32,
    /// Tokens that were accepted after they had expired.
    pub(crate) expired_accepted: u32,
    /// Purchases beyond the sale's limit per shopper that were accepted.
    pub(crate) over_limit: u32,
    /// Whether it had reached the limit, joined again, and was notified of the limit.
    pub(crate) notified_of_limit: bool,
    pub(crate) paid: Option<Paid>,
    /// The outcome; `None` if it never received one.
    pub(crate) outcome: Option<VisitOutcome>,
    /// Responses and messages that the documentation does not lead one to expect, with their
    /// number.
    pub(crate) unexpected: BTreeMap<String, u32>,
}

/// Maximum rejections, turns and unexpected responses recorded per shopper.
pub(crate) const RECORDED_MAX: usize = 32;

impl ShopperRecord {
    pub(crate) fn new(index: u32, line: Uuid, model: ShopperModel, transport: Transport) -> ShopperRecord {
        ShopperRecord {
            index,
            line,
            model,
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
            rejections: Vec::new(),
            expired_early: false,
            no_unit: false,
            forged_tried: 0,
            forged_accepted: Vec::new(),
            stolen_tried: 0,
            stolen_accepted: 0,
            leaked: 0,
            expired_accepted: 0,
            over_limit: 0,
            notified_of_limit: false,
            paid: None,
            outcome: None,
            unexpected: BTreeMap::new(),
        }
    }

    /// Records an unexpected response.
    pub(crate) fn record_unexpected(&mut self, what: String) {
        if self.unexpected.len() < RECORDED_MAX || self.unexpected.contains_key(&what) {
            *self.unexpected.entry(what).or_default() += 1;
        }
    }

    /// Whether it kept its place to the end of its wait: never left, and never away for longer than
    /// `grace_ms`.
    pub(crate) fn stayed(&self, grace_ms: u64) -> bool {
        self.join_ms.is_some() && !self.walked_out && self.away_ms_max <= grace_ms
    }
}

/// A turn, when it was first seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ObservedTurn {
    pub(crate) admission: Uuid,
    /// The token's holder, as in the token.
    pub(crate) visitor: String,
    /// The token's issue time.
    pub(crate) issued_at_s: i64,
    /// When the connection that delivered it was opened.
    pub(crate) connected_at_us: i64,
    pub(crate) seen_at_us: i64,
}

/// A purchase with a response of 201.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AcceptedPurchase {
    pub(crate) admission: Uuid,
    pub(crate) order: Uuid,
}

/// A hold, and its latency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RedeemedHold {
    pub(crate) admission: Uuid,
    pub(crate) order: Uuid,
    pub(crate) took_ms: f64,
}

/// A purchase that was rejected although the token was real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObservedRejection {
    pub(crate) admission: Uuid,
    /// Time of the response.
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
pub(crate) enum VisitOutcome {
    Paid,
    SoldOut,
    Closed,
    /// The turn was claimed, and the token expired.
    Expired,
    /// The hold expired before it was paid.
    HoldExpired,
    /// Paid, but too late; refunded.
    Refunded,
    /// Cancelled its order.
    Cancelled,
    /// Left by message.
    Left,
    /// Removed from the line by an operator.
    Removed,
    /// Disconnected when the turn came, and back too late.
    Missed,
    /// Reached the sale's limit per shopper.
    Limit,
    /// Disconnected permanently.
    Disconnected,
}

impl VisitOutcome {
    /// The name as serialised.
    pub(crate) fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default()
    }
}
