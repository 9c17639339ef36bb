//! What a controller knows of a sale from one tick to the next. Nothing is decided by it that the ledger does not confirm.

use std::time::Duration;

use fairline_line::{
    store::{Upcoming, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_sale::{SaleCard, SaleId};

use crate::store::{LineRow, SaleRow};

/// What was published of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) publication: i64,
    pub(super) epoch: u32,
    pub(super) cursor: Ordinal,
    pub(super) highest: Ordinal,
    pub(super) granted: Ordinal,
    pub(super) recall_window_s: i32,
    pub(super) card: SaleCard,
}

impl Told {
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
}

/// What was last known of a line of a sale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KnownLine {
    pub(super) line: SaleId,
    pub(super) publication: i64,
    pub(super) look: UpcomingQuery,
    pub(super) seen: Upcoming,
}

/// What this controller knows of a sale. Moments are the process's own clock's.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(super) lines: Vec<KnownLine>,
    pub(super) told: Vec<Told>,
    pub(super) told_at: Option<Duration>,
    /// When something has last happened, and when the sale was last ticked, and last seen to be at rest.
    pub(super) changed_at: Option<Duration>,
    pub(super) ticked_at: Option<Duration>,
    pub(super) rested_at: Option<Duration>,
    /// How often it is looked at, and how often ticked, while it rests.
    pub(super) rests: Option<(Duration, Duration)>,
}

/// What Redis said of a sale before it was locked.
pub(super) struct Peek {
    pub(super) at: Duration,
    /// Of each line, in order; `None` if Redis does not know it.
    pub(super) seen: Vec<Option<Upcoming>>,
}
