//! The signing keys of admission tokens, and their revocation.

pub(crate) mod error;
pub(super) mod routes;
pub(crate) mod service;
pub(crate) mod store;
