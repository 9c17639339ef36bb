//! The admission token: the signed, short-lived, single-use proof of an admission.
//!
//! A JSON Web Token (RFC 7519) signed with Ed25519 (RFC 8037, `alg: EdDSA`). The controller mints
//! it with the only private key; checkout verifies it with public keys. Ed25519 is deterministic,
//! so an admission has one token however often it is minted: publishing again after a crash changes
//! nothing.
//!
//! This crate does not enforce single use; the database row of the admission does.
//!
//! ```
//! use fairline_admission_token::{AUDIENCE, Claims, ISSUER, Jwk, Jwks, SigningKey, verify};
//!
//! let key = SigningKey::generate();
//! let sale = "3c6f7a52-0f5e-4c0e-9a39-6b8d3f5f6f10".parse().expect("a UUID");
//! let claims = Claims {
//!     iss: ISSUER.to_owned(),
//!     aud: AUDIENCE.to_owned(),
//!     sub: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
//!     jti: uuid::Uuid::nil(),
//!     sale,
//!     qty: 1,
//!     iat: 1_000,
//!     exp: 1_120,
//! };
//! let jwks = Jwks::new(vec![Jwk::new(&key.verifying_key())]).expect("one key");
//! assert!(verify(&key.mint(&claims), &jwks, 1_060).is_ok());
//! assert!(verify(&SigningKey::generate().mint(&claims), &jwks, 1_060).is_err());
//! ```

mod claims;
mod jwks;
mod signing;
mod verify;

pub use claims::{AUDIENCE, Claims, ISSUER};
pub use jwks::{InvalidJwks, Jwk, Jwks};
pub use signing::{InvalidSigningKey, SigningKey};
pub use verify::{TokenError, VerifiedToken, named_holder, verify};
