//! One line of a sale during one tick. Its row stands in the locked sale, at the same position.

use fairline_line::{
    store::{Home, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::VisitorId;

use crate::controller::record::{Recorder, ReservedEntry};

/// A line before the decision, with its record open.
pub(super) struct OpenLine {
    /// The position of the line among the sale's.
    pub(super) at: usize,
    pub(super) record: Recorder,
    /// What Redis knows of the line; `None` if it does not know the line of this epoch.
    pub(super) seen: Option<Upcoming>,
    /// The Redis process that has lost the line, if one has.
    pub(super) lost_by: Option<Home>,
}

/// A line that Redis knows, with what is planned for it.
pub(super) struct TickLine {
    /// The position of the line among the sale's.
    pub(super) at: usize,
    pub(super) record: Recorder,
    pub(super) seen: Upcoming,
    /// The place of ended turns in the record: before the admissions of this tick.
    pub(super) ended_at: ReservedEntry,
    /// The cursor after this tick.
    pub(super) cursor: Ordinal,
    /// Tickets that are admitted before all others, and their place in the record.
    pub(super) preferred: Vec<Admit>,
    pub(super) preferred_at: Option<ReservedEntry>,
    /// Tickets that are admitted in order, query by query.
    pub(super) served: Vec<Served>,
    /// Tickets whose turns are published again: Redis returned them as next, so it does not know
    /// their turns.
    pub(super) again: Vec<Ordinal>,
    /// Whether tickets were taken out because their shoppers have reached the limit.
    pub(super) takes_out: bool,
    /// Whether the record lags behind the line.
    pub(super) lags: bool,
}

/// A ticket that is admitted: its ordinal, its holder, and the units that are promised.
pub(super) type Admit = (Ordinal, VisitorId, u32);

/// The tickets that one query has found, and how far the line moves with them.
pub(super) struct Served {
    /// The place of these admissions in the record: before what is taken in later.
    pub(super) place: ReservedEntry,
    pub(super) tickets: Vec<Admit>,
    pub(super) cursor: Ordinal,
}

impl TickLine {
    pub(super) fn new(at: usize, mut record: Recorder, seen: Upcoming, cursor: Ordinal) -> Self {
        Self {
            at,
            ended_at: record.keep_place(),
            record,
            seen,
            cursor,
            preferred: Vec::new(),
            preferred_at: None,
            served: Vec::new(),
            again: Vec::new(),
            takes_out: false,
            lags: false,
        }
    }

    /// Shoppers who have joined since the record was last written, with their ordinals.
    pub(super) fn arrivals(seen: &Upcoming) -> Vec<(Ordinal, VisitorId)> {
        let arrivals = seen.arrivals.iter();
        arrivals.flat_map(|(first, visitors)| (*first..).zip(visitors.iter().copied())).collect()
    }
}
