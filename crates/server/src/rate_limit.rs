//! Rate limits by client address, on tower_governor.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, Request, request::Parts},
    response::{IntoResponse as _, Response},
};
use governor::{
    clock::{Clock as _, DefaultClock, QuantaInstant},
    middleware::NoOpMiddleware,
};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use crate::{
    Problem, Shutdown, StartError, TrustedProxies,
    address::{limit_key, peer_of},
    problem_types,
};

/// Addresses that one limit tracks, at most; beyond them it rejects requests until old addresses
/// expire.
const ADDRESSES_MAX: usize = 200_000;
/// How often idle addresses are removed.
const FORGET_EVERY: Duration = Duration::from_secs(5);

/// The layer that [`RateLimit::layer`] returns, for `axum::Router::route_layer`.
pub type RateLimitLayer = GovernorLayer<AddressKey, NoOpMiddleware<QuantaInstant>, Body>;

/// A rate limit for each client address, with a burst.
#[derive(Clone)]
pub struct RateLimit {
    config: Arc<GovernorConfig<AddressKey, NoOpMiddleware<QuantaInstant>>>,
    key: Arc<AddressKey>,
}

/// How the limiter distinguishes clients.
#[derive(Debug, Clone)]
pub struct AddressKey {
    proxies: TrustedProxies,
    full: Arc<AtomicBool>,
}

impl AddressKey {
    /// The key of a request, or `None` while the limiter is full.
    fn of(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        (!self.full.load(Ordering::Relaxed)).then(|| limit_key(self.proxies.client(peer, headers)))
    }
}

impl KeyExtractor for AddressKey {
    type Key = IpAddr;

    fn extract<T>(&self, request: &Request<T>) -> Result<IpAddr, GovernorError> {
        let full = GovernorError::TooManyRequests { wait_time: FORGET_EVERY.as_secs(), headers: None };
        self.of(peer_of(request.extensions()), request.headers()).ok_or(full)
    }
}

impl RateLimit {
    /// Creates a limit of `rate_per_s` with bursts of `burst`, and starts the task that removes
    /// idle addresses.
    ///
    /// # Errors
    /// When the rate or the burst is not positive.
    pub fn new(rate_per_s: f64, burst: u32, proxies: TrustedProxies, shutdown: &Shutdown) -> Result<Self, StartError> {
        let wrong = || {
            StartError::new(format!(
                "A rate limit of {rate_per_s} a second with a burst of {burst}: both must be positive."
            ))
        };
        if !(rate_per_s > 0.0 && rate_per_s.is_finite()) {
            return Err(wrong());
        }
        let full = Arc::new(AtomicBool::new(false));
        let key = AddressKey { proxies, full: full.clone() };
        let config = GovernorConfigBuilder::default()
            .period(Duration::from_secs_f64(1.0 / rate_per_s))
            .burst_size(burst)
            .key_extractor(key.clone())
            .finish()
            .map(Arc::new)
            .ok_or_else(wrong)?;

        let (limiter, stop) = (config.limiter().clone(), shutdown.clone());
        let forget = async move || {
            let mut rounds = stop.rounds(FORGET_EVERY);
            while rounds.next().await {
                limiter.retain_recent();
                full.store(limiter.len() > ADDRESSES_MAX, Ordering::Relaxed);
            }
        };
        let watched = shutdown.watch("rate-limit");
        shutdown.spawn(async move { while watched.caught(forget()).await.is_none() {} });
        Ok(Self { config, key: Arc::new(key) })
    }

    /// Counts every request of a route.
    #[must_use]
    pub fn layer(&self) -> RateLimitLayer {
        GovernorLayer::new(self.config.clone()).error_handler(|error| refusal(&error))
    }

    /// Counts one request, as the layer does.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn check_request<T>(&self, request: &Request<T>) -> Result<(), Problem> {
        self.check_key(self.key.of(peer_of(request.extensions()), request.headers()))
    }

    /// Counts one request, by its parts.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn check_parts(&self, parts: &Parts) -> Result<(), Problem> {
        self.check_key(self.key.of(peer_of(&parts.extensions), &parts.headers))
    }

    fn check_key(&self, client: Option<IpAddr>) -> Result<(), Problem> {
        let client = client.ok_or_else(|| too_many_requests(FORGET_EVERY.as_secs()))?;
        self.check(client)
    }

    /// Counts one request, for routes where only some count.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn check(&self, client: IpAddr) -> Result<(), Problem> {
        self.config
            .limiter()
            .check_key(&limit_key(client))
            .map_err(|early| too_many_requests(early.wait_time_from(DefaultClock::default().now()).as_secs()))
    }
}

fn refusal(error: &GovernorError) -> Response {
    match error {
        GovernorError::TooManyRequests { wait_time, .. } => too_many_requests(*wait_time).into_response(),
        // The key extractor returns no other error.
        GovernorError::UnableToExtractKey | GovernorError::Other { .. } => {
            Problem::new(&problem_types::INTERNAL).into_response()
        }
    }
}

pub(crate) fn too_many_requests(wait_s: u64) -> Problem {
    // Rounded up, so that a client that returns at that time is accepted.
    let wait_s = wait_s + 1;
    Problem::new(&problem_types::TOO_MANY_REQUESTS)
        .detail(format!("Try again in {wait_s} s. A place in line is kept."))
        .retry_after(wait_s)
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::header, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    fn limit(burst: u32) -> RateLimit {
        RateLimit::new(0.001, burst, "127.0.0.1,::1".parse().expect("addresses"), &Shutdown::new()).expect("a limit")
    }

    #[tokio::test]
    async fn each_client_has_its_own_burst_and_is_then_rejected() {
        let router = Router::new().route("/", get(|| async { "in" })).route_layer(limit(2).layer());
        let call = |client: &'static str| {
            let request = Request::get("/").header("x-forwarded-for", client).body(Body::empty()).expect("a request");
            router.clone().oneshot(request)
        };
        for expected in [200, 200, 429] {
            assert_eq!(call("192.0.2.1").await.expect("infallible").status(), expected);
        }
        assert_eq!(call("192.0.2.2").await.expect("infallible").status(), 200);
        let refused = call("192.0.2.1").await.expect("infallible");
        let wait: u64 = refused.headers()[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds");
        assert!(wait > 900, "{wait}");
        assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test]
    async fn a_limit_of_zero_is_rejected() {
        for (rate, burst) in [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (1.0, 0)] {
            assert!(RateLimit::new(rate, burst, TrustedProxies::default(), &Shutdown::new()).is_err());
        }
    }

    #[tokio::test]
    async fn a_full_table_of_addresses_rejects_new_ones() {
        let limit = limit(1);
        limit.config.limiter().check_key(&"192.0.2.1".parse().expect("an address")).expect("the first");
        let key = AddressKey { proxies: TrustedProxies::default(), full: Arc::new(AtomicBool::new(true)) };
        assert!(key.of("192.0.2.9".parse().expect("an address"), &HeaderMap::new()).is_none());
    }
}
