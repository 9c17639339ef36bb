//! Webhooks: events sent over HTTP to the URLs that the administrator has configured, signed
//! according to Standard Webhooks (<https://github.com/standard-webhooks/standard-webhooks>,
//! specification 1.0).
//!
//! - A failed delivery is retried for a day and a half at growing intervals.
//! - A webhook that fails for three days, or returns 410 Gone, is disabled.
//! - Each webhook has its own task, so that a slow one does not delay the others.

pub(crate) mod delivery;
pub(crate) mod dispatcher;
pub(crate) mod store;
