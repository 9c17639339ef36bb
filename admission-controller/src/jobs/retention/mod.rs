//! Deletes samples, sessions and rows of sales that were kept long enough.

mod store;

use tracing::info;

use crate::db::{Store, StoreError};

/// Days for which the rows of a rehearsal are kept, as its samples are.
const REHEARSALS_KEPT_DAYS: i32 = 90;

/// Each deletion runs even if another one fails.
pub(super) async fn delete_old_rows(store: &Store, sales_kept_days: Option<u32>) -> Result<(), StoreError> {
    let samples = store.delete_old_samples().await;
    let sessions = store.delete_ended_sessions().await;
    let sales_kept_days = sales_kept_days.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
    let rows = store.delete_old_sales(REHEARSALS_KEPT_DAYS, sales_kept_days).await?;
    if rows > 0 {
        info!(rows, "rows of old sales deleted");
    }
    samples.and(sessions)
}
