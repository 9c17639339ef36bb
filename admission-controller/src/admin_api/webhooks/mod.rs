//! Webhooks: systems that receive events over HTTP.

mod error;
pub(crate) mod routes;
mod store;
