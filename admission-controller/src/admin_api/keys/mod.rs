//! The signing keys of admission tokens, and their revocation.

mod error;
pub(super) mod routes;
pub(crate) mod service;
mod store;
