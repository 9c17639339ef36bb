//! The tick: what the controller does for each sale, several times a second.
//!
//! Redis is asked first, before anything is locked: a controller that has lost it holds nobody up. Then one transaction
//! decides and commits admissions; a second one, under the same lock, says what has been committed. A crash anywhere between
//! is mended by the next tick of any controller, since what Redis was told is noted in Postgres and a token has one value
//! however often it is signed. What there is nothing to do for costs no statement; `schedule` says when the next tick is.
//!
//! Within the first transaction all is read and decided before a row of an admission is locked, and the stock is locked by
//! the commit: so what comes free in a tick is promised by the next.

use std::{collections::HashSet, sync::Arc, time::Duration};

use fairline_admission::{BATCH_MAX, Decision, Lane, Observation, Reason, Visits, decide, quantities};
use fairline_admission_token::{AUDIENCE, Claims, ISSUER};
use fairline_line::{
    change::{LiveTurn, Turn},
    store::{Claim, Home, LineError, LineStore, Look, Publication, Upcoming},
    ticket::Ordinal,
};
use fairline_record::entry::TICKETS_MAX;
use fairline_sale::{SaleCard, SaleId, Status, VisitorId};
use time::OffsetDateTime;
use tokio::{sync::Semaphore, time::Instant};
use tracing::{debug, info};

use crate::{
    draw, epochs, explain,
    keys::Keys,
    lifecycle,
    record::Recorder,
    schedule::{Next, Nudges, Ticks},
    store::{
        Agenda, Intervention, LineRow, LockedSale, OPENS_SOON_S, PUBLICATIONS_A_TICK, PUBLISHED_MAX, Running, SaleRow,
        Store, StoreError, Ticked, Unpublished,
    },
};

/// Departures noted in one tick at most.
const SWEPT_MAX: u64 = 2000;
/// Tickets that one look takes in beyond the cursor at most, and looks at one line that one tick takes: runs of departed
/// tickets cost nothing, unless a draw has shuffled them.
const REACH: u64 = 5000;
const LOOKS_MAX: usize = 8;
/// How long one tick tells Redis again which turns are over, after a loss; the next one goes on.
const RETELLS_FOR: Duration = Duration::from_millis(50);
/// How long shoppers have to show their tickets to a line that was lost, before anybody is let in again: nodes notice
/// within a second, and browsers whose node has gone come back within a few.
const RECOVERY: Duration = Duration::from_secs(5);
/// A sale that was not ticked for so long was away: its pages could not claim their turns.
const AWAY: Duration = Duration::from_secs(2);
/// Redis is told again after so long, though nothing has changed: it may have lost the list of sales alone.
const TOLD_AGAIN: Duration = Duration::from_secs(5);
/// Sales that Redis is asked whether it lists them, at most.
const LISTED_MAX: u32 = 50_000;
/// A sale in which nothing has happened for so long rests.
const RESTS_AFTER: Duration = Duration::from_secs(3);
/// How often the line of a sale that rests is looked at, and how often it is ticked all the same: one that has not opened,
/// and one that is open and empty, where whoever joins is let in within a second.
const SCHEDULED: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(120));
const EMPTY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

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

/// What Redis was told of a line.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    publication: i64,
    epoch: u32,
    cursor: Ordinal,
    highest: Ordinal,
    granted: Ordinal,
    recall_window_s: i32,
    card: SaleCard,
}

impl Told {
    fn of(row: &SaleRow, line: &LineRow) -> Self {
        Self {
            publication: line.publication,
            epoch: line.epoch(),
            cursor: line.cursor(),
            highest: line.highest(),
            granted: line.granted(),
            recall_window_s: row.recall_window_s,
            card: row.card(line),
        }
    }
}

/// What was last known of a line of a sale.
#[derive(Debug, Clone, PartialEq)]
struct KnownLine {
    line: SaleId,
    publication: i64,
    look: Look,
    seen: Upcoming,
}

/// What this controller knows of a sale from one tick to the next. Nothing is decided by it that Postgres does not confirm.
#[derive(Debug, Default)]
pub(crate) struct Known {
    lines: Vec<KnownLine>,
    told: Vec<Told>,
    told_at: Option<Instant>,
    /// When something has last happened, and when the sale was last ticked, and last seen to be at rest.
    changed_at: Option<Instant>,
    ticked_at: Option<Instant>,
    rested_at: Option<Instant>,
    /// How often it is looked at, and how often ticked, while it rests.
    rests: Option<(Duration, Duration)>,
}

/// What Redis said of a sale before it was locked.
struct Peek {
    at: Instant,
    /// Of each line, in order; `None` if Redis does not know it.
    seen: Vec<Option<Upcoming>>,
}

/// What is to become of a sale that is open, in one tick: all of it is read and decided before anything is written.
#[derive(Default)]
struct Plan {
    /// The cursors of its lines, once that has been done.
    cursors: Vec<Ordinal>,
    /// Who is let in of each line before all others, with how many units, and who in order, look by look.
    preferred: Vec<Vec<(Ordinal, VisitorId, u32)>>,
    served: Vec<Vec<Served>>,
    /// The key that their tokens are signed with.
    kid: String,
    decision: Option<Decision>,
    /// As many an operator wanted in at once.
    at_once: u32,
    observed_till: Option<OffsetDateTime>,
    /// Whether tickets were taken out, since their shoppers have as many units as one may.
    takes_out: bool,
    /// The record lags behind.
    lags: bool,
    /// Why no more were let in.
    why: String,
}

/// Who is let in of those that one look at a line has found, and how far the line moves with that.
struct Served {
    tickets: Vec<(Ordinal, VisitorId, u32)>,
    cursor: Ordinal,
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
pub(crate) struct Ticker {
    pub(crate) store: Store,
    pub(crate) line: LineStore,
    pub(crate) keys: Arc<Keys>,
    pub(crate) every: Duration,
    /// Ticks that use a connection to Postgres at the same time: the others are the admin API's.
    pub(crate) permits: Semaphore,
    pub(crate) nudges: Nudges,
}

impl Ticks for Ticker {
    type Known = Known;

    async fn running(&self) -> Result<Vec<Running>, String> {
        self.store.running().await.map_err(|error| error.to_string())
    }

    async fn listed(&self) -> Result<Vec<SaleId>, String> {
        self.line.sales(LISTED_MAX).await.map_err(|error| error.to_string())
    }

    async fn tick(&self, sale: SaleId, nudged: bool, known: &mut Known) -> Result<Next, String> {
        let started = Instant::now();
        let next = self.tick_once(sale, nudged, known, started).await;
        if next.is_err() {
            *known = Known::default();
        }
        next.map_err(|error| error.to_string())
    }
}

/// Whether less than a period has passed since the last tick. A clock that was set back says nothing.
fn is_within(since: OffsetDateTime, now: OffsetDateTime, period: Duration) -> bool {
    let elapsed = now - since;
    !elapsed.is_negative() && elapsed < period
}

impl Ticker {
    async fn tick_once(
        &self,
        id: SaleId,
        nudged: bool,
        known: &mut Known,
        started: Instant,
    ) -> Result<Next, TickError> {
        let peek = self.peek(id, known).await?;
        if nudged {
            // What has changed may be what Redis knows.
            known.rests = None;
            known.told.clear();
        }
        if let (Some((every, ticks)), Some(peek)) = (known.rests, &peek)
            && known.ticked_at.is_some_and(|at| at.elapsed() < ticks)
            && known.lines.iter().zip(&peek.seen).all(|(line, seen)| seen.as_ref() == Some(&line.seen))
        {
            known.rested_at = Some(started);
            return Ok(Next::After(every));
        }
        // One that is closed is never asked for: this process ends then.
        let Ok(_permit) = self.permits.acquire().await else { return Ok(Next::Over) };
        let ticking = Instant::now();
        let Some(done) = self.admit(id, nudged, known, peek).await? else { return Ok(Next::After(self.every)) };
        known.rested_at = None;
        known.ticked_at = Some(started);
        if done.publishes {
            self.publish(id, &done.committed, known).await?;
        }
        metrics::histogram!("admission_tick_duration_seconds").record(ticking.elapsed().as_secs_f64());
        let same = done.lines.len() == known.lines.len()
            && done.lines.iter().zip(&known.lines).all(|(now, before)| now.seen == before.seen);
        if done.publishes || !same || done.rests.is_none() {
            known.changed_at = Some(started);
        }
        known.lines = done.lines;
        known.rests = done.rests.filter(|_| known.changed_at.is_none_or(|at| at.elapsed() >= RESTS_AFTER));
        Ok(if done.settled { Next::Over } else { Next::After(self.every) })
    }

    /// Asks Redis about the lines, as far as they are known, before anything is locked. Fails if it does not answer.
    async fn peek(&self, sale: SaleId, known: &Known) -> Result<Option<Peek>, TickError> {
        let at = Instant::now();
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

    /// Turns silence into departures, and reads what pages have said and how many wait; `None` if Redis does not know the line.
    async fn look(&self, line: SaleId, look: &Look, sweeps: bool) -> Result<Option<Upcoming>, LineError> {
        let looked = async {
            if sweeps {
                self.line.sweep(line, SWEPT_MAX).await?;
            }
            self.line.look(line, look).await
        };
        match looked.await {
            Ok(seen) => Ok(Some(seen)),
            Err(LineError::NotPublished) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Decides and commits. Gives `None` when there is nothing to be done for another controller has just done it.
    async fn admit(
        &self,
        id: SaleId,
        nudged: bool,
        known: &Known,
        peek: Option<Peek>,
    ) -> Result<Option<Done>, TickError> {
        let Some(mut sale) = self.store.lock(id, false).await? else { return Ok(None) };
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
                let arrived = |(first, visitors): &(Ordinal, Vec<VisitorId>)| (*first..).zip(visitors.clone());
                record.removed(&sale.take_out_at_limit(at, seen.arrivals.iter().flat_map(arrived)).await?);
            }
        }
        if sale.row.promised > 0 && sale.row.now - sale.row.ticked_at > AWAY {
            let now = sale.row.now;
            sale.was_away(now);
        }
        let agenda = sale.agenda(&self.keys.good(&[])).await?;
        let rests = self.rests(&sale, &agenda, &seen);
        let elapsed_s = self.elapsed_s(&sale.row, known);
        let plan = self.plan(&mut sale, &agenda, &mut records, &seen, elapsed_s).await?;

        // From here on rows of admissions are locked, and nothing is waited for but Postgres.
        let (mut changed, mut heard) = (false, false);
        for (at, seen) in seen.iter().enumerate().filter(|(_, seen)| !seen.claims.is_empty()) {
            sale.hear(at, &seen.claims).await?;
            heard = true;
        }
        if agenda.lapses {
            changed = sale.lapse(looked_at.elapsed()).await?;
        }
        if agenda.unrecorded {
            changed |= sale.take_back_at_limit().await?;
        }
        let revoked = &agenda.revoked;
        if let Some(key) = self.keys.signs(revoked)
            && (agenda.unsigned || !revoked.is_empty())
        {
            sale.sign_again(&self.keys.good(revoked), key.kid()).await?;
        }
        for (at, record) in records.iter_mut().enumerate() {
            if agenda.unrecorded || changed || heard {
                let (lapsed, redeemed) = sale.take_over(at).await?;
                record.over(&lapsed, &redeemed);
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
        let Plan { cursors, decision, at_once, observed_till, takes_out, why, .. } = plan;
        if at_once > 0 {
            // What there was nobody for, or no unit, is forgotten; what one batch could not take comes with the next.
            sale.note_at_once(if admitted == BATCH_MAX { at_once.saturating_sub(admitted) } else { 0 }).await?;
        }
        let admitted = admitted.saturating_add(preferred);
        for (at, (cursor, seen)) in cursors.into_iter().zip(&seen).enumerate() {
            sale.note_moved(at, cursor, seen).await?;
        }
        // What a sale has taught is kept, however long it stays sold out.
        let decision = decision.filter(|decision| decision.reason != Reason::SoldOut);
        let memory = decision.map(|decision| decision.remember(admitted));
        let is_over = sale.row.stored_status() == Status::Closed;
        let moved = changed || heard || admitted > 0;
        let retells = sale.lines.iter().any(LineRow::is_retelling);
        let open = agenda.lapses || agenda.unrecorded || agenda.unpublished || retells;
        let recorded = records.iter().all(|record| record.entries.is_empty());
        let told = sale.lines.iter().all(|line| line.published_status.as_deref() == Some(sale.row.status.as_str()));
        let settled = is_over && recorded && told && !moved && !open;
        let removes = takes_out || agenda.untold || sale.again.iter().any(|again| !again.is_empty());
        let stale = rests.is_none() && known.told_at.is_none_or(|at| at.elapsed() > TOLD_AGAIN);
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
            look: Look { cursor: line.cursor(), wanted: 0, reach: 0, news },
            seen: seen.clone(),
        });
        let lines: Vec<KnownLine> = lines.collect();
        explain::admitted(&sale.row, admitted);
        let again = std::mem::take(&mut sale.again);
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

    /// What Redis said before the sale was locked, if nobody has ticked it since; what it says now otherwise.
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
                    && known.look.news == record.wants()
            });
        if let Some(peek) = peek.filter(|_| holds) {
            return Ok(peek);
        }
        let (at, mut seen) = (Instant::now(), Vec::with_capacity(lines.len()));
        for (line, record) in lines.iter().zip(records) {
            let look = Look { cursor: line.cursor(), wanted: 0, reach: 0, news: record.wants() };
            seen.push(self.look(line.line(), &look, true).await?);
        }
        Ok(Peek { at, seen })
    }

    /// How much time the credit of the cap grows by: since the last tick, but not since before the sale opened, and of one
    /// that rested one period: an empty line saves nothing up. A clock that was set back says nothing: then it is one period.
    fn elapsed_s(&self, row: &SaleRow, known: &Known) -> f64 {
        let since = |moment: OffsetDateTime| (row.now - moment).as_seconds_f64();
        let elapsed_s = since(row.ticked_at);
        let elapsed_s = if elapsed_s < 0.0 { self.every.as_secs_f64() } else { elapsed_s };
        let rested_s = known.rested_at.map_or(f64::INFINITY, |_| self.every.as_secs_f64());
        let open_s = if since(row.opens_at) < 0.0 { f64::INFINITY } else { since(row.opens_at) };
        elapsed_s.min(rested_s).min(open_s)
    }

    /// How a sale may rest in which there is nothing to do.
    fn rests(&self, sale: &LockedSale, agenda: &Agenda, seen: &[Upcoming]) -> Option<(Duration, Duration)> {
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
        mut sale: LockedSale,
        mut records: Vec<Recorder>,
        looks: Vec<Result<Upcoming, Home>>,
    ) -> Result<Vec<Committed>, TickError> {
        for (at, redis) in looks.iter().enumerate().filter_map(|(at, seen)| Some((at, seen.as_ref().err()?))) {
            sale.begin_epoch(at, redis).await?;
            let line = &sale.lines[at];
            records[at].epoch(line.epoch(), line.above());
            info!(line = %line.line(), epoch = line.epoch, redis = redis.run_id, "new epoch of the line begun");
            if line.epoch > 1 {
                // Whatever has happened to this line has happened to others, which may rest.
                self.nudges.all();
            }
        }
        if sale.row.promised > 0 {
            let till = sale.row.now + RECOVERY;
            sale.was_away(till);
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

    /// What is to be done next for a sale: nothing, the draw, or to let people in. The draw is made here.
    async fn plan(
        &self,
        sale: &mut LockedSale,
        agenda: &Agenda,
        records: &mut [Recorder],
        seen: &[Upcoming],
        elapsed_s: f64,
    ) -> Result<Plan, TickError> {
        let mut plan = Plan { cursors: sale.lines.iter().map(LineRow::cursor).collect(), ..Plan::default() };
        // Also while it is paused: what happens then is not to be taken for what happens in one tick later.
        let mut visits = Visits::default();
        if matches!(sale.row.stored_status(), Status::Open | Status::Paused) {
            let (seen, till) = sale.visits().await?;
            (visits, plan.observed_till) = (seen, Some(till));
        }
        let lacks_draw = |(line, seen): (&LineRow, &Upcoming)| line.drawn().is_some_and(|(pool, _)| pool != seen.drawn);
        plan.why = if sale.row.stored_status() != Status::Open || lifecycle::has_ended(sale.row.now, sale.row.ends_at) {
            "the sale is not open".to_owned()
        } else if sale.lines.iter().any(|line| sale.row.draw_is_due(line)) {
            draw::make(sale, records, &self.line).await?;
            "the draw is being made".to_owned()
        } else if sale.lines.iter().zip(seen).any(lacks_draw) {
            "Redis is being given the draw".to_owned()
        } else if let Some(key) = self.keys.signs(&agenda.revoked) {
            key.kid().clone_into(&mut plan.kid);
            return self.plan_admissions(sale, agenda, records, seen, (&visits, elapsed_s), plan).await;
        } else {
            "every signing key is revoked: give the controllers another".to_owned()
        };
        Ok(plan)
    }

    /// Who is let in: as many as the control law says, of each line those who are next.
    async fn plan_admissions(
        &self,
        sale: &mut LockedSale,
        agenda: &Agenda,
        records: &mut [Recorder],
        seen: &[Upcoming],
        (visits, elapsed_s): (&Visits, f64),
        mut plan: Plan,
    ) -> Result<Plan, TickError> {
        let units = sale.row.units_per_admission();
        // Those whom an operator wants in before all others; in yield mode, too, only for units that nobody has.
        let mut first = quantities(sale.row.free(), units);
        let mut promised = 0;
        for (at, record) in records.iter_mut().enumerate() {
            let mut wanted = if agenda.interventions { sale.preferred(at).await? } else { Vec::new() };
            wanted.retain(|&(ordinal, _)| record.knows(ordinal));
            let may = self.who_may(sale, at, record, &wanted, &mut plan.takes_out).await?;
            let tickets = may.into_iter().zip(first.by_ref());
            plan.preferred
                .push(tickets.map(|((ordinal, visitor, most), units)| (ordinal, visitor, units.min(most))).collect());
            promised += plan.preferred[at].iter().map(|ticket| ticket.2).sum::<u32>();
        }
        let prior = sale.prior().await?;
        let row = &sale.row;
        let mut stock = row.stock();
        stock.promised = stock.promised.saturating_add(promised);
        let recovers = |line: &LineRow| line.epoch > 1 && epochs::began_within(line, row.now, RECOVERY);
        // What the lanes leave is the own line's share.
        let own = 1.0 - sale.lines.iter().filter_map(|line| line.share).sum::<f64>();
        let share = |line: &LineRow| line.share.unwrap_or(own.max(0.0));
        let lanes: Vec<Lane> = sale
            .lines
            .iter()
            .zip(seen)
            .map(|(line, seen)| Lane { waiting: seen.waiting, share: share(line) })
            .collect();
        let (terms, memory) = (row.terms(), row.memory());
        let observation = Observation {
            terms: &terms,
            stock,
            lanes: &lanes,
            visits,
            checkout: agenda.checkout(),
            recovering: sale.lines.iter().any(recovers),
            at_once: agenda.at_once(),
            elapsed_s,
            prior: &prior,
            memory: &memory,
        };
        let decision = decide(&observation);
        // In yield mode more is promised than there is.
        let mut quantities = quantities(if row.is_yield() { u32::MAX } else { stock.free() }, units);
        let mut planned = 0;
        for (at, &wanted) in decision.by_lane.iter().enumerate() {
            let served = self.plan_next(sale, at, &mut records[at], wanted, &mut quantities, &mut plan).await?;
            planned += served.iter().map(|served| served.tickets.len()).sum::<usize>();
            plan.served.push(served);
        }
        plan.why =
            if plan.lags { "the record is catching up with the line".to_owned() } else { decision.reason.to_string() };
        explain::decision(sale, &observation, &decision, planned, &plan.why);
        (plan.decision, plan.at_once) = (Some(decision), agenda.at_once());
        Ok(plan)
    }

    /// The next of one line, `wanted` at most. Tickets that are not to be served hold up nobody.
    async fn plan_next(
        &self,
        sale: &mut LockedSale,
        at: usize,
        record: &mut Recorder,
        wanted: u32,
        quantities: &mut impl Iterator<Item = u32>,
        plan: &mut Plan,
    ) -> Result<Vec<Served>, TickError> {
        let line = sale.lines[at].line();
        let (mut served, mut missing) = (Vec::new(), wanted as usize);
        // Redis is told after the commit, and gives the recalled ones of an earlier look once more.
        let mut recalled = HashSet::new();
        for _ in 0..LOOKS_MAX {
            // One entry of the record tells of each look.
            let most = missing.min(TICKETS_MAX);
            if most == 0 {
                break;
            }
            let cursor = plan.cursors[at];
            let look = Look { cursor, wanted: (most + recalled.len()) as u64, reach: REACH, news: record.wants() };
            let next = self.line.look(line, &look).await?;
            record.hear(&next);
            plan.lags |= next.lags;
            let mut fresh: Vec<_> =
                next.tickets.iter().filter(|ticket| !recalled.contains(&ticket.0)).copied().collect();
            // Some have departed since the earlier look, so more have come than there is room for: the next tick's.
            if next.lags || fresh.len() > most || (fresh.is_empty() && next.cursor == cursor) {
                break;
            }
            recalled
                .extend(next.tickets.iter().take(usize::try_from(next.recalled).unwrap_or(0)).map(|ticket| ticket.0));
            let ordinals: Vec<Ordinal> = fresh.iter().map(|ticket| ticket.0).collect();
            let (passed_over, removed) = sale.not_to_be_served(at, &ordinals).await?;
            record.removed(&removed);
            sale.note_done(at, Intervention::Remove, &removed).await?;
            let preferred = &plan.preferred[at];
            fresh.retain(|(ordinal, _)| {
                !passed_over.contains(ordinal) && !preferred.iter().any(|ticket| ticket.0 == *ordinal)
            });
            let may = self.who_may(sale, at, record, &fresh, &mut plan.takes_out).await?;
            let tickets: Vec<_> = may
                .into_iter()
                .zip(quantities.by_ref())
                .map(|((ordinal, visitor, most), units)| (ordinal, visitor, units.min(most)))
                .collect();
            missing -= tickets.len();
            plan.cursors[at] = next.cursor;
            served.push(Served { tickets, cursor: next.cursor });
        }
        Ok(served)
    }

    /// Those of some tickets whose shoppers may have more units of the sale, and how many. The others are taken out.
    async fn who_may(
        &self,
        sale: &mut LockedSale,
        at: usize,
        record: &mut Recorder,
        tickets: &[(Ordinal, VisitorId)],
        takes_out: &mut bool,
    ) -> Result<Vec<(Ordinal, VisitorId, u32)>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let left = sale.left_of_limit(tickets.iter().map(|ticket| ticket.1)).await?;
        let units = |visitor: &VisitorId| left.get(visitor).copied().unwrap_or(u32::MAX);
        let at_limit = tickets.iter().filter(|ticket| units(&ticket.1) == 0).copied();
        let taken_out = sale.take_out_at_limit(at, at_limit).await?;
        *takes_out |= !taken_out.is_empty();
        record.removed(&taken_out);
        let may = tickets.iter().map(|&(ordinal, visitor)| (ordinal, visitor, units(&visitor)));
        Ok(may.filter(|ticket| ticket.2 > 0).collect())
    }

    /// Lets in whom the plan says. Gives how many in order, and how many before all others.
    async fn let_in(
        &self,
        sale: &mut LockedSale,
        plan: &Plan,
        records: &mut [Recorder],
    ) -> Result<(u32, u32), TickError> {
        let (mut admitted, mut preferred) = (0, 0);
        let count = |made: &[Ordinal]| u32::try_from(made.len()).unwrap_or(u32::MAX);
        for (at, tickets) in plan.preferred.iter().enumerate().filter(|(_, tickets)| !tickets.is_empty()) {
            let made = sale.admit(at, tickets, &plan.kid).await?;
            records[at].preferred(&made);
            // Whoever has a token already has had the turn.
            let served: Vec<Ordinal> = tickets.iter().map(|ticket| ticket.0).collect();
            sale.note_done(at, Intervention::Prefer, &served).await?;
            preferred += count(&made);
        }
        for (at, served) in plan.served.iter().enumerate() {
            let mut cursor = sale.lines[at].cursor();
            for Served { tickets, cursor: next } in served {
                let made = sale.admit(at, tickets, &plan.kid).await?;
                if !made.is_empty() || *next > cursor {
                    records[at].admitted(&made, *next);
                }
                admitted += count(&made);
                cursor = *next;
            }
        }
        Ok((admitted, preferred))
    }

    /// Sales open and end by the clock of the database; `false` if an operator was faster.
    async fn follow_the_clock(&self, sale: &mut LockedSale) -> Result<bool, StoreError> {
        let row = &sale.row;
        let status = lifecycle::at(row.stored_status(), row.now, row.opens_at, row.ends_at, row.promised());
        if status == row.stored_status() { Ok(true) } else { sale.set_status(status).await }
    }

    /// Says what has been committed, in the order of commits: under the lock.
    async fn publish(&self, sale: SaleId, committed: &[Committed], known: &mut Known) -> Result<(), TickError> {
        // Who has begun an epoch says so, whoever has the lock at this moment: unsaid, it would be begun again.
        let begins = committed.iter().any(|committed| committed.begins.is_some());
        let Some(mut sale) = self.store.lock(sale, begins).await? else { return Ok(()) };
        // One line that can't be told keeps no other from it.
        let mut failed = None;
        (known.told, known.told_at) = (Vec::with_capacity(committed.len()), Some(Instant::now()));
        for committed in committed {
            let Some(at) = sale.lines.iter().position(|line| line.line() == committed.line) else { continue };
            // Whoever has committed since says this, too.
            if sale.lines[at].publication != committed.publication {
                continue;
            }
            if let Err(error) = self.publish_line(&mut sale, at, committed).await {
                match error {
                    TickError::Line(_) => failed = Some(error),
                    TickError::Store(_) => return Err(error),
                }
            } else {
                let line = &sale.lines[at];
                known.told.push(Told::of(&sale.row, line));
            }
        }
        sale.commit().await?;
        failed.map_or(Ok(()), Err)
    }

    async fn publish_line(&self, sale: &mut LockedSale, at: usize, committed: &Committed) -> Result<(), TickError> {
        let drawn = sale.lines[at].drawn();
        if let Some((pool, key)) = drawn
            && pool != committed.drawn
        {
            draw::lay_down(&self.line, committed.line, pool, key).await?;
        }
        let (mut begins, mut heard) = (committed.begins.as_deref(), committed.heard.as_slice());
        let mut again = committed.again.as_slice();
        for number in committed.publication - PUBLICATIONS_A_TICK + 1..=committed.publication {
            let unpublished = sale.unpublished(at, again).await?;
            let is_full = i64::try_from(unpublished.len()).is_ok_and(|count| count == PUBLISHED_MAX);
            let removed = sale.untold_removals(at, again).await?;
            let mut told = Vec::with_capacity(unpublished.len());
            let mut turns = Vec::with_capacity(unpublished.len() + removed.len());
            for admission in unpublished {
                // Of a ticket the newest turn alone is told: an older one would take it back.
                if !admission.superseded {
                    let Some(turn) = self.turn(sale.row.sale(), &admission) else { continue };
                    turns.push((admission.ordinal(), turn));
                }
                told.push(admission);
            }
            let taken_out = |at_limit| if at_limit { Turn::Limit } else { Turn::Removed };
            turns.extend(removed.iter().map(|&(ordinal, at_limit)| (ordinal, taken_out(at_limit))));
            let line = &sale.lines[at];
            let card = sale.row.card(line);
            let publication = Publication {
                number,
                epoch: line.epoch(),
                begins,
                above: line.above(),
                cursor: line.cursor(),
                drawn: drawn.map_or(0, |(pool, _)| pool),
                noted: line.noted(),
                granted: line.granted(),
                recall_window: Duration::from_secs(u64::try_from(sale.row.recall_window_s).unwrap_or(0)),
                card: &card,
                heard,
                turns: &turns,
            };
            self.line.publish(&publication).await?;
            sale.note_published(at, &told, begins.is_some()).await?;
            let removed: Vec<Ordinal> = removed.iter().map(|removal| removal.0).collect();
            sale.note_removals_told(at, &removed).await?;
            (begins, heard, again) = (None, &[], &[]);
            if !is_full {
                break;
            }
        }
        self.retell(sale, at).await
    }

    /// Tells a Redis that has lost the line which turns are over, some of them.
    async fn retell(&self, sale: &mut LockedSale, at: usize) -> Result<(), TickError> {
        let started = Instant::now();
        while sale.lines[at].is_retelling() && started.elapsed() < RETELLS_FOR {
            let over = sale.turns_over(at).await?;
            let (line, epoch) = (sale.lines[at].line(), sale.lines[at].epoch());
            let told = [(Turn::Bought, &over.bought), (Turn::Expired, &over.expired), (Turn::Lapsed, &over.lapsed)];
            for (turn, ordinals) in told.into_iter().filter(|(_, ordinals)| !ordinals.is_empty()) {
                self.line.retell(line, epoch, &turn, ordinals).await?;
            }
            sale.note_retold(at, &over).await?;
        }
        Ok(())
    }

    /// What a shopper is to hear of an admission: nothing, as long as its token's key is revoked or another controller's.
    fn turn(&self, sale: SaleId, admission: &Unpublished) -> Option<Turn> {
        Some(match admission.state.as_str() {
            "promised" => Turn::Now(LiveTurn {
                token: self.keys.named(&admission.kid)?.mint(&Claims {
                    iss: ISSUER.to_owned(),
                    aud: AUDIENCE.to_owned(),
                    sub: admission.visitor().to_string(),
                    jti: admission.id,
                    sale,
                    qty: admission.quantity(),
                    iat: admission.issued_at.unix_timestamp(),
                    exp: admission.expires_at.unix_timestamp(),
                }),
                quantity: admission.quantity(),
                claim_by: admission.claim_by,
                expires_at: admission.expires_at,
            }),
            "redeemed" => Turn::Bought,
            _ if admission.may_come_again() => Turn::Lapsed,
            _ => Turn::Expired,
        })
    }
}
