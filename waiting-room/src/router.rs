//! All routes of the waiting room.

use axum::{Extension, Router, routing::get};
use fairline_server::{TrustedProxies, complete_document};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    http::{AppState, api, pages},
    openapi::Document,
};

/// The routes, and the OpenAPI document that describes them.
pub(crate) fn routes(state: AppState, proxies: TrustedProxies) -> Router {
    let (api, mut document) = OpenApiRouter::with_openapi(Document::openapi()).merge(api::routes()).split_for_parts();
    complete_document(&mut document);
    api.merge(pages::routes())
        .layer(Extension(proxies))
        .with_state(state)
        .route("/openapi/waiting-room.json", get(move || async move { axum::Json(document) }))
}
