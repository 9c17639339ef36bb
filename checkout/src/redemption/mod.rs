//! Redemption of admission tokens: verification, fast reject, and batched commits.

pub(crate) mod batcher;
pub(crate) mod fast_reject;
pub(crate) mod forgery_guard;
pub(crate) mod middleware;
pub(crate) mod outcome;
pub(crate) mod prepared;
pub(crate) mod refusal_cache;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
