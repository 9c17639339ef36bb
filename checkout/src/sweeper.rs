//! What nobody asks for and has to be done: holds lapse, payments that were left half done go on, and what is old is
//! forgotten.
//!
//! Any number of processes may sweep at once: each takes what no other has locked.

use std::{future::Future, sync::Arc, time::Duration};

use fairline_service::Shutdown;
use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    Checkout,
    store::{Counted, StoreError},
};

const EVERY: Duration = Duration::from_millis(500);
const FORGETS_EVERY: Duration = Duration::from_secs(60);
/// How often the counters are held against their rows.
const COUNTS_EVERY: Duration = Duration::from_secs(30);
/// Payments that one process goes on with at the same time.
const PAYMENTS_AT_ONCE: i64 = 16;

/// Starts the sweepers; they end with the process.
pub(crate) fn start(checkout: &Checkout) {
    let (holds, payments, memories) = (checkout.clone(), checkout.clone(), checkout.clone());
    checkout.shutdown.spawn(sweep("holds", EVERY, checkout.shutdown.clone(), move || {
        let checkout = holds.clone();
        async move { lapse_holds(&checkout).await }
    }));
    checkout.shutdown.spawn(sweep("payments", EVERY, checkout.shutdown.clone(), move || {
        let checkout = payments.clone();
        async move { finish_payments(&checkout).await }
    }));
    let (books, counted) = (checkout.clone(), Arc::new(Mutex::new(Counted::default())));
    checkout.shutdown.spawn(sweep("books", COUNTS_EVERY, checkout.shutdown.clone(), move || {
        let (checkout, counted) = (books.clone(), counted.clone());
        async move {
            let accuracy = checkout.store.inventory_accuracy(&mut *counted.lock().await).await?;
            metrics::gauge!("checkout_inventory_accuracy_ratio").set(accuracy);
            if accuracy < 1.0 {
                error!(accuracy, "the counters of a sale's stock are not what its rows say");
            }
            Ok(())
        }
    }));
    let warnings = checkout.clone();
    checkout.shutdown.spawn(sweep("warnings", EVERY, checkout.shutdown.clone(), move || {
        let checkout = warnings.clone();
        async move {
            checkout.store.warn_of_lapses().await?;
            checkout.store.tell_of_turns().await?;
            Ok(())
        }
    }));
    let people = checkout.clone();
    checkout.shutdown.spawn(sweep("people", FORGETS_EVERY, checkout.shutdown.clone(), move || {
        let checkout = people.clone();
        async move {
            let forgotten = checkout.store.forget_old_accounts(checkout.orders_kept_days).await;
            let rows = checkout.store.unlink_old(checkout.orders_kept_days).await?;
            if rows > 0 {
                info!(rows, "old orders no longer lead to those who made them");
            }
            forgotten.map(drop)
        }
    }));
    checkout.shutdown.spawn(sweep("memories", FORGETS_EVERY, checkout.shutdown.clone(), move || {
        let checkout = memories.clone();
        async move {
            let answers = checkout.once.forget_old().await;
            checkout.store.forget_memories().await?;
            Ok(answers?)
        }
    }));
}

async fn sweep<F, W>(what: &'static str, every: Duration, shutdown: Shutdown, work: F)
where
    F: Fn() -> W,
    W: Future<Output = Result<(), StoreError>>,
{
    let mut beat = interval(every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = shutdown.triggered() => return,
        }
        if let Err(error) = work().await {
            metrics::counter!("checkout_sweep_failures_total", "what" => what).increment(1);
            warn!(what, %error, "a sweep failed; the next one tries again");
        }
    }
}

async fn lapse_holds(checkout: &Checkout) -> Result<(), StoreError> {
    for sale in checkout.store.sales_with_holds_to_lapse().await? {
        let lapsed = checkout.store.lapse_holds(sale).await?;
        if lapsed.holds > 0 {
            metrics::counter!("checkout_holds_lapsed_total").increment(lapsed.holds.unsigned_abs());
            metrics::counter!("checkout_units_returned_total").increment(lapsed.units.unsigned_abs());
            info!(%sale, holds = lapsed.holds, units = lapsed.units, "holds lapsed");
        }
    }
    Ok(())
}

async fn finish_payments(checkout: &Checkout) -> Result<(), StoreError> {
    let adopted = checkout.finish_payments(PAYMENTS_AT_ONCE).await?;
    if adopted > 0 {
        metrics::counter!("checkout_payments_adopted_total").increment(adopted as u64);
        info!(payments = adopted, "payments that were left half done went on");
    }
    checkout.store.note_connections();
    metrics::gauge!("checkout_oldest_unfinished_payment_seconds").set(checkout.store.oldest_unfinished_s().await?);
    Ok(())
}
