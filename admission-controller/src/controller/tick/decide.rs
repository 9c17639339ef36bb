//! The part of a tick between the lock of a sale and the first write to an admission: the lines are
//! read, lost ones begin a new epoch, and the others are planned. Then `commit` writes.

use std::{sync::atomic::Ordering, time::Duration};

use fairline_line::store::Upcoming;
use fairline_sale::Status;
use time::OffsetDateTime;
use tracing::{debug, info};

use super::{
    Ticker,
    commit::{CommittedTick, PreparedTick},
    known::{IdleState, KnownSale, Peek},
    lines::{OpenLine, TickLine, arrivals},
};
use crate::{
    controller::{
        agenda::Agenda,
        epochs,
        error::TickError,
        ledger::{Ledger, LineStatements as _, LockedLedger, RecordStatements as _},
        lifecycle::Schedule,
        line::LineRow,
        sale::{OPENS_SOON_S, SaleRow, TickResult},
    },
    db::StoreError,
};

/// The time for pages to present their tickets after a loss of the line. Turns that lapse meanwhile
/// do not count as missed.
const PRESENTED_WITHIN: Duration = Duration::from_secs(5);
/// After this time without a tick, pages could not claim their turns.
const AWAY: Duration = Duration::from_secs(2);
/// The rest of a sale that has not opened. Its lines are read less often the more sales run, and at
/// least this often: any of them notices a lost Redis for all.
const SCHEDULED: IdleState = IdleState { peek_every: Duration::from_secs(30), tick_every: Duration::from_secs(120) };
/// The most often that they are read, and the reads per second of all such sales.
const SCHEDULED_PEEK_MIN: Duration = Duration::from_secs(4);
const SCHEDULED_PEEKS_PER_S: f64 = 32.0;
/// The rest of a sale that is open and empty, where a shopper who joins is admitted within a
/// second.
const EMPTY: IdleState = IdleState { peek_every: Duration::from_millis(500), tick_every: Duration::from_secs(10) };

/// Why a sale is ticked.
pub(super) struct Wake {
    /// A change was made that the controller can't see otherwise.
    pub(super) requested: bool,
    /// It was at rest, with nothing to do, until now.
    pub(super) rested: bool,
}

impl<L: Ledger> Ticker<L> {
    /// Decides and commits. Returns `None` if another controller has just done so.
    pub(super) async fn decide(
        &self,
        (mut sale, rows): (L::LockedLedger, Vec<LineRow>),
        wake: Wake,
        known: &KnownSale,
        peek: Option<Peek>,
    ) -> Result<Option<CommittedTick>, TickError> {
        if is_within(sale.ticked_at, sale.now, self.every / 2) && !wake.requested {
            return Ok(None);
        }
        // An operator has just moved it: the next tick reads where to.
        if !follow_the_clock(&mut sale).await? {
            return Ok(None);
        }
        let mut open: Vec<OpenLine> = rows.into_iter().map(|row| OpenLine::new(&sale, row)).collect();
        let read_at = self.read_lines(&mut open, peek).await?;
        if !self.find_lost_lines(&sale, &mut open).await? {
            return Ok(None);
        }
        if open.iter().any(|line| line.lost_by.is_some()) {
            return Ok(Some(self.begin_epochs(sale, open).await?));
        }
        let mut lines = take_in(&mut sale, open).await?;
        if sale.promised > 0 && sale.now - sale.ticked_at > AWAY {
            let now = sale.now;
            sale.was_unreachable(now);
        }
        let agenda = sale.agenda(&TickLine::rows(&lines), &self.keys.good(&[])).await?;
        let rest = rest(&sale, &agenda, &lines).map(|rest| self.peeked_less_often(rest));
        let elapsed_s = self.elapsed_s(&sale, wake.rested);
        let plan = self.plan(&mut sale, &agenda, &mut lines, elapsed_s).await?;
        Ok(Some(self.commit(sale, lines, PreparedTick { read_at, agenda, rest, plan }, known).await?))
    }

    /// Fills in what Redis returned before the sale was locked, or what it returns now if the sale
    /// was ticked since. Returns when that was.
    async fn read_lines(&self, lines: &mut [OpenLine], peek: Option<Peek>) -> Result<Duration, TickError> {
        let holds = |peek: &Peek| {
            peek.lines.len() == lines.len()
                && peek.lines.iter().zip(&*lines).all(|(peeked, line)| line.is_unchanged_since(peeked))
        };
        if let Some(peek) = peek.filter(holds) {
            for (line, peeked) in lines.iter_mut().zip(peek.lines) {
                line.seen = peeked.seen;
            }
            return Ok(peek.at);
        }
        let at = self.clock.now();
        for line in lines {
            line.seen = self.read_line(line.row.line(), &line.query(), true).await?;
        }
        Ok(at)
    }

    /// Finds the lines that Redis has lost. `false` if a new epoch of one must not begin yet.
    async fn find_lost_lines(&self, sale: &SaleRow, lines: &mut [OpenLine]) -> Result<bool, TickError> {
        for line in lines {
            // Of another epoch, Redis has only a part of the shoppers.
            if line.seen.as_ref().is_some_and(|seen| epochs::is_current(&line.row, seen)) {
                continue;
            }
            let redis = self.line.home(line.row.line()).await?;
            if let Some(why) = epochs::waits(&line.row, &redis, sale.ticked_at, sale.now) {
                debug!(line = %line.row.line(), why, "new epoch not begun");
                return Ok(false);
            }
            (line.seen, line.lost_by) = (None, Some(redis));
        }
        Ok(true)
    }

    /// Begins a new epoch of every line that Redis does not have, and commits.
    async fn begin_epochs(
        &self,
        mut sale: L::LockedLedger,
        mut lines: Vec<OpenLine>,
    ) -> Result<CommittedTick, TickError> {
        for OpenLine { row, record, lost_by, .. } in &mut lines {
            let Some(redis) = lost_by else { continue };
            sale.begin_epoch(row, redis).await?;
            record.epoch(row.epoch(), row.above());
            let (epoch, expected) = (row.epoch, row.expected);
            info!(line = %row.line(), epoch, expected, redis = redis.run_id, "new epoch of the line begun");
            if row.epoch > 1 {
                // The same failure affects other lines, which may rest.
                self.tick_now.all();
            }
        }
        if sale.promised > 0 {
            let till = sale.now + PRESENTED_WITHIN;
            sale.was_unreachable(till);
        }
        sale.store_tick(&TickResult {
            why: "the new epoch of the line, which has just begun",
            ..TickResult::default()
        })
        .await?;
        for OpenLine { row, record, .. } in &mut lines {
            sale.write_record(row, record).await?;
        }
        let mut rows: Vec<&mut LineRow> = lines.iter_mut().map(|line| &mut line.row).collect();
        sale.number_publications(&mut rows).await?;
        sale.commit().await?;
        let lines = lines.into_iter().map(OpenLine::committed).collect();
        Ok(CommittedTick { lines, publishes: true, rest: None, none_due_for: None, settled: false })
    }

    fn peeked_less_often(&self, rest: IdleState) -> IdleState {
        let shared = f64::from(self.running.load(Ordering::Relaxed)) / SCHEDULED_PEEKS_PER_S;
        let least = Duration::from_secs_f64(shared).max(SCHEDULED_PEEK_MIN);
        IdleState { peek_every: rest.peek_every.min(least), ..rest }
    }

    /// The time for which the rate cap earns credit: since the last tick, but not before the sale
    /// opened. It is one period if the sale rested, since an empty line saves nothing up, or if a
    /// clock was set back.
    fn elapsed_s(&self, sale: &SaleRow, rested: bool) -> f64 {
        let since = |moment: OffsetDateTime| (sale.now - moment).as_seconds_f64();
        let elapsed_s = since(sale.ticked_at);
        let elapsed_s = if elapsed_s < 0.0 { self.every.as_secs_f64() } else { elapsed_s };
        let rested_s = if rested { self.every.as_secs_f64() } else { f64::INFINITY };
        let open_s = if since(sale.opens_at) < 0.0 { f64::INFINITY } else { since(sale.opens_at) };
        elapsed_s.min(rested_s).min(open_s)
    }
}

/// Whether less than a period has passed since the last tick. After a clock was set back, it has
/// not.
fn is_within(since: OffsetDateTime, now: OffsetDateTime, period: Duration) -> bool {
    let elapsed = now - since;
    !elapsed.is_negative() && elapsed < period
}

/// Sales open and end by the clock of the database, if their items allow it; `false` if an operator
/// was faster.
async fn follow_the_clock<S: LockedLedger>(sale: &mut S) -> Result<bool, StoreError> {
    let (opens_at, ends_at) = (sale.opens_at, sale.ends_at);
    let schedule = Schedule { status: sale.stored_status(), opens_at, ends_at, promised: sale.promised() };
    let status = schedule.status_at(sale.now);
    let waits = status == Status::Open && !sale.can_open;
    if status == sale.stored_status() || waits { Ok(true) } else { sale.set_status(status).await }
}

/// Adds what Redis has to the records of the lines. Removes new shoppers who have reached the
/// limit.
async fn take_in<S: LockedLedger>(sale: &mut S, open: Vec<OpenLine>) -> Result<Vec<TickLine>, StoreError> {
    let mut lines = Vec::with_capacity(open.len());
    for OpenLine { row, mut record, seen, .. } in open {
        // Redis has every line here.
        let Some(seen) = seen else { continue };
        record.take_in(&seen);
        if matches!(sale.stored_status(), Status::Open | Status::Paused) {
            record.removed(&sale.take_out_at_limit(&row, &arrivals(&seen)).await?);
        }
        lines.push(TickLine::new(row, record, seen));
    }
    Ok(lines)
}

/// How a sale rests in which there is nothing to do.
fn rest(sale: &SaleRow, agenda: &Agenda, lines: &[TickLine]) -> Option<IdleState> {
    let is_quiet = |Upcoming { claims, absent, lags, .. }: &Upcoming| claims.is_empty() && *absent == 0 && !lags;
    if !agenda.is_empty() || lines.iter().any(|line| line.row.is_republishing() || !is_quiet(&line.seen)) {
        return None;
    }
    match sale.stored_status() {
        Status::Scheduled => {
            let opens_in_s = (sale.opens_at - sale.now).as_seconds_f64();
            (opens_in_s > OPENS_SOON_S || !sale.can_open).then_some(SCHEDULED)
        }
        Status::Open | Status::Paused => {
            let is_empty = sale.promised == 0 && sale.held == 0 && lines.iter().all(|line| line.seen.waiting == 0);
            is_empty.then_some(EMPTY)
        }
        _ => None,
    }
}
