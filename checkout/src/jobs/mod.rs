//! What runs by time: expiry, retries, retention, the reconciliation of stock, and the heartbeat.

pub(crate) mod heartbeat;
pub(crate) mod reconciliation;
pub(crate) mod retention;
pub(crate) mod sweeper;
