//! The waiting room faces the internet: it issues places in line to shoppers and notifies them of
//! their turn.
//!
//! - [`app`] starts and stops the service, [`router`] has every route.
//! - `http`: the API, the pages, and entry to a line; `auth`: tickets, and accounts
//!   that the shop asserts.
//! - `line`: the lines that this node follows, and the shoppers who are connected to it.
//! - `websocket`, `stream`: transports to waiting pages. `fairline-update-policy` decides the
//!   messages.
//!
//! Calls Redis only. Has no database and no key that signs admissions.

mod app;
mod auth;
mod http;
mod line;
mod openapi;
pub mod problem_types;
mod router;
mod settings;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod websocket;

pub use app::{WaitingRoom, run};
pub use settings::Settings;
