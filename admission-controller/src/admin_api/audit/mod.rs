//! The audit log, for reading.

pub(super) mod routes;
mod store;
