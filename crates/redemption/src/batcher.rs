//! Requests that arrive together are served together (group commit).
//!
//! - While two batches commit, the next one collects, so the rate is not limited to one request for
//!   each disk sync, and a batch updates a hot row once.
//! - Each caller receives its own response.
//! - Sources: D. DeWitt et al., "Implementation techniques for main memory database systems",
//!   SIGMOD 1984; P. Helland et al., "Group commit timers and high volume transaction systems",
//!   HPTS 1987, for when and how long to collect.

use std::{future::Future, sync::Arc, time::Duration};

use fairline_server::{REPORT_EVERY, Shutdown, report_alive};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};

/// Requests that may wait for a batch. Further ones are rejected.
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

/// A request that waits for its response.
pub struct Waiting<Q, A> {
    /// The request.
    pub request: Q,
    answer: oneshot::Sender<A>,
}

impl<Q, A> Waiting<Q, A> {
    /// Sends the response. A caller that has disconnected may repeat its request.
    pub fn answer(self, answer: A) {
        let _ = self.answer.send(answer);
    }
}

/// The slot of a batch: the next batch begins once it is dropped.
pub struct Slot(#[allow(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

/// Too many requests are waiting, or the process is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// The handle of a batcher.
///
/// ```
/// use fairline_redemption::{Batcher, Waiting};
/// use fairline_server::Shutdown;
///
/// # #[tokio::main]
/// # async fn main() {
/// let batcher = Batcher::open(&Shutdown::new(), |batch: Vec<Waiting<u32, u32>>, slot| async move {
///     for waiting in batch {
///         let double = waiting.request * 2;
///         waiting.answer(double);
///     }
///     drop(slot);
/// });
/// assert_eq!(batcher.ask(21).await, Ok(42));
/// # }
/// ```
pub struct Batcher<Q, A>(mpsc::Sender<Waiting<Q, A>>);

impl<Q, A> Clone for Batcher<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// Starts a batcher. On shutdown it serves the waiting requests and accepts no more.
    pub fn open<F>(shutdown: &Shutdown, serve: impl Fn(Vec<Waiting<Q, A>>, Slot) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let (stop, watched) = (shutdown.clone(), shutdown.watch("redemption-batcher"));
        shutdown.spawn(async move {
            let mut waiting = waiting;
            while watched.caught(collect(&mut waiting, &stop, &serve)).await.is_none() {}
        });
        Self(queue)
    }

    /// Adds a request. It is served even if the caller does not wait for the response.
    ///
    /// # Errors
    /// Returns an error if too many requests are waiting.
    pub fn submit(&self, request: Q) -> Result<impl Future<Output = Result<A, QueueFull>> + use<Q, A>, QueueFull> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Waiting { request, answer }).map_err(|_| QueueFull)?;
        Ok(async { answered.await.map_err(|_| QueueFull) })
    }

    /// Adds a request and waits for its response.
    ///
    /// # Errors
    /// Returns an error if too many requests are waiting.
    pub async fn ask(&self, request: Q) -> Result<A, QueueFull> {
        self.submit(request)?.await
    }
}

/// Collects batches while others are served, and serves them.
async fn collect<Q: Send + 'static, A: Send + 'static, F>(
    waiting: &mut mpsc::Receiver<Waiting<Q, A>>,
    stop: &Shutdown,
    serve: &(impl Fn(Vec<Waiting<Q, A>>, Slot) -> F + Sync),
) where
    F: Future<Output = ()> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(BATCHES_MAX));
    let (mut batch, mut begun) = (Vec::new(), Instant::now());
    loop {
        report_alive();
        // Before the queue is read, so that the next batch collects while others commit. Batches
        // that never end are a stall.
        let slot = free.clone().acquire_owned().await.expect("the semaphore is never closed");
        if waiting.len() < BATCH_MAX {
            sleep_until(begun + APART).await;
        }
        let count = tokio::select! {
            count = waiting.recv_many(&mut batch, BATCH_MAX) => count,
            () = stop.triggered(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
            () = sleep(REPORT_EVERY) => continue,
        };
        if count == 0 {
            return;
        }
        begun = Instant::now();
        stop.spawn(serve(std::mem::take(&mut batch), Slot(slot)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use fairline_server::STALLED_AFTER;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_that_arrive_together_share_a_batch_and_have_their_own_answers() {
        let shutdown = Shutdown::new();
        let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = sizes.clone();
        let batcher = Batcher::open(&shutdown, move |batch: Vec<Waiting<u32, u32>>, slot| {
            seen.lock().expect("no panic").push(batch.len());
            async move {
                for waiting in batch {
                    let double = waiting.request * 2;
                    waiting.answer(double);
                }
                drop(slot);
            }
        });
        let answers = join_all((0..700).map(|number| batcher.ask(number))).await;
        assert!(answers.into_iter().zip(0..).all(|(answer, number)| answer == Ok(number * 2)));
        assert_eq!(*sizes.lock().expect("no panic"), [BATCH_MAX, 200]);
        shutdown.trigger();
        shutdown.finished(Duration::from_secs(5)).await;
        assert_eq!(batcher.ask(1).await, Err(QueueFull));
    }

    #[tokio::test(start_paused = true)]
    async fn batches_that_never_end_make_the_process_unready_and_an_idle_batcher_does_not() {
        let (shutdown, held) = (Shutdown::new(), Arc::new(Mutex::new(Vec::new())));
        let holds = held.clone();
        let batcher = Batcher::open(&shutdown, move |batch: Vec<Waiting<u32, u32>>, slot| {
            holds.lock().expect("no panic").push(slot);
            batch.into_iter().for_each(|waiting| waiting.answer(1));
            std::future::ready(())
        });
        sleep(2 * STALLED_AFTER).await;
        assert_eq!(shutdown.stalled_loop(), None, "idle");
        for number in 0..2 {
            assert_eq!(batcher.ask(number).await, Ok(1));
        }
        sleep(2 * STALLED_AFTER).await;
        assert_eq!(shutdown.stalled_loop(), Some("redemption-batcher"));
        held.lock().expect("no panic").clear();
        assert_eq!(batcher.ask(2).await, Ok(1));
        assert_eq!(shutdown.stalled_loop(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_whose_start_panics_stops_no_later_one() {
        let shutdown = Shutdown::new();
        let batcher = Batcher::open(&shutdown, |batch: Vec<Waiting<u32, u32>>, _| {
            assert_ne!(batch[0].request, 0, "on purpose");
            batch.into_iter().for_each(|waiting| waiting.answer(1));
            std::future::ready(())
        });
        assert_eq!(batcher.ask(0).await, Err(QueueFull));
        assert_eq!(batcher.ask(7).await, Ok(1));
    }
}
