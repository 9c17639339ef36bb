//! The route of public records.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use fairline_record::entry::{Entry, NotAnEntry};
use fairline_sale::SaleId;
use fairline_server::{Path, Problem, Query};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tracing::error;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::store::RecordStore;
use crate::{db::StoreError, error::CommonError};

/// Entries that are read from the database at once.
const PAGE: i64 = 50;
/// Pages that are read at the same time: the admin API uses the same connections.
const PAGES_AT_ONCE: usize = 3;

/// What the route needs.
#[derive(Clone)]
pub(crate) struct Records {
    store: RecordStore,
    pages: Arc<Semaphore>,
}

pub(crate) fn routes(store: RecordStore) -> OpenApiRouter {
    let records = Records { store, pages: Arc::new(Semaphore::new(PAGES_AT_ONCE)) };
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
    let sale: SaleId = sale.parse().map_err(|_| CommonError::UnknownSale)?;
    if !records.store.has_record(sale).await.map_err(CommonError::from)? {
        return Err(CommonError::UnknownSale.into());
    }
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

/// Why a record could not be read to its end.
#[derive(Debug, thiserror::Error)]
enum Incomplete {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Entry(#[from] NotAnEntry),
}

impl Records {
    /// A page of lines, and the last entry on it, if there are more.
    async fn page(&self, sale: SaleId, after: u64) -> Result<(Bytes, Option<u64>), Incomplete> {
        // It is never closed.
        let _permit = self.pages.acquire().await;
        let entries = self.store.record(sale, after, PAGE).await?;
        let lines: Vec<String> = entries.iter().map(Entry::to_line).collect::<Result<_, _>>()?;
        let text: String = lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect();
        let is_full = i64::try_from(entries.len()).is_ok_and(|count| count == PAGE);
        Ok((text.into(), entries.last().filter(|_| is_full).map(|entry| entry.head.seq)))
    }
}
