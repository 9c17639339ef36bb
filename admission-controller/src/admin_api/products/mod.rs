//! The catalogue: products and their variants.

pub(crate) mod error;
pub(crate) mod fields;
pub(super) mod responses;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
