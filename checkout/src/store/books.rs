//! Whether the counters of each stock are what their rows say.

use super::{Store, StoreError};

impl Store {
    /// The part of the sales that run whose counters are the sums of their rows: 1 is as it must be. One statement, so that
    /// all is seen at one moment.
    pub async fn inventory_accuracy(&self) -> Result<f64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT coalesce(avg((promised = admitted + wanted AND held = kept AND sold = bought)::integer), 1)::double precision \
             FROM stock JOIN sales ON sales.id = sale_id \
             CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS admitted FROM admissions \
                WHERE admissions.sale_id = stock.sale_id AND state = 'promised') AS tokens \
             CROSS JOIN LATERAL (SELECT coalesce(sum(quantity) FILTER (WHERE state = 'promised'), 0) AS wanted, \
                coalesce(sum(quantity) FILTER (WHERE state = 'held'), 0) AS kept FROM holds \
                WHERE holds.sale_id = stock.sale_id AND state IN ('promised', 'held')) AS visits \
             CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS bought FROM orders WHERE orders.sale_id = stock.sale_id) AS paid \
             WHERE status <> 'closed'",
        )
        .fetch_one(&self.background)
        .await?)
    }
}
