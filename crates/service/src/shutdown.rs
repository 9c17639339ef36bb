//! One signal to stop, and a count of what still runs.

use std::{future::Future, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::watchdog::Watchdogs;

/// Tells every part of a process to stop, and waits until the parts have.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    tasks: TaskTracker,
    watchdogs: Watchdogs,
}

impl Shutdown {
    /// One that nobody has asked to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM or Ctrl-C triggers.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
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

    /// Asks everything to stop.
    pub fn trigger(&self) {
        self.stop.cancel();
    }

    /// Whether somebody has asked to stop.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until somebody asks to stop.
    pub async fn triggered(&self) {
        self.stop.cancelled().await;
    }

    pub(crate) fn watchdogs(&self) -> &Watchdogs {
        &self.watchdogs
    }

    /// Runs a task that [`Self::finished`] waits for, in the trace of whoever starts it. For what must reach its end even when the
    /// client hangs up.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(fairline_trace::carried(task))
    }

    /// Lets [`Self::finished`] wait for a task that somebody else runs.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(task)
    }

    /// Waits, at most `limit`, until every task has ended; then, for some seconds at most, until a collector has what they did. Gives
    /// `false` when some tasks had not ended.
    pub async fn finished(&self, limit: Duration) -> bool {
        self.tasks.close();
        let have_ended = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        // It panics for nobody: there is nothing in it that could.
        let _ = tokio::task::spawn_blocking(fairline_trace::export::finish).await;
        have_ended
    }
}
