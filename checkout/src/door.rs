//! The till without the shop around it, for `make bench-redeem`: no HTTP, no signature, no ticket. Nothing else uses it.

use fairline_sale::{SaleId, VisitorId};
use fairline_service::{Shutdown, StartError};
use uuid::Uuid;

use crate::{
    db::Store,
    redemption::{batcher::RedemptionBatcher, store::Redemption},
};

/// A till that redeems whatever it is told to.
#[derive(Clone)]
pub struct Door(RedemptionBatcher);

impl Door {
    /// Opens a till on a database.
    ///
    /// # Errors
    /// When the address is not one.
    pub fn open(postgres_url: &str, shutdown: &Shutdown) -> Result<Self, StartError> {
        Ok(Self(RedemptionBatcher::open(Store::of_redemptions(postgres_url)?, shutdown)))
    }

    /// Redeems one unit of an admission; gives the id of its order, or why there is none.
    ///
    /// # Errors
    /// When it was not redeemed.
    pub async fn redeem(&self, admission: Uuid, kid: String, sale: SaleId, visitor: VisitorId) -> Result<Uuid, String> {
        let redeemed =
            self.0.redeem(Redemption { admission, kid, sale, visitor, account: None, quantity: 1, trace: None }).await;
        redeemed.map(|order| order.id.0).map_err(|reason| format!("{reason:?}"))
    }
}
