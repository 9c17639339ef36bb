//! Batches: one call carries what came in the last moment and belongs together.

use std::{collections::HashMap, hash::Hash, time::Duration};

use fairline_service::Shutdown;
use tokio::sync::mpsc;

/// How large batches get, and how long they take to gather.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How much waits for a batch at most; what is beyond it is refused.
    pub(crate) waiting_max: usize,
    /// How much is in one at most.
    pub(crate) batch_max: usize,
    /// How long the first of a batch waits for others.
    pub(crate) gather: Duration,
}

/// Has batches carried until asked to stop, or until nobody can send anything more; gives where to send it. What has the same key
/// goes in one call, and no call waits for another.
pub(crate) fn start<T, K, C>(
    bounds: Bounds,
    shutdown: &Shutdown,
    key: impl Fn(&T) -> K + Send + 'static,
    carry: impl Fn(K, Vec<T>) -> C + Send + 'static,
) -> mpsc::Sender<T>
where
    T: Send + 'static,
    K: Eq + Hash + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let (sender, mut waiting) = mpsc::channel(bounds.waiting_max);
    let stop = shutdown.clone();
    shutdown.spawn(async move {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = waiting.recv_many(&mut batch, bounds.batch_max) => if count == 0 { return },
                () = stop.triggered() => return,
            }
            tokio::time::sleep(bounds.gather).await;
            while batch.len() < bounds.batch_max
                && let Ok(one) = waiting.try_recv()
            {
                batch.push(one);
            }
            let mut calls: HashMap<K, Vec<T>> = HashMap::new();
            for one in batch.drain(..) {
                calls.entry(key(&one)).or_default().push(one);
            }
            for (key, ones) in calls {
                stop.spawn(carry(key, ones));
            }
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_moment_is_done_together_and_no_batch_is_larger_than_the_bound() {
        let (bounds, shutdown) =
            (Bounds { waiting_max: 5, batch_max: 3, gather: Duration::from_millis(2) }, Shutdown::new());
        let (done, mut batches) = mpsc::channel(5);
        let carry = move |(), batch: Vec<u32>| {
            done.try_send(batch).expect("somebody listens");
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
    async fn a_call_carries_what_has_the_same_key() {
        let (bounds, shutdown) =
            (Bounds { waiting_max: 9, batch_max: 9, gather: Duration::from_millis(2) }, Shutdown::new());
        let (done, mut calls) = mpsc::channel(9);
        let carry = move |is_odd: bool, numbers: Vec<u32>| {
            done.try_send((is_odd, numbers)).expect("somebody listens");
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
}
