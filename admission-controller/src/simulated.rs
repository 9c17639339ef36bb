//! The port through which `tools/simulate` runs a controller: the real tick, over a ledger and a Redis of its own, in virtual time.
//! No service calls it.

use std::{sync::Arc, time::Duration};

use fairline_admission_token::SigningKey;
use fairline_line::store::LineStore;
use fairline_sale::SaleId;
use tokio::sync::Semaphore;

pub use crate::{
    clock::Clock,
    epochs::{SAYS_WITHIN, SETTLED, granted_ahead},
    ledger::{DeskStatements, Ledger, LimitStatements, LineStatements, Locked, NotServed, RecordStatements},
    record::Recorder,
    store::{
        Agenda, Intervention, LineRow, PUBLICATIONS_A_TICK, PUBLISHED_MAX, RETOLD_AT_ONCE, Running, Sale, SaleRow,
        StoreError, Ticked, TurnRow, TurnsOver, Unpublished,
    },
};
use crate::{
    keys::Keys,
    schedule::{Next, Nudges, Ticks as _},
    tick::{Known, Ticker},
};

/// The keys that sign tokens, the preferred one first.
#[derive(Clone)]
pub struct SigningKeys(Arc<Keys>);

impl SigningKeys {
    /// These, of which there is one at least.
    #[must_use]
    pub fn new(keys: Vec<SigningKey>) -> Self {
        Self(Arc::new(Keys::new(keys)))
    }

    /// The name of the one that signs, as long as none is revoked.
    #[must_use]
    pub fn preferred(&self) -> &str {
        self.0.kids().next().unwrap_or_default()
    }
}

/// A controller of one sale.
pub struct Controller<L> {
    ticker: Ticker<L>,
    known: Known,
}

impl<L: Ledger> Controller<L> {
    /// One that has just started.
    pub fn new(ledger: L, line: LineStore, keys: SigningKeys, every: Duration, clock: Clock) -> Self {
        let ticker =
            Ticker { ledger, line, keys: keys.0, every, clock, permits: Semaphore::new(1), nudges: Nudges::default() };
        Self { ticker, known: Known::default() }
    }

    /// Ticks the sale: gives when it is ticked next, counted from when this tick began, unless that is never.
    ///
    /// # Errors
    /// Why the tick did not end.
    pub async fn tick(&mut self, sale: SaleId, nudged: bool) -> Result<Option<Duration>, String> {
        match self.ticker.tick(sale, nudged, &mut self.known).await? {
            Next::After(period) => Ok(Some(period)),
            Next::Over => Ok(None),
        }
    }
}

/// What a statement answers whose session is gone.
#[must_use]
pub fn session_lost() -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}
