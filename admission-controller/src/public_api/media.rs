//! The images of products. Their path needs no cookie and sets none, so that a CDN can keep them.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use fairline_media::{MediaName, MediaStore};
use fairline_server::{Path, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::entity_tag::is_named;
use crate::admin_api::media::error::MediaError;

pub(crate) fn routes(files: Option<MediaStore>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_image)).with_state(files)
}

/// The bytes of an image, for the OpenAPI document.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only its schema is used")]
struct StoredImage(Vec<u8>);

/// Read an image. The content of a path never changes.
#[utoipa::path(get, path = "/media/{name}", params(
    ("name" = String, Path, description = "`{media}-{width}.{extension}`, as the product has it.")), responses(
    (status = 200, description = "The image. May be cached.", content(
        (StoredImage = "image/jpeg"), (StoredImage = "image/webp"))),
    (status = 304, description = "The image has the entity tag that the caller has."),
    (status = 404, description = "There is no such image."),
))]
async fn show_image(
    State(files): State<Option<MediaStore>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name: MediaName = name.parse().map_err(|_| MediaError::ImageNotFound)?;
    let files = files.ok_or(MediaError::ImageNotFound)?;
    let tag = format!("\"{}-{}\"", name.hash, name.width);
    let cached = [
        // A day, and not a year, so that an image that had to be removed soon leaves all caches.
        (header::CACHE_CONTROL, "public, max-age=86400, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    if is_named(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, cached, [(header::ETAG, tag)]).into_response());
    }
    let bytes = files.get(name).await.map_err(MediaError::from)?.ok_or(MediaError::ImageNotFound)?;
    let kind = [(header::CONTENT_TYPE, name.format.content_type().to_owned()), (header::ETAG, tag)];
    Ok((cached, kind, Body::from(bytes)).into_response())
}
