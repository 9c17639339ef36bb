//! Fast reject: answers repeated tokens that are known to be invalid, expired or used, before the
//! router.
//!
//! - In a rush most requests are of this kind, and routing, extractors and layers cost more than
//!   the rejection itself.
//! - It decides nothing that the purchase would decide differently. Unknown tokens and requests
//!   with an `Idempotency-Key` pass to the router.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use fairline_admission_token::named_holder;
use fairline_sale::SaleId;
use fairline_server::{Problem, RateLimit};
use futures_util::future::{Either, Ready, ready};
use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::Instant;
use tower::Service;

use crate::{
    auth::caller::bearer,
    error::CheckoutError,
    jobs::heartbeat::stats::Health,
    redemption::{prepared::Prepared, refusal_cache::CachedRefusal, service::Redemptions},
};

/// The route of purchases, as metrics name it.
const ROUTE: &str = "/api/flash-sales/{sale}/purchase";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The metrics of one kind of response, the same as those of the purchase and its layers.
struct Counts {
    outcome: Counter,
    redeemed: Histogram,
    answered: Histogram,
}

impl Counts {
    fn of(outcome: &'static str, status: StatusCode) -> Self {
        Self {
            outcome: counter!("checkout_redemptions_total", "outcome" => outcome),
            redeemed: histogram!("checkout_redeem_duration_seconds"),
            answered: answered(status),
        }
    }

    fn record(&self, took_s: f64) {
        self.outcome.increment(1);
        self.redeemed.record(took_s);
        self.answered.record(took_s);
    }
}

/// The latency histogram of purchases with one status.
fn answered(status: StatusCode) -> Histogram {
    histogram!("http_request_duration_seconds", "route" => ROUTE, "status" => status.as_u16().to_string())
}

/// Marks a request that the rate limit has counted already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimitChecked;

/// The state of fast reject.
pub(crate) struct FastReject {
    redemptions: Arc<Redemptions>,
    limit: RateLimit,
    health: Health,
    invalid: (Prepared, Counts),
    expired: (Prepared, Counts),
    used: Counts,
    limited: Histogram,
}

impl FastReject {
    /// Call it after the metrics recorder is installed.
    pub(crate) fn new(redemptions: Arc<Redemptions>, limit: RateLimit, health: Health) -> Self {
        let kind = |error| {
            let problem = Problem::from(error);
            let counts = Counts::of(problem.slug(), problem.status());
            (problem.into(), counts)
        };
        Self {
            redemptions,
            limit,
            health,
            invalid: kind(CheckoutError::BadToken),
            expired: kind(CheckoutError::TokenExpired),
            used: Counts::of("token-used", StatusCode::CONFLICT),
            limited: answered(StatusCode::TOO_MANY_REQUESTS),
        }
    }

    /// Places it in front of a router.
    pub(crate) fn before(self, router: Router) -> FastRejectService {
        FastRejectService { fast_reject: Arc::new(self), router }
    }

    /// The rejection of a request, if it is known. Other requests are counted for the rate limit,
    /// once.
    fn reject<T>(&self, request: &mut Request<T>) -> Option<Response> {
        if request.method() != Method::POST {
            return None;
        }
        let sale = request.uri().path().strip_prefix("/api/flash-sales/")?.strip_suffix("/purchase")?;
        let sale: SaleId = sale.parse().ok()?;
        let started = Instant::now();
        // The rate limit comes first: even checking a ticket costs time.
        if let Err(too_many) = self.limit.check_request(request) {
            self.limited.record(started.elapsed().as_secs_f64());
            return Some(too_many.into_response());
        }
        let known = self.known_rejection(sale, request.headers(), started);
        if known.is_none() {
            request.extensions_mut().insert(RateLimitChecked);
        }
        known
    }

    /// The rejection of a purchase, if it is known.
    fn known_rejection(&self, sale: SaleId, headers: &HeaderMap, started: Instant) -> Option<Response> {
        if headers.contains_key(IDEMPOTENCY_KEY) {
            return None;
        }
        let token = bearer(headers)?;
        let (counts, answer) = match self.redemptions.keys.seen(token) {
            Some(seen) if !self.redemptions.callers.holds_ticket_of(headers, seen.visitor) => {
                (&self.invalid.1, self.invalid.0.response())
            }
            Some(seen) if seen.sale == sale => match self.redemptions.refusal_cache.again(seen.admission)? {
                CachedRefusal::Used(used) => (&self.used, used.1.response()),
                CachedRefusal::Expired => (&self.expired.1, self.expired.0.response()),
            },
            Some(_) => return None,
            None => {
                let visitor = named_holder(token)?.parse().ok()?;
                let may_be_genuine = self.redemptions.callers.holds_ticket_of(headers, visitor)
                    && !self.redemptions.forgery_guard.ignores(visitor);
                if may_be_genuine {
                    return None;
                }
                (&self.invalid.1, self.invalid.0.response())
            }
        };
        let took = started.elapsed();
        self.health.record(false, took);
        counts.record(took.as_secs_f64());
        Some(answer)
    }
}

/// The router behind fast reject.
#[derive(Clone)]
pub(crate) struct FastRejectService {
    fast_reject: Arc<FastReject>,
    router: Router,
}

impl Service<Request> for FastRejectService {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, <Router as Service<Request>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Router as Service<Request>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.fast_reject.reject(&mut request) {
            Some(rejection) => Either::Left(ready(Ok(rejection))),
            None => Either::Right(self.router.call(request)),
        }
    }
}
