//! Time that only goes on, for what is waited for between two ticks. What a sale is decided by is the database's clock alone.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

/// Tells how long it has run. Virtual in the simulation.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// The clock of this process.
    pub(crate) fn of_process() -> Self {
        let start = Instant::now();
        Self::new(move || start.elapsed())
    }

    /// A clock that tells this.
    pub fn new(tell: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// How long it has run.
    pub(crate) fn now(&self) -> Duration {
        (self.0)()
    }

    /// How long ago it told this.
    pub(crate) fn since(&self, moment: Duration) -> Duration {
        self.now().saturating_sub(moment)
    }
}
