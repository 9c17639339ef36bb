//! Fast reject: rejects repeated tokens that are known to be invalid, expired or used, before the
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
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use fairline_admission_token::named_holder;
use fairline_line::ticket::TicketKey;
use fairline_sale::SaleId;
use fairline_server::{Problem, RateLimit};
use futures_util::future::{Either, Ready, ready};
use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::Instant;
use tower::Service;

use crate::{
    credentials::{bearer, holds_ticket_of},
    forgery_guard::ForgeryGuard,
    keys::Keys,
    prepared::PreparedResponse,
    refusal_cache::{CachedRefusal, RefusalCache},
};

/// The route of purchases, as metrics name it.
const ROUTE: &str = "/api/flash-sales/{sale}/purchase";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The metrics of one kind of response, the same as those of the purchase and its layers.
struct RejectionCounter {
    outcome: Counter,
    redeemed: Histogram,
    answered: Histogram,
}

impl RejectionCounter {
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
pub struct RateLimitChecked;

/// What decides about a token.
pub struct Checks<O> {
    /// The keys that verify tokens.
    pub keys: Keys,
    /// The key that signs tickets.
    pub ticket_key: TicketKey,
    /// Rejected tokens.
    pub refusal_cache: RefusalCache<O>,
    /// Visitors with forged tokens.
    pub forgery_guard: ForgeryGuard,
}

/// The rejections that need no database.
pub struct Rejections {
    /// The token is not genuine, or belongs to another shopper.
    pub invalid: Problem,
    /// The token has expired.
    pub expired: Problem,
}

type OnAnswer = Box<dyn Fn(Duration) + Send + Sync>;

/// The state of fast reject.
pub struct FastReject<O> {
    checks: Checks<O>,
    limit: RateLimit,
    /// Is called with the duration of each rejection.
    on_answer: OnAnswer,
    invalid: (PreparedResponse, RejectionCounter),
    expired: (PreparedResponse, RejectionCounter),
    used: RejectionCounter,
    limited: Histogram,
}

impl<O: Send + Sync> FastReject<O> {
    /// Call it after the metrics recorder is installed. `on_answer` is called with the duration of
    /// each rejection.
    pub fn new(
        checks: Checks<O>,
        Rejections { invalid, expired }: Rejections,
        limit: RateLimit,
        on_answer: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Self {
        let prepared = |problem: Problem| {
            let counts = RejectionCounter::of(problem.slug(), problem.status());
            (problem.into(), counts)
        };
        Self {
            checks,
            limit,
            on_answer: Box::new(on_answer),
            invalid: prepared(invalid),
            expired: prepared(expired),
            used: RejectionCounter::of("token-used", StatusCode::CONFLICT),
            limited: answered(StatusCode::TOO_MANY_REQUESTS),
        }
    }

    /// Places it in front of a router.
    pub fn before(self, router: Router) -> FastRejectService<O> {
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
        let Checks { keys, ticket_key, refusal_cache, forgery_guard } = &self.checks;
        let token = bearer(headers)?;
        let (counts, answer) = match keys.seen(token) {
            Some(seen) if !holds_ticket_of(headers, ticket_key, seen.visitor) => {
                (&self.invalid.1, self.invalid.0.response())
            }
            Some(seen) if seen.sale == sale => match refusal_cache.get(seen.admission) {
                CachedRefusal::Used(used) => (&self.used, used.response.response()),
                CachedRefusal::Expired => (&self.expired.1, self.expired.0.response()),
                CachedRefusal::Stale | CachedRefusal::Nothing => return None,
            },
            Some(_) => return None,
            None => {
                let visitor = named_holder(token)?.parse().ok()?;
                let may_be_genuine = holds_ticket_of(headers, ticket_key, visitor) && !forgery_guard.ignores(visitor);
                if may_be_genuine {
                    return None;
                }
                (&self.invalid.1, self.invalid.0.response())
            }
        };
        let took = started.elapsed();
        (self.on_answer)(took);
        counts.record(took.as_secs_f64());
        Some(answer)
    }
}

/// The router behind fast reject.
pub struct FastRejectService<O> {
    fast_reject: Arc<FastReject<O>>,
    router: Router,
}

impl<O> Clone for FastRejectService<O> {
    fn clone(&self) -> Self {
        Self { fast_reject: self.fast_reject.clone(), router: self.router.clone() }
    }
}

impl<O: Send + Sync> Service<Request> for FastRejectService<O> {
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
