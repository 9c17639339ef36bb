//! Events of the payment gateway.

pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
