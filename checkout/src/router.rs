//! All routes of checkout, with their layers.

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use fairline_idempotency::Once;
use fairline_server::{Origins, Problem, RateLimit, complete_document};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    accounts,
    app::Checkout,
    catalogue, error, forward_auth, jobs, merchant_api,
    openapi::Document,
    orders, payments,
    redemption::{self, middleware::PurchaseLayers},
};

/// The layers that requests pass before a handler.
pub(crate) struct Layers {
    pub(crate) limit: RateLimit,
    pub(crate) health: jobs::heartbeat::Health,
    /// Idempotency of requests whose caller has no identity yet.
    pub(crate) signing_in: Once,
    pub(crate) origins: Origins,
}

/// The routes, and the OpenAPI document that describes them.
pub(crate) fn routes(checkout: Checkout, layers: Layers) -> Router {
    let Layers { limit, health, signing_in, origins } = layers;
    let turnstile = PurchaseLayers { limit: limit.clone(), once: checkout.once.clone(), health: health.clone() };
    let once = from_fn_with_state(checkout.once.clone(), fairline_idempotency::once);
    let signing_in = from_fn_with_state(signing_in, fairline_idempotency::once);
    let paying = orders::routes::paying()
        .route_layer(from_fn_with_state(health, jobs::heartbeat::paid))
        .merge(orders::routes::giving_back())
        .merge(orders::routes::withdrawing());
    let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(orders::routes::purchasing().route_layer(from_fn_with_state(turnstile, redemption::middleware::pass)))
        .merge(paying.route_layer(once.clone()).route_layer(limit.layer()))
        .merge(accounts::routes::signing_in().route_layer(signing_in).route_layer(limit.layer()))
        .merge(accounts::routes::signed_in())
        .merge(merchant_api::routes().route_layer(once))
        .merge(orders::routes::looking())
        .merge(catalogue::routes())
        .merge(forward_auth::routes())
        .merge(payments::gateway::webhook::routes())
        .split_for_parts();
    complete_document(&mut document);
    routes
        .with_state(checkout)
        .route_layer(from_fn_with_state(origins, own_pages))
        .route("/openapi/checkout.json", get(move || async move { axum::Json(document) }))
}

/// A layer that rejects changes which pages of other sites request with a browser's cookies.
async fn own_pages(State(origins): State<Origins>, request: Request, next: Next) -> Result<Response, Problem> {
    // Forward auth repeats the method and the headers of a shopper's request, but changes nothing.
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD) && !forward_auth::is_asked(request.uri());
    if changes && origins.is_foreign(request.headers()) {
        return Err(error::CheckoutError::ForeignOrigin.into());
    }
    Ok(next.run(request).await)
}
