//! A line of a sale as Postgres has it: its own, or a lane. Pure.

use fairline_line::{change::Revision, invitation::InvitationKey, store::Upcoming, ticket::Ordinal};
use fairline_record::Hash;
use fairline_sale::{LaneFacts, SaleId};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::columns::{count, hash, ordinal, stored};

/// Shoppers who wait with an open page.
pub fn present(seen: &Upcoming) -> i64 {
    stored(seen.waiting.saturating_sub(seen.absent))
}

/// A line of a sale, as stored: its own, or a lane.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[allow(missing_docs, reason = "the columns of the schema")]
pub struct LineRow {
    /// The sale's for its own line.
    pub id: Uuid,
    pub sale_id: Uuid,
    /// The name of a lane.
    pub lane: Option<String>,
    /// The share of the admissions that a lane gets while shoppers wait in it.
    pub share: Option<f64>,
    /// The key that signs a lane's invitations.
    pub invitation_key: Option<Vec<u8>>,
    pub invitations: i64,
    pub epoch: i32,
    pub cursor: i64,
    pub highest_ordinal: i64,
    pub granted: i64,
    pub above: i64,
    pub drawn: Option<i64>,
    pub draw_key: Option<Vec<u8>>,
    pub record_seq: Option<i64>,
    pub record_hash: Vec<u8>,
    pub recorded_epoch: i32,
    pub recorded_rev: i64,
    pub recorded_tickets: Vec<i64>,
    pub recorded_status: String,
    pub published_status: Option<String>,
    /// When the epoch was published; until then, the time by which it will be.
    pub epoch_began_at: OffsetDateTime,
    /// The number of the last publication that may contain a commit.
    pub publication: i64,
    /// The Redis process that the epoch lives in.
    pub home: Option<String>,
    /// Epochs that have begun in short succession.
    pub rapid_epochs: i32,
    /// Past turns of tickets below this one are still to be published again.
    pub republish_below: Option<i64>,
    /// Admitted tickets; a ticket that was admitted again counts once.
    pub admitted: i64,
    /// Waiting shoppers, as of the last tick.
    pub waiting: i64,
    /// Of these, the ones with the page open.
    pub present: i64,
    /// Waiting shoppers with the page open before the line was lost.
    pub expected: i64,
    /// Nodes that were up, as of the last tick.
    pub nodes: i64,
    /// Nodes that were up before the line was lost.
    pub expected_nodes: i64,
    /// No shopper is admitted while they return, but until this time at most.
    pub recovers_until: Option<OffsetDateTime>,
}

impl LineRow {
    /// The id of the line.
    pub fn line(&self) -> SaleId {
        SaleId(self.id)
    }

    /// The highest number whose turn has come.
    pub fn cursor(&self) -> Ordinal {
        ordinal(self.cursor)
    }

    /// The highest ordinal given.
    pub fn highest(&self) -> Ordinal {
        ordinal(self.highest_ordinal)
    }

    /// The highest ordinal that Redis may issue.
    pub fn granted(&self) -> Ordinal {
        ordinal(self.granted)
    }

    /// The epoch.
    pub fn epoch(&self) -> u32 {
        count(self.epoch)
    }

    /// How many epochs have begun in short succession.
    pub fn rapid_epochs(&self) -> u32 {
        count(self.rapid_epochs)
    }

    /// How many of the present shoppers had a ticket before this epoch, which begins above all
    /// earlier ordinals.
    pub fn returned(&self, present: i64, highest: i64) -> i64 {
        present - (highest - self.above)
    }

    /// Whether past turns of earlier epochs are still to be published again.
    pub fn is_republishing(&self) -> bool {
        self.republish_below.is_some()
    }

    /// The key that signs the invitations to a lane.
    pub fn invitation_key(&self) -> Option<InvitationKey> {
        self.invitation_key.as_deref().map(|key| InvitationKey::new(&hash(key).0))
    }

    /// The number of tickets in the draw, and its key; `None` before the draw.
    pub fn drawn(&self) -> Option<(Ordinal, Hash)> {
        self.drawn.map(ordinal).zip(self.draw_key.as_deref().map(hash))
    }

    /// The ordinals of the line's epoch are above this one.
    pub fn above(&self) -> Ordinal {
        ordinal(self.above)
    }

    /// How far the record has the line's history.
    pub fn recorded_revision(&self) -> Revision {
        Revision { epoch: count(self.recorded_epoch), rev: ordinal(self.recorded_rev) }
    }

    /// The data of a lane that shoppers see.
    pub(super) fn lane_facts(&self) -> Option<LaneFacts> {
        let (name, key) = self.lane.clone().zip(self.invitation_key())?;
        Some(LaneFacts { sale: SaleId(self.sale_id), name, key: key.public() })
    }
}

#[cfg(test)]
impl LineRow {
    /// A line in an epoch that began at a time, in a Redis process.
    pub(crate) fn in_epoch(epoch: i32, home: &str, epoch_began_at: OffsetDateTime, rapid_epochs: i32) -> Self {
        Self {
            id: Uuid::nil(),
            sale_id: Uuid::nil(),
            lane: None,
            share: None,
            invitation_key: None,
            invitations: 0,
            epoch,
            cursor: 0,
            highest_ordinal: 0,
            granted: 0,
            above: 0,
            drawn: None,
            draw_key: None,
            record_seq: None,
            record_hash: Vec::new(),
            recorded_epoch: 0,
            recorded_rev: 0,
            recorded_tickets: Vec::new(),
            recorded_status: String::new(),
            published_status: None,
            epoch_began_at,
            publication: 0,
            home: Some(home.to_owned()),
            rapid_epochs,
            republish_below: None,
            admitted: 0,
            waiting: 0,
            present: 0,
            expected: 0,
            nodes: 0,
            expected_nodes: 0,
            recovers_until: None,
        }
    }
}
