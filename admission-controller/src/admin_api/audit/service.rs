//! Reads the audit log page by page.

use fairline_sale::SaleId;

use super::store::{AuditRow, AuditStore};
use crate::error::CommonError;

/// Entries of one page.
pub(super) const PAGE: i64 = 100;

/// Dependencies of the routes of the audit log.
#[derive(Clone)]
pub(crate) struct AuditLog {
    pub(crate) store: AuditStore,
}

impl AuditLog {
    /// A page of the newest entries before one: all, or those of a sale and its rehearsals. With
    /// the entry before which the next page is, if there is one.
    pub(super) async fn page(
        &self,
        before: Option<i64>,
        sale: Option<SaleId>,
    ) -> Result<(Vec<AuditRow>, Option<i64>), CommonError> {
        let rows = self.store.audit(before.unwrap_or(i64::MAX), sale.map(|sale| sale.0), PAGE).await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
        let next = rows.last().filter(|_| is_full).map(|row| row.id);
        Ok((rows, next))
    }
}
