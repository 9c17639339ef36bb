//! The routes of products.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_server::{LongJson, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    error::ProductNotFound,
    fields::{ChangeProduct, CreateProduct, PRODUCT_BYTES_MAX},
    responses::{AdminProduct, AdminProductSummary},
    service::{PAGE, Products, id_of},
};
use crate::{admin_api::AdminState, auth::operator::Operator};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(create_product, list_products))
        .routes(routes!(show_product, change_product, delete_product))
        .routes(routes!(archive_product))
        .routes(routes!(unarchive_product))
}

/// Products, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminProducts {
    products: Vec<AdminProductSummary>,
    /// The value of `before` for the next page, if there is one.
    #[schema(required)]
    next: Option<Uuid>,
}

/// Selects products.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProductsQuery {
    /// A part of the name, or the beginning of a SKU.
    search: Option<String>,
    /// Only archived products, or only others.
    archived: Option<bool>,
    /// Only products that were created before this one.
    before: Option<Uuid>,
}

/// Create a product.
#[utoipa::path(post, path = "/api/admin/products", request_body = CreateProduct, security(("admin" = [])), responses(
    (status = 201, description = "The product.", body = AdminProduct),
    (status = 409, description = "A SKU is taken, or there are 10,000 products already."),
))]
async fn create_product(
    State(products): State<Products>,
    Extension(operator): Extension<Operator>,
    LongJson(new): LongJson<CreateProduct, PRODUCT_BYTES_MAX>,
) -> Result<(StatusCode, axum::Json<AdminProduct>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(products.create(&operator.by(), new).await?)))
}

/// List the products, the newest first.
#[utoipa::path(get, path = "/api/admin/products", params(ProductsQuery), security(("admin" = [])), responses(
    (status = 200, description = "A page of at most 50 products.", body = AdminProducts),
    (status = 422, description = "The text to search for is too long."),
))]
async fn list_products(
    State(products): State<Products>,
    Query(ProductsQuery { search, archived, before }): Query<ProductsQuery>,
) -> Result<axum::Json<AdminProducts>, Problem> {
    let products = products.list(search.as_deref(), archived, before).await?;
    let next = products.last().map(|product| product.id).filter(|_| products.len() == PAGE);
    Ok(axum::Json(AdminProducts { products, next }))
}

/// Show a product.
#[utoipa::path(get, path = "/api/admin/products/{id}", params(("id" = String, Path, description = "The product.")), security(("admin" = [])), responses(
    (status = 200, description = "The product.", body = AdminProduct),
    ProductNotFound,
))]
async fn show_product(
    State(products): State<Products>,
    Path(id): Path<String>,
) -> Result<axum::Json<AdminProduct>, Problem> {
    Ok(axum::Json(products.show(id_of(&id)?).await?))
}

/// Change a product. Lists that are given replace the existing ones.
#[utoipa::path(patch, path = "/api/admin/products/{id}", params(("id" = String, Path, description = "The product.")), request_body = ChangeProduct,
    security(("admin" = [])), responses(
    (status = 200, description = "The product.", body = AdminProduct),
    ProductNotFound,
    (status = 409, description = "The product has another version by now, a SKU is taken, or a sale offers a variant that is missing."),
))]
async fn change_product(
    State(products): State<Products>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    LongJson(change): LongJson<ChangeProduct, PRODUCT_BYTES_MAX>,
) -> Result<axum::Json<AdminProduct>, Problem> {
    Ok(axum::Json(products.change(&operator.by(), id_of(&id)?, change).await?))
}

/// Archive a product: it is no longer offered for new sales.
#[utoipa::path(post, path = "/api/admin/products/{id}/archive", params(("id" = String, Path, description = "The product.")), security(("admin" = [])), responses(
    (status = 200, description = "The product.", body = AdminProduct),
    ProductNotFound,
))]
async fn archive_product(
    State(products): State<Products>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<axum::Json<AdminProduct>, Problem> {
    Ok(axum::Json(products.archive(&operator.by(), id_of(&id)?, true).await?))
}

/// Take a product back from the archive.
#[utoipa::path(post, path = "/api/admin/products/{id}/unarchive", params(("id" = String, Path, description = "The product.")), security(("admin" = [])), responses(
    (status = 200, description = "The product.", body = AdminProduct),
    ProductNotFound,
))]
async fn unarchive_product(
    State(products): State<Products>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<axum::Json<AdminProduct>, Problem> {
    Ok(axum::Json(products.archive(&operator.by(), id_of(&id)?, false).await?))
}

/// Delete a product with its variants.
#[utoipa::path(delete, path = "/api/admin/products/{id}", params(("id" = String, Path, description = "The product.")), security(("admin" = [])), responses(
    (status = 204, description = "The product is deleted."),
    ProductNotFound,
    (status = 409, description = "A sale that is not closed offers it."),
))]
async fn delete_product(
    State(products): State<Products>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    products.delete(&operator.by(), id_of(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
