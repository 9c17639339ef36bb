//! The layer of every purchase: rate limit, idempotency and outcome metrics. One layer instead of
//! three, since a layer costs as much as a rejection, and most requests of a rush are rejected.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use fairline_idempotency::{Idempotency, idempotent};
use fairline_redemption::RateLimitChecked;
use fairline_server::RateLimit;
use tokio::time::Instant;

use crate::jobs::heartbeat::stats::RequestCounter;

/// Dependencies of the layer.
#[derive(Clone)]
pub(crate) struct PurchaseLayers {
    pub(crate) limit: RateLimit,
    pub(crate) idempotency: Idempotency,
    pub(crate) health: RequestCounter,
}

/// The layer.
pub(crate) async fn pass(State(layers): State<PurchaseLayers>, request: Request, next: Next) -> Response {
    if request.extensions().get::<RateLimitChecked>().is_none()
        && let Err(too_many) = layers.limit.check_request(&request)
    {
        return too_many.into_response();
    }
    let started = Instant::now();
    let response = idempotent(State(layers.idempotency), request, next).await;
    layers.health.record(response.status().is_server_error(), started.elapsed());
    response
}
