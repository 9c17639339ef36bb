//! The audit log. Triggers of the database write most of it, in the transaction of the change.

use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Database, StoreError};

/// An entry of the log.
#[derive(Debug, FromRow)]
pub struct AuditRow {
    pub id: i64,
    pub at: OffsetDateTime,
    pub who: String,
    pub action: String,
    pub subject: String,
    pub sale_id: Option<Uuid>,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub reason: Option<String>,
}

/// The audit log.
#[derive(Clone)]
pub(crate) struct AuditStore(pub(crate) Database);

impl AuditStore {
    /// The newest entries before one: all, or those of a sale and its rehearsals.
    pub async fn audit(&self, before: i64, sale: Option<Uuid>, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, at, who, action, subject, sale_id, before, after, reason FROM audit \
             WHERE id < $1 AND ($2::uuid IS NULL OR sale_id = ANY (ARRAY(SELECT id FROM sales WHERE id = $2 OR rehearsal_of = $2))) \
             ORDER BY id DESC LIMIT $3",
        )
        .bind(before)
        .bind(sale)
        .bind(limit)
        .fetch_all(&self.0.pool)
        .await?)
    }
}
