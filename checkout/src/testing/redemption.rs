//! Redemption without HTTP, signatures and tickets.

use std::time::Duration;

use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::{Shutdown, StartError};
use uuid::Uuid;

use crate::{
    REDEMPTION_CONNECTIONS,
    redemption::{batcher::RedemptionBatcher, outcome::Redemption, store::RedemptionStore},
};

/// Statement timeout of redemptions that are measured.
const STATEMENT: Duration = Duration::from_secs(5);

/// A redemption batcher that trusts its caller.
#[derive(Clone)]
pub struct DirectRedemption(RedemptionBatcher);

impl DirectRedemption {
    /// Opens a batcher on a database.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn open(postgres_url: &str, shutdown: &Shutdown) -> Result<Self, StartError> {
        let options = PoolOptions::new("checkout-redemptions", REDEMPTION_CONNECTIONS, STATEMENT);
        let pool = PgPool::new(postgres_url, &PostgresSettings::default(), options)?;
        Ok(Self(RedemptionBatcher::open(RedemptionStore(pool), shutdown)))
    }

    /// Redeems one unit of an admission. Returns the id of the order, or the reason for a
    /// rejection.
    ///
    /// # Errors
    /// Returns an error if the admission was not redeemed.
    pub async fn redeem(&self, admission: Uuid, kid: String, sale: SaleId, visitor: VisitorId) -> Result<Uuid, String> {
        let redeemed =
            self.0.redeem(Redemption { admission, kid, sale, visitor, account: None, quantity: 1, trace: None }).await;
        redeemed.map(|order| order.id.0).map_err(|reason| format!("{reason:?}"))
    }
}
