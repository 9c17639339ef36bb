//! Holds and orders: state machines, routes and rows.

pub(crate) mod expiry;
pub(crate) mod holds;
pub(crate) mod order;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod state;
pub(crate) mod store;
