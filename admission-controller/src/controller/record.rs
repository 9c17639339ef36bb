//! The entries that a tick adds to the record of a line. Pure: the transaction that commits the
//! events writes them.
//!
//! Admissions are planned query by query, and known after the last one. Each has a reserved place,
//! so that the record has all events in the order of the decisions.

use fairline_line::{
    change::Revision,
    store::{HistoryEntry, Presence, RecordQuery, Upcoming},
    ticket::Ordinal,
};
use fairline_record::{
    Hash, Ranges, draw,
    entry::{Body, Entry, Head, Receipts, RecordEvent, TICKETS_MAX, receipt},
};
use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use time::OffsetDateTime;

use super::{
    columns::{hash, ordinal, stored},
    line::LineRow,
    sale::SaleRow,
};

/// Tickets that one query takes into the record, about: keeps a tick short.
const TAKEN_IN_MAX: u64 = 10_000;

/// The record of one line, during one tick.
#[derive(Debug)]
pub struct Recorder {
    /// The sale's id for its own line.
    pub(crate) line: SaleId,
    /// Whether the line has a record.
    pub(crate) kept: bool,
    pub(crate) now: OffsetDateTime,
    /// Where the record ended before this tick.
    pub(crate) head: Head,
    /// The last change of the line that is in the record.
    pub(crate) recorded_revision: Revision,
    /// The tickets in the record.
    pub(crate) tickets: Ranges,
    /// The status in the record.
    pub(crate) status: Status,
    /// The ordinals of the line's epoch are above this one.
    pub(crate) above: Ordinal,
    /// The events of this tick, in parts: some are known later than those after them.
    pub(crate) parts: Vec<Vec<RecordEvent>>,
    /// Parts before this one are final: a draw depends on them.
    pub(crate) settled: usize,
}

/// A reserved place in the record, for events that are known later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReservedEntry(usize);

impl Recorder {
    /// What the line is queried for; `None` if there is no record.
    pub(crate) fn wants(&self) -> Option<RecordQuery> {
        let wanted = RecordQuery {
            recorded: self.recorded(),
            up_to: None,
            history_after: Some(self.recorded_revision),
            max: TAKEN_IN_MAX,
        };
        self.kept.then_some(wanted)
    }

    /// What the line is queried for before a draw: the tickets up to the last one in it.
    pub(crate) fn wants_tickets_up_to(&self, pool: Ordinal) -> Option<RecordQuery> {
        self.wants().map(|wanted| RecordQuery { up_to: Some(pool), history_after: None, ..wanted })
    }

    /// The highest ordinal that is in the record or can't be given any more.
    pub(crate) fn recorded(&self) -> Ordinal {
        self.tickets.highest().max(self.above)
    }

    /// Reserves a place for what is decided now and known later.
    pub(crate) fn keep_place(&mut self) -> ReservedEntry {
        self.parts.extend([Vec::new(), Vec::new()]);
        ReservedEntry(self.parts.len() - 2)
    }

    fn write_at(&mut self, place: Option<ReservedEntry>, event: RecordEvent) {
        let last = self.parts.len().saturating_sub(1);
        let at = place.map_or(last, |ReservedEntry(at)| at.max(self.settled).min(last));
        if self.kept {
            self.parts.resize_with(self.parts.len().max(1), Vec::new);
            self.parts[at].push(event);
        }
    }

    fn write(&mut self, event: RecordEvent) {
        self.write_at(None, event);
    }

    fn write_of(&mut self, place: Option<ReservedEntry>, ordinals: &[Ordinal], event: fn(Vec<Ordinal>) -> RecordEvent) {
        for ordinals in ordinals.chunks(TICKETS_MAX) {
            self.write_at(place, event(ordinals.to_vec()));
        }
    }

    /// Whether this tick adds nothing.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Vec::is_empty)
    }

    /// The entries of this tick, and the new head of the record.
    pub fn entries(&self) -> (Vec<Entry>, Head) {
        let mut head = self.head;
        let entry = |event: &RecordEvent| {
            let entry = Entry::after(head, &Body { at: self.now, event: event.clone() });
            head = entry.head;
            entry
        };
        let entries = self.parts.iter().flatten().map(entry).collect();
        (entries, head)
    }

    /// Adds the first entry, if it is missing, and the status, if it has changed.
    pub(crate) fn begin(&mut self, order: LineOrder, commitment: Option<Hash>, status: Status) {
        if self.head.seq == 0 && self.is_empty() {
            self.write(RecordEvent::Sale { sale: self.line, order, commitment });
        }
        if self.status != status {
            self.status = status;
            self.write(RecordEvent::Status { status });
        }
    }

    /// Adds the beginning of an epoch.
    pub fn epoch(&mut self, epoch: u32, above: Ordinal) {
        self.above = above;
        self.write(RecordEvent::Epoch { epoch, above });
    }

    /// Adds the entries that the line has returned.
    pub fn take_in(&mut self, seen: &Upcoming) {
        for (first, visitors) in &seen.arrivals {
            for (at, visitors) in visitors.chunks(TICKETS_MAX).enumerate() {
                let first = first + (at * TICKETS_MAX) as u64;
                self.tickets.insert(first, first + visitors.len() as u64 - 1);
                let receipts = self.receipts((first..).zip(visitors.iter().copied()));
                self.write(RecordEvent::Joined { first, receipts });
            }
        }
        for entry in &seen.history {
            self.take_presence(entry);
            self.recorded_revision = entry.at;
        }
    }

    fn take_presence(&mut self, entry: &HistoryEntry) {
        let shown = entry.ordinals.iter().copied().zip(entry.visitors.iter().copied());
        let unknown: Vec<_> = shown.filter(|ticket| !self.tickets.contains(ticket.0)).collect();
        for unknown in unknown.chunks(TICKETS_MAX) {
            let ordinals: Vec<_> = unknown.iter().map(|ticket| ticket.0).collect();
            ordinals.iter().for_each(|&ordinal| self.tickets.insert(ordinal, ordinal));
            let receipts = self.receipts(unknown.iter().copied());
            self.write(RecordEvent::Shown { ordinals, receipts });
        }
        // The presence of a ticket that was never presented does not matter.
        let known: Vec<_> = entry.ordinals.iter().copied().filter(|&ordinal| self.tickets.contains(ordinal)).collect();
        self.write_of(
            None,
            &known,
            match entry.presence {
                Presence::Departed => |ordinals| RecordEvent::Departed { ordinals },
                Presence::Left => |ordinals| RecordEvent::Left { ordinals },
                Presence::Returned => |ordinals| RecordEvent::Returned { ordinals },
                Presence::Recalled => |ordinals| RecordEvent::Recalled { ordinals },
            },
        );
    }

    fn receipts(&self, tickets: impl Iterator<Item = (Ordinal, VisitorId)>) -> Receipts {
        Receipts(tickets.map(|(ordinal, visitor)| receipt(self.line, ordinal, visitor)).collect())
    }

    /// Adds the draw. Returns its key, from the seed and from all earlier entries.
    pub(crate) fn draw(&mut self, seed: &[u8; 32], pool: Ordinal) -> Hash {
        let key = draw::key(seed, self.entries().1.hash);
        self.settled = self.parts.len();
        self.parts.push(Vec::new());
        self.write(RecordEvent::Drawn { pool, seed: Hash(*seed) });
        key
    }

    /// Adds admissions and the new cursor, in the place that was reserved when they were planned.
    pub(crate) fn admitted(&mut self, place: ReservedEntry, ordinals: &[Ordinal], cursor: u64) {
        self.write_at(Some(place), RecordEvent::Admitted { ordinals: ordinals.to_vec(), cursor });
    }

    /// Whether a ticket is in the record; always if there is no record.
    pub(crate) fn knows(&self, ordinal: Ordinal) -> bool {
        !self.kept || self.tickets.contains(ordinal)
    }

    /// Adds tickets that an operator has preferred.
    pub(crate) fn preferred(&mut self, place: ReservedEntry, ordinals: &[Ordinal]) {
        self.write_of(Some(place), ordinals, |ordinals| RecordEvent::Preferred { ordinals });
    }

    /// Adds tickets that were removed from the line.
    pub fn removed(&mut self, ordinals: &[Ordinal]) {
        self.write_of(None, ordinals, |ordinals| RecordEvent::Removed { ordinals });
    }

    /// Adds ended turns, before the admissions of this tick.
    pub(crate) fn over(&mut self, place: ReservedEntry, lapsed: &[Ordinal], redeemed: &[Ordinal]) {
        self.write_of(Some(place), lapsed, |ordinals| RecordEvent::Lapsed { ordinals });
        self.write_of(Some(place), redeemed, |ordinals| RecordEvent::Redeemed { ordinals });
    }
}

impl LineRow {
    /// Whether the record of a tick has changed.
    pub fn is_record_changed(&self, record: &Recorder) -> bool {
        let has_noted = record.kept && record.recorded_revision != self.recorded_revision();
        !record.is_empty() || has_noted
    }

    /// Continues from the end of the record that a tick has written.
    pub fn keep_record(&mut self, record: &Recorder, head: Head) {
        self.record_seq = Some(stored(head.seq));
        self.record_hash = head.hash.0.to_vec();
        self.recorded_epoch = i32::try_from(record.recorded_revision.epoch).unwrap_or(i32::MAX);
        self.recorded_rev = stored(record.recorded_revision.rev);
        self.recorded_tickets = record.tickets.bounds().into_iter().map(stored).collect();
        record.status.as_stored().clone_into(&mut self.recorded_status);
    }

    /// Opens the record of the line, at its end.
    pub fn open_record(&self, sale: &SaleRow) -> Recorder {
        let bounds: Vec<Ordinal> = self.recorded_tickets.iter().copied().map(ordinal).collect();
        let mut recorder = Recorder {
            line: self.line(),
            kept: self.record_seq.is_some(),
            now: sale.now,
            head: Head { seq: self.record_seq.map_or(0, ordinal), hash: hash(&self.record_hash) },
            recorded_revision: self.recorded_revision(),
            tickets: Ranges::from_bounds(&bounds).unwrap_or_default(),
            status: Status::from_stored(&self.recorded_status),
            above: self.above(),
            parts: Vec::new(),
            settled: 0,
        };
        recorder.begin(sale.order(), sale.commitment(), sale.stored_status());
        recorder
    }
}
