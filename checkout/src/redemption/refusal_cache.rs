//! A negative cache of rejected tokens, so that a repeated token costs no query.
//!
//! An expired token never becomes an order. The order of a used token changes, so it is cached for
//! one second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fairline_server::Problem;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    error::CheckoutError, generational_cache::GenerationalCache, orders::order::Order,
    redemption::prepared::Prepared,
};

/// Tokens that the cache holds at least; twice as many at most. One takes about 1 kB with its
/// response.
const KNOWN_MAX: usize = 16_384;
/// How long the order of a used token is cached.
const ORDER_CACHED_FOR: Duration = Duration::from_secs(1);

#[derive(Clone)]
enum Refusal {
    Used(Arc<(Order, Prepared)>, Instant),
    Expired,
}

/// A cached rejection for fast reject.
pub(crate) enum CachedRefusal {
    /// The order of the token.
    Used(Arc<(Order, Prepared)>),
    Expired,
}

/// What the cache knows of a token.
pub(crate) enum Known {
    /// It is rejected again, for this reason.
    Refused(CheckoutError),
    /// It was used; its order has to be read again.
    Used,
    Nothing,
}

/// Rejections by admission.
#[derive(Clone, Default)]
pub(crate) struct RefusalCache(Arc<Mutex<GenerationalCache<Uuid, Refusal, KNOWN_MAX>>>);

impl RefusalCache {
    /// The cached rejection of an admission, with its response.
    pub(crate) fn cached(&self, admission: Uuid) -> Option<CachedRefusal> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&admission)? {
            Refusal::Expired => Some(CachedRefusal::Expired),
            Refusal::Used(used, at) => (at.elapsed() < ORDER_CACHED_FOR).then(|| CachedRefusal::Used(used.clone())),
        }
    }

    pub(crate) fn of(&self, admission: Uuid) -> Known {
        let refusal = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&admission).cloned();
        match refusal {
            Some(Refusal::Expired) => Known::Refused(CheckoutError::TokenExpired),
            Some(Refusal::Used(used, at)) if at.elapsed() < ORDER_CACHED_FOR => {
                Known::Refused(CheckoutError::TokenUsed(Box::new(used.0.clone())))
            }
            Some(Refusal::Used(..)) => Known::Used,
            None => Known::Nothing,
        }
    }

    pub(crate) fn used(&self, admission: Uuid, order: &Order) {
        let prepared = Problem::from(CheckoutError::TokenUsed(Box::new(order.clone()))).into();
        self.keep(admission, Refusal::Used(Arc::new((order.clone(), prepared)), Instant::now()));
    }

    pub(crate) fn expired(&self, admission: Uuid) {
        self.keep(admission, Refusal::Expired);
    }

    fn keep(&self, admission: Uuid, refusal: Refusal) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(admission, refusal);
    }
}

#[cfg(test)]
mod tests {
    use fairline_sale::SaleId;
    use time::OffsetDateTime;

    use super::*;
    use crate::{orders::order::OrderId, orders::state::OrderStatus};

    #[tokio::test(start_paused = true)]
    async fn a_used_token_repeats_its_order_for_a_second() {
        let (refusal_cache, admission) = (RefusalCache::default(), Uuid::from_u128(1));
        let order = Order {
            id: OrderId(Uuid::from_u128(2)),
            sale_id: SaleId(Uuid::from_u128(3)),
            status: OrderStatus::Held,
            quantity: 1,
            amount_minor: 100,
            currency: "EUR".to_owned(),
            refunded_minor: 0,
            dispute: None,
            hold_expires_at: OffsetDateTime::UNIX_EPOCH,
            paid_at: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            notice: None,
        };
        assert!(matches!(refusal_cache.of(admission), Known::Nothing));
        refusal_cache.used(admission, &order);
        assert!(
            matches!(refusal_cache.of(admission), Known::Refused(CheckoutError::TokenUsed(known)) if *known == order)
        );
        tokio::time::advance(ORDER_CACHED_FOR).await;
        assert!(matches!(refusal_cache.of(admission), Known::Used) && refusal_cache.cached(admission).is_none());
        refusal_cache.expired(admission);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(matches!(refusal_cache.of(admission), Known::Refused(CheckoutError::TokenExpired)));
    }
}
