//! The audit log, for reading.

pub(crate) mod routes;
mod store;
