//! The public list of sales, as `GET /products`: each sale sells one product, under the sale's id.
//!
//! - Every request is served from memory. A task refreshes it from a copy in Redis that all
//!   processes share.
//! - The process that relays an event reads the database again within a second. No event reports an
//!   admission; it shows when the copy expires, at most three seconds later.
//! - The list is warm before a sale opens, and a rush does not reach the database. Without
//!   Redis, each process reads the database itself.

pub(crate) mod error;
pub(crate) mod listed_sale;
pub(crate) mod refresh;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
mod tagged;
