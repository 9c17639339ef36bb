//! A purchase: an admission token becomes a hold, once.

use std::num::NonZeroU16;

use fairline_admission_token::{TokenError, VerifiedToken, named_holder};
use fairline_redemption::{CachedRefusal, ClaimsError, ForgeryGuard, Keys, RefusalCache};
use fairline_sale::SaleId;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    auth::{
        account::AccountId,
        caller::{Caller, Callers, MerchantKey, ShopperIdentity},
    },
    error::CommonError,
    orders::order::Order,
    redemption::{
        batcher::RedemptionBatcher,
        error::RedemptionError,
        outcome::{AdmissionUse, Redemption},
        store::RedemptionStore,
    },
};

/// The state of redemption.
pub(crate) struct Redemptions {
    pub(crate) store: RedemptionStore,
    pub(crate) callers: Callers,
    pub(crate) keys: Keys,
    pub(crate) batcher: RedemptionBatcher,
    pub(crate) refusal_cache: RefusalCache<Order>,
    pub(crate) forgery_guard: ForgeryGuard,
}

/// A purchase with an admission token.
pub(crate) struct TokenPurchase<'a> {
    pub(crate) sale: SaleId,
    pub(crate) token: &'a str,
    /// Units, up to the quantity of the admission.
    pub(crate) quantity: NonZeroU16,
}

impl Redemptions {
    /// Redeems an admission token. All checks that need no database come first. The expiry is not
    /// among them, since the database's clock decides.
    pub(crate) async fn purchase(
        &self,
        sale: &str,
        token: &str,
        shopper: &ShopperIdentity,
        quantity: NonZeroU16,
    ) -> Result<Order, RedemptionError> {
        let asked = sale.parse().map_err(|_| CommonError::SaleNotFound);
        self.count(async {
            let purchase = TokenPurchase { sale: asked?, token, quantity };
            self.redeem(&purchase, &Caller::Shopper(shopper.clone()), shopper.account()).await
        })
        .await
    }

    /// Redeems an admission token that a shopper has brought to the merchant.
    pub(crate) async fn purchase_for_merchant(
        &self,
        _key: MerchantKey,
        purchase: &TokenPurchase<'_>,
        account: Option<AccountId>,
    ) -> Result<Order, RedemptionError> {
        self.count(self.redeem(purchase, &Caller::Merchant, account)).await
    }

    async fn count(
        &self,
        redeemed: impl Future<Output = Result<Order, RedemptionError>>,
    ) -> Result<Order, RedemptionError> {
        let started = Instant::now();
        let answer = redeemed.await;
        let outcome = answer.as_ref().map_or_else(RedemptionError::outcome, |_| "held");
        metrics::counter!("checkout_redemptions_total", "outcome" => outcome).increment(1);
        metrics::histogram!("checkout_redeem_duration_seconds").record(started.elapsed().as_secs_f64());
        answer
    }

    async fn redeem(
        &self,
        purchase: &TokenPurchase<'_>,
        caller: &Caller,
        account: Option<AccountId>,
    ) -> Result<Order, RedemptionError> {
        let &TokenPurchase { sale: asked, token, quantity } = purchase;
        // A resold token is worthless: its buyer lacks the ticket of the visitor in it. So does a
        // forger, so this check comes before the expensive signature check.
        let named = named_holder(token).and_then(|holder| holder.parse().ok());
        let visitor = named
            .filter(|visitor| caller.is_merchant() || caller.shopper().include(*visitor))
            .ok_or(RedemptionError::InvalidToken)?;
        let verified = match self.keys.known(token) {
            Some(known) => Ok(known),
            None if self.forgery_guard.ignores(visitor) => return Err(RedemptionError::InvalidToken),
            None => self.keys.verify(token),
        };
        let VerifiedToken { claims, kid } = match verified {
            Ok(genuine) => genuine,
            Err(ClaimsError::Token(TokenError::InvalidSignature)) => {
                self.forgery_guard.record(visitor);
                return Err(RedemptionError::InvalidToken);
            }
            Err(ClaimsError::Token(_)) => return Err(RedemptionError::InvalidToken),
            Err(ClaimsError::NoKeys) => return Err(RedemptionError::NoKeys),
        };
        if asked != claims.sale {
            let exists = self.store.sale_exists(asked).await?;
            return Err(if exists { RedemptionError::OtherSale } else { CommonError::SaleNotFound.into() });
        }
        let admission = claims.jti;
        match self.refusal_cache.get(admission) {
            CachedRefusal::Expired => return Err(RedemptionError::TokenExpired),
            CachedRefusal::Used(used) => return Err(RedemptionError::TokenUsed(Box::new(used.order.clone()))),
            CachedRefusal::Stale => {
                if let AdmissionUse::Order { order, .. } = self.batcher.state(admission, visitor).await? {
                    self.remember_used(admission, &order);
                    return Err(RedemptionError::TokenUsed(order));
                }
            }
            CachedRefusal::Nothing => {}
        }
        let quantity = quantity.get().into();
        let trace = fairline_telemetry::current();
        let redemption = Redemption { admission, kid, sale: claims.sale, visitor, account, quantity, trace };
        let redeemed = self.batcher.redeem(redemption).await;
        match &redeemed {
            Err(RedemptionError::TokenUsed(order)) => self.remember_used(admission, order),
            // An expired token stays expired.
            Err(RedemptionError::TokenExpired) => self.refusal_cache.expired(admission),
            _ => {}
        }
        redeemed
    }

    fn remember_used(&self, admission: Uuid, order: &Order) {
        let response = RedemptionError::TokenUsed(Box::new(order.clone())).into();
        self.refusal_cache.used(admission, order.clone(), response);
    }
}
