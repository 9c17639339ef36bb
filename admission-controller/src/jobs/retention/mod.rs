//! Deletes samples, sessions and rows of sales that were kept long enough.

pub(crate) mod store;

use tracing::info;

use self::store::SaleRetentionStore;
use crate::{auth::store::AuthStore, db::StoreError, jobs::samples::store::SampleStore};

/// Days for which the rows of a rehearsal are kept, as its samples are.
const REHEARSALS_KEPT_DAYS: i32 = 90;

/// The rows that are deleted, and when.
#[derive(Clone)]
pub(crate) struct Retention {
    pub(crate) sales: SaleRetentionStore,
    pub(crate) samples: SampleStore,
    pub(crate) sessions: AuthStore,
    pub(crate) sales_kept_days: Option<u32>,
}

impl Retention {
    /// Each deletion runs even if another one fails.
    pub(super) async fn delete_old_rows(&self) -> Result<(), StoreError> {
        let samples = self.samples.delete_old_samples().await;
        let sessions = self.sessions.delete_ended_sessions().await;
        let sales_kept_days = self.sales_kept_days.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
        let rows = self.sales.delete_old_sales(REHEARSALS_KEPT_DAYS, sales_kept_days).await?;
        if rows > 0 {
            info!(rows, "rows of old sales deleted");
        }
        samples.and(sessions)
    }
}
