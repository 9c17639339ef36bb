//! Supervision of the loops that a service depends on.
//!
//! - [`Shutdown::keep`]: a loop that panics, ends or stalls is reported and restarted; until it
//!   recovers, the service is not ready.
//! - [`Shutdown::watch`] and [`watch_connection`]: a loop that owns a queue or a connection is not
//!   interrupted: it continues after a panic, and while it stalls, the service is not ready.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, LazyLock, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::error;

use super::Shutdown;

/// Pause before a loop is restarted.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A watched loop that has not reported for this long stalls: every step of it has a shorter
/// deadline.
pub const STALLED_AFTER: Duration = Duration::from_secs(120);
/// How long a watched loop may wait for work before it reports again.
pub const REPORT_EVERY: Duration = Duration::from_secs(5);

/// One loop.
#[derive(Debug)]
struct SupervisedLoop {
    name: &'static str,
    limit: Duration,
    heartbeat_at: Mutex<Instant>,
    is_well: AtomicBool,
}

/// Loops, until they end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watchdogs(Arc<Mutex<Vec<Weak<SupervisedLoop>>>>);

/// The loops of connections, which the services of a process may share.
static CONNECTIONS: LazyLock<Watchdogs> = LazyLock::new(Watchdogs::default);

tokio::task_local! {
    static SUPERVISED: Arc<SupervisedLoop>;
}

/// Reports progress of the calling loop. Does nothing outside of a supervised loop.
pub fn report_alive() {
    let _ = SUPERVISED.try_with(|supervised| {
        supervised.reports();
        supervised.is_well.store(true, Ordering::Release);
    });
}

/// A loop that may end, with state that its caller keeps. It reports progress by [`report_alive`]
/// at least every [`REPORT_EVERY`].
#[derive(Debug)]
pub struct WatchedLoop(Arc<SupervisedLoop>);

impl WatchedLoop {
    /// Runs the loop. After a panic, which is reported, returns `None` after a pause, so that the
    /// caller runs it again.
    pub async fn caught<T>(&self, run: impl Future<Output = T>) -> Option<T> {
        self.0.reports();
        let Ok(ended) = AssertUnwindSafe(SUPERVISED.scope(self.0.clone(), run)).catch_unwind().await else {
            self.0.is_well.store(false, Ordering::Release);
            log_restart(self.0.name, "it panicked");
            sleep(AGAIN_AFTER).await;
            return None;
        };
        Some(ended)
    }

    /// Runs a loop that blocks its thread.
    pub fn run_blocking<T>(&self, run: impl FnOnce() -> T) -> T {
        SUPERVISED.sync_scope(self.0.clone(), run)
    }
}

/// Watches a loop that keeps a connection or a pool, which belongs to the process.
#[must_use]
pub fn watch_connection(name: &'static str) -> WatchedLoop {
    WatchedLoop(CONNECTIONS.supervise(name, STALLED_AFTER))
}

fn log_restart(name: &'static str, why: &str) {
    metrics::counter!("watchdog_restarts_total", "loop" => name).increment(1);
    error!(name, why, "loop failed; starting it again");
}

impl SupervisedLoop {
    fn heartbeat_at(&self) -> Instant {
        *self.heartbeat_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reports(&self) {
        *self.heartbeat_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_stalled(&self) -> bool {
        self.heartbeat_at().elapsed() >= self.limit
    }
}

impl Watchdogs {
    fn running(&self) -> Vec<Arc<SupervisedLoop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    fn supervise(&self, name: &'static str, limit: Duration) -> Arc<SupervisedLoop> {
        let (heartbeat_at, is_well) = (Mutex::new(Instant::now()), AtomicBool::new(true));
        let supervised = Arc::new(SupervisedLoop { name, limit, heartbeat_at, is_well });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&supervised));
        supervised
    }
}

impl Shutdown {
    /// Watches a loop that its caller runs.
    #[must_use]
    pub fn watch(&self, name: &'static str) -> WatchedLoop {
        WatchedLoop(self.watchdogs().supervise(name, STALLED_AFTER))
    }

    /// The name of a loop that failed or stalls, here or among the connections of the process.
    #[must_use]
    pub fn stalled_loop(&self) -> Option<&'static str> {
        let is_unwell = |one: &Arc<SupervisedLoop>| !one.is_well.load(Ordering::Acquire) || one.is_stalled();
        self.all_loops().find(is_unwell).map(|unwell| unwell.name)
    }

    /// Logs and counts the loops that have stalled since the last call.
    pub(crate) fn report_stalls(&self) {
        for stalled in self.all_loops().filter(|one| one.is_stalled()) {
            if stalled.is_well.swap(false, Ordering::AcqRel) {
                metrics::counter!("watchdog_stalls_total", "loop" => stalled.name).increment(1);
                error!(name = stalled.name, "loop stalled");
            }
        }
    }

    fn all_loops(&self) -> impl Iterator<Item = Arc<SupervisedLoop>> + use<> {
        self.watchdogs().running().into_iter().chain(CONNECTIONS.running())
    }

    /// Runs a loop until shutdown. It reports progress by [`Self::rounds`] or [`report_alive`]. If
    /// it does not for `limit`, panics or ends, it is restarted. Shutdown waits for it, as for any
    /// task.
    pub fn keep<F, L>(&self, name: &'static str, limit: Duration, start: F)
    where
        F: Fn(Shutdown) -> L + Send + 'static,
        L: Future<Output = ()> + Send + 'static,
    {
        let (shutdown, supervised) = (self.clone(), self.watchdogs().supervise(name, limit));
        self.spawn(async move {
            while !shutdown.is_triggered() {
                supervised.reports();
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
                            if supervised.is_stalled() {
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
        let watched = Shutdown::new().watch("test");
        assert_eq!(watched.caught(take_all(&mut queue, &mut taken)).await, None);
        assert_eq!(watched.caught(take_all(&mut queue, &mut taken)).await, Some(()));
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
        until("it stalls", || begun.load(Ordering::Acquire) == 2).await;
        assert_eq!(shutdown.stalled_loop(), Some("test"));
        until("it is well again", || shutdown.stalled_loop().is_none()).await;
        assert_eq!(begun.load(Ordering::Acquire), 4);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(begun.load(Ordering::Acquire), 4, "a healthy loop is not restarted");
        shutdown.trigger();
        assert!(shutdown.finished(Duration::from_secs(5)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watched_loop_that_stalls_is_reported_and_not_interrupted() {
        let (shutdown, (go_on, mut work)) = (Shutdown::new(), tokio::sync::mpsc::channel::<()>(1));
        let watched = shutdown.watch("queue");
        let task = tokio::spawn(async move {
            let run = async {
                report_alive();
                work.recv().await;
                report_alive();
                work.recv().await
            };
            watched.caught(run).await
        });
        sleep(STALLED_AFTER - Duration::from_secs(1)).await;
        assert_eq!(shutdown.stalled_loop(), None);
        until("it stalls", || shutdown.stalled_loop() == Some("queue")).await;
        shutdown.report_stalls();
        go_on.send(()).await.expect("the loop still waits");
        until("it continues", || shutdown.stalled_loop().is_none()).await;
        drop(go_on);
        assert_eq!(task.await.expect("no panic"), Some(None), "it ended on its own");
        sleep(2 * STALLED_AFTER).await;
        assert_eq!(shutdown.stalled_loop(), None, "a loop that has ended is not watched");
    }

    #[tokio::test]
    async fn a_watched_thread_that_stalls_is_reported_until_it_goes_on() {
        let (shutdown, (go_on, work)) = (Shutdown::new(), std::sync::mpsc::sync_channel::<()>(1));
        let watched = WatchedLoop(shutdown.watchdogs().supervise("thread", Duration::from_millis(50)));
        let thread = std::thread::spawn(move || {
            watched.run_blocking(|| {
                let _ = work.recv();
                while work.recv_timeout(Duration::from_millis(1)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    report_alive();
                }
            });
        });
        until("it stalls", || shutdown.stalled_loop() == Some("thread")).await;
        go_on.send(()).expect("the thread waits");
        until("it continues", || shutdown.stalled_loop().is_none()).await;
        drop(go_on);
        thread.join().expect("no panic");
    }
}
