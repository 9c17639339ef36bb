//! The audit log, for reading.

pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
