//! Heartbeats of checkout processes.

use uuid::Uuid;

use crate::{
    db::{PgPool, StoreError},
    jobs::heartbeat::stats::RequestStats,
};

/// The heartbeats of this process.
#[derive(Clone)]
pub(crate) struct HeartbeatStore(pub(crate) PgPool);

impl HeartbeatStore {
    /// Stores the health of this checkout for the controllers, and whether it found the gateway
    /// down for the other checkouts. Deletes checkouts without a heartbeat for one minute.
    pub(crate) async fn heartbeat(&self, id: Uuid, stats: RequestStats, gateway_down: bool) -> Result<(), StoreError> {
        let small = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        sqlx::query(
            "WITH forgotten AS (DELETE FROM checkouts WHERE heartbeat_at < now() - interval '1 minute' AND id <> $1) \
             INSERT INTO checkouts (id, heartbeat_at, answered, failed, slow, gateway_down) VALUES ($1, now(), $2, $3, $4, $5) \
             ON CONFLICT (id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, answered = excluded.answered, \
             failed = excluded.failed, slow = excluded.slow, gateway_down = excluded.gateway_down",
        )
        .bind(id)
        .bind(small(stats.answered))
        .bind(small(stats.failed))
        .bind(small(stats.slow))
        .bind(gateway_down)
        .execute(&self.0)
        .await?;
        Ok(())
    }

    /// Deregisters this checkout, so that it is not reported missing.
    pub(crate) async fn deregister(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM checkouts WHERE id = $1").bind(id).execute(&self.0).await?;
        Ok(())
    }
}
