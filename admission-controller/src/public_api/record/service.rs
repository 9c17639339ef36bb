//! Reads public records page by page.

use std::sync::Arc;

use fairline_record::entry::{Entry, InvalidEntry};
use fairline_sale::SaleId;
use tokio::sync::Semaphore;

use crate::{controller::records::store::RecordStore, db::StoreError, error::CommonError};

/// Entries that are read per query.
const PAGE: i64 = 50;
/// Pages that are read at the same time: the admin API uses the same connections.
const PAGES_AT_ONCE: usize = 3;

/// Dependencies of the route.
#[derive(Clone)]
pub(crate) struct Records {
    store: RecordStore,
    pages: Arc<Semaphore>,
}

/// Why a record could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
}

impl Records {
    pub(crate) fn new(store: RecordStore) -> Self {
        Self { store, pages: Arc::new(Semaphore::new(PAGES_AT_ONCE)) }
    }

    /// The sale or lane with an id, which must have a record.
    pub(super) async fn find(&self, sale: &str) -> Result<SaleId, CommonError> {
        let sale = sale.parse().map_err(|_| CommonError::SaleNotFound)?;
        if self.store.has_record(sale).await? { Ok(sale) } else { Err(CommonError::SaleNotFound) }
    }

    /// A page of lines, and the last entry on it, if there are more.
    pub(super) async fn page(&self, sale: SaleId, after: u64) -> Result<(String, Option<u64>), RecordReadError> {
        // It is never closed.
        let _permit = self.pages.acquire().await;
        let entries = self.store.record(sale, after, PAGE).await?;
        let lines: Vec<String> = entries.iter().map(Entry::to_line).collect::<Result<_, _>>()?;
        let text = lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect();
        let is_full = i64::try_from(entries.len()).is_ok_and(|count| count == PAGE);
        Ok((text, entries.last().filter(|_| is_full).map(|entry| entry.head.seq)))
    }
}
