//! The routes of a sale's banner.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_server::{Json, Path, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::service::Banners;
use crate::{
    admin_api::{
        AdminState,
        products::{fields::ImageFields, responses::AdminImage},
    },
    auth::operator::Operator,
    error::SaleNotFound,
};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(show_banner, set_banner, remove_banner))
}

/// The banner of a sale.
#[derive(Debug, Serialize, ToSchema)]
struct SaleBanner {
    /// Null if it has none.
    #[schema(required)]
    banner: Option<AdminImage>,
}

/// Show the banner of a sale.
#[utoipa::path(get, path = "/api/admin/sales/{id}/banner", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The banner.", body = SaleBanner),
    SaleNotFound,
))]
async fn show_banner(
    State(banners): State<Banners>,
    Path(sale): Path<String>,
) -> Result<axum::Json<SaleBanner>, Problem> {
    Ok(axum::Json(SaleBanner { banner: banners.show(&sale).await? }))
}

/// Set the banner of a sale: an uploaded image.
#[utoipa::path(put, path = "/api/admin/sales/{id}/banner", params(("id" = String, Path, description = "The sale.")), request_body = ImageFields,
    security(("admin" = [])), responses(
    (status = 200, description = "The banner.", body = SaleBanner),
    SaleNotFound,
))]
async fn set_banner(
    State(banners): State<Banners>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
    Json(image): Json<ImageFields>,
) -> Result<axum::Json<SaleBanner>, Problem> {
    banners.set(&operator.by(), &sale, Some((&image.media, &image.alt))).await?;
    Ok(axum::Json(SaleBanner { banner: banners.show(&sale).await? }))
}

/// Remove the banner of a sale.
#[utoipa::path(delete, path = "/api/admin/sales/{id}/banner", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 204, description = "The sale has no banner."),
    SaleNotFound,
))]
async fn remove_banner(
    State(banners): State<Banners>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<StatusCode, Problem> {
    banners.set(&operator.by(), &sale, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
