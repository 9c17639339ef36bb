//! Orders of a sale: search, refund and cancellation.

pub(crate) mod error;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
