//! Accounts of shoppers: sign-in by code or OpenID Connect, sessions, and what an account may have.

pub(crate) mod error;
pub(crate) mod oidc;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod store;
