//! The lanes of a sale, and invitations to them.

mod error;
pub(crate) mod routes;
pub(crate) mod service;
mod store;
