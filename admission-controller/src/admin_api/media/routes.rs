//! The route of uploads.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
};
use fairline_media::{BYTES_MAX, Prepared, UploadType};
use fairline_server::{Problem, read_body};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{error::MediaError, responses::MediaSize, service::Media};
use crate::admin_api::AdminState;

/// An upload has the same effect however often it is sent, so it needs no `Idempotency-Key`.
pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(upload_image))
}

/// The bytes of an image, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only its schema is used")]
struct ImageBytes(Vec<u8>);

/// A stored image.
#[derive(Debug, Serialize, ToSchema)]
struct AdminMedia {
    /// The name by which products refer to it.
    #[schema(example = "5a3c1b…")]
    media: String,
    /// The width of the upload, in pixels.
    width: u32,
    /// The height of the upload, in pixels.
    height: u32,
    /// Its files, from the narrowest.
    sizes: Vec<MediaSize>,
}

impl From<Prepared> for AdminMedia {
    fn from(prepared: Prepared) -> Self {
        let sizes = prepared.files().map(|(name, _)| MediaSize::of(name)).collect();
        Self { media: prepared.hash.to_string(), width: prepared.width, height: prepared.height, sizes }
    }
}

/// Upload an image: JPEG, PNG or WebP, at most 10 MiB and 40 megapixels.
#[utoipa::path(post, path = "/api/admin/media", security(("admin" = [])),
    request_body(content((ImageBytes = "image/jpeg"), (ImageBytes = "image/png"), (ImageBytes = "image/webp"))), responses(
    (status = 201, description = "The image. It is deleted if no product uses it for a day.", body = AdminMedia),
    (status = 409, description = "No storage for images is configured."),
    (status = 422, description = "The image is damaged, too large, or of another type."),
))]
async fn upload_image(
    State(media): State<Media>,
    request: Request,
) -> Result<(StatusCode, axum::Json<AdminMedia>), Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let upload_type = UploadType::of_content_type(kind).ok_or(MediaError::UnsupportedImage)?;
    media.check_free()?;
    let bytes = read_body(request.into_body(), BYTES_MAX).await?;
    let prepared = media.upload(upload_type, bytes).await?;
    Ok((StatusCode::CREATED, axum::Json(prepared.into())))
}
