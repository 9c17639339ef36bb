//! The routes of sales.

use axum::{Extension, extract::State, http::StatusCode};
use fairline_sale::SaleId;
use fairline_server::{Json, LongJson, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{change::ChangeSale, create::CreateSale, responses::AdminSale, service::Sales, store::SALES_PAGE};
use crate::{
    admin_api::{AdminState, items::fields::ITEMS_BYTES_MAX},
    auth::operator::Operator,
    controller::lifecycle::Action,
    error::SaleNotFound,
};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(create_sale, list_sales))
        .routes(routes!(show_sale, change_sale))
        .routes(routes!(open_sale))
        .routes(routes!(pause_sale))
        .routes(routes!(resume_sale))
        .routes(routes!(close_sale))
}

/// Sales, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AdminSales {
    sales: Vec<AdminSale>,
    /// The value of `before` for the next page, if there is one.
    #[schema(required)]
    next: Option<SaleId>,
}

/// Selects sales.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SalesQuery {
    /// Only sales that were created before this one.
    before: Option<SaleId>,
    /// Only the sale with this slug.
    slug: Option<String>,
}

/// Create a sale.
#[utoipa::path(post, path = "/api/admin/sales", request_body = CreateSale, security(("admin" = [])), responses(
    (status = 201, description = "The sale.", body = AdminSale),
    (status = 409, description = "The slug is taken."),
))]
async fn create_sale(
    State(sales): State<Sales>,
    Extension(operator): Extension<Operator>,
    LongJson(new): LongJson<CreateSale, ITEMS_BYTES_MAX>,
) -> Result<(StatusCode, axum::Json<AdminSale>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(sales.create(&operator.by(), new).await?)))
}

/// List the sales, the newest first.
#[utoipa::path(get, path = "/api/admin/sales", params(SalesQuery), security(("admin" = [])), responses(
    (status = 200, description = "A page of at most 200 sales.", body = AdminSales),
))]
async fn list_sales(
    State(sales): State<Sales>,
    Query(listing): Query<SalesQuery>,
) -> Result<axum::Json<AdminSales>, Problem> {
    let sales = sales.list(listing.before, listing.slug.as_deref()).await?;
    let next = sales.last().map(|sale| sale.card.id).filter(|_| sales.len() == SALES_PAGE);
    Ok(axum::Json(AdminSales { sales, next }))
}

/// Show a sale.
#[utoipa::path(get, path = "/api/admin/sales/{id}", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    SaleNotFound,
))]
async fn show_sale(State(sales): State<Sales>, Path(sale): Path<String>) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(sales.show(&sale).await?))
}

/// Change a sale. Its opening and its end can be changed while it is scheduled.
#[utoipa::path(patch, path = "/api/admin/sales/{id}", params(("id" = String, Path, description = "The sale.")), request_body = ChangeSale,
    security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    SaleNotFound,
    (status = 409, description = "The stock is below the promised, held and sold units, or the sale has opened and its window can't change."),
))]
async fn change_sale(
    State(sales): State<Sales>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
    Json(change): Json<ChangeSale>,
) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(sales.change(&operator.by(), &sale, change).await?))
}

/// Open a scheduled sale now.
#[utoipa::path(post, path = "/api/admin/sales/{id}/open", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    SaleNotFound,
    (status = 409, description = "The sale is not scheduled, or offers several items."),
))]
async fn open_sale(
    State(sales): State<Sales>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(sales.act(&operator.by(), &sale, Action::Open).await?))
}

/// Pause admissions. Places are kept, and admitted shoppers may buy.
#[utoipa::path(post, path = "/api/admin/sales/{id}/pause", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    SaleNotFound,
    (status = 409, description = "The sale is not open."),
))]
async fn pause_sale(
    State(sales): State<Sales>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(sales.act(&operator.by(), &sale, Action::Pause).await?))
}

/// Resume admissions.
#[utoipa::path(post, path = "/api/admin/sales/{id}/resume", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    SaleNotFound,
    (status = 409, description = "The sale is not paused."),
))]
async fn resume_sale(
    State(sales): State<Sales>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(sales.act(&operator.by(), &sale, Action::Resume).await?))
}

/// End a sale. Outstanding tokens can no longer be redeemed; holds can still be paid for.
#[utoipa::path(post, path = "/api/admin/sales/{id}/close", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The sale.", body = AdminSale),
    SaleNotFound,
    (status = 409, description = "The sale has ended already."),
))]
async fn close_sale(
    State(sales): State<Sales>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
) -> Result<axum::Json<AdminSale>, Problem> {
    Ok(axum::Json(sales.act(&operator.by(), &sale, Action::Close).await?))
}
