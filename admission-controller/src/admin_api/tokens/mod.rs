//! API tokens of programs.

pub(crate) mod routes;
mod store;
