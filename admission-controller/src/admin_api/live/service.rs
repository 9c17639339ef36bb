//! Data for the console: all sales; for one sale also its samples and its rehearsal.

use std::sync::Arc;

use fairline_sale::SaleId;
use fairline_server::{Origins, Shutdown};
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{error::LiveError, store::LiveStore, update::Sample};
use crate::{
    admin_api::sales::service::Sales, auth::service::Auth, error::CommonError, jobs::rehearsals::store::RehearsalStore,
};

/// Consoles that are connected to one controller at most.
const CONSOLES_MAX: usize = 50;

/// Dependencies of the console's routes.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) store: LiveStore,
    pub(crate) rehearsals: RehearsalStore,
    pub(crate) sales: Sales,
    pub(crate) auth: Auth,
    pub(crate) origins: Origins,
    pub(crate) consoles: Consoles,
    /// Whether this controller is set up for rehearsals.
    pub(crate) has_stage: bool,
}

/// The places for consoles, and the shutdown that ends them.
#[derive(Clone)]
pub(crate) struct Consoles {
    free: Arc<Semaphore>,
    pub(super) shutdown: Shutdown,
}

impl Consoles {
    pub(crate) fn new(shutdown: &Shutdown) -> Self {
        Self { free: Arc::new(Semaphore::new(CONSOLES_MAX)), shutdown: shutdown.clone() }
    }

    pub(super) fn connect(&self) -> Result<OwnedSemaphorePermit, LiveError> {
        self.free.clone().try_acquire_owned().map_err(|_| LiveError::TooManyConsoles)
    }
}

impl Live {
    /// The samples of a sale after a time.
    pub(super) async fn samples(&self, sale: SaleId, after: OffsetDateTime) -> Result<Vec<Sample>, CommonError> {
        Ok(self.store.samples(sale, after).await?.into_iter().map(Sample::from).collect())
    }
}
