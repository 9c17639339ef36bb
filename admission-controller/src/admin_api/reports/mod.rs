//! The report on a sale.

mod report;
pub(super) mod routes;
pub(crate) mod service;
pub(crate) mod store;
