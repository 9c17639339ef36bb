//! The Postgres side: a small in-memory ledger that executes the statements of the controller's
//! tick and of the checkout.
//!
//! - [`statements`]: the statements of the tick, under their names. Decisions are the controller's
//!   code.
//! - [`shop`]: the transactions of checkout and operators. [`tables`]: the rows. [`witness`]: what
//!   the checks remember independently of the rows.
//! - The writes of a transaction are invisible, and their rows locked, until it commits. It is
//!   rolled back when it is dropped, when its session breaks, or when it was idle for too long.
//! - Controllers have one transaction at a time, since all begin with the lock of the sale's line.
//!   Transactions of the checkout are one step each.
//! - The constraints of the schema are checked at every commit and must never be violated.
//!
//! It is in memory because ten million steps of Postgres would take a day.

pub mod shop;
pub mod statements;
pub mod tables;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use admission_controller::testing::{LineRow, PUBLISHED_WITHIN, RECOVERY_MAX};
use fairline_line::ticket::Ordinal;
use fairline_record::verify::Verifier;
use fairline_sale::Status;
use time::OffsetDateTime;

pub use self::{
    statements::LedgerConnection,
    tables::{Admission, Hold, Newest, State, Tables, TicketActionRow},
};
use self::{
    tables::units,
    witness::{TickStart, Witness},
};
use crate::{
    bugs::{Bug, Bugs},
    event::ProcessIndex,
    sale::{StoryTerms, moment},
};

/// A session that is idle within a transaction for longer is ended, in ms.
const IDLE_MAX_MS: u64 = 2500;
/// The same, with the bug that leaves a lock to a session which no controller uses.
const ABANDONED_MS: u64 = 5000;
/// A ticket whose turn lapsed this often without a page to claim it is not recalled again.
const LAPSES_MAX: usize = 3;
/// The part of the ordinals granted ahead that is granted here.
const GRANTED_PART: i64 = 1000;

/// The columns of a sale's own line that a tick leaves for the next.
#[derive(Clone)]
struct TickColumns {
    memory: String,
    last_decision: Option<String>,
    ticked_at: OffsetDateTime,
    observed_at: OffsetDateTime,
    away: (Option<OffsetDateTime>, Option<OffsetDateTime>),
    settled: bool,
}

/// The writes of a controller's transaction.
struct Transaction {
    id: u64,
    used_ms: u64,
    /// The tick that it may be.
    tick: TickStart,
    /// When it began: `now()`.
    began: OffsetDateTime,
    lines: Vec<LineRow>,
    noted: Option<TickColumns>,
    status: Option<Status>,
    admit_now: Option<u32>,
    ticket_actions: Vec<TicketActionRow>,
    admissions: BTreeMap<usize, Admission>,
    made: Vec<Admission>,
    entries: Vec<(usize, String)>,
    /// It records that admissions are published.
    publishes: bool,
    /// The sale was open when it was locked, or this transaction has opened it.
    is_open: bool,
    /// Its next statement moves the sale by the clock.
    moves: bool,
}

/// A committed copy, to restore from.
#[derive(Clone)]
pub struct Backup(Tables);

impl Backup {
    /// The epoch of the sale's own line.
    pub(crate) fn epoch(&self) -> i32 {
        self.0.lines[0].epoch
    }
}

/// The ledger.
pub struct Ledger {
    /// The committed rows.
    pub tables: Tables,
    pub(crate) bugs: Bugs,
    verifiers: Vec<Verifier>,
    transaction: Option<Transaction>,
    next: u64,
    ids: u128,
    /// The sale needs no more ticks.
    pub settled: bool,
    /// Numbers of publications that are not recorded yet, with the bug that records them late.
    unrecorded_numbers: BTreeMap<usize, i64>,
    /// What the last tick of each controller has left, with the bug that does not share it.
    unshared_credit: BTreeMap<ProcessIndex, (String, OffsetDateTime)>,
    /// How far the database's clock is off, in ms.
    clock_off_ms: i64,
    witness: Witness,
    /// The first violation of a constraint, or rejection by the record's verifier.
    pub broken: Option<String>,
    /// Tickets that were ever removed, or whose turns could be over; a restored database lacks
    /// some.
    ever_out: BTreeSet<(usize, Ordinal)>,
    ever_over: BTreeSet<(usize, Ordinal)>,
    /// When the last admission was committed, and by which controller.
    pub admitted_at_ms: u64,
    pub(crate) admitted_by: ProcessIndex,
    /// Grows with every commit.
    pub commits: u64,
    /// The ordinals granted ahead are divided by this, so that bitmaps stay small.
    pub granted_part: i64,
}

/// The session of a transaction has ended.
#[derive(Debug)]
pub struct SessionLost;

impl Ledger {
    /// A sale without shoppers.
    #[must_use]
    pub fn new(terms: &StoryTerms, bugs: Bugs) -> Self {
        Self::of(Tables::new(terms), bugs)
    }

    /// The ledger with these rows.
    #[must_use]
    pub fn of(tables: Tables, bugs: Bugs) -> Self {
        Self {
            verifiers: tables.lines.iter().map(|_| Verifier::new(None, Vec::new())).collect(),
            tables,
            bugs,
            transaction: None,
            next: 0,
            ids: 0,
            settled: false,
            unrecorded_numbers: BTreeMap::new(),
            unshared_credit: BTreeMap::new(),
            clock_off_ms: 0,
            witness: Witness::default(),
            broken: None,
            ever_out: BTreeSet::new(),
            ever_over: BTreeSet::new(),
            admitted_at_ms: 0,
            admitted_by: 0,
            commits: 0,
            granted_part: GRANTED_PART,
        }
    }

    /// `clock_timestamp()`.
    fn clock(&self, now_ms: u64) -> OffsetDateTime {
        moment(i64::try_from(now_ms).unwrap_or(i64::MAX) + self.clock_off_ms)
    }

    /// Whether a lost line still waits for its shoppers. A time further ahead than any such wait is
    /// from before the clock was set back.
    pub(crate) fn recovers(&self, now_ms: u64) -> bool {
        let now = self.clock(now_ms);
        let until = self.tables.lines[0].recovers_until;
        until.is_some_and(|until| until > now && until - now <= RECOVERY_MAX + PUBLISHED_WITHIN)
    }

    /// Whether a transaction holds the sale's lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether a transaction is about to move the sale by the clock.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.transaction.as_ref().is_some_and(|own| own.moves)
    }

    /// The position of a line among the sale's.
    fn position(&self, line: &LineRow) -> usize {
        self.tables.lines.iter().position(|known| known.id == line.id).expect("a line of the sale")
    }

    /// Ends a session that has been idle for too long.
    pub fn end_idle(&mut self, now_ms: u64) {
        let idle_max_ms = if self.bugs.has(Bug::LockAbandoned) { ABANDONED_MS } else { IDLE_MAX_MS };
        self.transaction.take_if(|own| now_ms > own.used_ms + idle_max_ms);
    }

    /// The session of this transaction breaks, or rolls back.
    fn roll_back(&mut self, id: u64) {
        if self.bugs.has(Bug::LockAbandoned) {
            return;
        }
        self.transaction.take_if(|own| own.id == id);
    }

    /// Takes the lock, unless another transaction holds it. `began`: the start of the transaction.
    fn begin(&mut self, now_ms: u64, began: OffsetDateTime, controller: ProcessIndex) -> Option<u64> {
        if self.transaction.is_some() || (self.bugs.has(Bug::ClockGoesBack) && self.tables.row.ticked_at > began) {
            return None;
        }
        self.next += 1;
        self.transaction = Some(Transaction {
            id: self.next,
            used_ms: now_ms,
            tick: self.tick_start(controller, now_ms),
            began,
            lines: self.tables.lines.clone(),
            noted: None,
            status: None,
            admit_now: None,
            ticket_actions: self.tables.ticket_actions.clone(),
            admissions: BTreeMap::new(),
            made: Vec::new(),
            entries: Vec::new(),
            publishes: false,
            is_open: self.tables.is_open(),
            moves: false,
        });
        Some(self.next)
    }

    fn own(&mut self, id: u64, now_ms: u64) -> Result<&mut Transaction, SessionLost> {
        let own = self.transaction.as_mut().filter(|own| own.id == id).ok_or(SessionLost)?;
        own.used_ms = now_ms;
        Ok(own)
    }

    /// All admissions as the transaction sees them: committed rows and its own writes.
    fn seen(&self) -> impl Iterator<Item = (usize, &Admission)> {
        let own = self.transaction.as_ref();
        let committed = self.tables.admissions.iter().enumerate();
        let as_written = move |(at, row): (usize, _)| (at, own.and_then(|own| own.admissions.get(&at)).unwrap_or(row));
        let from = self.tables.admissions.len();
        let made = own.map_or(&[][..], |own| &own.made).iter().enumerate().map(move |(at, row)| (from + at, row));
        committed.map(as_written).chain(made)
    }

    /// Updates the admissions that a statement finds, and returns them.
    fn update(&mut self, finds: impl Fn(&Admission) -> bool, writes: impl Fn(&mut Admission)) -> Vec<Admission> {
        let found: Vec<usize> = self.seen().filter(|(_, row)| finds(row)).map(|(at, _)| at).collect();
        found.into_iter().filter_map(|at| self.write(at, &writes)).collect()
    }

    fn write(&mut self, at: usize, writes: impl Fn(&mut Admission)) -> Option<Admission> {
        let committed = self.tables.admissions.get(at);
        let from = self.tables.admissions.len();
        let own = self.transaction.as_mut()?;
        let row = match committed {
            Some(row) => own.admissions.entry(at).or_insert_with(|| row.clone()),
            None => own.made.get_mut(at - from)?,
        };
        writes(row);
        Some(row.clone())
    }

    /// Commits. The schema rejects a promise of units that are not free.
    fn commit(&mut self, id: u64, now_ms: u64, promised: i32) -> Result<(), SessionLost> {
        self.own(id, now_ms)?;
        let Some(own) = self.transaction.take() else { return Err(SessionLost) };
        if !self.fits(promised) {
            return Err(SessionLost);
        }
        // Its statements ended tokens by this time; the clock may have been set back since.
        self.observe_at(own.began);
        self.check_removed(&own.made);
        let in_order = own.made.iter().filter(|row| !self.tables.is_preferred(row.line, row.ordinal)).count();
        let begins_epoch = own.lines.iter().zip(&self.tables.lines).any(|(new, old)| new.epoch > old.epoch);
        let tables = &mut self.tables;
        for (at, row) in own.admissions {
            tables.admissions[at] = row;
        }
        if !own.made.is_empty() {
            (self.admitted_at_ms, self.admitted_by) = (now_ms, own.tick.controller);
            if !own.is_open {
                let status = &tables.row.status;
                self.broken.get_or_insert(format!("not open: shoppers are admitted to a sale that is {status}"));
            }
        }
        if own.publishes {
            self.unrecorded_numbers.clear();
        }
        tables.admissions.extend(own.made);
        tables.lines = own.lines;
        tables.ticket_actions = own.ticket_actions;
        tables.row.promised += promised;
        tables.admit_now = own.admit_now.unwrap_or(tables.admit_now);
        if let Some(status) = own.status {
            tables.row.status = status.as_stored().to_owned();
            tables.version += 1;
        }
        if let Some(noted) = own.noted {
            self.unshared_credit.insert(own.tick.controller, (noted.memory.clone(), noted.ticked_at));
            (tables.row.memory, tables.row.last_decision) = (noted.memory, noted.last_decision);
            (tables.row.ticked_at, tables.row.observed_at) = (noted.ticked_at, noted.observed_at);
            (tables.row.unreachable_from, tables.row.unreachable_until) = noted.away;
            self.settled = noted.settled;
            self.check_rate(&own.tick, in_order);
        }
        if begins_epoch {
            self.record_epoch(now_ms);
        }
        self.observe(now_ms);
        // The schema rejects a commit before the record has it.
        self.committed();
        for (at, entry) in own.entries {
            if let Err(fault) = self.verifiers[at].take(&entry) {
                self.breaks(format!("the record is rejected: {fault}"));
            }
            self.tables.record[at].push(entry);
        }
        Ok(())
    }

    /// No ticket is admitted that was removed, unless it is preferred. A removal needs the lock,
    /// so the transaction has seen the committed ones.
    fn check_removed(&mut self, made: &[Admission]) {
        let is = |row: &Admission, removed: bool| {
            let mut actions = self.tables.ticket_actions.iter().filter(|action| action.removed == removed);
            actions.any(|action| (action.line, action.ordinal) == (row.line, row.ordinal))
        };
        let found = made.iter().find(|row| is(row, true) && !is(row, false)).map(|row| row.ordinal);
        if let Some(ordinal) = found {
            self.breaks(format!("removed: ticket {ordinal} is admitted after its removal"));
        }
    }

    /// Whether this many more units can be promised.
    fn fits(&mut self, more: i32) -> bool {
        let row = &self.tables.row;
        let (total, promised, held, sold) = (row.total, row.promised + more, row.held, row.sold);
        let fits = promised >= 0 && held >= 0 && promised + held + sold <= total;
        if !fits {
            self.breaks(format!("oversold: of {total} units {promised} are promised, {held} held, {sold} sold"));
        }
        fits
    }

    fn breaks(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    /// The constraints of the schema.
    fn committed(&mut self) {
        self.commits += 1;
        self.fits(0);
        let promised = self.tables.row.promised;
        let out = self.tables.admissions.iter().filter(|row| row.state == State::Promised);
        let out: u32 = out.map(|row| row.quantity).sum();
        if out != units(promised) {
            self.breaks(format!("stock differs: {out} units are out as tokens, but {promised} are promised"));
        }
        let mut live = BTreeSet::new();
        let taken = self.tables.admissions.iter().filter(|row| row.state != State::Lapsed);
        if let Some(twice) = taken.map(|row| (row.line, row.ordinal)).find(|&ticket| !live.insert(ticket)) {
            self.breaks(format!("two turns: ticket {twice:?} has them"));
        }
        let out = self.tables.ticket_actions.iter().filter(|row| row.removed).map(|row| (row.line, row.ordinal));
        self.ever_out.extend(out);
    }

    /// Whether a ticket may be notified that its turns are over: a page claimed the last one, or
    /// three were unclaimed.
    #[must_use]
    pub fn may_expire(&self, line: usize, ordinal: Ordinal) -> bool {
        let own = || self.tables.admissions.iter().filter(|row| row.ordinal == ordinal && row.line == line);
        let unclaimed = own().filter(|row| row.state == State::Lapsed && !row.faultless).count();
        own().next_back().is_some_and(|newest| newest.claimed_at.is_some())
            || unclaimed >= LAPSES_MAX
            || self.ever_over.contains(&(line, ordinal))
    }

    /// Whether a ticket may be notified of its removal.
    #[must_use]
    pub fn was_taken_out(&self, line: usize, ordinal: Ordinal) -> bool {
        self.ever_out.contains(&(line, ordinal))
    }

    /// Whether everything is published.
    #[must_use]
    pub fn is_all_published(&self) -> bool {
        let unpublished = |row: &&Admission| {
            row.published != Some(row.state)
                || (row.state == State::Promised && row.published_epoch < self.tables.lines[row.line].epoch)
        };
        let removals = |row: &&TicketActionRow| row.removed && row.published_epoch < self.tables.lines[row.line].epoch;
        !self.tables.admissions.iter().any(|row| unpublished(&row))
            && !self.tables.ticket_actions.iter().any(|row| removals(&row))
            && !self.tables.lines.iter().any(LineRow::is_republishing)
    }

    /// A copy of what is committed.
    #[must_use]
    pub fn backup(&self) -> Backup {
        Backup(self.tables.clone())
    }

    /// Starts over from an older copy; the record ends where it did then.
    pub fn restore(&mut self, backup: &Backup) {
        self.transaction = None;
        let tickets: BTreeSet<_> = self.tables.admissions.iter().map(|row| (row.line, row.ordinal)).collect();
        let over: Vec<_> = tickets.into_iter().filter(|&(line, ordinal)| self.may_expire(line, ordinal)).collect();
        self.ever_over.extend(over);
        self.tables = backup.0.clone();
        self.settled = false;
        self.record_restore();
        self.unrecorded_numbers.clear();
        self.commits += 1;
        for (verifier, entries) in self.verifiers.iter_mut().zip(&self.tables.record) {
            *verifier = Verifier::new(None, Vec::new());
            for entry in entries {
                let _ = verifier.take(entry);
            }
        }
    }
}
