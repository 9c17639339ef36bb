//! Checkout: redeems admission tokens, holds units, takes payments, keeps orders.
//!
//! - [`app`] starts and stops the service, [`router`] has every route.
//! - [`auth`]: caller identity. [`redemption`]: a token becomes a hold. [`orders`]: holds and
//!   orders. [`payments`]: money, and the port to the payment gateway. [`accounts`]: sign-in.
//!   [`notifications`]: e-mail, SMS, Web Push. [`events`]: outbox and streams. [`webhooks`]:
//!   deliveries to other systems. [`sales`]: the list of sales. [`merchant_api`]: the API for the
//!   merchant's systems. [`forward_auth`]: checks for proxies. [`jobs`]: scheduled work.
//! - Within a feature: routes call the service, the service calls `store.rs`. SQL stands in
//!   `store.rs` and `db.rs` only.
//! - Each feature maps its errors to responses, in its `error.rs`. [`error`] has those that several
//!   features share.
//! - Each feature has its own state; only [`app`] and [`router`] know all of them. No module
//!   uses these two, and no features use each other (`cli/tests/modules.rs`).

mod accounts;
mod app;
mod auth;
mod db;
mod error;
mod events;
mod forward_auth;
mod http;
mod jobs;
mod merchant_api;
mod notifications;
mod openapi;
mod orders;
mod payments;
pub mod problem_types;
mod redemption;
mod router;
mod sales;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod webhooks;

pub use app::{Checkout, run};
pub use settings::{
    BACKGROUND_CONNECTIONS, HEARTBEAT_CONNECTIONS, PAYMENT_CONNECTIONS, ProcessRole, REDEMPTION_CONNECTIONS,
    REQUEST_CONNECTIONS, Settings,
};
