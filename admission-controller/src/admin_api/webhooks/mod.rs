//! Webhooks: systems that receive events over HTTP.

pub(crate) mod error;
pub(crate) mod routes;
pub(crate) mod store;
