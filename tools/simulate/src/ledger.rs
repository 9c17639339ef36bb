//! The Postgres side: a small in-memory ledger with the transitions of the controller's and the checkout's statements.
//!
//! - Each method is one statement (or one trip) of `admission-controller/src/store*` or of the checkout, under its name there.
//! - One transaction of a controller at a time, since all begin with the lock of the sale's line. What it has written is locked
//!   for others and undone when it ends without a commit: its session broke, or it stood idle for too long.
//! - The checkout's transactions are one step each: they hold no lock while anything else happens.
//! - The constraints of the schema are checked at every commit.
//!
//! In memory rather than in Postgres, statement by statement: ten million steps of a real one would take a day, and no
//! transaction of Postgres can be put back to an older copy of itself in the middle of a story.

use std::collections::{BTreeMap, BTreeSet};

use fairline_admission::Memory;
use fairline_line::{
    change::{Revision, Turn},
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_record::{Hash, Ranges, entry::Head, verify::Verifier};
use fairline_sale::{LineOrder, Status, VisitorId};

use crate::{
    bugs::{Bug, Bugs},
    epochs,
    recorder::Recorder,
    sale::{SALE, moment},
    store,
};

/// As in the store.
const PUBLISHED_MAX: usize = 500;
const PUBLICATIONS_A_TICK: i64 = 4;
/// Of the ordinals that are granted ahead, one in so many: bitmaps stay small.
const GRANTED_PART: i64 = 100;
const GRANTED_MIN: u64 = 50;
/// When no controller has ticked for so long, turns that ran out meanwhile are nobody's fault, in ms.
const AWAY_MS: i64 = 2000;
const LAPSES_MAX: usize = 3;
const OVER_MAX: usize = 2000;
/// A session that stands idle within a transaction for longer is ended, in ms.
const IDLE_MAX_MS: u64 = 5000;

/// The sale's terms, in ms.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A page claims its token within.
    pub claim_window_ms: i64,
    /// A token can be redeemed within.
    pub token_ttl_ms: i64,
    /// A hold can be paid within.
    pub hold_ms: i64,
}

/// What became of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its token is out.
    Promised,
    /// Its unit went back.
    Lapsed,
    /// Its token was used.
    Redeemed,
}

/// An admission.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Like no other's, not even one's that a restored database has forgotten.
    pub id: u64,
    /// Whose.
    pub ordinal: Ordinal,
    /// Whose ticket that is.
    pub visitor: VisitorId,
    /// What became of it.
    pub state: State,
    /// When it was made.
    pub issued_ms: i64,
    /// Until when a page has to claim it.
    pub claim_by_ms: i64,
    /// Until when it can be redeemed.
    pub expires_ms: i64,
    /// When a page did.
    pub claimed: bool,
    /// It lapsed by no fault of its shopper's: an operator took it back, or no controller was there to hear a claim.
    pub excused: bool,
    published: Option<State>,
    published_epoch: u32,
    recorded: State,
}

/// The stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// All units.
    pub total: u32,
    /// Out as tokens.
    pub promised: u32,
    /// In checkout.
    pub held: u32,
    /// Paid.
    pub sold: u32,
}

impl Stock {
    /// Units that nobody has.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.total.saturating_sub(self.promised + self.held + self.sold)
    }
}

/// The line's row.
#[derive(Debug, Clone)]
pub struct LineRow {
    /// Its columns, as in the schema.
    pub epoch: u32,
    pub cursor: u64,
    pub highest: Ordinal,
    pub granted: Ordinal,
    pub above: Ordinal,
    pub publication: i64,
    pub epoch_began_ms: i64,
    pub ticked_ms: i64,
    pub memory: Memory,
    pub record: Head,
    pub noted: Revision,
    pub tickets: Ranges,
    pub recorded_status: Status,
    pub home: Option<String>,
    pub restless: i32,
    pub retells: bool,
}

/// A hold of a unit in checkout.
#[derive(Debug, Clone, Copy)]
struct Hold {
    admission: u64,
    until_ms: i64,
    open: bool,
}

/// A transaction of a controller.
struct Transaction {
    id: u64,
    used_ms: u64,
    now_ms: i64,
    line: LineRow,
    stock: Option<Stock>,
    admissions: BTreeMap<usize, Admission>,
    made_from: usize,
    entries: Vec<String>,
}

/// A committed copy, to restore from.
#[derive(Clone)]
pub struct Backup {
    line: LineRow,
    stock: Stock,
    admissions: Vec<Admission>,
    holds: Vec<Hold>,
    entries: usize,
}

/// The ledger.
pub struct Ledger {
    /// The line.
    pub line: LineRow,
    /// The stock.
    pub stock: Stock,
    /// All admissions, in the order in which they were made.
    pub admissions: Vec<Admission>,
    terms: Terms,
    bugs: Bugs,
    holds: Vec<Hold>,
    record: Vec<String>,
    verifier: Verifier,
    transaction: Option<Transaction>,
    next: u64,
    ids: u64,
    /// How far the database's clock is off, in ms.
    pub clock_off_ms: i64,
    /// The first thing that broke a constraint, or that the record's verifier refused.
    pub broken: Option<String>,
    /// When the last admission was committed.
    pub admitted_at_ms: u64,
}

/// The session of a transaction is gone.
#[derive(Debug)]
pub struct SessionLost;

/// An admission that Redis is to be told of.
#[derive(Debug, Clone)]
pub struct Unpublished {
    /// Its place among the admissions.
    pub at: usize,
    /// As it was.
    pub admission: Admission,
    /// Whether its ticket deserves another turn.
    pub may_come_again: bool,
    /// The ticket has had another turn since, which alone is told.
    pub superseded: bool,
}

impl Ledger {
    /// A sale that is open and has nobody in it.
    #[must_use]
    pub fn new(total: u32, terms: Terms, bugs: Bugs) -> Self {
        let line = LineRow {
            epoch: 0,
            cursor: 0,
            highest: 0,
            granted: 0,
            above: 0,
            publication: 0,
            epoch_began_ms: 0,
            ticked_ms: 0,
            memory: Memory::default(),
            record: Head { seq: 0, hash: Hash::default() },
            noted: Revision::default(),
            tickets: Ranges::default(),
            recorded_status: Status::Scheduled,
            home: None,
            restless: 0,
            retells: false,
        };
        Self {
            line,
            stock: Stock { total, promised: 0, held: 0, sold: 0 },
            admissions: Vec::new(),
            terms,
            bugs,
            holds: Vec::new(),
            record: Vec::new(),
            verifier: Verifier::new(None, Vec::new()),
            transaction: None,
            next: 0,
            ids: 0,
            clock_off_ms: 0,
            broken: None,
            admitted_at_ms: 0,
        }
    }

    fn clock_ms(&self, now_ms: u64) -> i64 {
        i64::try_from(now_ms).unwrap_or(i64::MAX) + self.clock_off_ms
    }

    /// Whether a transaction holds the line's lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.transaction.is_some()
    }

    /// Ends a session that has stood idle for too long.
    pub fn end_idle(&mut self, now_ms: u64) {
        if self.transaction.as_ref().is_some_and(|own| now_ms > own.used_ms + IDLE_MAX_MS) {
            self.undo();
        }
    }

    /// The session of this transaction breaks.
    pub fn break_session(&mut self, id: u64) {
        if self.transaction.as_ref().is_some_and(|own| own.id == id) {
            self.undo();
        }
    }

    fn undo(&mut self) {
        let Some(own) = self.transaction.take() else { return };
        self.admissions.truncate(own.made_from);
        for (at, before) in own.admissions {
            if at < own.made_from {
                self.admissions[at] = before;
            }
        }
        self.line = own.line;
        self.stock = own.stock.unwrap_or(self.stock);
    }

    /// `Store::lock`: nothing while another has the lock.
    pub fn lock(&mut self, now_ms: u64) -> Option<u64> {
        if self.transaction.is_some() {
            return None;
        }
        self.next += 1;
        self.transaction = Some(Transaction {
            id: self.next,
            used_ms: now_ms,
            now_ms: self.clock_ms(now_ms),
            line: self.line.clone(),
            stock: None,
            admissions: BTreeMap::new(),
            made_from: self.admissions.len(),
            entries: Vec::new(),
        });
        Some(self.next)
    }

    fn own(&mut self, id: u64, now_ms: u64) -> Result<&mut Transaction, SessionLost> {
        let own = self.transaction.as_mut().filter(|own| own.id == id).ok_or(SessionLost)?;
        own.used_ms = now_ms;
        Ok(own)
    }

    /// The moment at which a transaction began.
    ///
    /// # Errors
    /// When its session is gone.
    pub fn now(&mut self, id: u64, now_ms: u64) -> Result<i64, SessionLost> {
        Ok(self.own(id, now_ms)?.now_ms)
    }

    fn change(&mut self, at: usize) -> &mut Admission {
        if let Some(own) = &mut self.transaction {
            own.admissions.entry(at).or_insert_with(|| self.admissions[at].clone());
        }
        &mut self.admissions[at]
    }

    fn change_stock(&mut self) -> &mut Stock {
        if let Some(own) = &mut self.transaction {
            own.stock.get_or_insert(self.stock);
        }
        &mut self.stock
    }

    fn lapse_where(&mut self, lapses: impl Fn(&Admission) -> bool) {
        let promised: Vec<usize> = (0..self.admissions.len())
            .filter(|&at| self.admissions[at].state == State::Promised && lapses(&self.admissions[at]))
            .collect();
        for &at in &promised {
            self.change(at).state = State::Lapsed;
        }
        if !promised.is_empty() {
            self.change_stock().promised -= u32::try_from(promised.len()).unwrap_or(0);
        }
    }

    /// `LockedSale::hear`.
    pub fn hear(&mut self, claims: &[(Ordinal, Claim)]) {
        for &(ordinal, claim) in claims {
            match claim {
                Claim::Claimed => {
                    let found = self.admissions.iter().rposition(|admission| {
                        admission.ordinal == ordinal && admission.state == State::Promised && !admission.claimed
                    });
                    if let Some(at) = found {
                        self.change(at).claimed = true;
                    }
                }
                Claim::Left => self.lapse_where(|admission| admission.ordinal == ordinal),
            }
        }
    }

    /// `LockedSale::lapse`.
    ///
    /// # Errors
    /// When the session is gone.
    pub fn lapse(&mut self, id: u64, now_ms: u64) -> Result<(), SessionLost> {
        let own = self.own(id, now_ms)?;
        let (now, ticked) = (own.now_ms, own.line.ticked_ms);
        let is_over =
            |admission: &Admission| admission.expires_ms <= now || (!admission.claimed && admission.claim_by_ms <= now);
        for at in 0..self.admissions.len() {
            let admission = &self.admissions[at];
            let was_away = now - ticked > AWAY_MS && admission.claim_by_ms > ticked && !admission.claimed;
            if was_away && admission.state == State::Promised && is_over(admission) {
                self.change(at).excused = true;
            }
        }
        self.lapse_where(is_over);
        Ok(())
    }

    /// `LockedSale::take_over`: lapsed, and redeemed.
    pub fn take_over(&mut self) -> (Vec<Ordinal>, Vec<Ordinal>) {
        let over: Vec<usize> = (0..self.admissions.len())
            .filter(|&at| self.admissions[at].recorded != self.admissions[at].state)
            .take(OVER_MAX)
            .collect();
        let (mut lapsed, mut redeemed) = (Vec::new(), Vec::new());
        for at in over {
            let admission = self.change(at);
            admission.recorded = admission.state;
            match admission.state {
                State::Lapsed => lapsed.push(admission.ordinal),
                State::Redeemed => redeemed.push(admission.ordinal),
                State::Promised => {}
            }
        }
        lapsed.sort_unstable();
        redeemed.sort_unstable();
        (lapsed, redeemed)
    }

    /// `LockedSale::open_record`.
    ///
    /// # Errors
    /// When the session is gone.
    pub fn open_record(&mut self, id: u64, now_ms: u64) -> Result<Recorder, SessionLost> {
        let now = self.own(id, now_ms)?.now_ms;
        let mut recorder = Recorder {
            line: SALE,
            kept: true,
            now: moment(now),
            head: self.line.record,
            noted: self.line.noted,
            tickets: self.line.tickets.clone(),
            status: self.line.recorded_status,
            above: self.line.above,
            entries: Vec::new(),
        };
        recorder.begin(LineOrder::Fifo, None, Status::Open);
        Ok(recorder)
    }

    /// `LockedSale::write_record`.
    ///
    /// # Errors
    /// When the session is gone.
    pub fn write_record(&mut self, id: u64, now_ms: u64, record: Recorder) -> Result<(), SessionLost> {
        let entries = record.entries.iter().filter_map(|entry| entry.to_line().ok());
        self.own(id, now_ms)?.entries.extend(entries);
        self.line.record = record.head;
        self.line.noted = record.noted;
        self.line.tickets = record.tickets;
        self.line.recorded_status = record.status;
        Ok(())
    }

    /// `LockedSale::admit`. Gives those that were made: not those who have an admission already.
    ///
    /// # Errors
    /// When the session is gone.
    pub fn admit(
        &mut self,
        id: u64,
        now_ms: u64,
        tickets: &[(Ordinal, VisitorId)],
    ) -> Result<Vec<Ordinal>, SessionLost> {
        self.own(id, now_ms)?;
        let now = self.clock_ms(now_ms);
        let mut made = Vec::new();
        for &(ordinal, visitor) in tickets {
            let taken = |admission: &Admission| admission.ordinal == ordinal && admission.state != State::Lapsed;
            if self.admissions.iter().any(taken) {
                continue;
            }
            self.ids += 1;
            self.admissions.push(Admission {
                id: self.ids,
                ordinal,
                visitor,
                state: State::Promised,
                issued_ms: now,
                claim_by_ms: now + self.terms.claim_window_ms,
                expires_ms: now + self.terms.token_ttl_ms,
                claimed: false,
                excused: false,
                published: None,
                published_epoch: 0,
                recorded: State::Promised,
            });
            made.push(ordinal);
        }
        if !made.is_empty() {
            self.change_stock().promised += u32::try_from(made.len()).unwrap_or(u32::MAX);
            self.admitted_at_ms = now_ms;
        }
        Ok(made)
    }

    /// `LockedSale::not_to_be_served`.
    #[must_use]
    pub fn not_to_be_served(&self, tickets: &[Ordinal]) -> Vec<Ordinal> {
        let has_turn = |ordinal: &&Ordinal| {
            self.admissions.iter().any(|admission| admission.ordinal == **ordinal && admission.state != State::Lapsed)
        };
        tickets.iter().filter(has_turn).copied().collect()
    }

    fn granted_ahead(&self) -> u64 {
        u64::try_from(epochs::granted_ahead(self.row().restless()) / GRANTED_PART).unwrap_or(0).max(GRANTED_MIN)
    }

    /// The line's row, as [`epochs`] reads it.
    #[must_use]
    pub fn row(&self) -> store::LineRow {
        store::LineRow {
            epoch: i32::try_from(self.line.epoch).unwrap_or(i32::MAX),
            home: self.line.home.clone(),
            epoch_began_at: moment(self.line.epoch_began_ms),
            restless: self.line.restless,
        }
    }

    /// `LockedSale::note_moved` and `note`.
    pub fn note_moved(&mut self, now_ms: u64, cursor: u64, seen: &Upcoming, memory: Option<Memory>) {
        let ahead = self.granted_ahead();
        let line = &mut self.line;
        line.cursor = line.cursor.max(cursor);
        line.highest = line.highest.max(seen.highest).max(cursor);
        line.granted = line.granted.max(seen.highest + ahead).max(cursor + ahead);
        line.memory = memory.unwrap_or_else(|| line.memory.clone());
        line.home = Some(seen.home.clone());
        self.note_tick(now_ms);
    }

    /// `LockedSale::note`.
    pub fn note_tick(&mut self, now_ms: u64) {
        self.line.ticked_ms = self.clock_ms(now_ms);
    }

    /// `LockedSale::number_publications`.
    pub fn number_publications(&mut self) -> i64 {
        if !self.bugs.has(Bug::NumbersFromWhatWasNoted) {
            self.line.publication += PUBLICATIONS_A_TICK;
        }
        self.line.publication
    }

    /// The first number of those that a commit may be told in.
    #[must_use]
    pub fn first_of(publication: i64) -> i64 {
        publication - PUBLICATIONS_A_TICK + 1
    }

    /// `LockedSale::begin_epoch`.
    pub fn begin_epoch(&mut self, now_ms: u64, redis: &Home) {
        let now = self.clock_ms(now_ms);
        let settled_ms = i64::try_from(epochs::SETTLED.as_millis()).unwrap_or(i64::MAX);
        let is_one_of_a_series = self.line.epoch > 0 && now - self.line.epoch_began_ms < settled_ms;
        self.line.restless = if is_one_of_a_series { self.line.restless + 1 } else { 0 };
        let ahead = self.granted_ahead();
        let line = &mut self.line;
        line.retells = line.epoch > 0;
        line.epoch = line.epoch.max(redis.epoch) + 1;
        line.above = line.granted.max(redis.granted);
        (line.cursor, line.highest) = (line.above, line.above);
        line.granted = line.above + ahead;
        line.home = Some(redis.run_id.clone());
        line.epoch_began_ms = now + i64::try_from(epochs::SAYS_WITHIN.as_millis()).unwrap_or(0);
    }

    /// `Store::raise`, as `fairline restore` calls it for a database that was put back.
    pub fn raise(&mut self, redis: &Home, margin: u64) {
        let line = &mut self.line;
        line.epoch = line.epoch.max(redis.epoch) + 1000;
        line.granted = line.granted.max(redis.granted) + margin;
        (line.home, line.restless) = (None, 0);
    }

    fn is_told(&self, admission: &Admission) -> bool {
        let anew = admission.state == State::Promised || self.bugs.has(Bug::OldAdmissionsToldAgain);
        admission.published == Some(admission.state) && !(anew && admission.published_epoch < self.line.epoch)
    }

    fn lapses(&self, ordinal: Ordinal) -> usize {
        let counts = |admission: &&Admission| {
            admission.ordinal == ordinal
                && admission.state == State::Lapsed
                && (!admission.excused || self.bugs.has(Bug::RevocationsCount))
        };
        self.admissions.iter().filter(counts).count()
    }

    /// Whether a ticket may be told that its turns are over: a page has claimed the last one, or nobody claimed three.
    #[must_use]
    pub fn may_expire(&self, ordinal: Ordinal) -> bool {
        let own = || self.admissions.iter().filter(|admission| admission.ordinal == ordinal);
        let unclaimed = own().filter(|admission| admission.state == State::Lapsed && !admission.excused).count();
        own().next_back().is_some_and(|newest| newest.claimed) || unclaimed >= LAPSES_MAX
    }

    /// `LockedSale::unpublished`: tokens that are out first, then the oldest; and the turns that are to be told again.
    #[must_use]
    pub fn unpublished(&self, again: &[Ordinal]) -> Vec<Unpublished> {
        let mut untold: Vec<usize> = (0..self.admissions.len())
            .filter(|&at| {
                let admission = &self.admissions[at];
                let is_asked_for = again.contains(&admission.ordinal) && admission.state != State::Lapsed;
                is_asked_for || !self.is_told(admission)
            })
            .collect();
        untold.sort_by_key(|&at| {
            let admission = &self.admissions[at];
            (admission.state != State::Promised, admission.issued_ms, admission.ordinal)
        });
        untold.truncate(PUBLISHED_MAX);
        let row = |at: usize| {
            let admission = self.admissions[at].clone();
            let may_come_again = !admission.claimed && self.lapses(admission.ordinal) < LAPSES_MAX;
            let newer = |other: &Admission| other.ordinal == admission.ordinal;
            let superseded = admission.state == State::Lapsed
                && self.admissions[at + 1..].iter().any(newer)
                && !self.bugs.has(Bug::OldAdmissionsToldAgain);
            Unpublished { at, admission, may_come_again, superseded }
        };
        untold.into_iter().map(row).collect()
    }

    /// `LockedSale::note_published`.
    pub fn note_published(&mut self, now_ms: u64, told: &[Unpublished], begins: bool) {
        let epoch = self.line.epoch;
        for told in told {
            let admission = self.change(told.at);
            (admission.published, admission.published_epoch) = (Some(told.admission.state), epoch);
        }
        if begins {
            self.line.epoch_began_ms = self.clock_ms(now_ms);
        }
        if self.bugs.has(Bug::NumbersFromWhatWasNoted) {
            self.line.publication += 1;
        }
    }

    /// `LockedSale::turns_over` and `note_retold`: bought, expired and lapsed.
    pub fn turns_over(&mut self) -> [(Turn, Vec<Ordinal>); 3] {
        let mut over = [(Turn::Bought, Vec::new()), (Turn::Expired, Vec::new()), (Turn::Lapsed, Vec::new())];
        if !std::mem::take(&mut self.line.retells) {
            return over;
        }
        for (&ordinal, &at) in self.newest().iter().rev() {
            let newest = &self.admissions[at];
            let kind = match newest.state {
                State::Promised => continue,
                State::Redeemed => 0,
                State::Lapsed if newest.claimed || self.lapses(ordinal) >= LAPSES_MAX => 1,
                State::Lapsed => 2,
            };
            over[kind].1.push(ordinal);
        }
        over
    }

    /// Whether Redis has been told everything.
    #[must_use]
    pub fn is_all_told(&self) -> bool {
        self.unpublished(&[]).is_empty() && !self.line.retells
    }

    /// Commits.
    ///
    /// # Errors
    /// When the session is gone.
    pub fn commit(&mut self, id: u64, now_ms: u64) -> Result<(), SessionLost> {
        self.own(id, now_ms)?;
        let Some(own) = self.transaction.take() else { return Err(SessionLost) };
        for entry in own.entries {
            if let Err(fault) = self.verifier.take(&entry) {
                self.breaks(format!("the record is refused: {fault}"));
            }
            self.record.push(entry);
        }
        self.check();
        Ok(())
    }

    fn breaks(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    /// The constraints of the schema.
    fn check(&mut self) {
        let Stock { total, promised, held, sold } = self.stock;
        if promised + held + sold > total {
            self.breaks(format!("oversold: {:?}", self.stock));
        }
        let count = |state: State| self.admissions.iter().filter(|admission| admission.state == state).count();
        if count(State::Promised) != promised as usize {
            self.breaks(format!("{} tokens are out, but {promised} units are promised", count(State::Promised)));
        }
        let mut live = BTreeSet::new();
        let twice = self.admissions.iter().filter(|admission| admission.state != State::Lapsed);
        if let Some(twice) = twice.map(|admission| admission.ordinal).find(|&ordinal| !live.insert(ordinal)) {
            self.breaks(format!("ticket {twice} has two turns"));
        }
    }

    /// Whether a transaction has written this admission or the stock, so that the checkout has to wait.
    fn is_row_locked(&self, at: usize) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(|own| own.stock.is_some() || own.admissions.contains_key(&at) || at >= own.made_from)
    }

    /// The checkout redeems a token: `None` while it has to wait for a lock, else whether it did.
    pub fn redeem(&mut self, now_ms: u64, id: u64) -> Option<bool> {
        let Some(at) = self.admissions.iter().position(|admission| admission.id == id) else { return Some(false) };
        if self.is_row_locked(at) {
            return None;
        }
        let now = self.clock_ms(now_ms);
        let Some(admission) = self.admissions.get_mut(at) else { return Some(false) };
        if admission.state != State::Promised || admission.expires_ms <= now {
            return Some(false);
        }
        (admission.state, admission.claimed) = (State::Redeemed, true);
        self.stock.promised -= 1;
        self.stock.held += 1;
        self.holds.push(Hold { admission: id, until_ms: now + self.terms.hold_ms, open: true });
        self.check_outside();
        Some(true)
    }

    /// The checkout takes the payment of an open hold; whether there was one.
    pub fn pay(&mut self, id: u64) -> bool {
        if self.transaction.as_ref().is_some_and(|own| own.stock.is_some()) {
            return false;
        }
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.admission == id && hold.open) else { return false };
        hold.open = false;
        self.stock.held -= 1;
        self.stock.sold += 1;
        self.check_outside();
        true
    }

    /// The checkout gives units back whose holds have run out.
    pub fn lapse_holds(&mut self, now_ms: u64) {
        if self.transaction.as_ref().is_some_and(|own| own.stock.is_some()) {
            return;
        }
        let now = self.clock_ms(now_ms);
        for hold in self.holds.iter_mut().filter(|hold| hold.open && hold.until_ms <= now) {
            hold.open = false;
            self.stock.held -= 1;
        }
    }

    /// What a commit of the checkout has to keep; a controller's promises are checked at its own.
    fn check_outside(&mut self) {
        if self.transaction.is_none() {
            self.check();
        }
    }

    /// An operator adds units, or takes every token back that is out. Both wait for the line's lock.
    pub fn intervene(&mut self, more: u32, revokes: bool) -> bool {
        if self.transaction.is_some() {
            return false;
        }
        self.stock.total += more;
        if revokes {
            for admission in self.admissions.iter_mut().filter(|admission| admission.state == State::Promised) {
                (admission.state, admission.claimed, admission.excused) = (State::Lapsed, false, true);
                self.stock.promised -= 1;
            }
        }
        true
    }

    /// The newest admission of each ticket.
    #[must_use]
    pub fn newest(&self) -> BTreeMap<Ordinal, usize> {
        self.admissions.iter().enumerate().map(|(at, admission)| (admission.ordinal, at)).collect()
    }

    /// A copy of what is committed.
    #[must_use]
    pub fn backup(&self) -> Option<Backup> {
        self.transaction.is_none().then(|| Backup {
            line: self.line.clone(),
            stock: self.stock,
            admissions: self.admissions.clone(),
            holds: self.holds.clone(),
            entries: self.record.len(),
        })
    }

    /// Starts over from an older copy; the record ends where it did then.
    pub fn restore(&mut self, backup: &Backup) {
        self.transaction = None;
        self.line = backup.line.clone();
        self.stock = backup.stock;
        self.admissions.clone_from(&backup.admissions);
        self.holds.clone_from(&backup.holds);
        self.record.truncate(backup.entries);
        self.verifier = Verifier::new(None, Vec::new());
        for entry in &self.record {
            let _ = self.verifier.take(entry);
        }
    }
}
