//! Scheduled work: expiry, retries, retention, stock reconciliation and the heartbeat.

pub(crate) mod heartbeat;
pub(crate) mod reconciliation;
pub(crate) mod retention;
pub(crate) mod sweeper;
