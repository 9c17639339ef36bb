//! A purchase: an admission token becomes a hold, once.

use std::num::NonZeroU16;

use fairline_admission_token::{Genuine, TokenError, named_holder};
use fairline_sale::SaleId;
use fairline_server::Problem;
use tokio::time::Instant;

use crate::{
    Checkout,
    accounts::account::{AccountId, Proof},
    auth::{
        caller::{BearerToken, Caller, Holders, ShopKey},
        keys::NoClaims,
    },
    error::CheckoutError,
    orders::order::Order,
    redemption::{
        refusal_cache::Known,
        store::{Became, NotRedeemed, Redemption},
    },
};

impl Checkout {
    /// Redeems an admission token. All checks that need no database come first. The expiry is not
    /// among them, since the database's clock decides.
    pub(crate) async fn purchase(
        &self,
        sale: &str,
        token: &BearerToken,
        holders: &Holders,
        quantity: NonZeroU16,
    ) -> Result<Order, Problem> {
        let asked = sale.parse().map_err(|_| CheckoutError::UnknownSale);
        self.count(async {
            self.redeem(asked?, token, &Caller::Holders(holders.clone()), holders.account(), quantity).await
        })
        .await
    }

    /// Redeems an admission token that a shopper has brought to the shop.
    pub(crate) async fn purchase_for_shop(
        &self,
        _key: ShopKey,
        sale: SaleId,
        token: &BearerToken,
        quantity: NonZeroU16,
        account: Option<&str>,
    ) -> Result<Order, Problem> {
        let account = match (account, &self.account_key) {
            (Some(name), Some(key)) => Some(key.account(Proof::Shop(name))),
            (Some(_), None) => return Err(CheckoutError::NoSignIn.into()),
            (None, _) => None,
        };
        self.count(self.redeem(sale, token, &Caller::Shop, account, quantity)).await
    }

    async fn count(&self, redeemed: impl Future<Output = Result<Order, CheckoutError>>) -> Result<Order, Problem> {
        let started = Instant::now();
        let (outcome, answer) = match redeemed.await {
            Ok(order) => ("held", Ok(order)),
            Err(error) => {
                let problem = Problem::from(error);
                (problem.slug(), Err(problem))
            }
        };
        metrics::counter!("checkout_redemptions_total", "outcome" => outcome).increment(1);
        metrics::histogram!("checkout_redeem_duration_seconds").record(started.elapsed().as_secs_f64());
        answer
    }

    async fn redeem(
        &self,
        asked: SaleId,
        BearerToken(token): &BearerToken,
        asker: &Caller,
        account: Option<AccountId>,
        quantity: NonZeroU16,
    ) -> Result<Order, CheckoutError> {
        // A resold token is worthless: its buyer lacks the ticket of the visitor in it. So does a
        // forger, so this check comes before the expensive signature check.
        let named = named_holder(token).and_then(|holder| holder.parse().ok());
        let visitor = named
            .filter(|visitor| asker.is_shop() || asker.holders().include(*visitor))
            .ok_or(CheckoutError::BadToken)?;
        let verified = match self.keys.known(token) {
            Some(known) => Ok(known),
            None if self.forgery_guard.include(visitor) => return Err(CheckoutError::BadToken),
            None => self.keys.verify(token),
        };
        let Genuine { claims, kid } = match verified {
            Ok(genuine) => genuine,
            Err(NoClaims::Token(TokenError::BadSignature)) => {
                self.forgery_guard.note(visitor);
                return Err(CheckoutError::BadToken);
            }
            Err(NoClaims::Token(_)) => return Err(CheckoutError::BadToken),
            Err(NoClaims::NoKeys) => return Err(CheckoutError::NoKeys),
        };
        if asked != claims.sale {
            let exists = self.store.sale_exists(asked).await?;
            return Err(if exists { CheckoutError::OtherSale } else { CheckoutError::UnknownSale });
        }
        let admission = claims.jti;
        let was_used = match self.refusal_cache.of(admission) {
            Known::Refused(reason) => return Err(reason),
            Known::Used => true,
            Known::Nothing => false,
        };
        if was_used && let Became::Order { order, .. } = self.batcher.ask(admission, visitor).await? {
            self.refusal_cache.used(admission, &order);
            return Err(CheckoutError::TokenUsed(order));
        }
        let quantity = quantity.get().into();
        let trace = fairline_telemetry::current();
        let redemption = Redemption { admission, kid, sale: claims.sale, visitor, account, quantity, trace };
        let redeemed = self.batcher.redeem(redemption).await;
        match &redeemed {
            Err(NotRedeemed::Used(order)) => self.refusal_cache.used(admission, order),
            // An expired token stays expired.
            Err(NotRedeemed::Expired) => self.refusal_cache.run_out(admission),
            _ => {}
        }
        Ok(redeemed?)
    }
}
