//! HTTP: the JSON API, the pages, and what both have in common.
//!
//! - `entry`: who may enter a line, with which ticket, account or invitation.
//! - `api`, `pages`: the routes; `error`: their problem details.

pub(crate) mod api;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod pages;
