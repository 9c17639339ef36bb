//! Redemption of admission tokens: checks before the database, and batched commits.

pub(crate) mod batcher;
pub(crate) mod error;
pub(crate) mod middleware;
pub(crate) mod outcome;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
