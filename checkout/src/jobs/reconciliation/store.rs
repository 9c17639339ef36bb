//! Stock reconciliation: compares the counters of each stock with its rows.

use std::collections::HashMap;

use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{PgPool, StoreError};

/// Longer than any transaction: everything paid before that is committed.
const SETTLED_S: f64 = 60.0;

/// The time up to which the orders of each running sale have been counted, and their units. Each
/// order is counted once.
#[derive(Debug, Default)]
pub(crate) struct CountedOrders(HashMap<Uuid, (OffsetDateTime, i64)>);

#[derive(FromRow)]
struct CounterRow {
    sale_id: Uuid,
    is_accurate: bool,
    settled_at: OffsetDateTime,
    settled_units: i64,
}

/// Counters, and the rows that they count.
#[derive(Clone)]
pub(crate) struct ReconciliationStore(pub(crate) PgPool);

impl ReconciliationStore {
    /// The fraction of running sales whose counters equal the sums of their rows; 1 is correct. One
    /// statement, so that it sees one snapshot.
    pub(crate) async fn inventory_accuracy(&self, counted: &mut CountedOrders) -> Result<f64, StoreError> {
        let known = || counted.0.iter();
        let rows: Vec<CounterRow> = sqlx::query_as(
            "SELECT stock.sale_id, settled_at, coalesce(counted.units, 0) + settled AS settled_units, \
             promised = admitted + wanted AND held = kept AND sold = coalesce(counted.units, 0) + settled + lately AS is_accurate \
             FROM sales JOIN stock ON stock.sale_id = sales.id AND item = 1 \
             CROSS JOIN LATERAL (SELECT now() - make_interval(secs => $4) AS settled_at) AS moment \
             LEFT JOIN unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) AS counted (sale_id, at, units) ON counted.sale_id = sales.id \
             CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS admitted FROM admissions \
                WHERE admissions.sale_id = stock.sale_id AND state = 'promised') AS tokens \
             CROSS JOIN LATERAL (SELECT coalesce(sum(quantity) FILTER (WHERE state = 'promised'), 0) AS wanted, \
                coalesce(sum(quantity) FILTER (WHERE state = 'held'), 0) AS kept FROM holds \
                WHERE holds.sale_id = stock.sale_id AND state IN ('promised', 'held')) AS visits \
             CROSS JOIN LATERAL (SELECT coalesce(sum(quantity) FILTER (WHERE paid_at <= settled_at), 0) AS settled, \
                coalesce(sum(quantity) FILTER (WHERE paid_at > settled_at), 0) AS lately FROM orders \
                WHERE orders.sale_id = stock.sale_id AND paid_at > coalesce(counted.at, '-infinity')) AS paid \
             WHERE status <> 'closed'",
        )
        .bind(known().map(|(sale, _)| *sale).collect::<Vec<_>>())
        .bind(known().map(|(_, (at, _))| *at).collect::<Vec<_>>())
        .bind(known().map(|(_, (_, units))| *units).collect::<Vec<_>>())
        .bind(SETTLED_S)
        .fetch_all(&self.0)
        .await?;
        let accurate = rows.iter().filter(|row| row.is_accurate).count();
        let part = if rows.is_empty() { 1.0 } else { accurate as f64 / rows.len() as f64 };
        counted.0 = rows.into_iter().map(|row| (row.sale_id, (row.settled_at, row.settled_units))).collect();
        Ok(part)
    }
}
