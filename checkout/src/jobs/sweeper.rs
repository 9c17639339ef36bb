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

use fairline_idempotency::Idempotency;
use fairline_sale::SaleId;
use fairline_server::Shutdown;
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{self, Semaphore},
    time::Instant,
};
use tracing::{error, info, warn};

use crate::{
    db::StoreError,
    jobs::{
        reconciliation::store::{CountedOrders, ReconciliationStore},
        retention::store::RetentionStore,
    },
    notifications::store::NotificationStore,
    orders::expiry::store::ExpiryStore,
    payments::service::Payments,
};

const EVERY: Duration = Duration::from_millis(500);
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// How often the counters are compared with their rows.
const COUNTS_EVERY: Duration = Duration::from_secs(30);
/// A sweep that takes longer counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(300);
/// Payments that one process resumes at the same time. Each may wait for the gateway for about 20
/// s.
const PAYMENTS_AT_ONCE: u32 = 32;
/// How many of these slots must be free before more payments are read: one query for each would be
/// too many.
const PAYMENTS_TOGETHER: u32 = 8;
/// Sales whose holds one process expires at the same time.
const SALES_AT_ONCE: usize = 4;
/// A sale whose holds failed to expire is skipped for twice as long each time, up to this.
const SKIPPED_FOR_MAX: Duration = Duration::from_secs(60);

/// Sales whose holds failed to expire: until when they are skipped, and for how long.
type SkippedSales = Arc<Mutex<HashMap<SaleId, (Instant, Duration)>>>;

/// Starts the sweeps that every sale needs: expired holds and interrupted payments.
pub(crate) fn start_for_sales(store: &ExpiryStore, payments: &Arc<Payments>, shutdown: &Shutdown) {
    let (holds, failing) = (store.clone(), SkippedSales::default());
    sweep(shutdown, "holds", EVERY, move || {
        let (store, failing) = (holds.clone(), failing.clone());
        async move { expire_holds(&store, &failing).await }
    });
    let (payments, slots) = (payments.clone(), Arc::new(Semaphore::new(PAYMENTS_AT_ONCE as usize)));
    sweep(shutdown, "payments", EVERY, move || {
        let (payments, slots) = (payments.clone(), slots.clone());
        async move { finish_payments(&payments, &slots).await }
    });
}

/// Dependencies of the sweeps that no sale waits for.
pub(crate) struct BackgroundSweeps {
    pub(crate) stocks: ReconciliationStore,
    pub(crate) reminders: NotificationStore,
    pub(crate) retention: RetentionStore,
    pub(crate) idempotency: Idempotency,
    pub(crate) orders_kept_days: u32,
}

/// Starts the sweeps that no sale waits for: reminders, reconciliation and retention.
pub(crate) fn start_others(upkeep: BackgroundSweeps, shutdown: &Shutdown) {
    let BackgroundSweeps { stocks, reminders, retention, idempotency, orders_kept_days } = upkeep;
    let counted = Arc::new(sync::Mutex::new(CountedOrders::default()));
    sweep(shutdown, "reconciliation", COUNTS_EVERY, move || {
        let (store, counted) = (stocks.clone(), counted.clone());
        async move {
            let accuracy = store.inventory_accuracy(&mut *counted.lock().await).await?;
            metrics::gauge!("checkout_inventory_accuracy_ratio").set(accuracy);
            if accuracy < 1.0 {
                error!(accuracy, "reconcile stock failed: counters differ from their rows");
            }
            Ok(())
        }
    });
    sweep(shutdown, "reminders", EVERY, move || {
        let store = reminders.clone();
        async move {
            store.warn_of_expiring_holds().await?;
            store.publish_near_turns().await?;
            Ok(())
        }
    });
    let accounts = retention.clone();
    sweep(shutdown, "accounts", RETENTION_EVERY, move || {
        let store = accounts.clone();
        async move {
            let forgotten = store.forget_old_accounts(orders_kept_days).await;
            let rows = store.unlink_old(orders_kept_days).await?;
            if rows > 0 {
                info!(rows, "old orders anonymised");
            }
            forgotten.map(drop)
        }
    });
    sweep(shutdown, "messages", RETENTION_EVERY, move || {
        let (store, idempotency) = (retention.clone(), idempotency.clone());
        async move {
            let responses = idempotency.forget_old().await;
            store.forget_old_messages().await?;
            responses
        }
    });
}

fn sweep<F, W>(shutdown: &Shutdown, what: &'static str, every: Duration, work: F)
where
    F: Fn() -> W + Clone + Send + Sync + 'static,
    W: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    shutdown.keep(what, STALLED_AFTER + every, move |shutdown| {
        let work = work.clone();
        async move {
            let mut rounds = shutdown.rounds(every);
            while rounds.next().await {
                if let Err(error) = work().await {
                    metrics::counter!("checkout_sweep_failures_total", "what" => what).increment(1);
                    warn!(what, %error, "sweep failed; it will be retried");
                }
            }
        }
    });
}

/// A sale that fails or hangs does not delay the others.
async fn expire_holds(store: &ExpiryStore, failing: &SkippedSales) -> Result<(), StoreError> {
    let now = Instant::now();
    let mut sales = store.sales_with_expired_holds().await?;
    {
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.retain(|sale, _| sales.contains(sale));
        sales.retain(|sale| failing.get(sale).is_none_or(|(until, _)| *until <= now));
    }
    stream::iter(sales).for_each_concurrent(SALES_AT_ONCE, |sale| expire_holds_of(store, failing, sale)).await;
    Ok(())
}

async fn expire_holds_of(store: &ExpiryStore, failing: &SkippedSales, sale: SaleId) {
    let expired = store.expire_holds(sale).await;
    let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
    match expired {
        Ok(expired) => {
            failing.remove(&sale);
            if expired.holds > 0 {
                metrics::counter!("checkout_holds_expired_total").increment(expired.holds.unsigned_abs());
                metrics::counter!("checkout_units_returned_total").increment(expired.units.unsigned_abs());
                info!(%sale, holds = expired.holds, units = expired.units, "holds expired");
            }
        }
        Err(error) => {
            let wait = failing.get(&sale).map_or(EVERY, |(_, before)| (*before * 2).min(SKIPPED_FOR_MAX));
            failing.insert(sale, (Instant::now() + wait, wait));
            metrics::counter!("checkout_sweep_failures_total", "what" => "holds").increment(1);
            error!(%sale, %error, retry_after_ms = wait.as_millis() as u64, "expire holds failed");
        }
    }
}

async fn finish_payments(payments: &Arc<Payments>, slots: &Arc<Semaphore>) -> Result<(), StoreError> {
    let resumed = payments.finish_payments(slots, PAYMENTS_TOGETHER).await?;
    if resumed > 0 {
        metrics::counter!("checkout_payments_resumed_total").increment(resumed as u64);
        info!(payments = resumed, "interrupted payments resumed");
    }
    metrics::gauge!("checkout_oldest_unfinished_payment_seconds").set(payments.store.oldest_unfinished_s().await?);
    Ok(())
}
