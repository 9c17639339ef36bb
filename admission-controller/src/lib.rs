//! The admission controller: admits shoppers as fast as the stock allows, signs their tokens, and
//! serves the admin API.
//!
//! - [`app`] starts and stops the service, [`router`] has every route.
//! - [`controller`]: the ticks of sales, their lines and records. The control law is the crate
//!   [`fairline_admission`].
//! - [`admin_api`]: a folder for each feature. [`auth`]: caller identity, sign-in, sessions.
//!   [`public_api`]: offers, records, the key set, images, the console's page. [`jobs`]: samples,
//!   deletion of old rows and unused images, rehearsals.
//! - Within a feature: routes call the service, the service calls `store.rs`. SQL stands in
//!   `store.rs` and `db.rs` only.
//! - Each feature maps its errors to responses, in its `error.rs`. [`error`] has those that several
//!   features share.

mod admin_api;
mod app;
pub mod auth;
mod controller;
mod db;
mod error;
mod jobs;
mod openapi;
pub mod problem_types;
mod public_api;
mod router;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::{AdmissionController, run};
pub use controller::{
    lifecycle,
    restore::{RaisedLine, restore},
};
pub use db::migrate;
pub use settings::{ADMIN_CONNECTIONS, KEY_CONNECTIONS, Settings, TICK_CONNECTIONS};
