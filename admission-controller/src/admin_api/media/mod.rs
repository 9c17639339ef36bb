//! Uploads of images.

pub(crate) mod error;
pub(crate) mod responses;
pub(super) mod routes;
pub(crate) mod service;
pub(crate) mod store;
