//! What a tick writes into the record of a sale. Pure: events are gathered here, and written by the transaction that commits
//! what they tell of. Who is let in is decided look by look and known after the last one: a place is kept for each, so that the record
//! has everything in the order in which it was decided.

use fairline_line::{
    change::Revision,
    store::{HistoryEntry, Presence, RecordQuery, Upcoming},
    ticket::Ordinal,
};
use fairline_record::{
    Hash, Ranges, draw,
    entry::{Body, Entry, Event, Head, Receipts, TICKETS_MAX, receipt},
};
use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use time::OffsetDateTime;

/// Tickets that one look at the line takes into the record at most, about: keeps a tick short.
const HEARD_MAX: u64 = 10_000;

/// The record of one line, during one tick.
#[derive(Debug)]
pub struct Recorder {
    /// The sale's id for its own line.
    pub(crate) line: SaleId,
    /// The line has a record.
    pub(crate) kept: bool,
    pub(crate) now: OffsetDateTime,
    /// Where the record ended before this tick.
    pub(crate) head: Head,
    /// The line's changes are in the record up to this one.
    pub(crate) noted: Revision,
    /// The tickets that are in it.
    pub(crate) tickets: Ranges,
    /// The status that is in it.
    pub(crate) status: Status,
    /// The ordinals of the line's epoch are above this one.
    pub(crate) above: Ordinal,
    /// What this tick has to add, in parts: some of it is known later than what comes after it.
    pub(crate) parts: Vec<Vec<Event>>,
    /// Parts before this one are settled: a draw follows from them.
    pub(crate) settled: usize,
}

/// A place in the record, for what is known only later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept(usize);

impl Recorder {
    /// What to ask the line for; nothing if there is no record.
    pub(crate) fn wants(&self) -> Option<RecordQuery> {
        let wanted =
            RecordQuery { recorded: self.recorded(), up_to: None, history_after: Some(self.noted), max: HEARD_MAX };
        self.kept.then_some(wanted)
    }

    /// What to ask the line for before a draw: the tickets up to the last one in it.
    pub(crate) fn wants_tickets_till(&self, pool: Ordinal) -> Option<RecordQuery> {
        self.wants().map(|wanted| RecordQuery { up_to: Some(pool), history_after: None, ..wanted })
    }

    /// The highest ordinal that the record knows, or that can't be given any more.
    pub(crate) fn recorded(&self) -> Ordinal {
        self.tickets.highest().max(self.above)
    }

    /// Keeps a place for what is decided now, and known later.
    pub(crate) fn keep_place(&mut self) -> Kept {
        self.parts.extend([Vec::new(), Vec::new()]);
        Kept(self.parts.len() - 2)
    }

    fn write_at(&mut self, place: Option<Kept>, event: Event) {
        let last = self.parts.len().saturating_sub(1);
        let at = place.map_or(last, |Kept(at)| at.max(self.settled).min(last));
        if self.kept {
            self.parts.resize_with(self.parts.len().max(1), Vec::new);
            self.parts[at].push(event);
        }
    }

    fn write(&mut self, event: Event) {
        self.write_at(None, event);
    }

    fn write_of(&mut self, place: Option<Kept>, ordinals: &[Ordinal], event: fn(Vec<Ordinal>) -> Event) {
        for ordinals in ordinals.chunks(TICKETS_MAX) {
            self.write_at(place, event(ordinals.to_vec()));
        }
    }

    /// Whether this tick has nothing to add.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Vec::is_empty)
    }

    /// The entries that this tick adds, and where the record ends with them.
    pub fn entries(&self) -> (Vec<Entry>, Head) {
        let mut head = self.head;
        let entry = |event: &Event| {
            let entry = Entry::after(head, &Body { at: self.now, event: event.clone() });
            head = entry.head;
            entry
        };
        let entries = self.parts.iter().flatten().map(entry).collect();
        (entries, head)
    }

    /// The first entry, unless it is written, and the status, if it is another.
    pub(crate) fn begin(&mut self, order: LineOrder, commitment: Option<Hash>, status: Status) {
        if self.head.seq == 0 && self.is_empty() {
            self.write(Event::Sale { sale: self.line, order, commitment });
        }
        if self.status != status {
            self.status = status;
            self.write(Event::Status { status });
        }
    }

    /// A new epoch begins.
    pub(crate) fn epoch(&mut self, epoch: u32, above: Ordinal) {
        self.above = above;
        self.write(Event::Epoch { epoch, above });
    }

    /// What the line has told.
    pub(crate) fn hear(&mut self, told: &Upcoming) {
        for (first, visitors) in &told.arrivals {
            for (at, visitors) in visitors.chunks(TICKETS_MAX).enumerate() {
                let first = first + (at * TICKETS_MAX) as u64;
                self.tickets.insert(first, first + visitors.len() as u64 - 1);
                let receipts = self.receipts((first..).zip(visitors.iter().copied()));
                self.write(Event::Joined { first, receipts });
            }
        }
        for noted in &told.history {
            self.note(noted);
            self.noted = noted.at;
        }
    }

    fn note(&mut self, noted: &HistoryEntry) {
        let shown = noted.ordinals.iter().copied().zip(noted.visitors.iter().copied());
        let unheard: Vec<_> = shown.filter(|ticket| !self.tickets.contains(ticket.0)).collect();
        for unheard in unheard.chunks(TICKETS_MAX) {
            let ordinals: Vec<_> = unheard.iter().map(|ticket| ticket.0).collect();
            ordinals.iter().for_each(|&ordinal| self.tickets.insert(ordinal, ordinal));
            let receipts = self.receipts(unheard.iter().copied());
            self.write(Event::Shown { ordinals, receipts });
        }
        // Of a ticket that nobody has shown, it does not matter whether anybody is there.
        let known: Vec<_> = noted.ordinals.iter().copied().filter(|&ordinal| self.tickets.contains(ordinal)).collect();
        self.write_of(
            None,
            &known,
            match noted.presence {
                Presence::Departed => |ordinals| Event::Departed { ordinals },
                Presence::Left => |ordinals| Event::Left { ordinals },
                Presence::Returned => |ordinals| Event::Returned { ordinals },
                Presence::Recalled => |ordinals| Event::Recalled { ordinals },
            },
        );
    }

    fn receipts(&self, tickets: impl Iterator<Item = (Ordinal, VisitorId)>) -> Receipts {
        Receipts(tickets.map(|(ordinal, visitor)| receipt(self.line, ordinal, visitor)).collect())
    }

    /// The draw is made: gives its key, from the seed and from all that was written before it.
    pub(crate) fn draw(&mut self, seed: &[u8; 32], pool: Ordinal) -> Hash {
        let key = draw::key(seed, self.entries().1.hash);
        self.settled = self.parts.len();
        self.parts.push(Vec::new());
        self.write(Event::Drawn { pool, seed: Hash(*seed) });
        key
    }

    /// These were let in, and the cursor has moved so far: in the place that was kept when they were found.
    pub(crate) fn admitted(&mut self, place: Kept, ordinals: &[Ordinal], cursor: u64) {
        self.write_at(Some(place), Event::Admitted { ordinals: ordinals.to_vec(), cursor });
    }

    /// Whether the record has heard of a ticket; where there is none, of every one.
    pub(crate) fn knows(&self, ordinal: Ordinal) -> bool {
        !self.kept || self.tickets.contains(ordinal)
    }

    /// An operator had these let in before all others.
    pub(crate) fn preferred(&mut self, place: Kept, ordinals: &[Ordinal]) {
        self.write_of(Some(place), ordinals, |ordinals| Event::Preferred { ordinals });
    }

    /// An operator took these out of the line.
    pub(crate) fn removed(&mut self, ordinals: &[Ordinal]) {
        self.write_of(None, ordinals, |ordinals| Event::Removed { ordinals });
    }

    /// These turns are over, and were before anybody was let in.
    pub(crate) fn over(&mut self, place: Kept, lapsed: &[Ordinal], redeemed: &[Ordinal]) {
        self.write_of(Some(place), lapsed, |ordinals| Event::Lapsed { ordinals });
        self.write_of(Some(place), redeemed, |ordinals| Event::Redeemed { ordinals });
    }
}
