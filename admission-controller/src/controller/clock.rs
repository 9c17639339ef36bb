//! A monotonic clock, for waits between two ticks. Decisions use only the database's clock.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

/// Measures the time since its start. Virtual in the simulation.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// The clock of this process.
    pub(crate) fn of_process() -> Self {
        let start = Instant::now();
        Self::new(move || start.elapsed())
    }

    /// A clock that reads the given function.
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time since its start.
    pub(crate) fn now(&self) -> Duration {
        (self.0)()
    }

    /// The time since this reading.
    pub(crate) fn since(&self, moment: Duration) -> Duration {
        self.now().saturating_sub(moment)
    }
}
