//! The statements of the controller's tick, as `admission-controller/src/controller/postgres/` has
//! them in SQL.

mod line;
mod record;
mod tickets;

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use admission_controller::testing::{
    Agenda, LineRow, LockedLedger, PUBLISHED_WITHIN, RunningSale, SaleRow, StoreError, TickResult, granted_ahead,
    session_lost,
};
use async_trait::async_trait;
use fairline_admission::{LATE_MAX_S, Prior, Visits};
use fairline_sale::{SaleId, Status};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Admission, Ledger, SessionLost, State, TickColumns};
use crate::{
    bugs::Bug,
    event::ProcessIndex,
    gate::{Gate, Now, TaskWait},
    sale::SEED,
};

/// The minimum of the ordinals granted ahead.
const GRANTED_MIN: i64 = 50;
/// Maximum ended turns that one tick writes to the record.
const OVER_MAX: usize = 2000;
/// Delay after which events of checkout are read, in s.
const SETTLED_S: i64 = 1;

/// A controller's connection to the ledger.
#[derive(Clone)]
pub struct LedgerConnection {
    /// The ledger.
    pub ledger: Arc<Mutex<Ledger>>,
    /// The stopping points of transactions.
    pub gate: Gate,
    /// Virtual time.
    pub now: Now,
    /// Transactions stop before each statement, too.
    pub stops_often: bool,
    /// The controller.
    pub process: ProcessIndex,
}

/// A transaction on a locked sale.
pub struct Session {
    sale: SaleRow,
    id: u64,
    postgres: LedgerConnection,
    /// Admissions made, by the id of the line, and those of tickets that had none before.
    made: HashMap<Uuid, i64>,
    first: HashMap<Uuid, i64>,
    promised: i32,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.postgres.ledger().roll_back(self.id);
    }
}

impl Deref for Session {
    type Target = SaleRow;

    fn deref(&self) -> &SaleRow {
        &self.sale
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut SaleRow {
        &mut self.sale
    }
}

impl From<SessionLost> for StoreError {
    fn from(_: SessionLost) -> Self {
        session_lost()
    }
}

fn stored(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn sum(rows: &[Admission]) -> i32 {
    i32::try_from(rows.iter().map(|row| row.quantity).sum::<u32>()).unwrap_or(i32::MAX)
}

impl LedgerConnection {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes with every change of the sale.
    pub fn version(&self) -> u64 {
        self.ledger().tables.version
    }

    /// The number of ticks that this controller has committed.
    pub fn ticks(&self) -> u64 {
        self.ledger().ticks_of(self.process)
    }

    /// Whether this controller has just found the sale at rest.
    pub fn record_rest(&self, rests: bool) {
        self.ledger().record_rest(self.process, rests);
    }

    fn now_ms(&self) -> u64 {
        self.now.get()
    }
}

#[async_trait]
impl admission_controller::testing::Ledger for LedgerConnection {
    type LockedLedger = Session;

    async fn running(&self) -> Result<Vec<RunningSale>, StoreError> {
        Ok(Vec::new())
    }

    async fn lock(&self, sale: SaleId, waits: bool) -> Result<Option<(Session, Vec<LineRow>)>, StoreError> {
        debug_assert_eq!(sale.0, self.ledger().tables.row.id, "there is one sale");
        self.gate.stop(TaskWait::Ready).await;
        let began = self.ledger().clock(self.now_ms());
        loop {
            if let Some(locked) = self.locked(began) {
                return Ok(Some(locked));
            }
            if !waits {
                return Ok(None);
            }
            self.gate.stop(TaskWait::Lock).await;
        }
    }
}

impl LedgerConnection {
    fn locked(&self, began: OffsetDateTime) -> Option<(Session, Vec<LineRow>)> {
        let now_ms = self.now_ms();
        let mut ledger = self.ledger();
        let id = ledger.begin(now_ms, began, self.process)?;
        let mut row = ledger.tables.row.clone();
        row.now = ledger.clock(now_ms);
        self.put_credit(&ledger, &mut row);
        let mut lines = ledger.tables.lines.clone();
        row.revealed_seed = lines[0].drawn.map(|_| SEED.to_vec());
        if ledger.bugs.has(Bug::NumbersReused) {
            for (at, line) in lines.iter_mut().enumerate() {
                line.publication += ledger.unrecorded_numbers.get(&at).copied().unwrap_or(0);
            }
        }
        if ledger.bugs.has(Bug::NoFence) {
            lines.iter_mut().for_each(|line| (line.home, line.rapid_epochs) = (None, 0));
        }
        if ledger.bugs.has(Bug::EpochsWithoutPause) {
            lines.iter_mut().for_each(|line| line.rapid_epochs = 0);
        }
        if ledger.bugs.has(Bug::LineNotFound) {
            lines.iter_mut().for_each(|line| line.home = Some("elsewhere".to_owned()));
        }
        if ledger.bugs.has(Bug::EpochInTheFuture) {
            // As far ahead as an epoch may be dated that is about to be published.
            lines.iter_mut().for_each(|line| line.epoch_began_at = line.epoch_began_at.min(row.now + PUBLISHED_WITHIN));
        }
        drop(ledger);
        let (made, first) = (HashMap::new(), HashMap::new());
        Some((Session { sale: row, id, postgres: self.clone(), made, first, promised: 0 }, lines))
    }
}

impl LedgerConnection {
    /// The row as a controller with its own credit, or one that earns at rest, would see it.
    fn put_credit(&self, ledger: &Ledger, row: &mut SaleRow) {
        if let Some((memory, ticked_at)) = ledger.unshared_credit.get(&self.process)
            && ledger.bugs.has(Bug::CreditPerController)
        {
            (row.memory, row.ticked_at) = (memory.clone(), *ticked_at);
        }
        if ledger.bugs.has(Bug::CreditAtRest)
            && ledger.rests(self.process)
            && let Ok(mut memory) = serde_json::from_str::<serde_json::Value>(&row.memory)
        {
            memory["pace"]["credit"] = (row.rate_cap_per_s * LATE_MAX_S).into();
            row.memory = memory.to_string();
        }
    }
}

impl Session {
    /// One statement; its `now()` is the start of the transaction.
    async fn statement<T>(
        &mut self,
        does: impl FnOnce(&mut Self, &mut Ledger, OffsetDateTime) -> T + Send,
    ) -> Result<T, StoreError> {
        if self.postgres.stops_often {
            self.postgres.gate.stop(TaskWait::Ready).await;
        }
        let postgres = self.postgres.clone();
        let mut ledger = postgres.ledger();
        let began = ledger.own(self.id, postgres.now_ms())?.began;
        Ok(does(self, &mut ledger, began))
    }
}

/// Writes the row of a line.
fn keep_line(ledger: &mut Ledger, line: &LineRow) {
    let (at, records_late) = (ledger.position(line), ledger.bugs.has(Bug::NumbersReused));
    if let Some(own) = &mut ledger.transaction {
        let recorded = own.lines[at].publication;
        own.lines[at] = line.clone();
        if records_late {
            own.lines[at].publication = recorded;
        }
    }
}

/// Whether a token has expired, or its claim window has ended.
fn is_over(row: &Admission, now: OffsetDateTime, claims_age: Duration) -> bool {
    row.expires_at <= now || (row.claimed_at.is_none() && row.claim_by <= now - claims_age)
}

/// The number of ordinals granted ahead: a part of the controller's number.
fn ahead(ledger: &Ledger, rapid_epochs: u32) -> i64 {
    (granted_ahead(rapid_epochs) / ledger.granted_part).max(GRANTED_MIN)
}

#[async_trait]
impl LockedLedger for Session {
    async fn agenda(&mut self, lines: &[&LineRow], good_keys: &[String]) -> Result<Agenda, StoreError> {
        let epochs: Vec<i32> = lines.iter().map(|line| line.epoch).collect();
        let good_keys = good_keys.to_vec();
        self.statement(|own, ledger, now| {
            let closed = own.sale.stored_status() == Status::Closed;
            let epoch = |at: usize| epochs[at];
            let out = || ledger.seen().map(|(_, row)| row).filter(|row| row.state == State::Promised);
            let mut all = ledger.seen().map(|(_, row)| row);
            let unrecorded = all.any(|row| row.recorded != row.state);
            let mut all = ledger.seen().map(|(_, row)| row);
            let row = &ledger.tables.row;
            let own_admit_now = ledger.transaction.as_ref().and_then(|own| own.admit_now);
            let admit_now = own_admit_now.unwrap_or(ledger.tables.admit_now);
            let wanted = ledger.transaction.as_ref().map_or(&[][..], |own| &own.ticket_actions);
            let agenda = Agenda {
                total: row.total,
                promised: row.promised,
                held: if ledger.bugs.has(Bug::HeldUnitsIgnored) { 0 } else { row.held },
                sold: row.sold,
                admit_now: i32::try_from(admit_now).unwrap_or(0),
                revoked: ledger.tables.revoked.clone(),
                lapses: out().any(|row| closed || is_over(row, now, Duration::ZERO)),
                unsigned: out().any(|row| !good_keys.contains(&row.kid)),
                unrecorded,
                unpublished: all.any(|row| row.published != Some(row.state))
                    || out().any(|row| row.published_epoch < epoch(row.line)),
                ticket_actions: wanted.iter().any(|row| !row.done),
                unpublished_removals: wanted.iter().any(|row| row.removed && row.published_epoch < epoch(row.line)),
                known: 0,
                here: 0,
                answered: 0,
                failed: 0,
                slow: 0,
            };
            own.sale.take_stock(&agenda);
            agenda
        })
        .await
    }

    // In guarantee mode visits decide nothing.
    async fn visits(&mut self) -> Result<(Visits, OffsetDateTime), StoreError> {
        let until = self.sale.now - time::Duration::seconds(SETTLED_S);
        let after = if self.sale.observed_at > self.sale.now { until } else { self.sale.observed_at };
        Ok((Visits::default(), until.max(after)))
    }

    async fn prior(&mut self) -> Result<Prior, StoreError> {
        Ok(Prior::cautious())
    }

    async fn set_status(&mut self, to: Status) -> Result<bool, StoreError> {
        let id = self.id;
        self.postgres.ledger().transaction.iter_mut().filter(|own| own.id == id).for_each(|own| own.moves = true);
        self.statement(move |own, ledger, _| {
            ledger.transaction.iter_mut().for_each(|own| own.moves = false);
            let moved = ledger.transaction.as_ref().and_then(|own| own.status);
            let moves = moved.unwrap_or(ledger.tables.row.stored_status()) == own.sale.stored_status();
            if let Some(transaction) = ledger.transaction.as_mut().filter(|_| moves) {
                transaction.status = Some(to);
                transaction.is_open = to == Status::Open;
            }
            if !moves && !ledger.bugs.has(Bug::MovedAfterAnOperator) {
                return false;
            }
            to.as_stored().clone_into(&mut own.sale.status);
            true
        })
        .await
    }

    async fn lapse(&mut self, claims_age: Duration) -> Result<bool, StoreError> {
        self.statement(move |own, ledger, now| {
            let closed = own.sale.stored_status() == Status::Closed;
            let (from, until) = (own.sale.unreachable_from, own.sale.unreachable_until);
            let excuses = !ledger.bugs.has(Bug::OutagesCount);
            let ignores_claims = ledger.bugs.has(Bug::ClaimsIgnored);
            let lapsed = ledger.update(
                |row| {
                    let is_late = ignores_claims && row.claim_by <= now - claims_age;
                    row.state == State::Promised && (closed || is_late || is_over(row, now, claims_age))
                },
                |row| {
                    row.state = State::Lapsed;
                    let was_unreachable = from.is_some_and(|from| row.claim_by > from)
                        && until.is_some_and(|until| row.issued_at < until);
                    row.faultless = row.claimed_at.is_none() && was_unreachable;
                    row.excused = excuses && row.faultless;
                },
            );
            own.promised -= sum(&lapsed);
            !lapsed.is_empty()
        })
        .await
    }

    async fn sign_again(&mut self, good: &[String], kid: &str) -> Result<(), StoreError> {
        let (good, kid) = (good.to_vec(), kid.to_owned());
        self.statement(move |_, ledger, _| {
            ledger.update(
                |row| row.state == State::Promised && !good.contains(&row.kid),
                |row| (row.kid, row.published) = (kid.clone(), None),
            );
        })
        .await
    }

    async fn store_tick(&mut self, ticked: &TickResult<'_>) -> Result<(), StoreError> {
        let memory = ticked.memory.and_then(|memory| serde_json::to_string(memory).ok());
        let (why, observed_until, settled) = (ticked.why.to_owned(), ticked.observed_until, ticked.settled);
        self.statement(move |own, ledger, _| {
            let row = &own.sale;
            let noted = TickColumns {
                memory: memory.unwrap_or_else(|| row.memory.clone()),
                last_decision: Some(why),
                ticked_at: row.now,
                observed_at: observed_until.unwrap_or(row.observed_at),
                away: (row.unreachable_from, row.unreachable_until),
                settled,
            };
            if let Some(transaction) = &mut ledger.transaction {
                transaction.noted = Some(noted);
            }
        })
        .await
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.postgres.gate.stop(TaskWait::Ready).await;
        self.postgres.ledger().commit(self.id, self.postgres.now_ms(), self.promised)?;
        self.postgres.gate.stop(TaskWait::Ready).await;
        Ok(())
    }
}
