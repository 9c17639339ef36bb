//! A purchase: an admission token becomes a hold, once.

use std::num::NonZeroU16;

use fairline_admission_token::{TokenError, named_holder};
use fairline_sale::SaleId;
use fairline_service::Problem;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    Checkout,
    holder::{Asker, BearerToken, Holders, ShopKey},
    jwks::NoClaims,
    order::Order,
    problem::CheckoutError,
    store::Redemption,
};

impl Checkout {
    /// Redeems an admission token. Whatever is wrong with it is found out offline, as far as that goes.
    pub(crate) async fn purchase(
        &self,
        sale: &str,
        token: &BearerToken,
        holders: &Holders,
        quantity: NonZeroU16,
    ) -> Result<Order, Problem> {
        let asked = sale.parse().map_err(|_| CheckoutError::UnknownSale);
        self.count(async { self.redeem(asked?, token, &Asker::Holders(holders.clone()), quantity).await }).await
    }

    /// Redeems an admission token that a shopper has brought to the shop.
    pub(crate) async fn purchase_for_shop(
        &self,
        _key: ShopKey,
        sale: SaleId,
        token: &BearerToken,
        quantity: NonZeroU16,
    ) -> Result<Order, Problem> {
        self.count(self.redeem(sale, token, &Asker::Shop, quantity)).await
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
        asker: &Asker,
        quantity: NonZeroU16,
    ) -> Result<Order, CheckoutError> {
        // A token that was sold on is worthless: its buyer has no ticket of the visitor that it names. Nor has whoever makes
        // tokens up; so this comes before the signature, which is dear to check.
        let named = named_holder(token).and_then(|holder| holder.parse().ok());
        let visitor = named
            .filter(|visitor| asker.is_shop() || asker.holders().include(*visitor))
            .ok_or(CheckoutError::BadToken)?;
        let (claims, kid) = match self.keys.verify(token, OffsetDateTime::now_utc().unix_timestamp()) {
            Ok(genuine) => (genuine.claims, Some(genuine.kid)),
            Err(NoClaims::Token(TokenError::Expired(claims))) => (*claims, None),
            Err(NoClaims::Token(_)) => return Err(CheckoutError::BadToken),
            Err(NoClaims::NoKeys) => return Err(CheckoutError::NoKeys),
        };
        if asked != claims.sale {
            let exists = self.store.sale_exists(asked).await?;
            return Err(if exists { CheckoutError::OtherSale } else { CheckoutError::UnknownSale });
        }
        let Some(kid) = kid else {
            // Too late for a first use, but not for hearing of it.
            let order = self.store.order_of_admission(claims.jti, visitor).await?;
            return Err(order.map_or(CheckoutError::TokenExpired, |order| CheckoutError::TokenUsed(Box::new(order))));
        };
        let quantity = quantity.get().into();
        let redemption = Redemption { admission: claims.jti, kid, sale: claims.sale, visitor, quantity };
        Ok(self.till.redeem(redemption).await?)
    }
}
