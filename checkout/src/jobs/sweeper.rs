//! The sweeper does work that no request triggers: it expires holds, resumes interrupted payments,
//! sends reminders, reconciles stocks and deletes old rows.
//!
//! Any number of processes may sweep at once: each takes rows that no other has locked.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fairline_sale::SaleId;
use fairline_server::Shutdown;
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{self, Semaphore},
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{Checkout, db::StoreError, jobs::reconciliation::store::Counted};

const EVERY: Duration = Duration::from_millis(500);
const FORGETS_EVERY: Duration = Duration::from_secs(60);
/// How often the counters are compared with their rows.
const COUNTS_EVERY: Duration = Duration::from_secs(30);
/// A sweep that takes longer counts as stalled.
const STANDS_STILL: Duration = Duration::from_secs(300);
/// Payments that one process resumes at the same time. Each may wait for the gateway for about 20
/// s.
const PAYMENTS_AT_ONCE: u32 = 32;
/// How many of these slots must be free before more payments are read: one query for each would be
/// too many.
const PAYMENTS_TOGETHER: u32 = 8;
/// Sales whose holds one process expires at the same time.
const SALES_AT_ONCE: usize = 4;
/// A sale whose holds failed to expire is skipped for twice as long each time, up to this.
const SICK_FOR_MAX: Duration = Duration::from_secs(60);

/// Sales whose holds failed to expire: until when they are skipped, and for how long.
type Sick = Arc<Mutex<HashMap<SaleId, (Instant, Duration)>>>;

/// Starts the sweeps; they end with the process.
pub(crate) fn start(checkout: &Checkout) {
    let (holds, payments, memories) = (checkout.clone(), checkout.clone(), checkout.clone());
    let sick = Sick::default();
    sweep(&checkout.shutdown, "holds", EVERY, move || {
        let (checkout, sick) = (holds.clone(), sick.clone());
        async move { lapse_holds(&checkout, &sick).await }
    });
    let places = Arc::new(Semaphore::new(PAYMENTS_AT_ONCE as usize));
    sweep(&checkout.shutdown, "payments", EVERY, move || {
        let (checkout, places) = (payments.clone(), places.clone());
        async move { finish_payments(&checkout, &places).await }
    });
    let (books, counted) = (checkout.clone(), Arc::new(sync::Mutex::new(Counted::default())));
    sweep(&checkout.shutdown, "books", COUNTS_EVERY, move || {
        let (checkout, counted) = (books.clone(), counted.clone());
        async move {
            let accuracy = checkout.store.inventory_accuracy(&mut *counted.lock().await).await?;
            metrics::gauge!("checkout_inventory_accuracy_ratio").set(accuracy);
            if accuracy < 1.0 {
                error!(accuracy, "reconcile stock failed: counters differ from their rows");
            }
            Ok(())
        }
    });
    let warnings = checkout.clone();
    sweep(&checkout.shutdown, "warnings", EVERY, move || {
        let checkout = warnings.clone();
        async move {
            checkout.store.warn_of_lapses().await?;
            checkout.store.tell_of_turns().await?;
            Ok(())
        }
    });
    let people = checkout.clone();
    sweep(&checkout.shutdown, "people", FORGETS_EVERY, move || {
        let checkout = people.clone();
        async move {
            let forgotten = checkout.store.forget_old_accounts(checkout.orders_kept_days).await;
            let rows = checkout.store.unlink_old(checkout.orders_kept_days).await?;
            if rows > 0 {
                info!(rows, "old orders anonymised");
            }
            forgotten.map(drop)
        }
    });
    sweep(&checkout.shutdown, "memories", FORGETS_EVERY, move || {
        let checkout = memories.clone();
        async move {
            let answers = checkout.once.forget_old().await;
            checkout.store.forget_memories().await?;
            Ok(answers?)
        }
    });
}

fn sweep<F, W>(shutdown: &Shutdown, what: &'static str, every: Duration, work: F)
where
    F: Fn() -> W + Clone + Send + Sync + 'static,
    W: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    shutdown.keep(what, STANDS_STILL + every, move |shutdown| {
        let work = work.clone();
        async move {
            let mut beat = interval(every);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = beat.tick() => {}
                    () = shutdown.triggered() => return,
                }
                fairline_server::beat();
                if let Err(error) = work().await {
                    metrics::counter!("checkout_sweep_failures_total", "what" => what).increment(1);
                    warn!(what, %error, "sweep failed; it will be retried");
                }
            }
        }
    });
}

/// A sale that fails or hangs does not delay the others.
async fn lapse_holds(checkout: &Checkout, sick: &Sick) -> Result<(), StoreError> {
    let now = Instant::now();
    let mut sales = checkout.store.sales_with_holds_to_lapse().await?;
    {
        let mut sick = sick.lock().unwrap_or_else(PoisonError::into_inner);
        sick.retain(|sale, _| sales.contains(sale));
        sales.retain(|sale| sick.get(sale).is_none_or(|(until, _)| *until <= now));
    }
    stream::iter(sales).for_each_concurrent(SALES_AT_ONCE, |sale| lapse_holds_of(checkout, sick, sale)).await;
    Ok(())
}

async fn lapse_holds_of(checkout: &Checkout, sick: &Sick, sale: SaleId) {
    let lapsed = checkout.store.lapse_holds(sale).await;
    let mut sick = sick.lock().unwrap_or_else(PoisonError::into_inner);
    match lapsed {
        Ok(lapsed) => {
            sick.remove(&sale);
            if lapsed.holds > 0 {
                metrics::counter!("checkout_holds_lapsed_total").increment(lapsed.holds.unsigned_abs());
                metrics::counter!("checkout_units_returned_total").increment(lapsed.units.unsigned_abs());
                info!(%sale, holds = lapsed.holds, units = lapsed.units, "holds lapsed");
            }
        }
        Err(error) => {
            let wait = sick.get(&sale).map_or(EVERY, |(_, before)| (*before * 2).min(SICK_FOR_MAX));
            sick.insert(sale, (Instant::now() + wait, wait));
            metrics::counter!("checkout_sweep_failures_total", "what" => "holds").increment(1);
            error!(%sale, %error, retry_after_ms = wait.as_millis() as u64, "lapse holds failed");
        }
    }
}

async fn finish_payments(checkout: &Checkout, places: &Arc<Semaphore>) -> Result<(), StoreError> {
    let adopted = checkout.finish_payments(places, PAYMENTS_TOGETHER).await?;
    if adopted > 0 {
        metrics::counter!("checkout_payments_adopted_total").increment(adopted as u64);
        info!(payments = adopted, "interrupted payments resumed");
    }
    metrics::gauge!("checkout_oldest_unfinished_payment_seconds").set(checkout.store.oldest_unfinished_s().await?);
    Ok(())
}
