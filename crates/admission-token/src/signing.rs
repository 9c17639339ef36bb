//! The private key, and minting.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{
    Signer as _, VerifyingKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};

use crate::{Claims, Jwk};

/// The key that signs admission tokens. Only the admission controller holds one. It is never
/// printed.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    kid: String,
}

/// A signing key that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("this is not an Ed25519 private key in PKCS#8 PEM: {0}")]
pub struct InvalidSigningKey(String);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    fn new(key: ed25519_dalek::SigningKey) -> Self {
        let kid = Jwk::new(&key.verifying_key()).kid;
        Self { key, kid }
    }

    /// A new key from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(ed25519_dalek::SigningKey::from_bytes(&rand::random()))
    }

    /// Parses a key from PKCS#8 PEM.
    ///
    /// # Errors
    /// When it is not an Ed25519 private key.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidSigningKey> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map(Self::new)
            .map_err(|error| InvalidSigningKey(error.to_string()))
    }

    /// The key as PKCS#8 PEM, to be kept in a file that only the controller reads.
    ///
    /// # Panics
    /// Never: an Ed25519 key always has a PKCS#8 form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.key.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key has a PKCS#8 form").to_string()
    }

    /// The key id, in the key set and in every token.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Signs these claims. The same claims always result in the same token.
    ///
    /// # Panics
    /// Never: claims are plain strings and numbers.
    #[must_use]
    pub fn mint(&self, claims: &Claims) -> String {
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, self.kid);
        let claims = serde_json::to_vec(claims).expect("claims are plain strings and numbers");
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        token
    }
}
