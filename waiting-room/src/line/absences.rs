//! Batches of absences. A polling client is disconnected between polls, so each poll restarts its
//! grace period. One call to the line covers all recent polls.

use std::time::Duration;

use fairline_line::{
    store::{LineError, LineStore},
    ticket::{Ordinal, Ticket},
};
use fairline_sale::SaleId;
use fairline_server::Shutdown;
use tokio::sync::mpsc;
use tracing::debug;

use crate::line::batches::{self, Bounds};

/// An absence beyond these bounds is written in its own call. The gathering time is negligible
/// beside any grace period.
const BOUNDS: Bounds = Bounds { waiting_max: 20_000, batch_max: 2000, calls_max: 8, gather: Duration::from_millis(50) };

struct Absence {
    sale: SaleId,
    ordinal: Ordinal,
    grace: Duration,
}

impl Absence {
    /// The key of the batch that it belongs to.
    fn call(&self) -> (SaleId, Duration) {
        (self.sale, self.grace)
    }
}

/// Records that polling clients have disconnected.
pub(crate) struct Absences {
    waiting: mpsc::Sender<Absence>,
    store: LineStore,
}

impl Absences {
    /// Starts the task that gathers batches.
    pub(crate) fn start(store: LineStore, shutdown: &Shutdown) -> Self {
        let line = store.clone();
        let waiting = batches::start(BOUNDS, shutdown, Absence::call, move |(sale, grace), absences: Vec<Absence>| {
            let line = line.clone();
            async move {
                let ordinals: Vec<Ordinal> = absences.iter().map(|absence| absence.ordinal).collect();
                // The next roll call finds shoppers whose absence was not written.
                if let Err(error) = line.absent(sale, grace, false, &ordinals).await {
                    debug!(%error, "write absences failed");
                }
            }
        });
        Self { waiting, store }
    }

    /// Starts a shopper's grace period with the next batch.
    ///
    /// # Errors
    /// When the queue is full and the line does not respond.
    pub(crate) async fn note(&self, ticket: &Ticket, grace: Duration) -> Result<(), LineError> {
        let absence = Absence { sale: ticket.sale, ordinal: ticket.ordinal, grace };
        match self.waiting.try_send(absence) {
            Ok(()) => Ok(()),
            Err(_) => self.store.absent(ticket.sale, grace, false, &[ticket.ordinal]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_call_has_one_line_and_one_grace_period() {
        let absence = |number, ordinal, grace_s| Absence {
            sale: SaleId(Uuid::from_u128(number)),
            ordinal,
            grace: Duration::from_secs(grace_s),
        };
        assert_eq!(absence(1, 7, 120).call(), absence(1, 9, 120).call());
        assert_ne!(absence(1, 7, 120).call(), absence(2, 7, 120).call());
        assert_ne!(absence(1, 7, 120).call(), absence(1, 8, 300).call());
    }
}
