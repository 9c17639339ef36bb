//! A controller: a mirror of the tick of `admission-controller/src/tick.rs`, over the ledger.
//!
//! Written by hand, since the tick's own code is bound to its Postgres transaction; docs/verification.md says where it differs.
//! What it decides with is the real code: the control law, the store of the line, the recorder. It stops at each call to Redis,
//! at the lock, before each commit and after it, so that anything can happen in between.

use std::{cell::RefCell, collections::HashSet, rc::Rc, time::Duration};

use fairline_admission::{
    Lane, Memory, Mode, Observation, Prior, Reason, Stock as Units, Terms, Visits, decide, quantities,
};
use fairline_line::{
    change::{LiveTurn, Turn},
    store::{Claim, Home, LineError, LineStore, Look, Publication, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::{RecordHead, SaleCard, Status, presented_status};

use crate::{
    bugs::{Bug, Bugs},
    epochs,
    gate::{Gate, Wait},
    ledger::{Ledger, LineRow, SessionLost, State, Unpublished},
    recorder::Recorder,
    sale::{self, SALE},
};

const TICK_MS: u64 = 200;
const SWEPT_MAX: u64 = 2000;
const REACH: u64 = 5000;
const LOOKS_MAX: usize = 5;
const RECOVERY: Duration = Duration::from_secs(5);
const RATE_CAP_PER_S: f64 = 10.0;
/// How long after its turn a ticket is still recalled.
pub const RECALL_WINDOW: Duration = Duration::from_secs(600);

/// Why a tick did not end.
#[derive(Debug)]
pub enum TickError {
    /// The session is gone.
    Ledger,
    /// Redis did not do it.
    Line,
}

impl From<SessionLost> for TickError {
    fn from(_: SessionLost) -> Self {
        Self::Ledger
    }
}

impl From<LineError> for TickError {
    fn from(_: LineError) -> Self {
        Self::Line
    }
}

struct Committed {
    heard: Vec<(Ordinal, Claim)>,
    publication: i64,
    begins: Option<String>,
    again: Vec<Ordinal>,
}

struct Served {
    admitted: u32,
    cursor: u64,
    again: Vec<Ordinal>,
}

/// A controller.
#[derive(Clone)]
pub struct Controller {
    /// Where it stops.
    pub gate: Gate,
    /// Virtual time.
    pub now: Rc<std::cell::Cell<u64>>,
    /// The database.
    pub ledger: Rc<RefCell<Ledger>>,
    /// Redis.
    pub line: LineStore,
    /// The transaction that it has open.
    pub session: Rc<std::cell::Cell<Option<u64>>>,
    /// What was put back.
    pub bugs: Bugs,
}

impl Controller {
    /// Ticks for ever.
    pub async fn run(self) {
        loop {
            self.gate.stop(Wait::Until(self.now.get() + TICK_MS)).await;
            // What does not end is undone, and the next tick continues.
            let _ = self.tick().await;
            if let Some(session) = self.session.take() {
                self.ledger.borrow_mut().break_session(session);
            }
        }
    }

    async fn tick(&self) -> Result<(), TickError> {
        match self.admit().await? {
            Some(committed) => self.publish(&committed).await,
            None => Ok(()),
        }
    }

    fn lock(&self) -> Option<u64> {
        let session = self.ledger.borrow_mut().lock(self.now.get());
        self.session.set(session);
        session
    }

    async fn commit(&self, session: u64) -> Result<(), TickError> {
        self.gate.stop(Wait::Ready).await;
        self.ledger.borrow_mut().commit(session, self.now.get())?;
        self.session.set(None);
        self.gate.stop(Wait::Ready).await;
        Ok(())
    }

    async fn admit(&self) -> Result<Option<Committed>, TickError> {
        let Some(session) = self.lock() else { return Ok(None) };
        let (now, line) = {
            let mut ledger = self.ledger.borrow_mut();
            (ledger.now(session, self.now.get())?, ledger.line.clone())
        };
        let elapsed_ms = now - line.ticked_ms;
        let goes_back = elapsed_ms < 0 && !self.bugs.has(Bug::ClockGoesBack);
        if elapsed_ms < i64::try_from(TICK_MS / 2).unwrap_or(0) && !goes_back {
            return Ok(None);
        }
        let elapsed_ms = if elapsed_ms < 0 { i64::try_from(TICK_MS).unwrap_or(0) } else { elapsed_ms };
        let mut record = self.ledger.borrow_mut().open_record(session, self.now.get())?;
        let row = self.ledger.borrow().row();
        let seen = match self.look(line.cursor, &record).await {
            Ok(seen) if self.bugs.has(Bug::NoFence) && seen.epoch == line.epoch => seen,
            Ok(seen) if epochs::is_current(&row, &seen) => seen,
            Ok(_) | Err(LineError::NotPublished) => {
                let redis = self.line.home(SALE).await?;
                let waits = epochs::waits(&row, &redis, sale::moment(line.ticked_ms), sale::moment(now));
                let said = !self.bugs.has(Bug::NoFence) || now < line.epoch_began_ms;
                if waits.is_some() && said {
                    return Ok(None);
                }
                return self.begin_anew(session, record, &redis).await.map(Some);
            }
            Err(error) => return Err(error.into()),
        };
        record.hear(&seen);
        {
            let mut ledger = self.ledger.borrow_mut();
            ledger.now(session, self.now.get())?;
            ledger.hear(&seen.claims);
            ledger.lapse(session, self.now.get())?;
            let (lapsed, redeemed) = ledger.take_over();
            record.over(&lapsed, &redeemed);
        }
        let (served, memory) = self.let_in(session, &mut record, &seen, elapsed_ms).await?;
        let publication = {
            let mut ledger = self.ledger.borrow_mut();
            ledger.now(session, self.now.get())?;
            ledger.note_moved(self.now.get(), served.cursor, &seen, memory);
            ledger.write_record(session, self.now.get(), record)?;
            ledger.number_publications()
        };
        self.commit(session).await?;
        Ok(Some(Committed { heard: seen.claims, publication, begins: None, again: served.again }))
    }

    async fn begin_anew(&self, session: u64, mut record: Recorder, redis: &Home) -> Result<Committed, TickError> {
        let publication = {
            let mut ledger = self.ledger.borrow_mut();
            ledger.now(session, self.now.get())?;
            ledger.begin_epoch(self.now.get(), redis);
            record.epoch(ledger.line.epoch, ledger.line.above);
            ledger.note_tick(self.now.get());
            ledger.write_record(session, self.now.get(), record)?;
            ledger.number_publications()
        };
        self.commit(session).await?;
        let begins = Some(redis.run_id.clone());
        Ok(Committed { heard: Vec::new(), publication, begins, again: Vec::new() })
    }

    async fn look(&self, cursor: u64, record: &Recorder) -> Result<Upcoming, LineError> {
        self.line.sweep(SALE, SWEPT_MAX).await?;
        self.line.look(SALE, &Look { cursor, wanted: 0, reach: 0, news: record.wants() }).await
    }

    async fn let_in(
        &self,
        session: u64,
        record: &mut Recorder,
        seen: &Upcoming,
        elapsed_ms: i64,
    ) -> Result<(Served, Option<Memory>), TickError> {
        let (line, row, stock, now) = {
            let mut ledger = self.ledger.borrow_mut();
            let now = ledger.now(session, self.now.get())?;
            (ledger.line.clone(), ledger.row(), ledger.stock, now)
        };
        let terms = Terms {
            mode: Mode::Guarantee,
            units_per_admission: 1,
            rate_cap_per_s: RATE_CAP_PER_S,
            in_checkout_max: None,
            claim_window_s: 8.0,
            token_ttl_s: 12.0,
            hold_s: 6.0,
        };
        let units = Units { total: stock.total, promised: stock.promised, held: stock.held, sold: stock.sold };
        let decision = decide(&Observation {
            terms: &terms,
            stock: units,
            lanes: &[Lane { waiting: seen.waiting, share: 1.0 }],
            visits: &Visits::default(),
            checkout: fairline_admission::Health::default(),
            recovering: line.epoch > 1 && epochs::began_within(&row, sale::moment(now), RECOVERY),
            at_once: 0,
            elapsed_s: elapsed_ms as f64 / 1000.0,
            prior: &Prior::cautious(),
            memory: &line.memory,
        });
        let served = self.let_in_next(session, record, line.cursor, decision.by_lane[0]).await?;
        let admitted = served.admitted;
        Ok((served, (decision.reason != Reason::SoldOut).then(|| decision.remember(admitted))))
    }

    async fn let_in_next(
        &self,
        session: u64,
        record: &mut Recorder,
        cursor: u64,
        wanted: u32,
    ) -> Result<Served, TickError> {
        let mut served = Served { admitted: 0, cursor, again: Vec::new() };
        let mut recalled = HashSet::new();
        for _ in 0..LOOKS_MAX {
            let missing = (wanted - served.admitted) as usize;
            if missing == 0 {
                break;
            }
            let look = Look {
                cursor: served.cursor,
                wanted: (missing + recalled.len()) as u64,
                reach: REACH,
                news: record.wants(),
            };
            let next = self.line.look(SALE, &look).await?;
            self.ledger.borrow_mut().now(session, self.now.get())?;
            record.hear(&next);
            let fresh: Vec<_> = next.tickets.iter().filter(|ticket| !recalled.contains(&ticket.0)).copied().collect();
            if next.lags || fresh.len() > missing || (fresh.is_empty() && next.cursor == served.cursor) {
                break;
            }
            let all = usize::try_from(next.recalled).unwrap_or(0);
            recalled.extend(next.tickets.iter().take(all).map(|ticket| ticket.0));
            let ordinals: Vec<Ordinal> = fresh.iter().map(|ticket| ticket.0).collect();
            let mut ledger = self.ledger.borrow_mut();
            let passed_over = ledger.not_to_be_served(&ordinals);
            let served_now = fresh.iter().filter(|(ordinal, _)| !passed_over.contains(ordinal));
            let tickets: Vec<_> =
                served_now.zip(quantities(ledger.stock.free(), 1)).map(|(&ticket, _)| ticket).collect();
            let made = ledger.admit(session, self.now.get(), &tickets)?;
            if !made.is_empty() || next.cursor > served.cursor {
                record.admitted(&made, next.cursor);
            }
            served.again.extend(passed_over);
            served.admitted += u32::try_from(made.len()).unwrap_or(u32::MAX);
            served.cursor = next.cursor;
        }
        Ok(served)
    }

    fn number(&self, line: &LineRow, committed: &Committed) -> i64 {
        if self.bugs.has(Bug::NumbersFromWhatWasNoted) {
            line.publication + 1
        } else {
            Ledger::first_of(committed.publication)
        }
    }

    async fn publish(&self, committed: &Committed) -> Result<(), TickError> {
        let session = loop {
            if let Some(session) = self.lock() {
                break session;
            }
            if committed.begins.is_none() {
                return Ok(());
            }
            self.gate.stop(Wait::Lock).await;
        };
        let (line, unpublished, card) = {
            let ledger = self.ledger.borrow();
            (ledger.line.clone(), ledger.unpublished(&committed.again), card(&ledger))
        };
        if line.publication != committed.publication && !self.bugs.has(Bug::NumbersFromWhatWasNoted) {
            return Ok(());
        }
        self.gate.stop(Wait::Ready).await;
        let told = unpublished.iter().filter(|untold| !untold.superseded);
        let turns: Vec<(Ordinal, Turn)> = told.map(|untold| (untold.admission.ordinal, turn(untold))).collect();
        let publication = Publication {
            number: self.number(&line, committed),
            epoch: line.epoch,
            begins: committed.begins.as_deref(),
            above: line.above,
            cursor: line.cursor,
            drawn: 0,
            noted: line.noted,
            granted: line.granted,
            recall_window: RECALL_WINDOW,
            card: &card,
            heard: &committed.heard,
            turns: &turns,
        };
        match self.line.publish(&publication).await {
            Err(LineError::Late) if self.bugs.has(Bug::NumbersFromWhatWasNoted) => {}
            published => published?,
        }
        let over = {
            let mut ledger = self.ledger.borrow_mut();
            ledger.now(session, self.now.get())?;
            ledger.note_published(self.now.get(), &unpublished, committed.begins.is_some());
            ledger.turns_over()
        };
        for (turn, ordinals) in over.into_iter().filter(|(_, ordinals)| !ordinals.is_empty()) {
            if self.line.retell(SALE, line.epoch, &turn, &ordinals).await.is_err() {
                // What has been told is noted all the same, and the rest comes with the next tick.
                self.ledger.borrow_mut().now(session, self.now.get())?;
                self.ledger.borrow_mut().line.retells = true;
                self.commit(session).await?;
                return Err(TickError::Line);
            }
        }
        self.ledger.borrow_mut().now(session, self.now.get())?;
        self.commit(session).await
    }
}

/// The token of an admission: which it is, and no more.
#[must_use]
pub fn token(id: u64) -> String {
    format!("token-{id}")
}

/// Which admission a token is of.
#[must_use]
pub fn admission_of(token: &str) -> Option<u64> {
    token.strip_prefix("token-")?.parse().ok()
}

/// `Ticker::turn`.
fn turn(untold: &Unpublished) -> Turn {
    let admission = &untold.admission;
    match admission.state {
        State::Promised => Turn::Now(LiveTurn {
            token: token(admission.id),
            quantity: 1,
            claim_by: sale::moment(admission.claim_by_ms),
            expires_at: sale::moment(admission.expires_ms),
        }),
        State::Redeemed => Turn::Bought,
        State::Lapsed if untold.may_come_again => Turn::Lapsed,
        State::Lapsed => Turn::Expired,
    }
}

fn card(ledger: &Ledger) -> SaleCard {
    SaleCard {
        total: ledger.stock.total,
        remaining: ledger.stock.free(),
        status: presented_status(Status::Open, ledger.stock.total, ledger.stock.sold),
        record: Some(RecordHead { seq: ledger.line.record.seq, hash: ledger.line.record.hash.to_string() }),
        ..sale::card()
    }
}
