//! The stop signal of a process, and a count of its running tasks.

pub(crate) mod watchdog;

use std::{future::Future, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::watchdog::Watchdogs;

/// Signals every part of a process to stop, and waits until all have.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    tasks: TaskTracker,
    watchdogs: Watchdogs,
}

impl Shutdown {
    /// Creates a signal that has not been triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a signal that SIGTERM or Ctrl-C triggers.
    ///
    /// # Errors
    /// When the signal handlers can't be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = shutdown.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
        Ok(shutdown)
    }

    /// Signals every part to stop.
    pub fn trigger(&self) {
        self.stop.cancel();
    }

    /// Whether shutdown has been triggered.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until shutdown is triggered.
    pub async fn triggered(&self) {
        self.stop.cancelled().await;
    }

    pub(crate) fn watchdogs(&self) -> &Watchdogs {
        &self.watchdogs
    }

    /// Runs a task that [`Self::finished`] waits for, in the caller's trace. For work that must
    /// complete even if the client disconnects.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(fairline_telemetry::carried(task))
    }

    /// Makes [`Self::finished`] wait for a task that the caller runs.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(task)
    }

    /// Waits up to `limit` until every task has ended; then up to some seconds until the collector
    /// has received their traces. Returns `false` if some tasks had not ended.
    pub async fn finished(&self, limit: Duration) -> bool {
        self.tasks.close();
        let have_ended = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        // The exporter does not panic, so the join error is ignored.
        let _ = tokio::task::spawn_blocking(fairline_telemetry::export::finish).await;
        have_ended
    }
}
