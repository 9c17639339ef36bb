//! All routes of checkout, with their layers.

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use fairline_idempotency::{Idempotency, list_key};
use fairline_server::{Origins, Problem, RateLimit, complete_document};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    accounts::{self, service::Accounts},
    auth::{caller::Callers, error::AuthError},
    forward_auth::{self, service::ForwardAuth},
    jobs::heartbeat::{self, stats::RequestCounter},
    merchant_api::{self, service::MerchantApi},
    openapi::{self, Document},
    orders::{self, service::Orders},
    payments::{self, gateway_events, service::Payments},
    redemption::{
        self,
        middleware::{PurchaseLayers, pass},
        service::Redemptions,
    },
    sales::{self, service::SaleList},
};

/// The state of each feature.
pub(crate) struct Features {
    pub(crate) redemptions: Arc<Redemptions>,
    pub(crate) orders: Arc<Orders>,
    pub(crate) payments: Arc<Payments>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) sale_list: SaleList,
    pub(crate) merchant_api: Arc<MerchantApi>,
    pub(crate) forward_auth: Arc<ForwardAuth>,
}

/// From each of these states, handlers extract the caller.
macro_rules! callers_of {
    ($($state:ty),+ $(,)?) => {
        $(impl FromRef<Arc<$state>> for Callers {
            fn from_ref(state: &Arc<$state>) -> Self {
                state.callers.clone()
            }
        })+
    };
}

callers_of!(Accounts, ForwardAuth, MerchantApi, Orders, Payments, Redemptions);

/// The layers that requests pass before a handler.
pub(crate) struct Layers {
    pub(crate) limit: RateLimit,
    pub(crate) health: RequestCounter,
    pub(crate) idempotency: Idempotency,
    /// Idempotency of requests whose caller has no identity yet.
    pub(crate) sign_in_idempotency: Idempotency,
    pub(crate) origins: Origins,
}

/// The routes, and the OpenAPI document that describes them.
pub(crate) fn routes(features: Features, layers: Layers) -> Router {
    let Features { redemptions, orders, payments, accounts, sale_list, merchant_api, forward_auth } = features;
    let Layers { limit, health, idempotency, sign_in_idempotency, origins } = layers;
    let purchase_layers =
        PurchaseLayers { limit: limit.clone(), idempotency: idempotency.clone(), health: health.clone() };
    let mut purchasing = redemption::routes::purchasing();
    list_key(purchasing.get_openapi_mut());
    let paying = payments::routes::paying()
        .route_layer(from_fn_with_state(health, heartbeat::count_payment))
        .merge(payments::routes::cancellation_routes());
    let signing_in = sign_in_idempotency.before(accounts::routes::signing_in());
    let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(purchasing.route_layer(from_fn_with_state(purchase_layers, pass)).with_state(redemptions))
        .merge(idempotency.clone().before(paying).route_layer(limit.layer()).with_state(payments.clone()))
        .merge(signing_in.route_layer(limit.layer()).with_state(accounts.clone()))
        .merge(accounts::routes::signed_in().with_state(accounts))
        .merge(idempotency.before(merchant_api::routes::routes()).with_state(merchant_api))
        .merge(orders::routes::routes().with_state(orders))
        .merge(payments::routes::reading().with_state(payments.clone()))
        .merge(sales::routes::routes().with_state(sale_list))
        .merge(forward_auth::routes::routes().with_state(forward_auth))
        .merge(gateway_events::routes::routes().with_state(payments))
        .split_for_parts();
    openapi::list_rejections(&mut document);
    complete_document(&mut document);
    routes
        .route_layer(from_fn_with_state(origins, own_pages))
        .route("/openapi/checkout.json", get(move || async move { axum::Json(document) }))
}

/// A layer that rejects changes which pages of other sites request with a browser's cookies.
async fn own_pages(State(origins): State<Origins>, request: Request, next: Next) -> Result<Response, Problem> {
    // Forward auth repeats the method and the headers of a shopper's request, but changes nothing.
    let changes =
        !matches!(*request.method(), Method::GET | Method::HEAD) && !forward_auth::routes::is_check(request.uri());
    if changes && origins.is_foreign(request.headers()) {
        return Err(AuthError::ForeignOrigin.into());
    }
    Ok(next.run(request).await)
}
