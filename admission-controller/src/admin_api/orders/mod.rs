//! Orders of a sale: search, refund and cancellation.

pub(super) mod routes;
pub(crate) mod service;
mod store;
