//! HTTP: the JSON API, the pages, and their shared entry checks.
//!
//! - `state`: the state of each feature; `extract`: what handlers extract from a request.
//! - `entry`: admits a request to a line, by its ticket, account or invitation.
//! - `connections`: slots for streams and WebSockets; `polls`: presence of clients that poll.
//! - `api`, `pages`: the routes; `error`: their problem details.

pub(crate) mod api;
pub(crate) mod connections;
pub(crate) mod entry;
pub(crate) mod error;
mod extract;
pub(crate) mod pages;
pub(crate) mod polls;
pub(crate) mod state;
