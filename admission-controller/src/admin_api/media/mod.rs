//! Uploads of images.

pub(crate) mod error;
pub(super) mod routes;
pub(crate) mod service;
mod store;
pub(crate) mod view;
