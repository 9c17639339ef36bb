//! Batching: one call carries all items of a key that arrived within a short time.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use fairline_server::{REPORT_EVERY, Shutdown, report_alive};
use tokio::sync::mpsc;

/// Limits on the size and delay of batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Items that may wait, in total and per key; further items are rejected.
    pub(crate) waiting_max: usize,
    /// Items per batch, at most.
    pub(crate) batch_max: usize,
    /// Concurrent calls per key, at most. When calls are slow, batches grow instead of multiplying.
    pub(crate) calls_max: usize,
    /// How long the first item of a batch waits for others.
    pub(crate) gather: Duration,
}

/// Which items share a call, and the call.
struct Calls<F, G> {
    key: F,
    carry: G,
}

/// The items of one key.
struct Queue<T> {
    waiting: VecDeque<T>,
    under_way: usize,
}

/// Starts a task that sends batches until shutdown or until all senders are dropped, and returns a
/// sender. Items of one key share a call, and no call waits for another key's. Rejected items are
/// dropped.
pub(crate) fn start<T, K, C>(
    bounds: Bounds,
    shutdown: &Shutdown,
    key: impl Fn(&T) -> K + Send + Sync + 'static,
    carry: impl Fn(K, Vec<T>) -> C + Send + Sync + 'static,
) -> mpsc::Sender<T>
where
    T: Send + 'static,
    K: Clone + Eq + Hash + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let (sender, mut incoming) = mpsc::channel(bounds.waiting_max);
    let (stop, watched) = (shutdown.clone(), shutdown.watch("batches"));
    let calls = Calls { key, carry };
    shutdown.spawn(async move {
        while watched.caught(send_batches(bounds, &mut incoming, &stop, &calls)).await.is_none() {}
    });
    sender
}

async fn send_batches<T, K, C>(
    bounds: Bounds,
    incoming: &mut mpsc::Receiver<T>,
    stop: &Shutdown,
    Calls { key, carry }: &Calls<impl Fn(&T) -> K + Sync, impl Fn(K, Vec<T>) -> C + Sync>,
) where
    T: Send + 'static,
    K: Clone + Eq + Hash + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let (ended, mut ends) = mpsc::channel::<K>(bounds.calls_max.max(1));
    let mut queues: HashMap<K, Queue<T>> = HashMap::new();
    let (mut batch, mut is_open) = (Vec::new(), true);
    while is_open || !queues.is_empty() {
        report_alive();
        tokio::select! {
            count = incoming.recv_many(&mut batch, bounds.batch_max), if is_open => {
                is_open = count > 0;
                if is_open {
                    tokio::time::sleep(bounds.gather).await;
                }
                while batch.len() < bounds.batch_max
                    && let Ok(one) = incoming.try_recv()
                {
                    batch.push(one);
                }
            }
            Some(key) = ends.recv() => {
                if let Some(queue) = queues.get_mut(&key) {
                    queue.under_way -= 1;
                }
            }
            () = tokio::time::sleep(REPORT_EVERY) => {}
            () = stop.triggered() => return,
        }
        for one in batch.drain(..) {
            let queue = queues.entry(key(&one)).or_insert_with(|| Queue { waiting: VecDeque::new(), under_way: 0 });
            if queue.waiting.len() < bounds.waiting_max {
                queue.waiting.push_back(one);
            }
        }
        for (key, queue) in &mut queues {
            while !queue.waiting.is_empty() && queue.under_way < bounds.calls_max {
                let count = queue.waiting.len().min(bounds.batch_max);
                let (call, ended, key) =
                    (carry(key.clone(), queue.waiting.drain(..count).collect()), ended.clone(), key.clone());
                queue.under_way += 1;
                stop.spawn(async move {
                    call.await;
                    let _ = ended.send(key).await;
                });
            }
        }
        queues.retain(|_, queue| queue.under_way > 0 || !queue.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_of_one_moment_share_batches_of_bounded_size() {
        let (bounds, shutdown) =
            (Bounds { waiting_max: 5, batch_max: 3, calls_max: 9, gather: Duration::from_millis(2) }, Shutdown::new());
        let (done, mut batches) = mpsc::channel(5);
        let carry = move |(), batch: Vec<u32>| {
            done.try_send(batch).expect("a receiver");
            std::future::ready(())
        };
        let sender = start(bounds, &shutdown, |_| (), carry);
        for number in 0..5 {
            sender.try_send(number).expect("room for five");
        }
        assert!(sender.try_send(5).is_err(), "one too many");
        assert_eq!(batches.recv().await, Some(vec![0, 1, 2]));
        sender.try_send(6).expect("room again");
        assert_eq!(batches.recv().await, Some(vec![3, 4, 6]));
        drop(sender);
        assert_eq!(batches.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_whose_start_panics_stops_no_later_one() {
        let bounds = Bounds { waiting_max: 9, batch_max: 1, calls_max: 9, gather: Duration::from_millis(2) };
        let (done, mut batches) = mpsc::channel(5);
        let carry = move |(), batch: Vec<u32>| {
            assert_ne!(batch, [0], "on purpose");
            done.try_send(batch).expect("a receiver");
            std::future::ready(())
        };
        let sender = start(bounds, &Shutdown::new(), |_| (), carry);
        sender.send(0).await.expect("room");
        sender.send(1).await.expect("room");
        assert_eq!(batches.recv().await, Some(vec![1]));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_with_the_same_key_share_a_call() {
        let (bounds, shutdown) =
            (Bounds { waiting_max: 9, batch_max: 9, calls_max: 9, gather: Duration::from_millis(2) }, Shutdown::new());
        let (done, mut calls) = mpsc::channel(9);
        let carry = move |is_odd: bool, numbers: Vec<u32>| {
            done.try_send((is_odd, numbers)).expect("a receiver");
            std::future::ready(())
        };
        let sender = start(bounds, &shutdown, |number: &u32| number % 2 == 1, carry);
        for number in [7, 4, 9, 5] {
            sender.try_send(number).expect("room");
        }
        let mut carried = [calls.recv().await.expect("a call"), calls.recv().await.expect("another")];
        carried.sort_unstable();
        assert_eq!(carried, [(false, vec![4]), (true, vec![7, 9, 5])]);
    }
    #[tokio::test(start_paused = true)]
    async fn slow_calls_make_larger_batches_and_delay_no_other_key() {
        let (bounds, shutdown) =
            (Bounds { waiting_max: 4, batch_max: 3, calls_max: 1, gather: Duration::from_millis(2) }, Shutdown::new());
        let (done, mut calls) = mpsc::channel(9);
        let go_on = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let carry = {
            let go_on = go_on.clone();
            move |is_slow: bool, numbers: Vec<u32>| {
                done.try_send(numbers).expect("a receiver");
                let go_on = go_on.clone();
                async move {
                    if is_slow {
                        go_on.acquire().await.expect("open").forget();
                    }
                }
            }
        };
        let sender = start(bounds, &shutdown, |number: &u32| *number < 100, carry);
        sender.send(0).await.expect("room");
        assert_eq!(calls.recv().await, Some(vec![0]));
        for number in 1..=6 {
            sender.send(number).await.expect("room");
        }
        sender.send(100).await.expect("room");
        assert_eq!(calls.recv().await, Some(vec![100]), "not held up by the slow one");
        go_on.add_permits(9);
        assert_eq!(calls.recv().await, Some(vec![1, 2, 3]));
        assert_eq!(calls.recv().await, Some(vec![4]), "beyond four that wait, they are refused");
        drop(sender);
        assert_eq!(calls.recv().await, None);
    }
}
