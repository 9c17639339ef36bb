//! Requests of the merchant's systems: redeem a token, confirm, refund, erase, reserve, and read
//! the stocks.

use std::{sync::Arc, time::Duration};

use fairline_server::Shutdown;
use tokio::time::timeout;

use crate::{
    accounts::store::{AccountStore, ErasureOutcome},
    auth::{
        account::AccountProof,
        caller::{Callers, MerchantKey},
        error::AuthError,
    },
    db::StoreError,
    error::CommonError,
    merchant_api::{
        error::MerchantApiError,
        request::{RedeemRequest, Reference, RefundRequest, ReserveRequest},
        store::{ConfirmOutcome, MerchantStore, Reservation, ReserveError},
        view::{Inventory, RefundStatus},
    },
    orders::order::{Order, OrderId},
    payments::{refunds::store::RefundOutcome, service::Payments},
    redemption::service::{Redemptions, TokenPurchase},
};

/// How long a refund request waits for the gateway.
const REFUND_ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long units are reserved for the merchant at most, in seconds.
const RESERVED_FOR_MAX_S: i32 = 7 * 24 * 3600;

/// The state of the merchant API.
pub(crate) struct MerchantApi {
    pub(crate) store: MerchantStore,
    pub(crate) accounts: AccountStore,
    pub(crate) callers: Callers,
    pub(crate) redemptions: Arc<Redemptions>,
    pub(crate) payments: Arc<Payments>,
    pub(crate) shutdown: Shutdown,
}

impl MerchantApi {
    /// Runs a change of the database in a task that finishes even if the client disconnects.
    async fn change<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, MerchantApiError> {
        Ok(self.shutdown.spawn(change).await??)
    }

    pub(super) async fn redeem(&self, key: MerchantKey, wanted: RedeemRequest) -> Result<Order, MerchantApiError> {
        let RedeemRequest { sale_id, token, quantity, account } = wanted;
        let account = match (account, self.callers.accounts()) {
            (Some(Reference(name)), Some(key)) => Some(key.account(AccountProof::Merchant(&name))),
            (Some(_), None) => return Err(AuthError::NoSignIn.into()),
            (None, _) => None,
        };
        let purchase = TokenPurchase { sale: sale_id, token: &token, quantity };
        Ok(self.redemptions.purchase_for_merchant(key, &purchase, account).await?)
    }

    pub(super) async fn confirm(
        &self,
        order: OrderId,
        Reference(reference): Reference,
    ) -> Result<Order, MerchantApiError> {
        let store = self.store.clone();
        match self.change(async move { store.confirm(order, &reference).await }).await? {
            Some(ConfirmOutcome::Sold(order)) => Ok(order),
            Some(ConfirmOutcome::NotNow(order)) => Err(MerchantApiError::NotConfirmed(Box::new(order))),
            None => Err(CommonError::OrderNotFound.into()),
        }
    }

    pub(super) async fn refund(&self, order: OrderId, wanted: RefundRequest) -> Result<RefundStatus, MerchantApiError> {
        let RefundRequest { amount_minor, reason: Reference(reason) } = wanted;
        if amount_minor.is_some_and(|amount| amount < 1) {
            return Err(MerchantApiError::InvalidAmount);
        }
        let store = self.payments.store.clone();
        let requested = self.change(async move { store.request_refund(order, amount_minor, &reason).await });
        match requested.await? {
            RefundOutcome::Accepted(request) => {
                let payments = self.payments.clone();
                let done = self.shutdown.spawn(async move { payments.do_request(&request).await });
                // A slower refund continues in the background.
                if let Ok(done) = timeout(REFUND_ANSWER_WITHIN, done).await {
                    done??;
                }
            }
            RefundOutcome::OrderNotFound => return Err(CommonError::OrderNotFound.into()),
            RefundOutcome::NotPaid => return Err(MerchantApiError::NotRefundable { left_minor: 0 }),
            RefundOutcome::TooMuch { left_minor } => return Err(MerchantApiError::NotRefundable { left_minor }),
            RefundOutcome::UnderWay => return Err(MerchantApiError::RefundInProgress),
        }
        let newest = self.payments.store.newest_request(order).await?.ok_or(CommonError::OrderNotFound)?;
        let (status, error, requested_at) = newest;
        Ok(RefundStatus { status, error, requested_at })
    }

    pub(super) async fn erase(&self, OrderId(id): OrderId) -> Result<u64, MerchantApiError> {
        let accounts = self.accounts.clone();
        match self.change(async move { accounts.erase(id).await }).await? {
            ErasureOutcome::Orders(orders) => Ok(orders),
            ErasureOutcome::UnderWay => Err(CommonError::OrderInProgress.into()),
            ErasureOutcome::Unknown => Err(CommonError::OrderNotFound.into()),
        }
    }

    pub(super) async fn show_inventory(&self) -> Result<Inventory, MerchantApiError> {
        Ok(Inventory { stocks: self.store.stocks().await? })
    }

    pub(super) async fn reserve(&self, wanted: ReserveRequest) -> Result<Order, MerchantApiError> {
        let ReserveRequest { sale_id, quantity, reference: Reference(reference), held_for_s } = wanted;
        if !(1..=RESERVED_FOR_MAX_S).contains(&held_for_s) {
            return Err(MerchantApiError::HeldForTooLong { most_s: RESERVED_FOR_MAX_S });
        }
        let wanted = Reservation { sale: sale_id, quantity: quantity.get().into(), reference, held_for_s };
        let store = self.store.clone();
        let reserved = self.change(async move { store.reserve(&wanted).await });
        reserved.await?.map_err(|reason| match reason {
            ReserveError::SaleNotFound => CommonError::SaleNotFound.into(),
            ReserveError::SaleNotOpen => CommonError::SaleNotOpen.into(),
            ReserveError::TooFew { free } => MerchantApiError::TooFewFree { free },
            ReserveError::OtherReservation => MerchantApiError::OtherReservation,
        })
    }
}
