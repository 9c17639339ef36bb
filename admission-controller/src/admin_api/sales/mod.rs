//! Sales: created, changed, opened, paused and closed.

pub(crate) mod change;
mod checks;
pub(crate) mod create;
pub(crate) mod error;
pub(super) mod responses;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
