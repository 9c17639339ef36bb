//! The claims of a token.

use fairline_sale::SaleId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The issuer of tokens.
pub const ISSUER: &str = "fairline";
/// The audience of tokens.
pub const AUDIENCE: &str = "fairline-checkout";

/// The claims: this holder may buy up to `qty` units of this sale until `exp`, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// Always [`AUDIENCE`].
    pub aud: String,
    /// The holder: the visitor id of the ticket that was admitted.
    pub sub: String,
    /// The id of the admission.
    pub jti: Uuid,
    /// The sale.
    pub sale: SaleId,
    /// Units promised.
    pub qty: u32,
    /// When the admission was made, in seconds since 1970.
    pub iat: i64,
    /// When the promise lapses, in seconds since 1970.
    pub exp: i64,
}
