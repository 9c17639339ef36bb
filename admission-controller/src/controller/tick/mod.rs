//! The tick: what the controller does for each sale, several times a second.
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
//! - `lines`: a line of the sale during the tick.
//! - `plan`: what to admit: all that is read and decided before anything is written.
//! - `draw`: the draw of a sale that begins with one.
//! - `publish`: what a commit publishes to Redis.
//! - `permits`: how many ticks use Postgres at the same time.

mod draw;
mod known;
mod lines;
mod permits;
mod plan;
mod publish;

use std::{sync::Arc, time::Duration};

use fairline_admission::{BATCH_MAX, Reason};
use fairline_line::{
    store::{LineError, LineStore, Upcoming, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_sale::{SaleId, Status};
use time::OffsetDateTime;
use tracing::{debug, info};

pub(crate) use self::{known::Known, permits::Permits};
use self::{
    known::{KnownLine, Peek, PeekedLine, Rest},
    lines::{OpenLine, TickLine},
};
use super::{
    agenda::Agenda,
    clock::Clock,
    decision_metrics, epochs,
    error::TickError,
    interventions::Intervention,
    keys::Keys,
    ledger::{
        InterventionStatements as _, Ledger, LimitStatements as _, LineStatements as _, Locked as _,
        RecordStatements as _,
    },
    lifecycle,
    line::{LineRow, present},
    record::Recorder,
    sale::{OPENS_SOON_S, Running, Sale, SaleRow, Ticked},
    schedule::{Next, TickNow, Ticks},
};
use crate::db::StoreError;

/// Departures noted in one tick at most.
const SWEPT_MAX: u64 = 2000;
/// The time for pages to present their tickets after a loss of the line. Turns that lapse meanwhile
/// do not count as missed.
const PRESENTED_WITHIN: Duration = Duration::from_secs(5);
/// After this time without a tick, the sale was away: its pages could not claim their turns.
const AWAY: Duration = Duration::from_secs(2);
/// How often an unchanged sale is published again: Redis may have lost only the list of sales.
const PUBLISHED_AGAIN: Duration = Duration::from_secs(5);
/// Lines that Redis lists at most.
const LISTED_MAX: u32 = 50_000;
/// A sale without a change for this long rests.
const RESTS_AFTER: Duration = Duration::from_secs(3);
/// The rest of a sale that has not opened.
const SCHEDULED: Rest = Rest { peek_every: Duration::from_secs(4), tick_every: Duration::from_secs(120) };
/// The rest of a sale that is open and empty, where a shopper who joins is admitted within a
/// second.
const EMPTY: Rest = Rest { peek_every: Duration::from_millis(500), tick_every: Duration::from_secs(10) };

/// The part of the period after which a controller returns that has found another one at work. At
/// the same phase it would always find that again, though the other one may be unable to reach the
/// line's Redis.
const OUT_OF_STEP: f64 = 0.75;

/// What the first half of a tick leaves for the second, of one line.
struct Committed {
    /// The line as it was committed. Its publication is the last one that may contain this commit.
    line: KnownLine,
    /// The Redis process that a new epoch begins in, if one has begun.
    begins: Option<String>,
    /// Tickets whose turns are published again.
    again: Vec<Ordinal>,
}

/// What a tick has committed.
struct Done {
    lines: Vec<Committed>,
    /// Whether it must be published.
    publishes: bool,
    rest: Option<Rest>,
    settled: bool,
}

impl Done {
    fn begins_an_epoch(&self) -> bool {
        self.lines.iter().any(|line| line.begins.is_some())
    }

    /// Whether the lines are as the last tick has left them.
    fn is_unchanged(&self, known: &Known) -> bool {
        self.lines.len() == known.lines.len()
            && self.lines.iter().zip(&known.lines).all(|(now, before)| now.line.seen == before.seen)
    }
}

/// Everything a tick needs.
pub(crate) struct Ticker<L> {
    pub(crate) ledger: L,
    pub(crate) line: LineStore,
    pub(crate) keys: Arc<Keys>,
    pub(crate) every: Duration,
    pub(crate) clock: Clock,
    /// Ticks that use a connection to Postgres at the same time: the others are the admin API's.
    pub(crate) permits: Permits,
    pub(crate) tick_now: TickNow,
}

impl<L: Ledger> Ticks for Ticker<L> {
    type Known = Known;

    async fn running(&self) -> Result<Vec<Running>, String> {
        self.ledger.running().await.map_err(|error| error.to_string())
    }

    async fn listed(&self) -> Result<Vec<SaleId>, String> {
        self.line.sales(LISTED_MAX).await.map(|sales| sales.listed).map_err(|error| error.to_string())
    }

    async fn tick(&self, sale: SaleId, requested: bool, known: &mut Known) -> Result<Next, String> {
        let started = self.clock.now();
        let next = self.tick_once(sale, requested, known, started).await;
        if next.is_err() {
            *known = Known::default();
        }
        known.has_failed = next.is_err();
        next.map_err(|error| error.to_string())
    }
}

/// Whether less than a period has passed since the last tick. After a clock was set back, it has
/// not.
fn is_within(since: OffsetDateTime, now: OffsetDateTime, period: Duration) -> bool {
    let elapsed = now - since;
    !elapsed.is_negative() && elapsed < period
}

/// The query before a tick: claims, and what the record needs, but no tickets.
fn peek_query(line: &LineRow, record: &Recorder) -> UpcomingQuery {
    UpcomingQuery { cursor: line.cursor(), wanted: 0, reach: 0, record: record.wants() }
}

impl<L: Ledger> Ticker<L> {
    async fn tick_once(
        &self,
        id: SaleId,
        requested: bool,
        known: &mut Known,
        started: Duration,
    ) -> Result<Next, TickError> {
        let peek = self.peek(id, known).await?;
        if requested {
            // What has changed may be what Redis knows.
            known.rest = None;
            known.published.clear();
        }
        if let (Some(rest), Some(peek)) = (known.rest, &peek)
            && known.ticked_at.is_some_and(|at| self.clock.since(at) < rest.tick_every)
            && peek.lines.iter().all(|line| line.is_unchanged)
        {
            known.rested_at = Some(started);
            return Ok(Next::After(rest.peek_every));
        }
        let _permit = self.permits.acquire(known.has_failed).await;
        let ticking = self.clock.now();
        let Some(sale) = self.ledger.lock(id, false).await? else {
            return Ok(Next::After(self.every.mul_f64(OUT_OF_STEP)));
        };
        let Some(done) = self.decide(sale, requested, known, peek).await? else { return Ok(Next::After(self.every)) };
        known.rested_at = None;
        known.ticked_at = Some(started);
        if done.publishes {
            self.publish(id, &done.lines, known).await?;
        }
        metrics::histogram!("admission_tick_duration_seconds").record(self.clock.since(ticking).as_secs_f64());
        if done.publishes || !done.is_unchanged(known) || done.rest.is_none() {
            known.changed_at = Some(started);
        }
        // After a new epoch begins, the next tick reads the lines anew.
        let keeps = !done.begins_an_epoch();
        known.rest = done.rest.filter(|_| known.changed_at.is_none_or(|at| self.clock.since(at) >= RESTS_AFTER));
        known.lines = done.lines.into_iter().filter(|_| keeps).map(|committed| committed.line).collect();
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
        let mut lines = Vec::with_capacity(known.lines.len());
        for KnownLine { line, publication, query, seen: before } in &known.lines {
            let seen = self.read_line(*line, query, before.absent > 0).await?;
            let is_unchanged = seen.as_ref() == Some(before);
            lines.push(PeekedLine { line: *line, publication: *publication, query: *query, seen, is_unchanged });
        }
        Ok(Some(Peek { at, lines }))
    }

    /// Turns expired grace periods into departures, and reads claims and the number of waiting
    /// shoppers; `None` if Redis does not know the line.
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

    /// Decides and commits. Gives `None` if another controller has just done so.
    async fn decide(
        &self,
        mut sale: L::Locked,
        requested: bool,
        known: &Known,
        peek: Option<Peek>,
    ) -> Result<Option<Done>, TickError> {
        if is_within(sale.row.ticked_at, sale.row.now, self.every / 2) && !requested {
            return Ok(None);
        }
        // An operator has just moved it: the next tick knows where to.
        if !self.follow_the_clock(&mut sale).await? {
            return Ok(None);
        }
        let open = |at| OpenLine { at, record: sale.open_record(at), seen: None, lost_by: None };
        let mut open: Vec<OpenLine> = (0..sale.lines.len()).map(open).collect();
        let read_at = self.read_lines(&sale.lines, &mut open, peek).await?;
        for line in &mut open {
            let row = &sale.lines[line.at];
            // Of another epoch, Redis knows only a part of the shoppers.
            if line.seen.as_ref().is_some_and(|seen| epochs::is_current(row, seen)) {
                continue;
            }
            let redis = self.line.home(row.line()).await?;
            if let Some(why) = epochs::waits(row, &redis, sale.row.ticked_at, sale.row.now) {
                debug!(line = %row.line(), why, "new epoch not begun");
                return Ok(None);
            }
            (line.seen, line.lost_by) = (None, Some(redis));
        }
        if open.iter().any(|line| line.lost_by.is_some()) {
            let lines = self.begin_epochs(sale, open).await?;
            return Ok(Some(Done { lines, publishes: true, rest: None, settled: false }));
        }
        let mut lines = Vec::with_capacity(open.len());
        for OpenLine { at, mut record, seen, .. } in open {
            // Redis knows every line here.
            let Some(seen) = seen else { continue };
            record.take_in(&seen);
            if matches!(sale.row.stored_status(), Status::Open | Status::Paused) {
                record.removed(&sale.take_out_at_limit(at, &TickLine::arrivals(&seen)).await?);
            }
            lines.push(TickLine::new(at, record, seen, sale.lines[at].cursor()));
        }
        if sale.row.promised > 0 && sale.row.now - sale.row.ticked_at > AWAY {
            let now = sale.row.now;
            sale.row.was_away(now);
        }
        let agenda = sale.agenda(&self.keys.good(&[])).await?;
        let rest = self.rest(&sale, &agenda, &lines);
        let elapsed_s = self.elapsed_s(&sale.row, known);
        let plan = self.plan(&mut sale, &agenda, &mut lines, elapsed_s).await?;

        // From here on rows of admissions are locked, and nothing is waited for but Postgres.
        let (mut changed, mut claimed) = (false, false);
        for TickLine { at, seen, .. } in lines.iter().filter(|line| !line.seen.claims.is_empty()) {
            sale.take_claims(*at, &seen.claims).await?;
            claimed = true;
        }
        if agenda.lapses {
            changed = sale.lapse(self.clock.since(read_at)).await?;
        }
        // Turns that were redeemed since the agenda was read are taken over below, so they count
        // here.
        let takes_over = agenda.unrecorded || changed || claimed;
        if takes_over {
            changed |= sale.take_back_at_limit().await?;
        }
        let revoked = &agenda.revoked;
        if let Some(key) = self.keys.signs(revoked)
            && (agenda.unsigned || !revoked.is_empty())
        {
            sale.sign_again(&self.keys.good(revoked), key.kid()).await?;
        }
        for TickLine { at, record, ended_at, .. } in &mut lines {
            if takes_over {
                let (lapsed, redeemed) = sale.take_over(*at).await?;
                record.over(*ended_at, &lapsed, &redeemed);
            }
            // The removal of a ticket that the record does not know yet is recorded when it does.
            if agenda.interventions || changed {
                let mut unrecorded = sale.unrecorded_removals(*at).await?;
                unrecorded.retain(|&ordinal| record.knows(ordinal));
                record.removed(&unrecorded);
                sale.note_done(*at, Intervention::Remove, &unrecorded).await?;
            }
        }
        let (admitted, preferred) = self.admit(&mut sale, &plan.kid, &mut lines).await?;
        if plan.at_once > 0 {
            // Extra admissions without a shopper or a unit are dropped; what exceeds a batch
            // follows.
            let left = if admitted == BATCH_MAX { plan.at_once.saturating_sub(admitted) } else { 0 };
            sale.note_at_once(left).await?;
        }
        let admitted = admitted.saturating_add(preferred);
        for TickLine { at, seen, cursor, .. } in &lines {
            let recovers = sale.lines[*at].recovers_until.is_some();
            sale.note_moved(*at, *cursor, seen).await?;
            let line = &sale.lines[*at];
            if recovers && line.recovers_until.is_none() {
                let (present, expected) = (present(seen), line.expected);
                info!(line = %line.line(), present, expected, waiting = seen.waiting, "shoppers of a lost line are back");
            }
        }
        // What a sale has taught is kept, however long it stays sold out.
        let decision = plan.decision.filter(|decision| decision.reason != Reason::SoldOut);
        let memory = decision.map(|decision| decision.remember(admitted));
        let is_over = sale.row.stored_status() == Status::Closed;
        let moved = changed || claimed || admitted > 0;
        let republishes = sale.lines.iter().any(LineRow::is_republishing);
        let open = agenda.lapses || agenda.unrecorded || agenda.unpublished || republishes;
        let recorded = lines.iter().all(|line| line.record.is_empty());
        let is_status_published =
            sale.lines.iter().all(|line| line.published_status.as_deref() == Some(sale.row.status.as_str()));
        let settled = is_over && recorded && is_status_published && !moved && !open;
        let removes = agenda.unpublished_removals || lines.iter().any(|line| line.takes_out || !line.again.is_empty());
        let stale = rest.is_none() && known.published_at.is_none_or(|at| self.clock.since(at) > PUBLISHED_AGAIN);
        let publishes = moved || removes || agenda.unpublished || agenda.unsigned || republishes || stale;
        let ticked = Ticked { memory: memory.as_ref(), why: &plan.why, observed_till: plan.observed_till, settled };
        sale.note(&ticked).await?;
        let mut done = Vec::with_capacity(lines.len());
        for TickLine { at, record, seen, again, .. } in lines {
            let (query, line) = (peek_query(&sale.lines[at], &record), sale.lines[at].line());
            sale.write_record(at, record).await?;
            done.push(Committed { line: KnownLine { line, publication: 0, query, seen }, begins: None, again });
        }
        let is_published = |line: &LineRow| {
            known.published.get(&line.line()).is_some_and(|published| published.is_current(&sale.row, line))
        };
        let publishes = (publishes || !sale.lines.iter().all(is_published)) && !settled;
        if publishes {
            sale.number_publications().await?;
        }
        for (committed, line) in done.iter_mut().zip(&sale.lines) {
            committed.line.publication = line.publication;
        }
        decision_metrics::admitted(&sale.row, admitted);
        sale.commit().await?;
        let rest = rest.filter(|_| !publishes);
        Ok(Some(Done { lines: done, publishes, rest, settled }))
    }

    /// Fills in what Redis returned before the sale was locked, or what it returns now if the sale
    /// was ticked since. Gives when that was.
    async fn read_lines(
        &self,
        rows: &[LineRow],
        lines: &mut [OpenLine],
        peek: Option<Peek>,
    ) -> Result<Duration, TickError> {
        let holds = |peek: &Peek| {
            peek.lines.len() == lines.len()
                && peek.lines.iter().zip(&*lines).all(|(peeked, line)| {
                    let row = &rows[line.at];
                    peeked.line == row.line()
                        && peeked.publication == row.publication
                        && peeked.query.cursor == row.cursor()
                        && peeked.query.record == line.record.wants()
                })
        };
        if let Some(peek) = peek.filter(holds) {
            for (line, peeked) in lines.iter_mut().zip(peek.lines) {
                line.seen = peeked.seen;
            }
            return Ok(peek.at);
        }
        let at = self.clock.now();
        for line in lines {
            let row = &rows[line.at];
            line.seen = self.read_line(row.line(), &peek_query(row, &line.record), true).await?;
        }
        Ok(at)
    }

    /// The time for which the rate cap earns credit: since the last tick, but not before the sale
    /// opened. It is one period if the sale rested, since an empty line saves nothing up, or if a
    /// clock was set back.
    fn elapsed_s(&self, row: &SaleRow, known: &Known) -> f64 {
        let since = |moment: OffsetDateTime| (row.now - moment).as_seconds_f64();
        let elapsed_s = since(row.ticked_at);
        let elapsed_s = if elapsed_s < 0.0 { self.every.as_secs_f64() } else { elapsed_s };
        let rested_s = known.rested_at.map_or(f64::INFINITY, |_| self.every.as_secs_f64());
        let open_s = if since(row.opens_at) < 0.0 { f64::INFINITY } else { since(row.opens_at) };
        elapsed_s.min(rested_s).min(open_s)
    }

    /// How a sale rests in which there is nothing to do.
    fn rest(&self, sale: &Sale, agenda: &Agenda, lines: &[TickLine]) -> Option<Rest> {
        let quiet = |TickLine { seen, .. }: &TickLine| seen.claims.is_empty() && seen.absent == 0 && !seen.lags;
        if !agenda.is_empty() || sale.lines.iter().any(LineRow::is_republishing) || !lines.iter().all(quiet) {
            return None;
        }
        match sale.row.stored_status() {
            Status::Scheduled => {
                let opens_in_s = (sale.row.opens_at - sale.row.now).as_seconds_f64();
                (opens_in_s > OPENS_SOON_S).then_some(SCHEDULED)
            }
            Status::Open | Status::Paused => {
                let is_empty =
                    sale.row.promised == 0 && sale.row.held == 0 && lines.iter().all(|line| line.seen.waiting == 0);
                is_empty.then_some(EMPTY)
            }
            _ => None,
        }
    }

    /// Begins a new epoch of every line that Redis does not know.
    async fn begin_epochs(&self, mut sale: L::Locked, mut lines: Vec<OpenLine>) -> Result<Vec<Committed>, TickError> {
        for OpenLine { at, record, lost_by, .. } in &mut lines {
            let Some(redis) = lost_by else { continue };
            sale.begin_epoch(*at, redis).await?;
            let line = &sale.lines[*at];
            record.epoch(line.epoch(), line.above());
            let (epoch, expected) = (line.epoch, line.expected);
            info!(line = %line.line(), epoch, expected, redis = redis.run_id, "new epoch of the line begun");
            if line.epoch > 1 {
                // The same failure affects other lines, which may rest.
                self.tick_now.all();
            }
        }
        if sale.row.promised > 0 {
            let till = sale.row.now + PRESENTED_WITHIN;
            sale.row.was_away(till);
        }
        sale.note(&Ticked { why: "the new epoch of the line, which has just begun", ..Ticked::default() }).await?;
        let mut committed = Vec::with_capacity(lines.len());
        for OpenLine { at, record, seen, lost_by } in lines {
            let (query, line) = (peek_query(&sale.lines[at], &record), sale.lines[at].line());
            sale.write_record(at, record).await?;
            // The claims of the other lines are left for the next tick.
            let drawn = seen.map_or(0, |seen| seen.drawn);
            let line = KnownLine { line, publication: 0, query, seen: Upcoming { drawn, ..Upcoming::default() } };
            committed.push(Committed { line, begins: lost_by.map(|redis| redis.run_id), again: Vec::new() });
        }
        sale.number_publications().await?;
        for (committed, line) in committed.iter_mut().zip(&sale.lines) {
            committed.line.publication = line.publication;
        }
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
