//! All routes of the controller, with their layers.

use axum::{Extension, Router, routing::get};
use fairline_media::MediaStore;
use fairline_server::{RateLimit, Shutdown, TrustedProxies, complete_document};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    admin_api::{self, AdminState},
    openapi,
    public_api::{
        console_page,
        items::{self, service::Offers},
        key_set::{self, PublicKeys},
        media,
        record::{self, service::Records},
    },
};

/// Dependencies of the public routes.
pub(crate) struct Public {
    pub(crate) keys: PublicKeys,
    pub(crate) records: Records,
    pub(crate) offers: Offers,
    /// The storage of images, if one is configured.
    pub(crate) files: Option<MediaStore>,
    /// For what a page of a shop loads.
    pub(crate) media_limit: RateLimit,
}

/// The routes, and the OpenAPI document that describes them. The key set has no rate limit.
pub(crate) fn routes(
    admin: AdminState,
    public: Public,
    (limit, proxies): (&RateLimit, TrustedProxies),
    shutdown: &Shutdown,
) -> Router {
    let (routes, mut document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .merge(key_set::routes(public.keys))
        .merge(media::routes(public.files).route_layer(public.media_limit.layer()))
        .merge(items::routes::routes(public.offers).route_layer(public.media_limit.layer()))
        .merge(record::routes::routes(public.records).route_layer(limit.layer()))
        .merge(admin_api::routes(admin, shutdown).layer(Extension(proxies)).route_layer(limit.layer()))
        .split_for_parts();
    openapi::list_credentials(&mut document);
    complete_document(&mut document);
    routes
        .merge(console_page::routes())
        .route("/openapi/admission-controller.json", get(move || async move { axum::Json(document) }))
}
