//! Webhooks: systems that receive events over HTTP.

mod address;
pub(crate) mod error;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
