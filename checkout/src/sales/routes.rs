//! The routes of the list of sales.

use axum::{extract::State, http::HeaderMap, response::Response};
use fairline_sale::SaleId;
use fairline_server::{Path, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::SaleListError,
    listed_sale::ListedSale,
    service::{ListedSales, SaleList},
};

/// The routes of the list.
pub(crate) fn routes() -> OpenApiRouter<SaleList> {
    OpenApiRouter::new().routes(routes!(list_sales)).routes(routes!(show_sale))
}

/// List the sales.
#[utoipa::path(get, path = "/products",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of the list that the client has.")), responses(
    (status = 200, description = "Sales that run, are scheduled, or ended within a week, the newest first.", body = ListedSales,
        headers(("ETag" = String, description = "Changes with the list."))),
    (status = 304, description = "The client has the current list."),
    (status = 503, description = "The list of sales is not loaded yet."),
))]
async fn list_sales(State(sale_list): State<SaleList>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(sale_list.shown()?.all.answer(&headers))
}

/// One sale.
#[utoipa::path(get, path = "/products/{id}",
    params(("id" = String, Path, description = "The id or the slug of the sale."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the sale that the client has.")), responses(
    (status = 200, description = "The sale.", body = ListedSale, headers(("ETag" = String, description = "Changes with the sale."))),
    (status = 304, description = "The client has the current sale."),
    (status = 404, description = "There is no such sale."),
    (status = 503, description = "The list of sales is not loaded yet."),
))]
async fn show_sale(
    State(sale_list): State<SaleList>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shown = sale_list.shown()?;
    let sale: Option<SaleId> = id.parse().ok();
    let listed = shown.each.iter().find(|(listed, _)| Some(listed.id) == sale || listed.slug == id);
    Ok(listed.ok_or(SaleListError::SaleNotFound)?.1.answer(&headers))
}
