//! Forward auth: a proxy in front of any other checkout checks before each request whether its
//! shopper was admitted.
//!
//! - nginx (`auth_request`), Traefik (ForwardAuth) and Envoy (`ext_authz`) are supported.
//! - A check returns 200 while the visit lasts: until the token expires, and after its redemption
//!   while the units are held.
//! - A check does not use the token. The state of an admission is cached for one second, since
//!   proxies check every asset of a page.

pub(crate) mod error;
pub(crate) mod request;
pub(crate) mod routes;
pub(crate) mod service;
mod visit;
