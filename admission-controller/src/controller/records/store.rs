//! The record of a line, for reading.

use fairline_record::entry::{Entry, Head};
use fairline_sale::SaleId;
use uuid::Uuid;

use crate::{
    controller::columns::{hash, ordinal, stored},
    db::{Database, StoreError},
};

/// The records of sales.
#[derive(Clone)]
pub(crate) struct RecordStore(pub(crate) Database);

impl RecordStore {
    /// The next entries of a record after one, `most` at most.
    pub async fn record(&self, line: SaleId, after: u64, most: i64) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, String)> = sqlx::query_as(
            "SELECT seq, hash, body FROM record_entries WHERE line_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(line.0)
        .bind(stored(after))
        .bind(most)
        .fetch_all(&self.0.pool)
        .await?;
        let entry = |(seq, bytes, body): (i64, Vec<u8>, String)| Entry {
            head: Head { seq: ordinal(seq), hash: hash(&bytes) },
            body,
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Whether a line exists and has a record.
    pub async fn has_record(&self, line: SaleId) -> Result<bool, StoreError> {
        let kept: Option<Uuid> = sqlx::query_scalar("SELECT id FROM lines WHERE id = $1 AND record_seq IS NOT NULL")
            .bind(line.0)
            .fetch_optional(&self.0.pool)
            .await?;
        Ok(kept.is_some())
    }
}
