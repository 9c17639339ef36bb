//! Statistics of tables that grow quickly. Autovacuum looks for them once a minute, so the plans of
//! the first sale of a database would be those for empty tables.

use crate::db::{Database, StoreError};

/// A table is analysed whenever it has grown to twice its size, from this many rows on.
const ROWS_MIN: f64 = 500.0;
/// Larger tables grow slowly enough for autovacuum.
const ROWS_MAX: f64 = 200_000.0;

/// Tables that have grown. Postgres counts -1 rows before the first analysis.
const GROWN: &str = "SELECT oid::regclass::text FROM pg_class \
     WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind = 'r' \
     AND reltuples < $2 AND pg_stat_get_live_tuples(oid) > 2 * greatest(reltuples, $1)";

/// The statistics of all tables.
#[derive(Clone)]
pub(crate) struct StatisticsStore(pub(crate) Database);

impl StatisticsStore {
    /// Analyses the tables that have grown much, which renews their plans. A role that does not own
    /// them leaves them to autovacuum.
    pub async fn analyse_grown(&self) -> Result<(), StoreError> {
        let grown: Vec<String> =
            sqlx::query_scalar(GROWN).bind(ROWS_MIN).bind(ROWS_MAX).fetch_all(&self.0.pool).await?;
        for table in grown {
            sqlx::query(sqlx::AssertSqlSafe(format!("ANALYZE (SKIP_LOCKED) {table}"))).execute(&self.0.pool).await?;
        }
        Ok(())
    }
}
