//! The merchant API for the merchant's systems, authenticated by the merchant key: a checkout of
//! its own, a box office, a point of sale.

pub(crate) mod error;
pub(crate) mod request;
pub(crate) mod routes;
pub(crate) mod service;
mod stock;
pub(crate) mod store;
mod view;
