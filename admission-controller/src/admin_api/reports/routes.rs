//! The routes of reports.

use axum::{extract::State, response::Response};
use fairline_server::{Path, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{report::Report, service::Reports};
use crate::{admin_api::AdminState, error::SaleNotFound};

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(show_report)).routes(routes!(report_table))
}

/// Show the report on a sale so far.
#[utoipa::path(get, path = "/api/admin/sales/{id}/report", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The report.", body = Report),
    SaleNotFound,
))]
async fn show_report(State(reports): State<Reports>, Path(id): Path<String>) -> Result<axum::Json<Report>, Problem> {
    Ok(axum::Json(reports.report(&id).await?))
}

/// Download the report on a sale as CSV: names and values, then the minutes.
#[utoipa::path(get, path = "/api/admin/sales/{id}/report.csv", params(("id" = String, Path, description = "The sale.")), security(("admin" = [])), responses(
    (status = 200, description = "The report.", content_type = "text/csv", body = String),
    SaleNotFound,
))]
async fn report_table(State(reports): State<Reports>, Path(id): Path<String>) -> Result<Response, Problem> {
    let report = reports.report(&id).await?;
    let name = format!("{}-report.csv", report.sale.card.slug);
    Ok(report.table().download(&name))
}
