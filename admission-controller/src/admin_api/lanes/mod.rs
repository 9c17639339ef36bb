//! The lanes of a sale, and invitations to them.

pub(crate) mod error;
mod rejected;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
