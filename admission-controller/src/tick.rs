//! The tick: what the controller does for each sale, several times a second.
//!
//! Postgres first, then Redis. One transaction decides and commits admissions; a second one, under the same lock, says
//! what has been committed. A crash anywhere between is mended by the next tick of any controller, since what Redis was
//! told is noted in Postgres and a token has one value however often it is signed.

use std::{sync::Arc, time::Duration};

use fairline_admission::{Lane, Observation, Reason, Visits, decide, quantities};
use fairline_admission_token::{AUDIENCE, Claims, ISSUER};
use fairline_line::{
    change::{LiveTurn, Turn},
    store::{Claim, LineError, LineStore, Look, Publication, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::{SaleId, Status};
use fairline_service::Shutdown;
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use crate::{
    draw,
    keys::Keys,
    lifecycle,
    record::Recorder,
    store::{LockedLine, Store, StoreError, Unpublished},
};

/// Departures noted in one tick at most.
const SWEPT_MAX: u64 = 2000;
/// Ordinals that one tick looks at beyond the cursor at most: departed ones are passed over.
const REACH: u64 = 5000;
/// How long shoppers have to show their tickets to a line that was lost, before anybody is let in again: nodes notice
/// within a second, and browsers whose node has gone come back within a few.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long a controller that has begun an epoch may take to say so, before another begins one more.
const SAYS_WITHIN: Duration = Duration::from_millis(500);
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

/// What the first half of a tick leaves for the second.
struct Committed {
    /// What was heard of pages.
    heard: Vec<(Ordinal, Claim)>,
    /// The publication that a new epoch was begun after, if one was.
    began_after: Option<i64>,
    /// How many tickets a draw has shuffled, as far as Redis knows.
    drawn: u64,
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
                    stream::iter(sales).for_each_concurrent(SALES_AT_ONCE, |sale| self.tick(sale, nudged)).await
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
    async fn admit(&self, sale: SaleId, nudged: bool) -> Result<Option<Committed>, TickError> {
        let Some(mut line) = self.store.lock(sale).await? else { return Ok(None) };
        let elapsed_s = (line.row.now - line.row.ticked_at).as_seconds_f64();
        if elapsed_s < self.every.as_secs_f64() / 2.0 && !nudged {
            return Ok(None);
        }
        self.follow_the_clock(&mut line).await?;
        let mut record = line.open_record().await?;

        let seen = match self.look(&line, &record).await {
            // What Redis knows of another epoch it knows of a part of our shoppers only.
            Ok(seen) if seen.epoch == line.row.epoch() => seen,
            // Another controller has begun one, and is about to say so.
            Ok(_) | Err(LineError::NotPublished)
                if line.row.epoch > 0 && line.row.now - line.row.epoch_began_at < SAYS_WITHIN =>
            {
                return Ok(None);
            }
            Ok(_) | Err(LineError::NotPublished) => {
                line.begin_epoch().await?;
                record.epoch(line.row.epoch(), line.row.above());
                line.write_record(record).await?;
                info!(%sale, epoch = line.row.epoch, "a new epoch of the line begins");
                let began_after = Some(line.row.publication);
                line.commit().await?;
                return Ok(Some(Committed { heard: Vec::new(), began_after, drawn: 0 }));
            }
            Err(error) => return Err(error.into()),
        };
        record.hear(&seen);
        line.hear(&seen.claims).await?;
        line.lapse().await?;
        let (lapsed, redeemed) = line.take_over().await?;
        record.over(&lapsed, &redeemed);

        let revoked = line.revoked_keys().await?;
        let signs = self.keys.signs(&revoked);
        if let Some(key) = signs {
            line.sign_again(&self.keys.good(&revoked), key.kid()).await?;
        }

        let row = &line.row;
        let ended = lifecycle::has_ended(row.now, row.ends_at);
        let (mut cursor, mut memory, mut why) = (row.cursor(), None, "the sale is not open".to_owned());
        // Also while it is paused: what happens then is not to be taken for what happens in one tick later.
        let visits = match row.stored_status() {
            Status::Open | Status::Paused => line.visits().await?,
            _ => Visits::default(),
        };
        let row = &line.row;
        let is_open = row.stored_status() == Status::Open && !ended;
        if is_open && row.draw_is_due() {
            draw::make(&mut line, &mut record, &self.line).await?;
            "the draw is being made".clone_into(&mut why);
        } else if is_open && row.drawn().is_some_and(|(pool, _)| pool != seen.drawn) {
            "Redis is being given the draw".clone_into(&mut why);
        } else if is_open && signs.is_none() {
            "every signing key is revoked: give the controllers another".clone_into(&mut why);
        } else if let (true, Some(key)) = (is_open, signs) {
            line.read_stock().await?;
            let checkout = line.checkout().await?;
            let prior = line.prior().await?;
            let row = &line.row;
            let decision = decide(&Observation {
                terms: &row.terms(),
                stock: row.stock(),
                lanes: &[Lane { waiting: seen.waiting, share: 1.0 }],
                visits: &visits,
                checkout,
                recovering: row.epoch > 1 && row.now - row.epoch_began_at < RECOVERY,
                elapsed_s,
                prior: &prior,
                memory: &row.memory(),
            });
            // In yield mode more is promised than there is.
            let quantities = quantities(if row.is_yield() { u32::MAX } else { row.free() }, row.units_per_admission());
            let next = if decision.admissions() == 0 {
                None
            } else {
                let wanted = u64::from(decision.admissions());
                let look = Look { cursor: row.cursor(), wanted, reach: REACH, news: record.wants() };
                Some(self.line.look(sale, &look).await?)
            };
            next.iter().for_each(|next| record.hear(next));
            let tickets: Vec<_> = next
                .iter()
                .flat_map(|next| &next.tickets)
                .zip(quantities)
                .map(|(&(ordinal, visitor), quantity)| (ordinal, visitor, quantity))
                .collect();
            let admitted = line.admit(&tickets, key.kid()).await?;
            let lags = next.as_ref().is_some_and(|next| next.lags);
            cursor = next.map_or(cursor, |next| next.cursor);
            if !admitted.is_empty() || cursor > line.row.cursor() {
                record.admitted(&admitted, cursor);
            }
            let admitted = u32::try_from(admitted.len()).unwrap_or(u32::MAX);
            metrics::counter!("admissions_total").increment(u64::from(admitted));
            why = if lags { "the record is catching up with the line".to_owned() } else { decision.reason.to_string() };
            let (stock, inside) = (line.row.stock(), visits.under_way.all() + visits.paying);
            debug!(%sale, ?stock, waiting = seen.waiting, inside, ?checkout, outlook = ?decision.outlook, admitted, reason = why, "ticked");
            // What a sale has taught is kept, however long it stays sold out.
            memory = (decision.reason != Reason::SoldOut).then(|| decision.remember(admitted));
        }
        line.note(cursor, seen.highest, memory.as_ref(), &why).await?;
        line.write_record(record).await?;
        line.commit().await?;
        Ok(Some(Committed { heard: seen.claims, began_after: None, drawn: seen.drawn }))
    }

    /// Sales open and end by the clock of the database.
    async fn follow_the_clock(&self, line: &mut LockedLine) -> Result<(), StoreError> {
        let row = &line.row;
        let status = lifecycle::at(row.stored_status(), row.now, row.opens_at, row.ends_at, row.promised());
        if status == row.stored_status() { Ok(()) } else { line.set_status(status).await }
    }

    /// Turns silence into departures, and reads what pages have said and how many wait.
    async fn look(&self, line: &LockedLine, record: &Recorder) -> Result<Upcoming, LineError> {
        let sale = line.row.sale();
        self.line.sweep(sale, SWEPT_MAX).await?;
        let look = Look { cursor: line.row.cursor(), wanted: 0, reach: 0, news: record.wants() };
        self.line.look(sale, &look).await
    }

    /// Says what has been committed, in the order of commits: under the lock.
    async fn publish(&self, sale: SaleId, committed: &Committed) -> Result<(), TickError> {
        let Some(mut line) = self.store.lock(sale).await? else { return Ok(()) };
        let unpublished = line.unpublished().await?;
        let (told, turns): (Vec<_>, Vec<_>) = unpublished
            .into_iter()
            .filter_map(|admission| {
                let turn = (admission.ordinal(), self.turn(sale, &admission)?);
                Some((admission, turn))
            })
            .unzip();
        let card = line.row.card();
        let drawn = line.row.drawn();
        if let Some((pool, key)) = drawn
            && pool != committed.drawn
        {
            draw::lay_down(&self.line, sale, pool, key).await?;
        }
        let publication = Publication {
            number: line.row.publication + 1,
            epoch: line.row.epoch(),
            // Not if another controller has said something since: then ordinals of this epoch may have been given.
            begins: committed.began_after == Some(line.row.publication),
            above: line.row.above(),
            cursor: line.row.cursor(),
            drawn: drawn.map_or(0, |(pool, _)| pool),
            noted: line.row.noted(),
            granted: line.row.granted(),
            recall_window: Duration::from_secs(u64::try_from(line.row.recall_window_s).unwrap_or(0)),
            card: &card,
            heard: &committed.heard,
            turns: &turns,
        };
        self.line.publish(&publication).await?;
        line.note_published(&told).await?;
        line.commit().await?;
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
