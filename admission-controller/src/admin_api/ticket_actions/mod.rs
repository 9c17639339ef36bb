//! Ticket actions of operators in a running sale: admit more, remove one, prefer one, revoke all
//! tokens.

pub(crate) mod error;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
