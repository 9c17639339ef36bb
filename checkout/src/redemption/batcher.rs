//! The batchers of redemptions, and of reads of admission states.

use std::time::Duration;

use fairline_redemption::{Batcher, Slot, Waiting};
use fairline_sale::VisitorId;
use fairline_server::Shutdown;
use metrics::Gauge;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    db::StoreError,
    orders::order::Order,
    redemption::{
        error::{RedemptionError, is_over_a_limit},
        outcome::{AdmissionUse, Redemption, RedemptionRejection},
        store::RedemptionStore,
    },
};

/// A redemption that finds its admission locked is retried this often, with this pause.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

type WaitingRedemption = Waiting<Redemption, Result<Order, RedemptionError>>;
type WaitingRead = Waiting<(Uuid, VisitorId), Result<AdmissionUse, StoreError>>;

/// The handle of both batchers.
#[derive(Clone)]
pub(crate) struct RedemptionBatcher {
    redemptions: Batcher<Redemption, Result<Order, RedemptionError>>,
    /// Redemptions in the queue.
    queued: Gauge,
    states: Batcher<(Uuid, VisitorId), Result<AdmissionUse, StoreError>>,
}

impl RedemptionBatcher {
    /// Starts the batchers. On shutdown they serve the waiting requests and accept no more.
    pub(crate) fn open(store: RedemptionStore, shutdown: &Shutdown) -> Self {
        let queued = metrics::gauge!("checkout_redemptions_queued");
        let (redeeming, left) = (store.clone(), queued.clone());
        let redemptions = Batcher::open(shutdown, move |batch: Vec<WaitingRedemption>, slot| {
            left.decrement(batch.len() as f64);
            metrics::histogram!("checkout_redemption_batch_size").record(batch.len() as f64);
            redeem(redeeming.clone(), batch, slot)
        });
        let states = Batcher::open(shutdown, move |batch, slot| read_states(store.clone(), batch, slot));
        Self { redemptions, queued, states }
    }

    /// Redeems an admission. The redemption completes even if the caller stops waiting.
    ///
    /// # Errors
    /// Returns the reason for a rejection, which includes a full queue.
    pub(crate) async fn redeem(&self, redemption: Redemption) -> Result<Order, RedemptionError> {
        let answer = self.redemptions.submit(redemption)?;
        self.queued.increment(1.0);
        answer.await?
    }

    /// The state of a visitor's admission.
    ///
    /// # Errors
    /// Returns an error if the state can't be read, or if the queue is full.
    pub(crate) async fn state(&self, admission: Uuid, visitor: VisitorId) -> Result<AdmissionUse, RedemptionError> {
        Ok(self.states.ask((admission, visitor)).await??)
    }
}

async fn read_states(store: RedemptionStore, batch: Vec<WaitingRead>, slot: Slot) {
    let asked: Vec<(Uuid, VisitorId)> = batch.iter().map(|waiting| waiting.request).collect();
    match store.admission_states(&asked).await {
        Ok(states) => batch.into_iter().zip(states).for_each(|(waiting, state)| waiting.answer(Ok(state))),
        Err(error) => batch.into_iter().for_each(|waiting| waiting.answer(Err(error.clone()))),
    }
    drop(slot);
}

/// Redeems a batch, and retries redemptions whose admissions another transaction had locked.
async fn redeem(store: RedemptionStore, batch: Vec<WaitingRedemption>, slot: Slot) {
    let mut locked = redeem_once(&store, batch).await;
    drop(slot);
    for _ in 1..ATTEMPTS {
        if locked.is_empty() {
            return;
        }
        sleep(PAUSE).await;
        locked = redeem_once(&store, locked).await;
    }
    for waiting in locked {
        waiting.answer(Err(RedemptionError::Locked));
    }
}

fn explained(results: Vec<Result<Order, RedemptionRejection>>) -> impl Iterator<Item = Result<Order, RedemptionError>> {
    results.into_iter().map(|result| result.map_err(RedemptionError::from))
}

/// Redeems a batch and sends the results. Returns the redemptions whose admissions were locked.
async fn redeem_once(store: &RedemptionStore, batch: Vec<WaitingRedemption>) -> Vec<WaitingRedemption> {
    let redemptions: Vec<Redemption> = batch.iter().map(|waiting| waiting.request.clone()).collect();
    let mut redeemed = store.redeem(&redemptions).await;
    if redeemed.as_ref().is_err_and(is_over_a_limit) {
        // Another batch has just committed for the same person. A second attempt sees it, so the
        // batch need not be split.
        redeemed = store.redeem(&redemptions).await;
    }
    let results: Vec<Result<Order, RedemptionError>> = match redeemed {
        Ok(results) => explained(results).collect(),
        // One redemption violates a constraint. Redeem each alone, so that the others succeed.
        Err(StoreError::Refused(_)) if redemptions.len() > 1 => {
            let mut results = Vec::with_capacity(redemptions.len());
            for redemption in &redemptions {
                match store.redeem(std::slice::from_ref(redemption)).await {
                    Ok(alone) => results.extend(explained(alone)),
                    Err(error) => results.push(Err(error.into())),
                }
            }
            results
        }
        Err(error) => redemptions.iter().map(|_| Err(error.clone().into())).collect(),
    };
    let mut locked = Vec::new();
    for (waiting, result) in batch.into_iter().zip(results) {
        match result {
            Err(RedemptionError::Locked) => locked.push(waiting),
            // A shopper who has disconnected finds the order in the list of orders.
            result => waiting.answer(result),
        }
    }
    locked
}
