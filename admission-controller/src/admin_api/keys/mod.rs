//! The signing keys of admission tokens, and their revocation.

pub(super) mod routes;
pub(crate) mod service;
mod store;
