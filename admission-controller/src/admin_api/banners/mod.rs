//! The banner of a sale: an uploaded image for its pages.

pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
