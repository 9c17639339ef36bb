//! The route of public records.

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use fairline_server::{Path, Problem, Query};
use futures_util::stream;
use serde::Deserialize;
use tracing::error;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::service::Records;

pub(crate) fn routes(records: Records) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(sale_record)).with_state(records)
}

/// Selects entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntriesQuery {
    /// Only entries after this one.
    after: Option<u64>,
}

/// Read the record of a sale: a chain of hashes, one entry a line, which `fairline verify` replays.
#[utoipa::path(get, path = "/api/flash-sales/{id}/record", params(("id" = String, Path, description = "The sale, or its lane."), EntriesQuery), responses(
    (status = 200, description = "The entries so far: see docs/verify.md.", content_type = "application/x-ndjson", body = String),
    (status = 404, description = "There is no such sale, or it has no record."),
))]
async fn sale_record(
    State(records): State<Records>,
    Path(sale): Path<String>,
    Query(reading): Query<EntriesQuery>,
) -> Result<Response, Problem> {
    let sale = records.find(&sale).await?;
    let pages = stream::unfold(Some(reading.after.unwrap_or(0)), move |after| {
        let records = records.clone();
        async move {
            let page =
                records.page(sale, after?).await.inspect_err(|error| error!(%sale, %error, "read record failed"));
            match page {
                Ok((lines, _)) if lines.is_empty() => None,
                Ok((lines, next)) => Some((Ok(lines), next)),
                // Cuts the response off, so that no client takes it for complete.
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(pages)).into_response())
}
