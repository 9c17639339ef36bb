//! Live updates of the console over a WebSocket, and samples of a sale.

mod connection;
pub(crate) mod error;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
pub(crate) mod update;
