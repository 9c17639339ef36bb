//! API tokens of programs.

pub(crate) mod error;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
