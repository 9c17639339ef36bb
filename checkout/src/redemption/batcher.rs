//! The redemption batcher: redemptions that arrive together share one transaction (group commit).
//!
//! - While two batches commit, the next one collects, so the rate is not limited to one redemption
//!   for each disk sync, and a batch updates the hot row of a stock once.
//! - Each caller receives its own result. Reads of admission states are batched likewise.
//! - Sources: D. DeWitt et al., "Implementation techniques for main memory database systems",
//!   SIGMOD 1984; P. Helland et al., "Group commit timers and high volume transaction systems",
//!   HPTS 1987, for when and how long to collect.

use std::{sync::Arc, time::Duration};

use fairline_sale::VisitorId;
use fairline_server::Shutdown;
use metrics::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use crate::{
    db::{Store, StoreError},
    orders::order::Order,
    redemption::outcome::{Became, NotRedeemed, Redemption},
};

/// Redemptions that may wait for a batch. Further ones are rejected with 503.
const WAITING_MAX: usize = 10_000;
/// The largest batch.
const BATCH_MAX: usize = 500;
/// Batches that commit at the same time: while one waits for the disk or the hot row, the database
/// works on the other. More of them would only be smaller.
const BATCHES_MAX: usize = 2;
/// The least time between the starts of two batches that are not full. The database needs almost a
/// millisecond for any batch, and tiny batches would saturate it. A request to an idle batcher does
/// not wait.
const APART: Duration = Duration::from_millis(2);
/// A redemption that finds its admission locked is retried this often, with this pause.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

struct Waiting {
    redemption: Redemption,
    answer: oneshot::Sender<Result<Order, NotRedeemed>>,
}

/// A caller that wants the state of an admission.
struct Asking {
    admission: Uuid,
    visitor: VisitorId,
    answer: oneshot::Sender<Result<Became, StoreError>>,
}

/// The handle of the batcher.
#[derive(Clone)]
pub(crate) struct RedemptionBatcher {
    redemptions: mpsc::Sender<Waiting>,
    /// Redemptions in the queue.
    queued: Gauge,
    questions: mpsc::Sender<Asking>,
}

impl RedemptionBatcher {
    /// Starts the batcher. On shutdown it serves the waiting redemptions and accepts no more.
    pub(crate) fn open(store: Store, shutdown: &Shutdown) -> Self {
        let (redemptions, waiting) = mpsc::channel(WAITING_MAX);
        let (questions, asking) = mpsc::channel(WAITING_MAX);
        let (redeeming, telling, stop) = (store.clone(), store, shutdown.clone());
        let queued = metrics::gauge!("checkout_redemptions_queued");
        let leave = queued.clone();
        shutdown.spawn(gather(waiting, shutdown.clone(), move |batch: Vec<Waiting>, place| {
            leave.decrement(batch.len() as f64);
            metrics::histogram!("checkout_redemption_batch_size").record(batch.len() as f64);
            let store = redeeming.clone();
            stop.spawn(async move {
                let unsteady = serve(&store, batch).await;
                drop(place);
                if !unsteady.is_empty() {
                    insist(store, unsteady).await;
                }
            });
        }));
        let stop = shutdown.clone();
        shutdown.spawn(gather(asking, shutdown.clone(), move |batch: Vec<Asking>, place| {
            let store = telling.clone();
            stop.spawn(async move {
                tell(&store, batch).await;
                drop(place);
            });
        }));
        Self { redemptions, queued, questions }
    }

    /// Redeems an admission. The redemption completes even if the caller stops waiting.
    ///
    /// # Errors
    /// Returns the reason for a rejection, which includes a full queue.
    pub(crate) async fn redeem(&self, redemption: Redemption) -> Result<Order, NotRedeemed> {
        let (answer, answered) = oneshot::channel();
        self.redemptions.try_send(Waiting { redemption, answer }).map_err(|_| NotRedeemed::Crowded)?;
        self.queued.increment(1.0);
        answered.await.map_err(|_| NotRedeemed::Crowded)?
    }

    /// The state of a visitor's admission.
    ///
    /// # Errors
    /// Returns an error if the state can't be read, or if the queue is full.
    pub(crate) async fn ask(&self, admission: Uuid, visitor: VisitorId) -> Result<Became, NotRedeemed> {
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Asking { admission, visitor, answer }).map_err(|_| NotRedeemed::Crowded)?;
        Ok(answered.await.map_err(|_| NotRedeemed::Crowded)??)
    }
}

/// Collects batches from a queue while others are served, and serves them.
async fn gather<T: Send>(
    mut waiting: mpsc::Receiver<T>,
    stop: Shutdown,
    serve: impl Fn(Vec<T>, OwnedSemaphorePermit) + Send,
) {
    let free = Arc::new(Semaphore::new(BATCHES_MAX));
    let (mut batch, mut begun) = (Vec::new(), Instant::now());
    loop {
        // Before the queue is read, so that the next batch collects while others commit.
        let place = free.clone().acquire_owned().await.expect("the semaphore is never closed");
        if waiting.len() < BATCH_MAX {
            sleep_until(begun + APART).await;
        }
        let count = tokio::select! {
            count = waiting.recv_many(&mut batch, BATCH_MAX) => count,
            () = stop.triggered(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        };
        if count == 0 {
            return;
        }
        begun = Instant::now();
        serve(std::mem::take(&mut batch), place);
    }
}

/// Sends each caller the state of its admission.
async fn tell(store: &Store, batch: Vec<Asking>) {
    let asked: Vec<(Uuid, VisitorId)> = batch.iter().map(|asking| (asking.admission, asking.visitor)).collect();
    match store.admission_states(&asked).await {
        Ok(answers) => {
            for (asking, became) in batch.into_iter().zip(answers) {
                // A caller that has disconnected may ask again.
                let _ = asking.answer.send(Ok(became));
            }
        }
        Err(error) => {
            for asking in batch {
                let _ = asking.answer.send(Err(error.clone()));
            }
        }
    }
}

/// Retries redemptions whose admissions another transaction had locked.
async fn insist(store: Store, mut unsteady: Vec<Waiting>) {
    for _ in 1..ATTEMPTS {
        sleep(PAUSE).await;
        unsteady = serve(&store, unsteady).await;
        if unsteady.is_empty() {
            return;
        }
    }
    for waiting in unsteady {
        let _ = waiting.answer.send(Err(NotRedeemed::Unsteady));
    }
}

/// Redeems a batch and sends the results. Returns the redemptions whose admissions were locked.
async fn serve(store: &Store, batch: Vec<Waiting>) -> Vec<Waiting> {
    let redemptions: Vec<Redemption> = batch.iter().map(|waiting| waiting.redemption.clone()).collect();
    let mut redeemed = store.redeem(&redemptions).await;
    if redeemed.as_ref().is_err_and(StoreError::is_over_a_limit) {
        // Another batch has just committed for the same person. A second attempt sees it, so the
        // batch need not be split.
        redeemed = store.redeem(&redemptions).await;
    }
    let answers = match redeemed {
        Ok(answers) => answers,
        // One redemption violates a constraint. Redeem each alone, so that the others succeed.
        Err(StoreError::Refused(_)) if redemptions.len() > 1 => {
            let mut answers = Vec::with_capacity(redemptions.len());
            for redemption in &redemptions {
                match store.redeem(std::slice::from_ref(redemption)).await {
                    Ok(alone) => answers.extend(alone),
                    Err(error) => answers.push(Err(error.into())),
                }
            }
            answers
        }
        Err(error) => redemptions.iter().map(|_| Err(error.clone().into())).collect(),
    };
    let mut unsteady = Vec::new();
    for (waiting, answer) in batch.into_iter().zip(answers) {
        match answer {
            Err(NotRedeemed::Unsteady) => unsteady.push(waiting),
            // A shopper who has disconnected finds the order in the list of orders.
            answer => drop(waiting.answer.send(answer)),
        }
    }
    unsteady
}
