//! Supervision of the loops that a service depends on.
//!
//! - [`Shutdown::keep`]: a loop that panics, ends or stalls is reported and restarted; until it
//!   recovers, the service is not ready.
//! - [`caught`]: a loop that owns a queue or a connection continues after a panic.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::error;

use crate::Shutdown;

/// Pause before a loop is restarted.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One loop.
#[derive(Debug)]
struct SupervisedLoop {
    name: &'static str,
    heartbeat_at: Mutex<Instant>,
    is_well: AtomicBool,
}

/// The loops of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watchdogs(Arc<Mutex<Vec<Arc<SupervisedLoop>>>>);

tokio::task_local! {
    static SUPERVISED: Arc<SupervisedLoop>;
}

/// Reports progress of the calling loop. Does nothing outside of a supervised loop.
pub fn report_alive() {
    let _ = SUPERVISED.try_with(|supervised| {
        *supervised.heartbeat_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        supervised.is_well.store(true, Ordering::Release);
    });
}

/// Runs a loop that ends by itself, with state that the caller keeps. After a panic, which is
/// reported, gives `None` after a pause, so that the caller runs it again.
pub async fn caught<T>(name: &'static str, run: impl Future<Output = T>) -> Option<T> {
    let Ok(ended) = AssertUnwindSafe(run).catch_unwind().await else {
        log_restart(name, "it panicked");
        sleep(AGAIN_AFTER).await;
        return None;
    };
    Some(ended)
}

fn log_restart(name: &'static str, why: &str) {
    metrics::counter!("watchdog_restarts_total", "loop" => name).increment(1);
    error!(name, why, "loop failed; starting it again");
}

impl SupervisedLoop {
    fn heartbeat_at(&self) -> Instant {
        *self.heartbeat_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchdogs {
    /// The name of a loop that is not well.
    pub(crate) fn unwell(&self) -> Option<&'static str> {
        let supervised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        supervised
            .iter()
            .find(|supervised| !supervised.is_well.load(Ordering::Acquire))
            .map(|supervised| supervised.name)
    }

    fn supervise(&self, name: &'static str) -> Arc<SupervisedLoop> {
        let supervised =
            Arc::new(SupervisedLoop { name, heartbeat_at: Mutex::new(Instant::now()), is_well: AtomicBool::new(true) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(supervised.clone());
        supervised
    }
}

impl Shutdown {
    /// Runs a loop until shutdown. It reports progress by [`Self::rounds`] or [`report_alive`]. If
    /// it does not for `limit`, panics or ends, it is restarted. Shutdown waits for it, as for any
    /// task.
    pub fn keep<F, L>(&self, name: &'static str, limit: Duration, start: F)
    where
        F: Fn(Shutdown) -> L + Send + 'static,
        L: Future<Output = ()> + Send + 'static,
    {
        let (shutdown, supervised) = (self.clone(), self.watchdogs().supervise(name));
        self.spawn(async move {
            while !shutdown.is_triggered() {
                *supervised.heartbeat_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                let running = SUPERVISED.scope(supervised.clone(), start(shutdown.clone()));
                let mut task = tokio::spawn(fairline_telemetry::carried(running));
                let why = loop {
                    let stands_still_at = supervised.heartbeat_at() + limit;
                    tokio::select! {
                        ended = &mut task => match ended {
                            Ok(()) => break "it ended".to_owned(),
                            Err(error) => break error.to_string(),
                        },
                        () = sleep_until(stands_still_at) => {
                            // After shutdown was triggered, the loop may take as long as the
                            // process has.
                            if shutdown.is_triggered() {
                                let _ = task.await;
                                return;
                            }
                            if supervised.heartbeat_at().elapsed() >= limit {
                                task.abort();
                                let _ = tokio::time::timeout(limit, &mut task).await;
                                break format!("it stood still for {} s", limit.as_secs());
                            }
                        }
                    }
                };
                if shutdown.is_triggered() {
                    return;
                }
                supervised.is_well.store(false, Ordering::Release);
                log_restart(name, &why);
                sleep(AGAIN_AFTER).await;
            }
        });
    }

    /// Rounds that begin now and then at this interval, or later if one takes longer.
    #[must_use]
    pub fn rounds(&self, every: Duration) -> Rounds {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Rounds { interval, shutdown: self.clone() }
    }
}

/// The rounds of a loop, until shutdown.
#[derive(Debug)]
pub struct Rounds {
    interval: Interval,
    shutdown: Shutdown,
}

impl Rounds {
    /// Waits until the next round begins, and reports progress. Returns `false` at shutdown.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interval.tick() => {}
            () = self.shutdown.triggered() => return false,
        }
        report_alive();
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_continues_with_its_state() {
        async fn take_all(queue: &mut Vec<u32>, taken: &mut Vec<u32>) {
            while let Some(number) = queue.pop() {
                assert_ne!(number, 2, "on purpose");
                taken.push(number);
            }
        }
        let (mut queue, mut taken) = (vec![1, 2, 3], Vec::new());
        assert_eq!(caught("test", take_all(&mut queue, &mut taken)).await, None);
        assert_eq!(caught("test", take_all(&mut queue, &mut taken)).await, Some(()));
        assert_eq!(taken, [3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ends_or_stalls_is_restarted_and_readiness_shows_it() {
        let (shutdown, begun) = (Shutdown::new(), Arc::new(AtomicU32::new(0)));
        let counted = begun.clone();
        shutdown.keep("test", Duration::from_secs(5), move |stop| {
            let round = counted.fetch_add(1, Ordering::AcqRel);
            async move {
                match round {
                    0 => panic!("the first dies"),
                    1 => std::future::pending().await,
                    2 => {}
                    _ => {
                        let mut rounds = stop.rounds(Duration::from_secs(1));
                        while rounds.next().await {}
                    }
                }
            }
        });
        until("it stands still", || begun.load(Ordering::Acquire) == 2).await;
        assert_eq!(shutdown.watchdogs().unwell(), Some("test"));
        until("it is well again", || shutdown.watchdogs().unwell().is_none()).await;
        assert_eq!(begun.load(Ordering::Acquire), 4);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(begun.load(Ordering::Acquire), 4, "a healthy loop is not restarted");
        shutdown.trigger();
        assert!(shutdown.finished(Duration::from_secs(5)).await);
    }
}
