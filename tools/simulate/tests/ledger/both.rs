//! A step on both ledgers, whose results must be equal.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write as _},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use admission_controller::testing::{
    Ledger as _, LineRow, LockedLedger, LockedSale, OperatorChange, SaleRow, StoreError, TicketAction,
};
use checkout::testing::DirectToken;
use fairline_sale::{SaleId, VisitorId};
use fairline_simulate::{
    bugs::Bugs,
    gate::{Gate, Now},
    ledger::{
        Ledger, LedgerConnection, Tables,
        shop::{MARGIN, Redeemed},
        statements::Session,
    },
    sale::{BEGIN_MS, SEED, StoryTerms},
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    rows::{difference, rows},
    shop::Shop,
    statement::{Side, Statement},
};

/// What differs, as text.
pub(crate) type Same<T = ()> = Result<T, String>;
type Locking<L> = Result<Option<(L, Vec<LineRow>)>, StoreError>;

/// Polls of a future of the in-memory ledger that is not stopped by a lock.
const POLLS_MAX: usize = 10;

/// A step of checkout, of an operator, or of time.
#[derive(Debug, Clone)]
pub(crate) enum Outside {
    /// Checkout redeems this admission, by its position.
    Redeem(usize),
    /// Its hold is paid.
    Pay(usize),
    /// Expired holds end.
    Expire,
    Operator(OperatorChange),
    Elapse(u64),
    /// The clock of the database is set.
    Jump(i64),
}

/// A sale that is locked on both sides.
pub(crate) struct Locked {
    pub(crate) memory: Side<Session>,
    pub(crate) postgres: Side<LockedSale>,
}

/// A tick that waits for the lock on both sides.
pub(crate) struct Queued {
    memory: Pin<Box<dyn Future<Output = Locking<Session>>>>,
    postgres: JoinHandle<Locking<LockedSale>>,
}

/// Both ledgers, with one sale.
pub(crate) struct Both<'a> {
    shop: &'a Shop,
    memory: LedgerConnection,
    pub(crate) sale: SaleId,
    /// All its keys begin with this.
    pub(crate) keys: String,
    off_ms: i64,
    is_queued: bool,
    went_back: bool,
    pub(crate) log: Vec<String>,
    pub(crate) seen: BTreeMap<String, u64>,
}

/// Runs a future of the in-memory ledger; `None` if it waits for the lock.
fn ready<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    (0..POLLS_MAX).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    })
}

/// The first line in which two values differ.
fn compare(what: &str, memory: &impl Debug, postgres: &impl Debug) -> Same {
    let (memory, postgres) = (format!("{memory:#?}"), format!("{postgres:#?}"));
    if memory == postgres {
        return Ok(());
    }
    let mut lines = memory.lines().zip(postgres.lines());
    let (ours, theirs) = lines.find(|(ours, theirs)| ours != theirs).unwrap_or((memory.as_str(), postgres.as_str()));
    Err(format!("{what} differs:\n  in memory:   {}\n  in Postgres: {}", ours.trim(), theirs.trim()))
}

/// A row without what only one side has: the order of keys in JSON, and the prior.
fn comparable(row: &SaleRow) -> SaleRow {
    let memory: serde_json::Value = serde_json::from_str(&row.memory).unwrap_or_default();
    SaleRow { memory: memory.to_string(), prior: None, ..row.clone() }
}

impl<'a> Both<'a> {
    /// A sale with a lane.
    pub(crate) async fn new(shop: &'a Shop, terms: &StoryTerms, bugs: Bugs) -> Self {
        let number = shop.sales.fetch_add(1, Ordering::Relaxed);
        let id = |line: u64| Uuid::from_u64_pair(number + 1, line);
        let mut tables = Tables::new(terms);
        tables.row = SaleRow { id: id(0), slug: format!("sale-{number}"), risk: 0.001, ..tables.row };
        let own = LineRow { id: id(0), sale_id: id(0), ..tables.lines[0].clone() };
        let (lane, invitation_key) = (Some("lane".to_owned()), Some(vec![1; 32]));
        tables.lines = vec![own.clone(), LineRow { id: id(1), lane, share: Some(0.25), invitation_key, ..own }];
        tables.record = vec![Vec::new(); tables.lines.len()];
        let now = Now::default();
        now.set(BEGIN_MS);
        shop.set_clock(i64::try_from(BEGIN_MS).unwrap_or(0)).await;
        shop.create(&tables.row, &tables.lines).await;
        let mut ledger = Ledger::of(tables, bugs);
        ledger.granted_part = 1;
        let ledger = Arc::new(Mutex::new(ledger));
        let memory = LedgerConnection { ledger, gate: Gate::default(), now, stops_often: false, process: 0 };
        let (log, seen) = (Vec::new(), BTreeMap::new());
        let keys = format!("key-{number}-");
        Self { shop, memory, sale: SaleId(id(0)), keys, off_ms: 0, is_queued: false, went_back: false, log, seen }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.memory.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.memory.now.get()).unwrap_or(i64::MAX) + self.off_ms
    }

    pub(crate) fn note(&mut self, what: String) {
        let kind = what.split(|char: char| !char.is_alphanumeric()).next().unwrap_or_default();
        *self.seen.entry(kind.to_owned()).or_default() += 1;
        self.log.push(what);
    }

    /// Locks the sale; `None` if a transaction has it.
    pub(crate) async fn lock(&mut self) -> Same<Option<Locked>> {
        self.note("Lock".to_owned());
        let memory = ready(pin!(self.memory.lock(self.sale, false)));
        let postgres = self.shop.ledger.ticks.lock(self.sale, false).await;
        self.locked(memory.ok_or("the lock in memory waits")?, postgres)
    }

    fn locked(&self, memory: Locking<Session>, postgres: Locking<LockedSale>) -> Same<Option<Locked>> {
        let memory = memory.map_err(|error| error.to_string())?;
        let postgres = postgres.map_err(|error| error.to_string())?;
        let (memory, postgres) = match (memory, postgres) {
            (None, None) => return Ok(None),
            (Some(memory), Some(postgres)) => (memory, postgres),
            (memory, _) => return Err(format!("one side locks the sale; in memory: {}", memory.is_some())),
        };
        compare("the locked sale", &comparable(&memory.0), &comparable(&postgres.0))?;
        compare("the locked lines", &memory.1, &postgres.1)?;
        let memory = Side::new(memory, &self.keys, self.went_back);
        Ok(Some(Locked { memory, postgres: Side::new(postgres, &self.keys, self.went_back) }))
    }

    /// Another tick waits for the lock.
    pub(crate) async fn queue(&mut self) -> Same<Queued> {
        self.note("Queue".to_owned());
        let (memory, postgres, sale) = (self.memory.clone(), self.shop.ledger.ticks.clone(), self.sale);
        let memory = LedgerConnection { process: 1, ..memory };
        let mut memory: Pin<Box<dyn Future<Output = Locking<Session>>>> =
            Box::pin(async move { memory.lock(sale, true).await });
        let postgres = tokio::spawn(async move { postgres.lock(sale, true).await });
        self.shop.queued().await;
        self.is_queued = true;
        match ready(memory.as_mut()) {
            Some(_) => Err("the lock in memory does not wait".to_owned()),
            None => Ok(Queued { memory, postgres }),
        }
    }

    /// The tick that has waited has the lock.
    pub(crate) async fn dequeue(&mut self, mut queued: Queued) -> Same<Option<Locked>> {
        self.note("Dequeue".to_owned());
        let memory = ready(queued.memory.as_mut()).ok_or("the lock in memory still waits")?;
        let postgres = queued.postgres.await.map_err(|error| error.to_string())?;
        self.is_queued = false;
        self.locked(memory, postgres)
    }

    /// The transaction that had the lock has ended in Postgres, too.
    async fn ended(&self) {
        if self.is_queued { self.shop.dequeued().await } else { self.shop.rolled_back().await }
    }

    /// A statement of the locked sale. `false` if both have failed.
    pub(crate) async fn state(&mut self, locked: &mut Locked, statement: Statement) -> Same<bool> {
        let mut what = format!("{statement:?}");
        let memory = locked.memory.apply(&statement).await;
        let postgres = locked.postgres.apply(&statement).await;
        let text = |answer: &Result<String, StoreError>| answer.clone().unwrap_or_else(|_| "an error".to_owned());
        let (ours, theirs) = (text(&memory), text(&postgres));
        let _ = write!(what, " -> {ours}");
        self.note(what);
        if ours != theirs {
            let why = postgres.err().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(format!("the answer differs:\n  in memory:   {ours}\n  in Postgres: {theirs}{why}"));
        }
        Ok(memory.is_ok())
    }

    /// Commits; `false` if the schema rejects it.
    pub(crate) async fn commit(&mut self, locked: Locked) -> Same<bool> {
        let memory = ready(pin!(locked.memory.ledger.commit())).ok_or("the commit in memory waits")?;
        let postgres = locked.postgres.ledger.commit().await;
        self.note(if memory.is_ok() { "Commit" } else { "Rejected" }.to_owned());
        if memory.is_ok() != postgres.is_ok() {
            return Err(format!("the commit differs:\n  in memory:   {memory:?}\n  in Postgres: {postgres:?}"));
        }
        self.ended().await;
        Ok(memory.is_ok())
    }

    pub(crate) async fn roll_back(&mut self, locked: Locked) {
        self.note("RollBack".to_owned());
        drop(locked);
        self.ended().await;
    }

    /// The session of the transaction breaks.
    pub(crate) async fn break_session(&mut self) {
        self.note("Break".to_owned());
        self.ledger().end_idle(u64::MAX);
        self.shop.break_sessions().await;
        self.ended().await;
    }

    /// A step outside of the tick.
    pub(crate) async fn outside(&mut self, step: Outside) -> Same {
        self.note(format!("{step:?}"));
        match step {
            Outside::Redeem(at) => self.redeem(at).await,
            Outside::Pay(at) => {
                let (ours, theirs) = self.admission(at).await?;
                self.ledger().pay(ours);
                self.shop.pay(theirs).await;
                Ok(())
            }
            Outside::Expire => {
                let now = self.memory.now.get();
                self.ledger().expire_holds(now);
                self.shop.holds.expire(self.sale).await.map_err(|error| error.to_string())
            }
            Outside::Operator(change) => self.operate(change).await,
            Outside::Elapse(ms) => {
                let now = self.memory.now.get() + ms;
                self.memory.now.set(now);
                self.ledger().observe(now);
                self.shop.set_clock(self.now_ms()).await;
                Ok(())
            }
            Outside::Jump(ms) => {
                let now = self.memory.now.get();
                self.ledger().jump_clock(ms, now);
                self.off_ms += ms;
                self.went_back |= ms < 0;
                self.shop.set_clock(self.now_ms()).await;
                Ok(())
            }
        }
    }

    /// The ids of an admission on both sides.
    async fn admission(&self, at: usize) -> Same<(Uuid, Uuid)> {
        let theirs = self.shop.admissions(self.sale).await;
        let ours = self.ledger().tables.admissions[at].id;
        Ok((ours, *theirs.get(at).ok_or("Postgres lacks an admission")?))
    }

    async fn redeem(&mut self, at: usize) -> Same {
        let (ours, admission) = self.admission(at).await?;
        let row = self.ledger().tables.admissions[at].clone();
        let (quantity, now) = (i32::try_from(row.quantity).unwrap_or(0), self.memory.now.get());
        let token = DirectToken { admission, kid: row.kid, sale: self.sale, visitor: row.visitor, quantity };
        let memory = self.ledger().redeem(now, ours);
        let postgres = self.shop.holds.redeem(token).await.map_err(|error| error.to_string())?;
        self.note(format!("{memory:?}"));
        let is_same = match (memory, &postgres) {
            (Redeemed::Yes, Some(Ok(_))) | (Redeemed::No, Some(Err(_))) => true,
            // Of a locked row, Postgres may know another reason.
            (Redeemed::Waits, postgres) => !matches!(postgres, Some(Ok(_))),
            _ => false,
        };
        let differs = || format!("the redemption differs:\n  in memory:   {memory:?}\n  in Postgres: {postgres:?}");
        is_same.then_some(()).ok_or_else(differs)
    }

    /// A change that has to wait, or that the schema rejects, is not made.
    async fn operate(&mut self, change: OperatorChange) -> Same {
        let now = self.memory.now.get();
        let line = |ledger: &Ledger, id: SaleId| ledger.tables.lines.iter().position(|line| line.id == id.0);
        let memory = {
            let mut ledger = self.ledger();
            match &change {
                OperatorChange::Move(action) => ledger.act(now, *action),
                OperatorChange::Total(total) => {
                    let more = total - ledger.tables.row.total;
                    ledger.change_stock(more)
                }
                OperatorChange::AdmitNow(count) => ledger.admit_now(count.unsigned_abs()),
                OperatorChange::Ticket(what, id, ordinal, visitor) => {
                    let at = line(&ledger, *id).unwrap_or(0);
                    ledger.insert_ticket_action(at, *ordinal, *visitor, *what == TicketAction::Remove)
                }
                OperatorChange::RevokeTokens => ledger.revoke_tokens(),
                OperatorChange::RevokeKey(kid) => ledger.revoke_key(kid),
                OperatorChange::Raise(id, redis, _) => {
                    let at = line(&ledger, *id).unwrap_or(0);
                    ledger.raise(at, redis);
                    true
                }
            }
        };
        let is_about_ticket = matches!(change, OperatorChange::Ticket(..));
        let postgres = self.shop.ledger.change(self.sale, change).await;
        // Of a ticket that has a turn, the model says only that the lock was free.
        let made = postgres.as_ref().is_ok_and(|made| *made || is_about_ticket);
        self.note(if made { "Made" } else { "NotMade" }.to_owned());
        let differs = || format!("the change differs:\n  in memory:   {memory}\n  in Postgres: {postgres:?}");
        (memory == made).then_some(()).ok_or_else(differs)
    }

    /// Compares what is committed.
    pub(crate) async fn check(&self) -> Same {
        let theirs = self.shop.rows(self.sale, &self.keys).await;
        let shown = self.shop.ledger.sale(self.sale).await.map_err(|error| error.to_string())?;
        let (row, lines) = shown.ok_or("Postgres lacks the sale")?;
        let ledger = self.ledger();
        let revealed_seed = ledger.tables.lines[0].drawn.map(|_| SEED.to_vec());
        let ours = SaleRow { now: row.now, revealed_seed, ..ledger.tables.row.clone() };
        compare("the sale", &comparable(&ours), &comparable(&row))?;
        compare("a line", &ledger.tables.lines, &lines)?;
        difference(&rows(&ledger.tables, ledger.settled), &theirs).map_or(Ok(()), Err)
    }

    /// The margin of a restore, which the model has as a constant.
    pub(crate) fn margin() -> u32 {
        u32::try_from(MARGIN).unwrap_or(0)
    }

    pub(crate) fn visitor(number: u64) -> VisitorId {
        VisitorId([u8::try_from(number + 1).unwrap_or(u8::MAX); 16])
    }
}
