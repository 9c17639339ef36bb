//! The public keys, as a JSON Web Key Set (RFC 7517, RFC 8037).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Maximum keys in a set; more indicate a mistake or an attack.
const KEYS_MAX: usize = 16;

/// One Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: String,
    /// Always `Ed25519`.
    pub crv: String,
    /// Always `EdDSA`.
    pub alg: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The key's own thumbprint (RFC 7638).
    pub kid: String,
    /// The public key, 32 bytes in base64url.
    pub x: String,
}

impl Jwk {
    /// The public key as a JSON Web Key.
    #[must_use]
    pub fn new(key: &VerifyingKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
        // RFC 7638: only the required members, in alphabetical order, without white space.
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)));
        let text = str::to_owned;
        Self { kty: text("OKP"), crv: text("Ed25519"), alg: text("EdDSA"), usage: text("sig"), kid, x }
    }

    fn verifying_key(&self) -> Option<VerifyingKey> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(&self.x).ok()?.try_into().ok()?;
        let key = VerifyingKey::from_bytes(&bytes).ok()?;
        (self.kty == "OKP" && self.crv == "Ed25519" && self.alg == "EdDSA" && !key.is_weak()).then_some(key)
    }
}

/// The public keys of accepted signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jwks(Vec<(Jwk, VerifyingKey)>);

/// A key set that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidJwks {
    /// Not JSON, or not of a key set's shape.
    #[error("the key set is not a JSON Web Key Set: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A key that is not an Ed25519 signing key.
    #[error("the key `{0}` of the key set is not an Ed25519 key for EdDSA signatures")]
    WrongKey(String),
    /// More keys than a set may have.
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
}

#[derive(Serialize, Deserialize)]
struct JwksDocument<K> {
    keys: Vec<K>,
}

impl Jwks {
    /// A set of these keys.
    ///
    /// # Errors
    /// When one of them is not an Ed25519 key, or they are more than 16.
    pub fn new(keys: Vec<Jwk>) -> Result<Self, InvalidJwks> {
        if keys.len() > KEYS_MAX {
            return Err(InvalidJwks::TooMany);
        }
        let keys = keys.into_iter().map(|jwk| match jwk.verifying_key() {
            Some(key) => Ok((jwk, key)),
            None => Err(InvalidJwks::WrongKey(jwk.kid.chars().take(64).collect())),
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Parses a key set.
    ///
    /// # Errors
    /// As [`Self::new`], and when it is not a JSON Web Key Set.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidJwks> {
        Self::new(serde_json::from_slice::<JwksDocument<Jwk>>(json)?.keys)
    }

    /// The key set as `/.well-known/jwks.json` returns it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = JwksDocument { keys: self.0.iter().map(|(jwk, _)| jwk).collect() };
        serde_json::to_string(&document).expect("a key set is plain strings")
    }

    pub(crate) fn key(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.iter().find(|(jwk, _)| jwk.kid == kid).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_the_one_of_the_rfc() {
        // RFC 8037, appendix A.2 and A.3.
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url");
        let key = VerifyingKey::from_bytes(&x.try_into().expect("32 bytes")).expect("a point");
        assert_eq!(Jwk::new(&key).kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_set_round_trips_and_invalid_ones_are_rejected() {
        let jwk = Jwk::new(&crate::SigningKey::generate().verifying_key());
        let written = Jwks::new(vec![jwk.clone()]).expect("a good key").to_json();
        assert!(Jwks::from_json(written.as_bytes()).expect("our own").key(&jwk.kid).is_some());

        assert!(matches!(Jwks::from_json(b"[]"), Err(InvalidJwks::Malformed(_))));
        let rsa = written.replace("OKP", "RSA");
        assert!(matches!(Jwks::from_json(rsa.as_bytes()), Err(InvalidJwks::WrongKey(_))));
        assert!(Jwks::new(vec![jwk.clone(); KEYS_MAX]).is_ok());
        assert!(matches!(Jwks::new(vec![jwk; KEYS_MAX + 1]), Err(InvalidJwks::TooMany)));
    }
}
