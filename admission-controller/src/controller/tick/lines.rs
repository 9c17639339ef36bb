//! One line of a sale during one tick: as it was locked, with what is planned for it, and as it was
//! committed. Each owns the row of the line, or what is left of it.

use std::collections::HashSet;

use fairline_line::{
    store::{Home, Upcoming, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_sale::VisitorId;

use super::known::{KnownLine, PeekedLine};
use crate::controller::{
    line::LineRow,
    record::{Recorder, ReservedEntry},
    sale::SaleRow,
};

/// The query before a tick: claims, and what the record needs, but no tickets.
fn peek_query(line: &LineRow, record: &Recorder) -> UpcomingQuery {
    UpcomingQuery { cursor: line.cursor(), wanted: 0, reach: 0, record: record.wants() }
}

/// A line before the decision, with its record open.
pub(super) struct OpenLine {
    pub(super) row: LineRow,
    pub(super) record: Recorder,
    /// What Redis stores about the line; `None` if it does not have the line of this epoch.
    pub(super) seen: Option<Upcoming>,
    /// The Redis process that has lost the line, if one has.
    pub(super) lost_by: Option<Home>,
}

/// A line that Redis has, with what is planned for it.
pub(super) struct TickLine {
    pub(super) row: LineRow,
    pub(super) record: Recorder,
    pub(super) seen: Upcoming,
    /// The place of ended turns in the record: before the admissions of this tick.
    pub(super) ended_at: ReservedEntry,
    /// The cursor after this tick.
    pub(super) cursor: Ordinal,
    /// Tickets that are admitted before all others, and their place in the record.
    pub(super) preferred: Vec<AdmittedTicket>,
    pub(super) preferred_at: Option<ReservedEntry>,
    /// Tickets that are admitted in order, query by query.
    pub(super) served: Vec<ServedTickets>,
    /// Tickets whose turns are published again: Redis returned them as next, so it does not know
    /// their turns.
    pub(super) again: Vec<Ordinal>,
    /// Whether tickets were taken out because their shoppers have reached the limit.
    pub(super) takes_out: bool,
    /// Whether the record lags behind the line.
    pub(super) lags: bool,
}

/// A line as it was committed, for its publication.
pub(super) struct CommittedLine {
    /// The line for the next tick. Its publication is the last one that may contain this commit.
    pub(super) known: KnownLine,
    /// The Redis process that a new epoch begins in, if one has begun.
    pub(super) begins: Option<String>,
    /// Tickets whose turns are published again.
    pub(super) again: Vec<Ordinal>,
}

/// A ticket that is admitted: its ordinal, its holder, and the units that are promised.
pub(super) type AdmittedTicket = (Ordinal, VisitorId, u32);

/// The tickets that one query has found, and how far the line moves with them.
pub(super) struct ServedTickets {
    /// The place of these admissions in the record: before what is taken in later.
    pub(super) place: ReservedEntry,
    pub(super) tickets: Vec<AdmittedTicket>,
    /// Those that have a turn already, or are removed.
    pub(super) passed_over: HashSet<Ordinal>,
    pub(super) cursor: Ordinal,
}

impl OpenLine {
    pub(super) fn new(sale: &SaleRow, row: LineRow) -> Self {
        Self { record: row.open_record(sale), row, seen: None, lost_by: None }
    }

    /// The query for what Redis stores about the line.
    pub(super) fn query(&self) -> UpcomingQuery {
        peek_query(&self.row, &self.record)
    }

    /// Whether no tick has changed the line since it was read from Redis.
    pub(super) fn is_unchanged_since(&self, peeked: &PeekedLine) -> bool {
        peeked.line == self.row.line() && peeked.publication == self.row.publication && peeked.query == self.query()
    }

    /// The line after the commit of a tick that has begun epochs. Claims are left for the next
    /// tick.
    pub(super) fn committed(self) -> CommittedLine {
        let (line, publication, query) = (self.row.line(), self.row.publication, self.query());
        let drawn = self.seen.map_or(0, |seen| seen.drawn);
        let known = KnownLine { line, publication, query, seen: Upcoming { drawn, ..Upcoming::default() } };
        CommittedLine { known, begins: self.lost_by.map(|redis| redis.run_id), again: Vec::new() }
    }
}

impl TickLine {
    pub(super) fn new(row: LineRow, mut record: Recorder, seen: Upcoming) -> Self {
        Self {
            ended_at: record.keep_place(),
            record,
            seen,
            cursor: row.cursor(),
            row,
            preferred: Vec::new(),
            preferred_at: None,
            served: Vec::new(),
            again: Vec::new(),
            takes_out: false,
            lags: false,
        }
    }

    /// Leaves to the next tick what follows a ticket that was passed over since it had a turn which
    /// lapses in this tick: the ticket waits again, and is ahead.
    pub(super) fn stop_at(&mut self, lapsed: &[Ordinal]) {
        let waits_again = |served: &ServedTickets| lapsed.iter().any(|ordinal| served.passed_over.contains(ordinal));
        if let Some(first) = self.served.iter().position(waits_again) {
            self.served.truncate(first);
            self.cursor = self.served.last().map_or(self.row.cursor(), |served| served.cursor);
        }
    }

    /// The rows of some lines.
    pub(super) fn rows(lines: &[Self]) -> Vec<&LineRow> {
        lines.iter().map(|line| &line.row).collect()
    }

    /// The line after the commit.
    pub(super) fn committed(self) -> CommittedLine {
        let (line, publication) = (self.row.line(), self.row.publication);
        let known = KnownLine { line, publication, query: peek_query(&self.row, &self.record), seen: self.seen };
        CommittedLine { known, begins: None, again: self.again }
    }
}

/// Shoppers who have joined since the record was last written, with their ordinals.
pub(super) fn arrivals(seen: &Upcoming) -> Vec<(Ordinal, VisitorId)> {
    let arrivals = seen.arrivals.iter();
    arrivals.flat_map(|(first, visitors)| (*first..).zip(visitors.iter().copied())).collect()
}
