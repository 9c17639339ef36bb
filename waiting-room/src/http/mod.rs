//! HTTP: the JSON API, the pages, and their shared entry checks.
//!
//! - `entry`: verifies the ticket, account or invitation of a request.
//! - `api`, `pages`: the routes; `error`: their problem details.

pub(crate) mod api;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod pages;
