//! Orders of a sale: search, refund and cancellation.

pub(crate) mod error;
pub(super) mod routes;
pub(crate) mod service;
mod store;
