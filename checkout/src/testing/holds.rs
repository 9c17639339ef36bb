//! Redemption and the expiry of holds without HTTP.

use fairline_postgres::{PostgresSettings, StoreError};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::StartError;
use uuid::Uuid;

use crate::{
    REDEMPTION_CONNECTIONS,
    orders::expiry::store::ExpiryStore,
    redemption::{
        outcome::{Redemption, RedemptionRejection},
        store::RedemptionStore,
    },
};

/// Redemption and the expiry of holds, one transaction each.
pub struct DirectHolds {
    redemptions: RedemptionStore,
    expiry: ExpiryStore,
}

/// What is redeemed.
#[derive(Debug, Clone)]
pub struct DirectToken {
    /// Its admission.
    pub admission: Uuid,
    /// The key that has signed it.
    pub kid: String,
    /// Its sale.
    pub sale: SaleId,
    /// Its holder.
    pub visitor: VisitorId,
    /// Number of units.
    pub quantity: i32,
}

impl DirectHolds {
    /// Opens both on a database.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn open(postgres_url: &str) -> Result<Self, StartError> {
        let pool = PostgresSettings::default().pool(postgres_url, "checkout", REDEMPTION_CONNECTIONS)?;
        Ok(Self { redemptions: RedemptionStore(pool.clone()), expiry: ExpiryStore(pool) })
    }

    /// Redeems a token, once. Returns the id of the order, or the reason for a rejection; `None`: a
    /// row was locked.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn redeem(&self, token: DirectToken) -> Result<Option<Result<Uuid, String>>, StoreError> {
        let DirectToken { admission, kid, sale, visitor, quantity } = token;
        let redemption = Redemption { admission, kid, sale, visitor, account: None, quantity, trace: None };
        let redeemed = self.redemptions.redeem(&[redemption]).await?;
        Ok(redeemed.into_iter().next().and_then(|result| match result {
            Ok(order) => Some(Ok(order.id.0)),
            Err(RedemptionRejection::Locked) => None,
            Err(reason) => Some(Err(format!("{reason:?}"))),
        }))
    }

    /// Returns the units of expired holds.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn expire(&self, sale: SaleId) -> Result<(), StoreError> {
        self.expiry.expire_holds(sale).await.map(drop)
    }
}
