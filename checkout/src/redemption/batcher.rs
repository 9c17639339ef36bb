//! The till: redemptions that come at the same moment share one transaction.
//!
//! Group commit: while two batches are committed, the next one gathers, so that a disk that can sync a thousand times a second does
//! not keep it to a thousand redemptions, and the hot row of a stock is touched once for all of them. Each caller has an answer
//! of its own. Sources: D. DeWitt et al., "Implementation techniques for main memory database systems", SIGMOD 1984; P. Helland
//! et al., "Group commit timers and high volume transaction systems", HPTS 1987, for when to gather and for how long. What tokens became is
//! asked in batches likewise.

use std::{sync::Arc, time::Duration};

use fairline_sale::VisitorId;
use fairline_service::Shutdown;
use metrics::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use crate::{
    db::{Store, StoreError},
    orders::order::Order,
    redemption::store::{Became, NotRedeemed, Redemption},
};

/// Redemptions that wait for a batch at most; beyond them shoppers are asked to try again.
const WAITING_MAX: usize = 10_000;
/// Redemptions in one batch at most.
const BATCH_MAX: usize = 500;
/// Batches that are committed at the same time at most: while one waits for the disk, or for the hot row, the database works
/// at the other. More of them would only be smaller.
const BATCHES_MAX: usize = 2;
/// A batch that is not full begins so long after the one before it at least: the database needs the better part of a millisecond for any
/// batch, however small, and a batch of two for every millisecond would be all that it does. Whoever comes to a quiet till waits
/// for nobody.
const APART: Duration = Duration::from_millis(2);
/// An admission that somebody else is changing at this moment is tried again, so often and after so long.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

struct Waiting {
    redemption: Redemption,
    answer: oneshot::Sender<Result<Order, NotRedeemed>>,
}

/// Who wants to know what a token became.
struct Asking {
    admission: Uuid,
    visitor: VisitorId,
    answer: oneshot::Sender<Result<Became, StoreError>>,
}

/// Where tokens are redeemed.
#[derive(Clone)]
pub(crate) struct RedemptionBatcher {
    redemptions: mpsc::Sender<Waiting>,
    /// Redemptions in the queue.
    queued: Gauge,
    questions: mpsc::Sender<Asking>,
}

impl RedemptionBatcher {
    /// Opens the till. Asked to stop, it serves those who wait, and nobody more.
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

    /// Redeems an admission. It ends as it would whether or not the caller waits for it.
    ///
    /// # Errors
    /// Why it was not redeemed; that too many wait already is one reason.
    pub(crate) async fn redeem(&self, redemption: Redemption) -> Result<Order, NotRedeemed> {
        let (answer, answered) = oneshot::channel();
        self.redemptions.try_send(Waiting { redemption, answer }).map_err(|_| NotRedeemed::Crowded)?;
        self.queued.increment(1.0);
        answered.await.map_err(|_| NotRedeemed::Crowded)?
    }

    /// What the admission of a visitor became.
    ///
    /// # Errors
    /// When that can't be known; that too many ask already is one reason.
    pub(crate) async fn ask(&self, admission: Uuid, visitor: VisitorId) -> Result<Became, NotRedeemed> {
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Asking { admission, visitor, answer }).map_err(|_| NotRedeemed::Crowded)?;
        Ok(answered.await.map_err(|_| NotRedeemed::Crowded)??)
    }
}

/// Takes from a queue whatever has gathered while other batches are served, and has it served.
async fn gather<T: Send>(
    mut waiting: mpsc::Receiver<T>,
    stop: Shutdown,
    serve: impl Fn(Vec<T>, OwnedSemaphorePermit) + Send,
) {
    let free = Arc::new(Semaphore::new(BATCHES_MAX));
    let (mut batch, mut begun) = (Vec::new(), Instant::now());
    loop {
        // Before anybody is taken from the queue: so the next batch gathers for as long as others are committed.
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

/// Tells those who ask what their tokens became.
async fn tell(store: &Store, batch: Vec<Asking>) {
    let asked: Vec<(Uuid, VisitorId)> = batch.iter().map(|asking| (asking.admission, asking.visitor)).collect();
    match store.what_became_of(&asked).await {
        Ok(answers) => {
            for (asking, became) in batch.into_iter().zip(answers) {
                // Whoever has hung up may ask again.
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

/// Tries again what somebody else was changing.
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

/// Redeems a batch, and answers. Gives those whose admissions somebody else was changing.
async fn serve(store: &Store, batch: Vec<Waiting>) -> Vec<Waiting> {
    let redemptions: Vec<Redemption> = batch.iter().map(|waiting| waiting.redemption.clone()).collect();
    let mut redeemed = store.redeem(&redemptions).await;
    if redeemed.as_ref().is_err_and(StoreError::is_over_a_limit) {
        // Another batch has just committed for one of these people. Now that is seen, so the others need not go one by one.
        redeemed = store.redeem(&redemptions).await;
    }
    let answers = match redeemed {
        Ok(answers) => answers,
        // One of them breaks a promise. Each for itself then, so that it spoils nothing for the others.
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
            // A shopper who has hung up finds the order among the others.
            answer => drop(waiting.answer.send(answer)),
        }
    }
    unsteady
}
