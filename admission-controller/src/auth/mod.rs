//! Caller identity: the bearer of the admin token, a program with an API token, or an operator with
//! a session.
//!
//! - [`credentials`] are pure: passwords, authenticator codes, tokens, session keys.
//! - [`middleware`] authenticates each request of the admin API and attaches the
//!   [`operator::Operator`].
//! - `headers` reads the credentials of a request.
//! - [`service`] signs in; [`password_queue`] limits how many passwords are hashed at once.

pub mod credentials;
pub(crate) mod error;
mod headers;
pub(crate) mod middleware;
pub(crate) mod operator;
pub(crate) mod password_queue;
pub(crate) mod role;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
