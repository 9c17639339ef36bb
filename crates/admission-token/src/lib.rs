//! The admission token: the signed, short-lived, single-use proof of an admission.
//!
//! A JSON Web Token (RFC 7519) signed with Ed25519 (RFC 8037, `alg: EdDSA`). The controller mints
//! it with the only private key; checkout verifies it with public keys. Ed25519 is deterministic,
//! so an admission has one token however often it is minted: publishing again after a crash changes
//! nothing.
//!
//! This crate does not enforce single use; the database row of the admission does.

mod claims;
mod jwks;
mod signing;
mod verify;

pub use claims::{AUDIENCE, Claims, ISSUER};
pub use jwks::{Jwk, Jwks, WrongJwks};
pub use signing::{SigningKey, WrongKey};
pub use verify::{Genuine, TokenError, named_holder, verify};
