//! API tokens of programs.

mod error;
pub(crate) mod routes;
mod store;
