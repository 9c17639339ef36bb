//! The audit log: who has changed what. Most of it is written by the database itself, with the function `note_change`, in the
//! transaction of the change; a transaction that [`Store::begin`] begins says whose it is.

use fairline_postgres::{PgConnection, Transaction};
use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};

/// Who changes something, and why, if that was said.
#[derive(Debug, Clone)]
pub struct By {
    pub who: String,
    pub why: Option<String>,
}

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

/// Notes something that leaves no trace in a table that is watched.
pub(super) async fn note(
    connection: &mut PgConnection,
    by: &By,
    action: &str,
    subject: &str,
    sale: Option<Uuid>,
    after: Option<Value>,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO audit (who, action, subject, sale_id, after, reason) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(&by.who)
        .bind(action)
        .bind(subject)
        .bind(sale)
        .bind(after)
        .bind(&by.why)
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Begins a transaction whose changes are noted as this operator's, and whose events are of the trace in which it asked.
    pub async fn begin(&self, by: &By, what: &str) -> Result<Transaction, StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "SELECT set_config('fairline.who', $1, true), set_config('fairline.what', $2, true), \
             set_config('fairline.why', coalesce($3, ''), true), set_config('fairline.trace', coalesce($4, ''), true)",
        )
        .bind(&by.who)
        .bind(what)
        .bind(&by.why)
        .bind(fairline_telemetry::current().map(|trace| trace.to_string()))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction)
    }

    /// The newest entries before one, of all or of one sale with its rehearsals.
    pub async fn audit(&self, before: i64, sale: Option<Uuid>, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, at, who, action, subject, sale_id, before, after, reason FROM audit \
             WHERE id < $1 AND ($2::uuid IS NULL OR sale_id = ANY (ARRAY(SELECT id FROM sales WHERE id = $2 OR rehearsal_of = $2))) \
             ORDER BY id DESC LIMIT $3",
        )
        .bind(before)
        .bind(sale)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?)
    }
}
