//! Batches: what came in the last moment is done together.

use std::time::Duration;

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

/// Has batches done until asked to stop, or until nobody can send anything more; gives where to send it.
pub(crate) fn start<T: Send + 'static>(
    bounds: Bounds,
    shutdown: &Shutdown,
    mut done: impl FnMut(Vec<T>) + Send + 'static,
) -> mpsc::Sender<T> {
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
            done(std::mem::take(&mut batch));
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_moment_is_done_together_and_no_batch_is_larger_than_the_bound() {
        let (done, mut batches) = mpsc::channel(5);
        let bounds = Bounds { waiting_max: 5, batch_max: 3, gather: Duration::from_millis(2) };
        let sender =
            start(bounds, &Shutdown::new(), move |batch: Vec<u32>| done.try_send(batch).expect("somebody listens"));
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
}
