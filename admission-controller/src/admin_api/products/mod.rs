//! The catalogue: products and their variants.

pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod routes;
pub(crate) mod service;
mod store;
mod view;
