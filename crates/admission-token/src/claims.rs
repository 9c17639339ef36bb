//! What a token says.

use fairline_sale::SaleId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who issues tokens.
pub const ISSUER: &str = "fairline";
/// Whom tokens are for.
pub const AUDIENCE: &str = "fairline-checkout";

/// What a token says: this holder may buy so much of this sale until then, once.
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
