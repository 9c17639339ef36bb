//! The port through which `tools/simulate` runs a controller: the real tick, over a ledger and a
//! Redis of its own, in virtual time. No service calls it.

use std::{sync::Arc, time::Duration};

use fairline_admission_token::SigningKey;
use fairline_line::store::LineStore;
use fairline_sale::SaleId;

use crate::controller::{
    keys::Keys,
    schedule::{Next, TickNow, Ticks as _},
    tick::{KnownSale, Permits, Ticker},
};
pub use crate::{
    controller::{
        agenda::Agenda,
        clock::Clock,
        epochs::{Moved, PUBLISHED_WITHIN, SETTLED, granted_ahead},
        ledger::{
            Ledger, LimitStatements, LineStatements, Locked, NotServed, RecordStatements, TicketActionStatements,
        },
        line::LineRow,
        record::Recorder,
        sale::{Running, Sale, SaleRow, Ticked},
        ticket_actions::TicketAction,
        turns::{PUBLICATIONS_A_TICK, PUBLISHED_MAX, PastTurns, REPUBLISHED_AT_ONCE, TurnRow, Unpublished},
    },
    db::StoreError,
};

/// The signing keys, the preferred one first.
#[derive(Clone)]
pub struct SigningKeys(Arc<Keys>);

impl SigningKeys {
    /// Takes at least one key.
    #[must_use]
    pub fn new(keys: Vec<SigningKey>) -> Self {
        Self(Arc::new(Keys::new(keys)))
    }

    /// The name of the key that signs, as long as none is revoked.
    #[must_use]
    pub fn preferred(&self) -> &str {
        self.0.kids().next().unwrap_or_default()
    }
}

/// A controller of one sale.
pub struct Controller<L> {
    ticker: Ticker<L>,
    known: KnownSale,
}

impl<L: Ledger> Controller<L> {
    /// A controller that has just started.
    pub fn new(ledger: L, line: LineStore, keys: SigningKeys, every: Duration, clock: Clock) -> Self {
        let (permits, tick_now) = (Permits::new(1), TickNow::default());
        let ticker = Ticker { ledger, line, keys: keys.0, every, clock, permits, tick_now };
        Self { ticker, known: KnownSale::default() }
    }

    /// Ticks the sale. Gives the time from the beginning of this tick to the next one, or `None`
    /// without one.
    ///
    /// # Errors
    /// Why the tick failed.
    pub async fn tick(&mut self, sale: SaleId, requested: bool) -> Result<Option<Duration>, String> {
        match self.ticker.tick(sale, requested, &mut self.known).await? {
            Next::After(period) => Ok(Some(period)),
            Next::Over => Ok(None),
        }
    }
}

/// The error of a statement whose session is gone.
#[must_use]
pub fn session_lost() -> StoreError {
    sqlx::Error::WorkerCrashed.into()
}
