//! Samples of a sale, for reading.

use fairline_sale::SaleId;
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::db::{Database, StoreError};

/// Samples of one response at most; more are thinned out evenly.
const SAMPLES_MAX: i64 = 2000;

/// The state of a sale at a time.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct SampleRow {
    pub at: OffsetDateTime,
    pub waiting: i64,
    pub present: i64,
    pub inside: i64,
    pub total: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
    pub joined: i64,
    pub admitted: i64,
    pub orders: i64,
    pub highest: i64,
    pub likely_wait_s: Option<i64>,
}

/// The samples of one sale.
#[derive(Clone)]
pub(crate) struct LiveStore(pub(crate) Database);

impl LiveStore {
    /// The samples of a sale after a time, the oldest first: the last one, and as many of the
    /// others as fit.
    pub async fn samples(&self, sale: SaleId, after: OffsetDateTime) -> Result<Vec<SampleRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, highest, \
             likely_wait_s FROM (SELECT *, row_number() OVER (ORDER BY at DESC) - 1 AS nth, \
                count(*) OVER () AS all_of_them FROM samples WHERE sale_id = $1 AND at > $2) AS numbered \
             WHERE nth % ((all_of_them + $3 - 1) / $3) = 0 ORDER BY at",
        )
        .bind(sale.0)
        .bind(after)
        .bind(SAMPLES_MAX)
        .fetch_all(&self.0.pool)
        .await?)
    }
}
