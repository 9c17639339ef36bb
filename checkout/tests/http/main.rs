//! Checkout from the outside: HTTP on a real listener, a real Postgres, and the sandbox gateway
//! over HTTP.

mod account_limits;
mod accounts;
mod clocks;
mod common_routes;
mod crash;
mod events;
mod forward_auth;
mod gateway;
mod idempotency;
mod logs;
mod merchant_api;
mod money;
mod notifications;
mod oidc;
mod outage;
mod paused_process;
mod payment;
mod people;
mod pools;
mod purchase;
mod readiness;
mod redemption;
mod retention;
mod roles;
mod sales;
mod sweeper;
mod test_checkout;
mod web_push;
mod webhook;
mod withdrawal;
