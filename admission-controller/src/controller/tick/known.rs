//! What a controller remembers of a sale between ticks. The ledger confirms all of it before it
//! affects a decision.

use std::{collections::HashMap, time::Duration};

use fairline_line::{
    store::{Upcoming, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_sale::{SaleCard, SaleId};

use crate::controller::{line::LineRow, sale::SaleRow};

/// The published state of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PublishedLine {
    publication: i64,
    epoch: u32,
    cursor: Ordinal,
    highest: Ordinal,
    granted: Ordinal,
    recall_window_s: i32,
    card: SaleCard,
}

impl PublishedLine {
    pub(super) fn of(row: &SaleRow, line: &LineRow) -> Self {
        Self {
            publication: line.publication,
            epoch: line.epoch(),
            cursor: line.cursor(),
            highest: line.highest(),
            granted: line.granted(),
            recall_window_s: row.recall_window_s,
            card: row.card(line),
        }
    }

    /// Whether the line is still as it was published. The number may differ, since other
    /// controllers publish too.
    pub(super) fn is_current(&self, row: &SaleRow, line: &LineRow) -> bool {
        *self == Self { publication: self.publication, ..Self::of(row, line) }
    }
}

/// A line as the last tick left it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KnownLine {
    pub(super) line: SaleId,
    pub(super) publication: i64,
    /// The queries that the next tick sends to Redis before it locks the sale.
    pub(super) query: UpcomingQuery,
    pub(super) seen: Upcoming,
}

/// How a sale rests in which there is nothing to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleState {
    /// How often its lines are read from Redis.
    pub(super) peek_every: Duration,
    /// How often it is ticked even if they are unchanged.
    pub(super) tick_every: Duration,
}

/// This controller's knowledge of a sale. Times are those of the process's own clock.
#[derive(Debug, Default)]
pub(crate) struct KnownSale {
    pub(super) lines: Vec<KnownLine>,
    pub(super) published: HashMap<SaleId, PublishedLine>,
    pub(super) published_at: Option<Duration>,
    /// When the sale has last changed, and was last ticked.
    pub(super) changed_at: Option<Duration>,
    pub(super) ticked_at: Option<Duration>,
    /// Whether it was at rest when it was last read.
    pub(super) rests: bool,
    pub(super) rest: Option<IdleState>,
    /// Whether the last tick failed.
    pub(super) has_failed: bool,
}

/// The reply of Redis about a sale, from before the sale was locked.
pub(super) struct Peek {
    pub(super) at: Duration,
    pub(super) lines: Vec<PeekedLine>,
}

/// A known line, as Redis has it now.
pub(super) struct PeekedLine {
    pub(super) line: SaleId,
    pub(super) publication: i64,
    pub(super) query: UpcomingQuery,
    /// `None` if Redis does not have the line.
    pub(super) seen: Option<Upcoming>,
    pub(super) is_unchanged: bool,
}
