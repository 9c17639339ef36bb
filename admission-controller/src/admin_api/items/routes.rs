//! The routes of a sale's items.

use axum::{
    Extension,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use fairline_server::{LongJson, Path, Problem, Query, read_body};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::ItemNotFound,
    fields::{ChangeItem, ITEMS_BYTES_MAX, NewItem},
    import::ItemImportReport,
    responses::AdminItem,
    service::Items,
};
use crate::{
    admin_api::{
        AdminState,
        product_csv::{
            error::TableError,
            routes::{ImportQuery, is_csv},
        },
    },
    auth::operator::Operator,
    error::SaleNotFound,
};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(list_items, add_item)).routes(routes!(change_item, withdraw_item))
}

/// An import has the same effect however often it is sent, so it needs no `Idempotency-Key`.
pub(in crate::admin_api) fn table_routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(item_table, import_items))
}

/// The items of a sale.
#[derive(Debug, Serialize, ToSchema)]
struct AdminItems {
    /// In the order of display, with withdrawn ones.
    items: Vec<AdminItem>,
}

/// List the items of a sale.
#[utoipa::path(get, path = "/api/admin/sales/{id}/items", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "At most 200 items, in the order of display.", body = AdminItems),
    SaleNotFound,
))]
async fn list_items(State(items): State<Items>, Path(sale): Path<String>) -> Result<axum::Json<AdminItems>, Problem> {
    Ok(axum::Json(AdminItems { items: items.list(&sale).await? }))
}

/// Add an item to a sale that is scheduled.
#[utoipa::path(post, path = "/api/admin/sales/{id}/items", params(("id" = String, Path, description = "The sale.")), request_body = NewItem,
    security(("admin" = [])), responses(
    (status = 201, description = "The item.", body = AdminItem),
    SaleNotFound,
    (status = 409, description = "The sale is not scheduled, an item of it has the SKU, or it has 200 items."),
))]
async fn add_item(
    State(items): State<Items>,
    Extension(operator): Extension<Operator>,
    Path(sale): Path<String>,
    LongJson(new): LongJson<NewItem, ITEMS_BYTES_MAX>,
) -> Result<(StatusCode, axum::Json<AdminItem>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(items.add(&operator.by(), &sale, new).await?)))
}

/// Change an item. Its price, its limit and whether it is withdrawn can be changed while the sale
/// is scheduled.
#[utoipa::path(patch, path = "/api/admin/sales/{id}/items/{item}", params(
    ("id" = String, Path, description = "The sale."), ("item" = String, Path, description = "The number of the item.")),
    request_body = ChangeItem, security(("admin" = [])), responses(
    (status = 200, description = "The item.", body = AdminItem),
    ItemNotFound,
    (status = 409, description = "The item has another version by now, the sale has opened, its stock is too small, or it would offer no item."),
))]
async fn change_item(
    State(items): State<Items>,
    Extension(operator): Extension<Operator>,
    Path((sale, item)): Path<(String, String)>,
    LongJson(change): LongJson<ChangeItem, ITEMS_BYTES_MAX>,
) -> Result<axum::Json<AdminItem>, Problem> {
    Ok(axum::Json(items.change(&operator.by(), (&sale, &item), change).await?))
}

/// Withdraw an item of a sale that is scheduled. It keeps its number and its SKU.
#[utoipa::path(delete, path = "/api/admin/sales/{id}/items/{item}", params(
    ("id" = String, Path, description = "The sale."), ("item" = String, Path, description = "The number of the item.")),
    security(("admin" = [])), responses(
    (status = 204, description = "The item is withdrawn."),
    ItemNotFound,
    (status = 409, description = "The sale has opened, or offers no other item."),
))]
async fn withdraw_item(
    State(items): State<Items>,
    Extension(operator): Extension<Operator>,
    Path((sale, item)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    items.withdraw(&operator.by(), (&sale, &item)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Download the items of a sale as CSV.
#[utoipa::path(get, path = "/api/admin/sales/{id}/items.csv", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The items.", content_type = "text/csv", body = String),
    SaleNotFound,
))]
async fn item_table(State(items): State<Items>, Path(sale): Path<String>) -> Result<Response, Problem> {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"items.csv\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, items.export(&sale).await?).into_response())
}

/// Import items from CSV: all rows, or none if one is wrong. A row updates the item with its SKU,
/// or adds one.
#[utoipa::path(post, path = "/api/admin/sales/{id}/items.csv", params(("id" = String, Path, description = "The sale."), ImportQuery), security(("admin" = [])),
    request_body(content = String, content_type = "text/csv"), responses(
    (status = 200, description = "What was changed; of a dry run, what would be, or the errors.", body = ItemImportReport),
    SaleNotFound,
    (status = 422, description = "A row is wrong: `errors` has the lines. Nothing was changed."),
))]
async fn import_items(
    State(items): State<Items>,
    Extension(operator): Extension<Operator>,
    (Path(sale), Query(importing)): (Path<String>, Query<ImportQuery>),
    request: Request,
) -> Result<axum::Json<ItemImportReport>, Problem> {
    if !is_csv(request.headers()) {
        return Err(TableError::NotCsv.into());
    }
    let bytes = read_body(request.into_body(), ITEMS_BYTES_MAX).await?;
    Ok(axum::Json(items.import(&operator.by(), &sale, (bytes, importing.is_dry_run())).await?))
}
