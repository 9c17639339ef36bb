//! The tick: one round of the controller for a sale, several times a second.
//!
//! Redis is read first, before anything is locked, so a controller that has lost it delays no
//! other. Then one transaction decides and commits admissions, and a second one, under the same
//! lock, publishes them. The next tick of any controller repairs a crash in between: Postgres knows
//! what was published, and a token has one value however often it is signed. An idle sale costs no
//! statement; `schedule` says when the next tick is.
//!
//! The first transaction reads and decides everything before it locks a row of an admission; the
//! commit locks the stock. Units that come free in a tick are promised by the next.
//!
//! - `known`: what a controller remembers of a sale between ticks.
//! - `lines`: a line of the sale during the tick, which owns all that the tick has of it.
//! - `decide`: the first transaction until its first write; `plan` is what to admit.
//! - `draw`: the draw of a sale that begins with one.
//! - `commit`: the writes of the first transaction.
//! - `publish`: the second transaction: what a commit publishes to Redis.
//! - `permits`: how many ticks use Postgres at the same time.

mod commit;
mod decide;
mod draw;
mod known;
mod lines;
mod permits;
mod plan;
mod publish;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use fairline_line::store::{LineError, LineStore, Upcoming, UpcomingQuery};
use fairline_sale::SaleId;

use self::{
    decide::Wake,
    known::{KnownLine, Peek, PeekedLine},
};
pub(crate) use self::{known::KnownSale, permits::Permits};
use super::{
    clock::Clock,
    error::TickError,
    keys::KeyRing,
    ledger::Ledger,
    sale::RunningSale,
    schedule::{Next, TickNow, Ticks},
};

/// Departures noted in one tick at most.
const SWEPT_MAX: u64 = 2000;
/// Lines that Redis lists at most.
const LISTED_MAX: u32 = 50_000;
/// A sale without a change for this long rests.
const RESTS_AFTER: Duration = Duration::from_secs(3);
/// The longest period of a sale whose rate cap allows less than one admission in `every`: turns
/// that end are noticed within it.
const PACED_MAX: Duration = Duration::from_millis(500);
/// The part of the period after which a controller returns that has found another one at work. At
/// the same phase it would always find that again, though the other one may be unable to reach the
/// line's Redis.
const OUT_OF_STEP: f64 = 0.75;

/// Everything a tick needs.
pub(crate) struct Ticker<L> {
    pub(crate) ledger: L,
    pub(crate) line: LineStore,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) every: Duration,
    pub(crate) clock: Clock,
    /// Ticks that use a connection to Postgres at the same time: the others are the admin API's.
    pub(crate) permits: Permits,
    pub(crate) tick_now: TickNow,
    /// The number of sales that run.
    pub(crate) running: AtomicU32,
}

impl<L: Ledger> Ticks for Ticker<L> {
    type Known = KnownSale;

    async fn running(&self) -> Result<Vec<RunningSale>, String> {
        let running = self.ledger.running().await.map_err(|error| error.to_string())?;
        self.running.store(u32::try_from(running.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        Ok(running)
    }

    async fn listed(&self) -> Result<Vec<SaleId>, String> {
        self.line.sales(LISTED_MAX).await.map(|sales| sales.listed).map_err(|error| error.to_string())
    }

    async fn tick(&self, sale: SaleId, requested: bool, known: &mut KnownSale) -> Result<Next, String> {
        let started = self.clock.now();
        let next = self.tick_once(sale, requested, known, started).await;
        if next.is_err() {
            *known = KnownSale::default();
        }
        known.has_failed = next.is_err();
        next.map_err(|error| error.to_string())
    }
}

impl<L: Ledger> Ticker<L> {
    async fn tick_once(
        &self,
        id: SaleId,
        requested: bool,
        known: &mut KnownSale,
        started: Duration,
    ) -> Result<Next, TickError> {
        let peek = self.peek(id, known).await?;
        if requested {
            // The change may be in Redis.
            known.rest = None;
            known.published.clear();
        }
        if let (Some(rest), Some(peek)) = (known.rest, &peek)
            && known.ticked_at.is_some_and(|at| self.clock.since(at) < rest.tick_every)
            && peek.lines.iter().all(|line| line.is_unchanged)
        {
            known.rests = true;
            return Ok(Next::After(rest.peek_every));
        }
        let _permit = self.permits.acquire(known.has_failed).await;
        let ticking = self.clock.now();
        // The sale no longer rests, even if another controller is the first to tick it: what it
        // earns from then on is saved up.
        let rested = std::mem::take(&mut known.rests);
        let Some(locked) = self.ledger.lock(id, false).await? else {
            return Ok(Next::After(self.every.mul_f64(OUT_OF_STEP)));
        };
        let Some(done) = self.decide(locked, Wake { requested, rested }, known, peek).await? else {
            return Ok(Next::After(self.every));
        };
        known.ticked_at = Some(started);
        if done.publishes {
            self.publish(id, &done.lines, known).await?;
        }
        metrics::histogram!("admission_tick_duration_seconds").record(self.clock.since(ticking).as_secs_f64());
        if done.publishes || !done.is_unchanged(known) || done.rest.is_none() {
            known.changed_at = Some(started);
        }
        // After a new epoch begins, the next tick reads the lines again.
        let keeps = !done.begins_an_epoch();
        known.rest = done.rest.filter(|_| known.changed_at.is_none_or(|at| self.clock.since(at) >= RESTS_AFTER));
        known.lines = done.lines.into_iter().filter(|_| keeps).map(|line| line.known).collect();
        if done.settled {
            return Ok(Next::Over);
        }
        // At a low rate cap, most periods would admit no shopper.
        let due = done.none_due_for.map_or(self.every, |none_due_for| none_due_for.min(PACED_MAX));
        Ok(Next::After(self.every.max(due)))
    }

    /// Reads the known lines from Redis, before anything is locked.
    ///
    /// # Errors
    /// When Redis does not respond.
    async fn peek(&self, sale: SaleId, known: &KnownSale) -> Result<Option<Peek>, TickError> {
        let at = self.clock.now();
        if known.lines.is_empty() {
            return match self.line.revision(sale).await {
                Ok(_) | Err(LineError::NotPublished) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let mut lines = Vec::with_capacity(known.lines.len());
        for KnownLine { line, publication, query, seen: before } in &known.lines {
            let seen = self.read_line(*line, query, before.absent > 0).await?;
            let is_unchanged = seen.as_ref() == Some(before);
            lines.push(PeekedLine { line: *line, publication: *publication, query: *query, seen, is_unchanged });
        }
        Ok(Some(Peek { at, lines }))
    }

    /// Turns expired grace periods into departures, and reads claims and the number of waiting
    /// shoppers; `None` if Redis does not have the line.
    async fn read_line(
        &self,
        line: SaleId,
        query: &UpcomingQuery,
        sweeps: bool,
    ) -> Result<Option<Upcoming>, LineError> {
        let read = async {
            if sweeps {
                self.line.sweep(line, SWEPT_MAX).await?;
            }
            self.line.upcoming(line, query).await
        };
        match read.await {
            Ok(seen) => Ok(Some(seen)),
            Err(LineError::NotPublished) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
