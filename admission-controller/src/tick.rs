//! The tick: what the controller does for each sale, several times a second.
//!
//! Postgres first, then Redis. One transaction decides and commits admissions; a second one, under the same lock, says
//! what has been committed. A crash anywhere between is mended by the next tick of any controller, since what Redis was
//! told is noted in Postgres and a token has one value however often it is signed.

use std::{collections::HashSet, sync::Arc, time::Duration};

use fairline_admission::{BATCH_MAX, Lane, Memory, Observation, Reason, Visits, decide, quantities};
use fairline_admission_token::{AUDIENCE, Claims, ISSUER};
use fairline_line::{
    change::{LiveTurn, Turn},
    store::{Claim, Home, LineError, LineStore, Look, Publication, Upcoming},
    ticket::Ordinal,
};
use fairline_record::entry::TICKETS_MAX;
use fairline_sale::{SaleId, Status, VisitorId};
use fairline_service::Shutdown;
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use crate::{
    draw, epochs, explain,
    keys::Keys,
    lifecycle,
    record::Recorder,
    store::{Intervention, LineRow, LockedSale, PUBLICATIONS_A_TICK, PUBLISHED_MAX, Store, StoreError, Unpublished},
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
/// Sales that one controller ticks at the same time.
const SALES_AT_ONCE: usize = 8;

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

/// How many of one line were let in, in one tick.
struct Served {
    admitted: u32,
    cursor: Ordinal,
    /// The record lags behind.
    lags: bool,
}

/// What becomes of a sale that is open, in one tick.
struct Moved {
    /// The cursors of its lines.
    cursors: Vec<Ordinal>,
    /// What to remember; nothing new if it is none.
    memory: Option<Memory>,
    /// Why no more were let in.
    why: String,
}

/// Everything a tick needs.
pub(crate) struct Ticker {
    pub(crate) store: Store,
    pub(crate) line: LineStore,
    pub(crate) keys: Arc<Keys>,
    pub(crate) every: Duration,
    /// Rings when an operator has changed something: everybody hears of it at once, not with the next beat.
    pub(crate) nudge: Arc<Notify>,
}

impl Ticker {
    /// Ticks every running sale until asked to stop.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut beat = interval(self.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let nudged = tokio::select! {
                _ = beat.tick() => false,
                () = self.nudge.notified() => true,
                () = shutdown.triggered() => return,
            };
            match self.store.running().await {
                Ok(sales) => {
                    stream::iter(sales).for_each_concurrent(SALES_AT_ONCE, |sale| self.tick(sale, nudged)).await;
                    // Beats while no sale runs, too: only a controller that is gone, or blind, falls silent.
                    metrics::counter!("admission_beats_total").increment(1);
                }
                Err(error) => warn!(%error, "the running sales could not be read"),
            }
        }
    }

    async fn tick(&self, sale: SaleId, nudged: bool) {
        let started = Instant::now();
        let result = match self.admit(sale, nudged).await {
            Ok(Some(committed)) => self.publish(sale, &committed).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        metrics::histogram!("admission_tick_duration_seconds").record(started.elapsed().as_secs_f64());
        if let Err(error) = result {
            metrics::counter!("admission_tick_failures_total").increment(1);
            warn!(%sale, %error, "a tick did not end; the next one continues");
        }
    }

    /// Decides and commits. Gives `None` when another controller has just done all this.
    async fn admit(&self, sale: SaleId, nudged: bool) -> Result<Option<Vec<Committed>>, TickError> {
        let Some(mut sale) = self.store.lock(sale, false).await? else { return Ok(None) };
        let elapsed_s = (sale.row.now - sale.row.ticked_at).as_seconds_f64();
        if elapsed_s < self.every.as_secs_f64() / 2.0 && !nudged {
            return Ok(None);
        }
        self.follow_the_clock(&mut sale).await?;
        let mut records = Vec::with_capacity(sale.lines.len());
        for at in 0..sale.lines.len() {
            records.push(sale.open_record(at).await?);
        }
        let mut looks = Vec::with_capacity(sale.lines.len());
        for (line, record) in sale.lines.iter().zip(&records) {
            looks.push(match self.look(line, record).await {
                // What Redis knows of another epoch it knows of a part of our shoppers only.
                Ok(seen) if epochs::is_current(line, &seen) => Ok(seen),
                Ok(_) | Err(LineError::NotPublished) => {
                    let redis = self.line.home(line.line()).await?;
                    if let Some(why) = epochs::waits(line, &redis, sale.row.ticked_at, sale.row.now) {
                        debug!(line = %line.line(), why, "new epoch not begun");
                        return Ok(None);
                    }
                    Err(redis)
                }
                Err(error) => return Err(error.into()),
            });
        }
        if looks.iter().any(Result::is_err) {
            return Ok(Some(self.begin_anew(sale, records, looks).await?));
        }
        let seen: Vec<Upcoming> = looks.into_iter().flatten().collect();
        for (at, (record, seen)) in records.iter_mut().zip(&seen).enumerate() {
            record.hear(seen);
            sale.hear(at, &seen.claims).await?;
            if matches!(sale.row.stored_status(), Status::Open | Status::Paused) {
                let arrived = |(first, visitors): &(Ordinal, Vec<VisitorId>)| (*first..).zip(visitors.clone());
                record.removed(&sale.take_out_at_limit(at, seen.arrivals.iter().flat_map(arrived)).await?);
            }
        }
        sale.lapse().await?;
        sale.take_back_at_limit().await?;
        for (at, record) in records.iter_mut().enumerate() {
            let (lapsed, redeemed) = sale.take_over(at).await?;
            record.over(&lapsed, &redeemed);
            // What the record has not heard of yet is told when it has.
            let mut removed = sale.unrecorded_removals(at).await?;
            removed.retain(|&ordinal| record.knows(ordinal));
            record.removed(&removed);
            sale.note_done(at, Intervention::Remove, &removed).await?;
        }

        let Moved { cursors, memory, why } = self.serve(&mut sale, &mut records, &seen, elapsed_s).await?;
        for (at, (cursor, seen)) in cursors.into_iter().zip(&seen).enumerate() {
            sale.note_moved(at, cursor, seen).await?;
        }
        sale.note(memory.as_ref(), &why).await?;
        self.write(&mut sale, records).await?;
        sale.number_publications().await?;
        let told = |((line, again), seen): ((&LineRow, &Vec<Ordinal>), Upcoming)| Committed {
            line: line.line(),
            heard: seen.claims,
            publication: line.publication,
            begins: None,
            again: again.clone(),
            drawn: seen.drawn,
        };
        let committed = sale.lines.iter().zip(&sale.again).zip(seen).map(told).collect();
        sale.commit().await?;
        Ok(Some(committed))
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
        }
        sale.note(None, "the line begins anew").await?;
        self.write(&mut sale, records).await?;
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

    async fn write(&self, sale: &mut LockedSale, records: Vec<Recorder>) -> Result<(), StoreError> {
        for (at, record) in records.into_iter().enumerate() {
            sale.write_record(at, record).await?;
        }
        Ok(())
    }

    /// Does for an open sale what is to be done next: makes the draw, or lets people in.
    async fn serve(
        &self,
        sale: &mut LockedSale,
        records: &mut [Recorder],
        seen: &[Upcoming],
        elapsed_s: f64,
    ) -> Result<Moved, TickError> {
        let revoked = sale.revoked_keys().await?;
        let signs = self.keys.signs(&revoked);
        if let Some(key) = signs {
            sale.sign_again(&self.keys.good(&revoked), key.kid()).await?;
        }
        let stays = |sale: &LockedSale, why: &str| {
            let cursors = sale.lines.iter().map(LineRow::cursor).collect();
            Ok(Moved { cursors, memory: None, why: why.to_owned() })
        };
        // Also while it is paused: what happens then is not to be taken for what happens in one tick later.
        let visits = match sale.row.stored_status() {
            Status::Open | Status::Paused => sale.visits().await?,
            _ => Visits::default(),
        };
        if sale.row.stored_status() != Status::Open || lifecycle::has_ended(sale.row.now, sale.row.ends_at) {
            return stays(sale, "the sale is not open");
        }
        if sale.lines.iter().any(|line| sale.row.draw_is_due(line)) {
            draw::make(sale, records, &self.line).await?;
            return stays(sale, "the draw is being made");
        }
        let lacks_draw = |(line, seen): (&LineRow, &Upcoming)| line.drawn().is_some_and(|(pool, _)| pool != seen.drawn);
        if sale.lines.iter().zip(seen).any(lacks_draw) {
            return stays(sale, "Redis is being given the draw");
        }
        match signs {
            None => stays(sale, "every signing key is revoked: give the controllers another"),
            Some(key) => self.let_in(sale, records, seen, &visits, key.kid(), elapsed_s).await,
        }
    }

    /// Lets in as many as the control law says, of each line those who are next.
    async fn let_in(
        &self,
        sale: &mut LockedSale,
        records: &mut [Recorder],
        seen: &[Upcoming],
        visits: &Visits,
        kid: &str,
        elapsed_s: f64,
    ) -> Result<Moved, TickError> {
        let preferred = self.let_in_preferred(sale, records, kid).await?;
        sale.read_stock().await?;
        let at_once = sale.wanted_at_once().await?;
        let checkout = sale.checkout().await?;
        let prior = sale.prior().await?;
        let row = &sale.row;
        let recovers = |line: &LineRow| line.epoch > 1 && row.now - line.epoch_began_at < RECOVERY;
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
            stock: row.stock(),
            lanes: &lanes,
            visits,
            checkout,
            recovering: sale.lines.iter().any(recovers),
            at_once,
            elapsed_s,
            prior: &prior,
            memory: &memory,
        };
        let decision = decide(&observation);
        // In yield mode more is promised than there is.
        let mut quantities = quantities(if row.is_yield() { u32::MAX } else { row.free() }, row.units_per_admission());
        let (mut cursors, mut admitted, mut lags) = (Vec::with_capacity(lanes.len()), 0, false);
        for (at, &wanted) in decision.by_lane.iter().enumerate() {
            let served = self.let_in_next(sale, &mut records[at], at, wanted, &mut quantities, kid).await?;
            admitted += served.admitted;
            lags |= served.lags;
            cursors.push(served.cursor);
        }
        let why = if lags { "the record is catching up with the line".to_owned() } else { decision.reason.to_string() };
        explain::decision(sale, &observation, &decision, admitted, &why);
        if at_once > 0 {
            // What there was nobody for, or no unit, is forgotten; what one batch could not take comes with the next.
            sale.note_at_once(if admitted == BATCH_MAX { at_once.saturating_sub(admitted) } else { 0 }).await?;
        }
        let admitted = admitted.saturating_add(preferred);
        // What a sale has taught is kept, however long it stays sold out.
        let memory = (decision.reason != Reason::SoldOut).then(|| decision.remember(admitted));
        Ok(Moved { cursors, memory, why })
    }

    /// Lets in the next of one line, `wanted` at most. Tickets that are not to be served hold up nobody.
    async fn let_in_next(
        &self,
        sale: &mut LockedSale,
        record: &mut Recorder,
        at: usize,
        wanted: u32,
        quantities: &mut impl Iterator<Item = u32>,
        kid: &str,
    ) -> Result<Served, TickError> {
        let line = sale.lines[at].line();
        let mut served = Served { admitted: 0, cursor: sale.lines[at].cursor(), lags: false };
        // Redis is told after the commit, and gives the recalled ones of an earlier look once more.
        let mut recalled = HashSet::new();
        for _ in 0..LOOKS_MAX {
            // One entry of the record tells of each look.
            let missing = ((wanted - served.admitted) as usize).min(TICKETS_MAX);
            if missing == 0 {
                break;
            }
            let look = Look {
                cursor: served.cursor,
                wanted: (missing + recalled.len()) as u64,
                reach: REACH,
                news: record.wants(),
            };
            let next = self.line.look(line, &look).await?;
            record.hear(&next);
            served.lags = next.lags;
            let fresh: Vec<_> = next.tickets.iter().filter(|ticket| !recalled.contains(&ticket.0)).copied().collect();
            // Some have departed since the earlier look, so more have come than there is room for: the next tick's.
            if next.lags || fresh.len() > missing || (fresh.is_empty() && next.cursor == served.cursor) {
                break;
            }
            recalled
                .extend(next.tickets.iter().take(usize::try_from(next.recalled).unwrap_or(0)).map(|ticket| ticket.0));
            let ordinals: Vec<Ordinal> = fresh.iter().map(|ticket| ticket.0).collect();
            let (passed_over, removed) = sale.not_to_be_served(at, &ordinals).await?;
            record.removed(&removed);
            sale.note_done(at, Intervention::Remove, &removed).await?;
            let served_now = fresh.iter().filter(|(ordinal, _)| !passed_over.contains(ordinal));
            let left = sale.left_of_limit(served_now.clone().map(|ticket| ticket.1)).await?;
            let units = |visitor: &VisitorId| left.get(visitor).copied().unwrap_or(u32::MAX);
            let at_limit = served_now.clone().filter(|ticket| units(&ticket.1) == 0).copied();
            record.removed(&sale.take_out_at_limit(at, at_limit).await?);
            let tickets: Vec<_> = served_now
                .filter(|(_, visitor)| units(visitor) > 0)
                .zip(quantities.by_ref())
                .map(|(&(ordinal, visitor), quantity)| (ordinal, visitor, quantity.min(units(&visitor))))
                .collect();
            let made = sale.admit(at, &tickets, kid).await?;
            if !made.is_empty() || next.cursor > served.cursor {
                record.admitted(&made, next.cursor);
            }
            served.admitted += u32::try_from(made.len()).unwrap_or(u32::MAX);
            served.cursor = next.cursor;
        }
        Ok(served)
    }

    /// Lets in those whom an operator wants in before all others, as far as there are units. Gives how many.
    async fn let_in_preferred(
        &self,
        sale: &mut LockedSale,
        records: &mut [Recorder],
        kid: &str,
    ) -> Result<u32, TickError> {
        let mut admitted = 0;
        for (at, record) in records.iter_mut().enumerate() {
            let mut wanted = sale.preferred(at).await?;
            wanted.retain(|&(ordinal, _)| record.knows(ordinal));
            if wanted.is_empty() {
                continue;
            }
            sale.read_stock().await?;
            let row = &sale.row;
            // In yield mode, too, only for units that nobody has: it is a promise.
            let quantities = quantities(row.free(), row.units_per_admission());
            let left = sale.left_of_limit(wanted.iter().map(|ticket| ticket.1)).await?;
            let units = |visitor: &VisitorId| left.get(visitor).copied().unwrap_or(u32::MAX);
            let at_limit = wanted.iter().filter(|ticket| units(&ticket.1) == 0).copied();
            record.removed(&sale.take_out_at_limit(at, at_limit).await?);
            wanted.retain(|ticket| units(&ticket.1) > 0);
            let tickets: Vec<_> = wanted
                .iter()
                .zip(quantities)
                .map(|(&(ordinal, visitor), quantity)| (ordinal, visitor, quantity.min(units(&visitor))))
                .collect();
            let made = sale.admit(at, &tickets, kid).await?;
            record.preferred(&made);
            // Whoever has a token already has had the turn.
            let served: Vec<Ordinal> = tickets.iter().map(|ticket| ticket.0).collect();
            sale.note_done(at, Intervention::Prefer, &served).await?;
            admitted += u32::try_from(made.len()).unwrap_or(u32::MAX);
        }
        Ok(admitted)
    }

    /// Sales open and end by the clock of the database.
    async fn follow_the_clock(&self, sale: &mut LockedSale) -> Result<(), StoreError> {
        let row = &sale.row;
        let status = lifecycle::at(row.stored_status(), row.now, row.opens_at, row.ends_at, row.promised());
        if status == row.stored_status() { Ok(()) } else { sale.set_status(status).await }
    }

    /// Turns silence into departures, and reads what pages have said and how many wait.
    async fn look(&self, line: &LineRow, record: &Recorder) -> Result<Upcoming, LineError> {
        self.line.sweep(line.line(), SWEPT_MAX).await?;
        let look = Look { cursor: line.cursor(), wanted: 0, reach: 0, news: record.wants() };
        self.line.look(line.line(), &look).await
    }

    /// Says what has been committed, in the order of commits: under the lock.
    async fn publish(&self, sale: SaleId, committed: &[Committed]) -> Result<(), TickError> {
        // Who has begun an epoch says so, whoever has the lock at this moment: unsaid, it would be begun again.
        let begins = committed.iter().any(|committed| committed.begins.is_some());
        let Some(mut sale) = self.store.lock(sale, begins).await? else { return Ok(()) };
        // One line that can't be told keeps no other from it.
        let mut failed = None;
        for committed in committed {
            let Some(at) = sale.lines.iter().position(|line| line.line() == committed.line) else { continue };
            if let Err(error) = self.publish_line(&mut sale, at, committed).await {
                match error {
                    TickError::Line(_) => failed = Some(error),
                    TickError::Store(_) => return Err(error),
                }
            }
        }
        sale.commit().await?;
        failed.map_or(Ok(()), Err)
    }

    async fn publish_line(&self, sale: &mut LockedSale, at: usize, committed: &Committed) -> Result<(), TickError> {
        // Whoever has committed since says this, too.
        if sale.lines[at].publication != committed.publication {
            return Ok(());
        }
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
