//! Uploads of images.

pub(super) mod routes;
pub(crate) mod service;
mod store;
pub(crate) mod view;
