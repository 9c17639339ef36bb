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

use crate::{generational_cache::GenerationalCache, prepared::PreparedResponse};

/// Tokens that the cache holds at least; twice as many at most. One takes about 1 kB with its
/// response.
const KNOWN_MAX: usize = 16_384;
/// How long the order of a used token is cached.
const ORDER_CACHED_FOR: Duration = Duration::from_secs(1);

/// The order of a used token, and the response that names it.
pub struct UsedToken<O> {
    /// The order.
    pub order: O,
    pub(crate) response: PreparedResponse,
}

enum Refusal<O> {
    Used(Arc<UsedToken<O>>, Instant),
    Expired,
}

/// The cached state of a token.
pub enum CachedRefusal<O> {
    /// It has expired.
    Expired,
    /// It was used for this order.
    Used(Arc<UsedToken<O>>),
    /// It was used; its order has to be read again.
    Stale,
    /// Nothing.
    Nothing,
}

/// Rejections by admission.
pub struct RefusalCache<O>(Arc<Mutex<GenerationalCache<Uuid, Refusal<O>, KNOWN_MAX>>>);

impl<O> Clone for RefusalCache<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O> Default for RefusalCache<O> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<O> RefusalCache<O> {
    /// The cached rejection of an admission.
    #[must_use]
    pub fn get(&self, admission: Uuid) -> CachedRefusal<O> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&admission) {
            Some(Refusal::Expired) => CachedRefusal::Expired,
            Some(Refusal::Used(used, at)) if at.elapsed() < ORDER_CACHED_FOR => CachedRefusal::Used(used.clone()),
            Some(Refusal::Used(..)) => CachedRefusal::Stale,
            None => CachedRefusal::Nothing,
        }
    }

    /// Remembers that an admission became an order, with the response to its token.
    pub fn used(&self, admission: Uuid, order: O, response: Problem) {
        let used = UsedToken { order, response: response.into() };
        self.keep(admission, Refusal::Used(Arc::new(used), Instant::now()));
    }

    /// Remembers that an admission has expired.
    pub fn expired(&self, admission: Uuid) {
        self.keep(admission, Refusal::Expired);
    }

    fn keep(&self, admission: Uuid, refusal: Refusal<O>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(admission, refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_used_token_repeats_its_order_for_a_second() {
        let (cache, admission) = (RefusalCache::default(), Uuid::from_u128(1));
        assert!(matches!(cache.get(admission), CachedRefusal::Nothing));
        cache.used(admission, "order", Problem::unavailable("used"));
        assert!(matches!(cache.get(admission), CachedRefusal::Used(used) if used.order == "order"));
        tokio::time::advance(ORDER_CACHED_FOR).await;
        assert!(matches!(cache.get(admission), CachedRefusal::Stale));
        cache.expired(admission);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(matches!(cache.get(admission), CachedRefusal::Expired));
    }
}
