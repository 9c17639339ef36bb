//! Redemption without HTTP, signatures and tickets, for `make bench-redeem` only.

use fairline_sale::{SaleId, VisitorId};
use fairline_server::{Shutdown, StartError};
use uuid::Uuid;

use crate::{
    db::Store,
    redemption::{batcher::RedemptionBatcher, outcome::Redemption},
};

/// A redemption batcher that trusts its caller.
#[derive(Clone)]
pub struct DirectRedemption(RedemptionBatcher);

impl DirectRedemption {
    /// Opens a batcher on a database.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn open(postgres_url: &str, shutdown: &Shutdown) -> Result<Self, StartError> {
        Ok(Self(RedemptionBatcher::open(Store::of_redemptions(postgres_url)?, shutdown)))
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
