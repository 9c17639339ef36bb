//! The tick: what the controller does for each sale, several times a second.
//!
//! Redis is read first, before anything is locked, so a controller that has lost it delays no other. Then
//! one transaction decides and commits admissions, and a second one, under the same lock, publishes them.
//! The next tick of any controller repairs a crash in between: Postgres knows what was published, and a
//! token has one value however often it is signed. An idle sale costs no statement; `schedule` says when
//! the next tick is.
//!
//! The first transaction reads and decides everything before it locks a row of an admission; the commit
//! locks the stock. Units that come free in a tick are promised by the next.
//!
//! - `known`: what a controller remembers of a sale between ticks.
//! - `plan`: what to admit: all that is read and decided before anything is written.
//! - `publish`: what a commit publishes to Redis.

mod known;
mod plan;
mod publish;

use std::{sync::Arc, time::Duration};

use fairline_admission::{BATCH_MAX, Reason};
use fairline_line::{
    store::{Claim, Home, LineError, LineStore, Upcoming, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_sale::{SaleId, Status};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tracing::{debug, info};

pub(crate) use self::known::Known;
use self::{
    known::{KnownLine, Peek, Told},
    plan::Plan,
};
use crate::{
    clock::Clock,
    epochs, explain,
    keys::Keys,
    ledger::{
        DeskStatements as _, Ledger, LimitStatements as _, LineStatements as _, Locked as _, RecordStatements as _,
    },
    lifecycle,
    record::{Kept, Recorder},
    schedule::{Next, Nudges, Ticks},
    store::{self, Agenda, Intervention, LineRow, OPENS_SOON_S, Running, Sale, SaleRow, StoreError, Ticked},
};

/// Departures noted in one tick at most.
const SWEPT_MAX: u64 = 2000;
/// How long pages may take to show their turns after a loss of the line. Turns that lapse meanwhile
/// do not count as missed.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// A sale that was not ticked for so long was away: its pages could not claim their turns.
const AWAY: Duration = Duration::from_secs(2);
/// How often an unchanged sale is published again: Redis may have lost the list of sales alone.
const TOLD_AGAIN: Duration = Duration::from_secs(5);
/// Sales that Redis is asked whether it lists them, at most.
const LISTED_MAX: u32 = 50_000;
/// A sale in which nothing has happened for so long rests.
const RESTS_AFTER: Duration = Duration::from_secs(3);
/// How often the line of a sale that rests is looked at, and how often it is ticked all the same: one that has not opened,
/// and one that is open and empty, where whoever joins is let in within a second.
const SCHEDULED: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(120));
const EMPTY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Part of the period after which a controller comes again that has found another one at work: at the same moments each time it
/// would find that again, though the other one may be out of reach of the line's Redis.
const OUT_OF_STEP: f64 = 0.75;

/// Why a tick did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TickError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Line(#[from] LineError),
}

/// What the first half of a tick leaves for the second, of one line.
struct Committed {
    line: SaleId,
    /// What was heard of pages.
    heard: Vec<(Ordinal, Claim)>,
    /// The number of the last publication that it may be told in.
    publication: i64,
    /// If a new epoch was begun, the Redis process that is to have it.
    begins: Option<String>,
    /// Tickets whose turns are to be told again.
    again: Vec<Ordinal>,
    /// How many tickets a draw has shuffled, as far as Redis knows.
    drawn: u64,
}

/// What a tick has committed.
struct Done {
    committed: Vec<Committed>,
    /// Whether Redis has to hear of it.
    publishes: bool,
    /// How the lines stand, to be looked at before the next tick.
    lines: Vec<KnownLine>,
    rests: Option<(Duration, Duration)>,
    settled: bool,
}

/// Everything a tick needs.
pub(crate) struct Ticker<L> {
    pub(crate) ledger: L,
    pub(crate) line: LineStore,
    pub(crate) keys: Arc<Keys>,
    pub(crate) every: Duration,
    pub(crate) clock: Clock,
    /// Ticks that use a connection to Postgres at the same time: the others are the admin API's.
    pub(crate) permits: Semaphore,
    pub(crate) nudges: Nudges,
}

impl<L: Ledger> Ticks for Ticker<L> {
    type Known = Known;

    async fn running(&self) -> Result<Vec<Running>, String> {
        self.ledger.running().await.map_err(|error| error.to_string())
    }

    async fn listed(&self) -> Result<Vec<SaleId>, String> {
        self.line.sales(LISTED_MAX).await.map_err(|error| error.to_string())
    }

    async fn tick(&self, sale: SaleId, nudged: bool, known: &mut Known) -> Result<Next, String> {
        let started = self.clock.now();
        let next = self.tick_once(sale, nudged, known, started).await;
        if next.is_err() {
            *known = Known::default();
        }
        next.map_err(|error| error.to_string())
    }
}

/// Whether less than a period has passed since the last tick. After a clock was set back, it has not.
fn is_within(since: OffsetDateTime, now: OffsetDateTime, period: Duration) -> bool {
    let elapsed = now - since;
    !elapsed.is_negative() && elapsed < period
}

impl<L: Ledger> Ticker<L> {
    async fn tick_once(
        &self,
        id: SaleId,
        nudged: bool,
        known: &mut Known,
        started: Duration,
    ) -> Result<Next, TickError> {
        let peek = self.peek(id, known).await?;
        if nudged {
            // What has changed may be what Redis knows.
            known.rests = None;
            known.told.clear();
        }
        if let (Some((every, ticks)), Some(peek)) = (known.rests, &peek)
            && known.ticked_at.is_some_and(|at| self.clock.since(at) < ticks)
            && known.lines.iter().zip(&peek.seen).all(|(line, seen)| seen.as_ref() == Some(&line.seen))
        {
            known.rested_at = Some(started);
            return Ok(Next::After(every));
        }
        // One that is closed is never asked for: this process ends then.
        let Ok(_permit) = self.permits.acquire().await else { return Ok(Next::Over) };
        let ticking = self.clock.now();
        let Some(sale) = self.ledger.lock(id, false).await? else {
            return Ok(Next::After(self.every.mul_f64(OUT_OF_STEP)));
        };
        let Some(done) = self.admit(sale, nudged, known, peek).await? else { return Ok(Next::After(self.every)) };
        known.rested_at = None;
        known.ticked_at = Some(started);
        if done.publishes {
            self.publish(id, &done.committed, known).await?;
        }
        metrics::histogram!("admission_tick_duration_seconds").record(self.clock.since(ticking).as_secs_f64());
        let same = done.lines.len() == known.lines.len()
            && done.lines.iter().zip(&known.lines).all(|(now, before)| now.seen == before.seen);
        if done.publishes || !same || done.rests.is_none() {
            known.changed_at = Some(started);
        }
        known.lines = done.lines;
        known.rests = done.rests.filter(|_| known.changed_at.is_none_or(|at| self.clock.since(at) >= RESTS_AFTER));
        Ok(if done.settled { Next::Over } else { Next::After(self.every) })
    }

    /// Reads the known lines from Redis, before anything is locked.
    ///
    /// # Errors
    /// When Redis does not answer.
    async fn peek(&self, sale: SaleId, known: &Known) -> Result<Option<Peek>, TickError> {
        let at = self.clock.now();
        if known.lines.is_empty() {
            return match self.line.revision(sale).await {
                Ok(_) | Err(LineError::NotPublished) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let mut seen = Vec::with_capacity(known.lines.len());
        for KnownLine { line, look, seen: before, .. } in &known.lines {
            seen.push(self.look(*line, look, before.absent > 0).await?);
        }
        Ok(Some(Peek { at, seen }))
    }

    /// Turns expired grace periods into departures, and reads claims and the number of waiting shoppers;
    /// `None` if Redis does not know the line.
    async fn look(&self, line: SaleId, look: &UpcomingQuery, sweeps: bool) -> Result<Option<Upcoming>, LineError> {
        let looked = async {
            if sweeps {
                self.line.sweep(line, SWEPT_MAX).await?;
            }
            self.line.upcoming(line, look).await
        };
        match looked.await {
            Ok(seen) => Ok(Some(seen)),
            Err(LineError::NotPublished) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Decides and commits. Gives `None` if another controller has just done so.
    async fn admit(
        &self,
        mut sale: L::Locked,
        nudged: bool,
        known: &Known,
        peek: Option<Peek>,
    ) -> Result<Option<Done>, TickError> {
        if is_within(sale.row.ticked_at, sale.row.now, self.every / 2) && !nudged {
            return Ok(None);
        }
        // An operator has just moved it: the next tick knows where to.
        if !self.follow_the_clock(&mut sale).await? {
            return Ok(None);
        }
        let mut records: Vec<Recorder> = (0..sale.lines.len()).map(|at| sale.open_record(at)).collect();
        let Peek { at: looked_at, seen } = self.looks(&sale.lines, &records, known, peek).await?;
        let mut looks = Vec::with_capacity(seen.len());
        for (line, seen) in sale.lines.iter().zip(seen) {
            // What Redis knows of another epoch it knows of a part of our shoppers only.
            if let Some(seen) = seen.filter(|seen| epochs::is_current(line, seen)) {
                looks.push(Ok(seen));
                continue;
            }
            let redis = self.line.home(line.line()).await?;
            if let Some(why) = epochs::waits(line, &redis, sale.row.ticked_at, sale.row.now) {
                debug!(line = %line.line(), why, "new epoch not begun");
                return Ok(None);
            }
            looks.push(Err(redis));
        }
        if looks.iter().any(Result::is_err) {
            let committed = self.begin_anew(sale, records, looks).await?;
            return Ok(Some(Done { committed, publishes: true, lines: Vec::new(), rests: None, settled: false }));
        }
        let seen: Vec<Upcoming> = looks.into_iter().flatten().collect();
        for (at, (record, seen)) in records.iter_mut().zip(&seen).enumerate() {
            record.hear(seen);
            if matches!(sale.row.stored_status(), Status::Open | Status::Paused) {
                let arrived =
                    seen.arrivals.iter().flat_map(|(first, visitors)| (*first..).zip(visitors.iter().copied()));
                let arrived: Vec<_> = arrived.collect();
                record.removed(&sale.take_out_at_limit(at, &arrived).await?);
            }
        }
        if sale.row.promised > 0 && sale.row.now - sale.row.ticked_at > AWAY {
            let now = sale.row.now;
            sale.row.was_away(now);
        }
        let agenda = sale.agenda(&self.keys.good(&[])).await?;
        let rests = self.rests(&sale, &agenda, &seen);
        let elapsed_s = self.elapsed_s(&sale.row, known);
        let overs: Vec<Kept> = records.iter_mut().map(Recorder::keep_place).collect();
        let plan = self.plan(&mut sale, &agenda, &mut records, &seen, elapsed_s).await?;

        // From here on rows of admissions are locked, and nothing is waited for but Postgres.
        let (mut changed, mut heard) = (false, false);
        for (at, seen) in seen.iter().enumerate().filter(|(_, seen)| !seen.claims.is_empty()) {
            sale.hear(at, &seen.claims).await?;
            heard = true;
        }
        if agenda.lapses {
            changed = sale.lapse(self.clock.since(looked_at)).await?;
        }
        // Turns that were redeemed since the agenda was read are taken over below, so they count here.
        let takes_over = agenda.unrecorded || changed || heard;
        if takes_over {
            changed |= sale.take_back_at_limit().await?;
        }
        let revoked = &agenda.revoked;
        if let Some(key) = self.keys.signs(revoked)
            && (agenda.unsigned || !revoked.is_empty())
        {
            sale.sign_again(&self.keys.good(revoked), key.kid()).await?;
        }
        for (at, record) in records.iter_mut().enumerate() {
            if takes_over {
                let (lapsed, redeemed) = sale.take_over(at).await?;
                record.over(overs[at], &lapsed, &redeemed);
            }
            // What the record has not heard of yet is told when it has.
            if agenda.interventions || changed {
                let mut unrecorded = sale.unrecorded_removals(at).await?;
                unrecorded.retain(|&ordinal| record.knows(ordinal));
                record.removed(&unrecorded);
                sale.note_done(at, Intervention::Remove, &unrecorded).await?;
            }
        }
        let (admitted, preferred) = self.let_in(&mut sale, &plan, &mut records).await?;
        let Plan { cursors, again, decision, at_once, observed_till, takes_out, why, .. } = plan;
        if at_once > 0 {
            // Extra admissions without a shopper or a unit are dropped; what exceeds a batch follows.
            sale.note_at_once(if admitted == BATCH_MAX { at_once.saturating_sub(admitted) } else { 0 }).await?;
        }
        let admitted = admitted.saturating_add(preferred);
        for (at, (cursor, seen)) in cursors.into_iter().zip(&seen).enumerate() {
            let recovers = sale.lines[at].recovers_until.is_some();
            sale.note_moved(at, cursor, seen).await?;
            let line = &sale.lines[at];
            if recovers && line.recovers_until.is_none() {
                let (present, expected) = (store::present(seen), line.expected);
                info!(line = %line.line(), present, expected, waiting = seen.waiting, "shoppers of a lost line are back");
            }
        }
        // What a sale has taught is kept, however long it stays sold out.
        let decision = decision.filter(|decision| decision.reason != Reason::SoldOut);
        let memory = decision.map(|decision| decision.remember(admitted));
        let is_over = sale.row.stored_status() == Status::Closed;
        let moved = changed || heard || admitted > 0;
        let retells = sale.lines.iter().any(LineRow::is_retelling);
        let open = agenda.lapses || agenda.unrecorded || agenda.unpublished || retells;
        let recorded = records.iter().all(|record| record.is_empty());
        let told = sale.lines.iter().all(|line| line.published_status.as_deref() == Some(sale.row.status.as_str()));
        let settled = is_over && recorded && told && !moved && !open;
        let removes = takes_out || agenda.untold || again.iter().any(|again| !again.is_empty());
        let stale = rests.is_none() && known.told_at.is_none_or(|at| self.clock.since(at) > TOLD_AGAIN);
        let publishes = moved || removes || agenda.unpublished || agenda.unsigned || retells || stale;
        sale.note(&Ticked { memory: memory.as_ref(), why: &why, observed_till, settled }).await?;
        let news: Vec<_> = records.iter().map(Recorder::wants).collect();
        for (at, record) in records.into_iter().enumerate() {
            sale.write_record(at, record).await?;
        }
        // What another controller has published since has numbers of its own.
        let as_told = sale
            .lines
            .iter()
            .zip(&known.told)
            .filter(|&(line, told)| *told == Told { publication: told.publication, ..Told::of(&sale.row, line) });
        let publishes = (publishes || as_told.count() < sale.lines.len()) && !settled;
        if publishes {
            sale.number_publications().await?;
        }
        let lines = sale.lines.iter().zip(news).zip(&seen).map(|((line, news), seen)| KnownLine {
            line: line.line(),
            publication: line.publication,
            look: UpcomingQuery { cursor: line.cursor(), wanted: 0, reach: 0, record: news },
            seen: seen.clone(),
        });
        let lines: Vec<KnownLine> = lines.collect();
        explain::admitted(&sale.row, admitted);
        sale.commit().await?;
        let committed = |((line, again), seen): ((&KnownLine, Vec<Ordinal>), Upcoming)| Committed {
            line: line.line,
            heard: seen.claims,
            publication: line.publication,
            begins: None,
            again,
            drawn: seen.drawn,
        };
        let committed = lines.iter().zip(again).zip(seen).map(committed).collect();
        let rests = rests.filter(|_| !publishes);
        Ok(Some(Done { committed, publishes, lines, rests, settled }))
    }

    /// What Redis answered before the sale was locked, or what it answers now if the sale was ticked since.
    async fn looks(
        &self,
        lines: &[LineRow],
        records: &[Recorder],
        known: &Known,
        peek: Option<Peek>,
    ) -> Result<Peek, TickError> {
        let holds = known.lines.len() == lines.len()
            && known.lines.iter().zip(lines).zip(records).all(|((known, line), record)| {
                known.line == line.line()
                    && known.publication == line.publication
                    && known.look.cursor == line.cursor()
                    && known.look.record == record.wants()
            });
        if let Some(peek) = peek.filter(|_| holds) {
            return Ok(peek);
        }
        let (at, mut seen) = (self.clock.now(), Vec::with_capacity(lines.len()));
        for (line, record) in lines.iter().zip(records) {
            let look = UpcomingQuery { cursor: line.cursor(), wanted: 0, reach: 0, record: record.wants() };
            seen.push(self.look(line.line(), &look, true).await?);
        }
        Ok(Peek { at, seen })
    }

    /// The time for which the rate cap earns credit: since the last tick, but not before the sale opened.
    /// It is one period if the sale rested, since an empty line saves nothing up, or if a clock was set back.
    fn elapsed_s(&self, row: &SaleRow, known: &Known) -> f64 {
        let since = |moment: OffsetDateTime| (row.now - moment).as_seconds_f64();
        let elapsed_s = since(row.ticked_at);
        let elapsed_s = if elapsed_s < 0.0 { self.every.as_secs_f64() } else { elapsed_s };
        let rested_s = known.rested_at.map_or(f64::INFINITY, |_| self.every.as_secs_f64());
        let open_s = if since(row.opens_at) < 0.0 { f64::INFINITY } else { since(row.opens_at) };
        elapsed_s.min(rested_s).min(open_s)
    }

    /// How a sale may rest in which there is nothing to do.
    fn rests(&self, sale: &Sale, agenda: &Agenda, seen: &[Upcoming]) -> Option<(Duration, Duration)> {
        let quiet = |seen: &Upcoming| seen.claims.is_empty() && seen.absent == 0 && !seen.lags;
        if !agenda.is_empty() || sale.lines.iter().any(LineRow::is_retelling) || !seen.iter().all(quiet) {
            return None;
        }
        match sale.row.stored_status() {
            Status::Scheduled => {
                let opens_in_s = (sale.row.opens_at - sale.row.now).as_seconds_f64();
                (opens_in_s > OPENS_SOON_S).then_some(SCHEDULED)
            }
            Status::Open | Status::Paused => {
                let is_empty =
                    sale.row.promised == 0 && sale.row.held == 0 && seen.iter().all(|seen| seen.waiting == 0);
                is_empty.then_some(EMPTY)
            }
            _ => None,
        }
    }

    /// Begins a new epoch of every line that Redis does not know.
    async fn begin_anew(
        &self,
        mut sale: L::Locked,
        mut records: Vec<Recorder>,
        looks: Vec<Result<Upcoming, Home>>,
    ) -> Result<Vec<Committed>, TickError> {
        for (at, redis) in looks.iter().enumerate().filter_map(|(at, seen)| Some((at, seen.as_ref().err()?))) {
            sale.begin_epoch(at, redis).await?;
            let line = &sale.lines[at];
            records[at].epoch(line.epoch(), line.above());
            let (epoch, expected) = (line.epoch, line.expected);
            info!(line = %line.line(), epoch, expected, redis = redis.run_id, "new epoch of the line begun");
            if line.epoch > 1 {
                // Whatever has happened to this line has happened to others, which may rest.
                self.nudges.all();
            }
        }
        if sale.row.promised > 0 {
            let till = sale.row.now + SHOWN_WITHIN;
            sale.row.was_away(till);
        }
        sale.note(&Ticked { why: "the line begins anew", ..Ticked::default() }).await?;
        for (at, record) in records.into_iter().enumerate() {
            sale.write_record(at, record).await?;
        }
        sale.number_publications().await?;
        let told = |(line, seen): (&LineRow, Result<Upcoming, Home>)| Committed {
            line: line.line(),
            heard: Vec::new(),
            publication: line.publication,
            drawn: seen.as_ref().map_or(0, |seen| seen.drawn),
            begins: seen.err().map(|redis| redis.run_id),
            again: Vec::new(),
        };
        let committed = sale.lines.iter().zip(looks).map(told).collect();
        sale.commit().await?;
        Ok(committed)
    }

    /// Sales open and end by the clock of the database; `false` if an operator was faster.
    async fn follow_the_clock(&self, sale: &mut L::Locked) -> Result<bool, StoreError> {
        let row = &sale.row;
        let status = lifecycle::at(row.stored_status(), row.now, row.opens_at, row.ends_at, row.promised());
        if status == row.stored_status() { Ok(true) } else { sale.set_status(status).await }
    }
}
