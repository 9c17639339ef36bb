//! Webhooks: systems that receive events over HTTP.

pub(crate) mod routes;
mod store;
