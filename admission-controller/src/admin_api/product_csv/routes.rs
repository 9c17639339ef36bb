//! The routes of the table of products.

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use fairline_server::{Problem, Query, read_body};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tracing::error;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    error::TableError,
    service::{ImportReport, ProductTable},
};
use crate::{admin_api::AdminState, auth::operator::Operator, db::StoreError};

/// The maximum length of an imported table, in bytes.
const TABLE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An import has the same effect however often it is sent, so it needs no `Idempotency-Key`.
pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(product_table, import_products))
}

/// How to import.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Whether only to check the table: nothing is written, and errors are part of the report.
    dry_run: Option<bool>,
}

impl ImportQuery {
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run.unwrap_or(false)
    }
}

/// Download all products as CSV, a row for each variant.
#[utoipa::path(get, path = "/api/admin/products.csv", security(("admin" = [])), responses(
    (status = 200, description = "The products.", content_type = "text/csv", body = String),
))]
async fn product_table(State(table): State<ProductTable>) -> Response {
    let header = stream::iter([Ok::<_, StoreError>(Bytes::from(ProductTable::header()))]);
    let pages = stream::unfold(Some(Uuid::nil()), move |after| {
        let table = table.clone();
        async move {
            match table.page(after?).await {
                Ok((lines, next)) => next.map(|next| (Ok(Bytes::from(lines)), Some(next))),
                // Cuts the response off, so that no client takes it for complete.
                Err(error) => {
                    error!(%error, "export products failed");
                    Some((Err(error), None))
                }
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"products.csv\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::from_stream(header.chain(pages))).into_response()
}

/// Import products from CSV: all rows, or none if one is wrong. A row updates the variant with its
/// SKU, or adds one.
#[utoipa::path(post, path = "/api/admin/products.csv", params(ImportQuery), security(("admin" = [])),
    request_body(content = String, content_type = "text/csv"), responses(
    (status = 200, description = "What was changed; of a dry run, what would be, or the errors.", body = ImportReport),
    (status = 409, description = "There would be more than 10,000 products."),
    (status = 422, description = "A row is wrong: `errors` has the lines. Nothing was changed."),
))]
async fn import_products(
    State(table): State<ProductTable>,
    Extension(operator): Extension<Operator>,
    Query(importing): Query<ImportQuery>,
    request: Request,
) -> Result<axum::Json<ImportReport>, Problem> {
    if !is_csv(request.headers()) {
        return Err(TableError::NotCsv.into());
    }
    let bytes = read_body(request.into_body(), TABLE_BYTES_MAX).await?;
    Ok(axum::Json(table.import(&operator.by(), bytes, importing.is_dry_run()).await?))
}

/// Whether a request announces CSV.
pub(in crate::admin_api) fn is_csv(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/csv"))
}
