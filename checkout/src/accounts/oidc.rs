//! The merchant's OpenID Connect provider. Its ID tokens are validated with its published keys
//! (OpenID Connect Core 1.0, section 3.1.3.7).

use std::{sync::Arc, time::Duration};

use fairline_http_client::{HttpClient, web_address};
use fairline_notification_channels::Address;
use fairline_server::StartError;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, Jwk, JwkSet},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

use crate::{accounts::error::AccountError, auth::CLOCK_SLACK_S};

const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// The age at which the keys are fetched again.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
/// The least time between two fetches, however many unknown keys tokens name.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// Tolerated difference to the issuer's clock, in seconds.
const LEEWAY_S: u64 = CLOCK_SLACK_S.unsigned_abs();
/// Asymmetric algorithms only.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
/// The longest subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// The length of a public key of Ed25519.
const ED25519_KEY_BYTES: usize = 32;

/// The subject of a validated ID token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedIdentity {
    pub(crate) subject: String,
    /// The e-mail address, if the issuer has verified it.
    pub(crate) address: Option<Address>,
}

/// The claims of an ID token.
#[derive(Deserialize)]
pub(crate) struct IdTokenClaims {
    sub: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

impl IdTokenClaims {
    pub(crate) fn verified_identity(self) -> Result<VerifiedIdentity, AccountError> {
        let Self { sub, email, email_verified } = self;
        if !(1..=SUBJECT_BYTES_MAX).contains(&sub.len()) {
            return Err(bad("its subject is empty or too long"));
        }
        let address = email.filter(|_| email_verified).and_then(|email| Address::email(&email));
        Ok(VerifiedIdentity { subject: sub, address })
    }
}

fn bad(reason: &str) -> AccountError {
    AccountError::InvalidIdToken(reason.to_owned())
}

/// The header of an ID token.
pub(crate) fn header_of(id_token: &str) -> Result<Header, AccountError> {
    let header = jsonwebtoken::decode_header(id_token).map_err(|_| bad("it is not a signed token"))?;
    // Never trust the header alone: with `none`, or a public key used as an HMAC secret,
    // any client could sign.
    if !ALGORITHMS.contains(&header.alg) {
        return Err(bad("it is not signed with a key that the issuer publishes"));
    }
    Ok(header)
}

/// What an ID token is validated against.
pub(crate) fn validation(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY_S;
    validation
}

/// Validates an ID token with a key: the signature, the issuer, the audience and the expiry.
pub(crate) fn validated(
    id_token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<VerifiedIdentity, AccountError> {
    let claims = jsonwebtoken::decode::<IdTokenClaims>(id_token, key, validation).map_err(|error| {
        bad(match error.kind() {
            ErrorKind::ExpiredSignature => "it has expired",
            ErrorKind::ImmatureSignature => "it is not valid yet",
            ErrorKind::InvalidAudience => "it is for another audience",
            ErrorKind::InvalidIssuer => "it comes from another issuer",
            _ => "its signature or its claims are wrong",
        })
    })?;
    claims.claims.verified_identity()
}

/// The issuer's discovery document.
#[derive(Deserialize)]
pub(crate) struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The state of the issuer's keys.
#[derive(Default)]
pub(crate) struct IssuerKeys {
    keys: Option<JwkSet>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
    /// Why the last fetch failed, if it did.
    failure: Option<String>,
}

impl IssuerKeys {
    /// The keys in an issuer's response.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of_json(bytes: &[u8]) -> serde_json::Result<Self> {
        Ok(Self { keys: Some(serde_json::from_slice(bytes)?), ..Self::default() })
    }

    pub(crate) fn key(&self, kid: Option<&str>) -> Option<DecodingKey> {
        let keys = self.keys.as_ref()?;
        let jwk = match kid {
            Some(kid) => keys.find(kid),
            // Without a key id, the set must hold exactly one key.
            None => keys.keys.first().filter(|_| keys.keys.len() == 1),
        };
        jwk.and_then(usable)
    }
}

/// The key that a JWK describes. `jsonwebtoken` 11 panics when it verifies with a shorter key of
/// Ed25519.
fn usable(jwk: &Jwk) -> Option<DecodingKey> {
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let is_whole = key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == ED25519_KEY_BYTES);
    (is_whole || !matches!(jwk.algorithm, AlgorithmParameters::OctetKeyPair(_))).then_some(key)
}

/// The issuer.
#[derive(Clone)]
pub(crate) struct Issuer {
    name: String,
    audience: String,
    client: HttpClient,
    known: Arc<Mutex<IssuerKeys>>,
}

impl Issuer {
    /// An issuer with its URL, and our client id there.
    pub(crate) fn new(name: &str, audience: &str) -> Result<Self, StartError> {
        let wrong = || StartError::new(format!("The issuer URL `{name}` is not an http:// or https:// URL."));
        web_address(name).ok_or_else(wrong)?;
        let client = HttpClient::new(FETCH_TIMEOUT);
        Ok(Self { name: name.to_owned(), audience: audience.to_owned(), client, known: Arc::default() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Validates an ID token: the signature, the issuer, the audience and the expiry.
    pub(crate) async fn verify_id_token(&self, id_token: &str) -> Result<VerifiedIdentity, AccountError> {
        let header = header_of(id_token)?;
        let key = self.key(header.kid.as_deref()).await?;
        let key = key.ok_or_else(|| bad("it is signed with a key that the issuer does not publish"))?;
        validated(id_token, &key, &validation(header.alg, &self.name, &self.audience))
    }

    /// A key of the issuer. An unknown key, or an old key set, triggers a fetch.
    async fn key(&self, kid: Option<&str>) -> Result<Option<DecodingKey>, AccountError> {
        let mut known = self.known.lock().await;
        let are_fresh = known.fetched_at.is_some_and(|at| at.elapsed() < REFRESH_EVERY);
        if let Some(key) = known.key(kid).filter(|_| are_fresh) {
            return Ok(Some(key));
        }
        // A failed fetch counts as well, so that requests do not wait in turn for an issuer that
        // does not respond.
        if known.tried_at.is_none_or(|at| at.elapsed() > REFRESH_PAUSE) {
            let fetched = self.fetch().await;
            known.tried_at = Some(Instant::now());
            match fetched {
                Ok(keys) => {
                    (known.keys, known.fetched_at, known.failure) = (Some(keys), known.tried_at, None);
                }
                Err(reason) => known.failure = Some(reason),
            }
        }
        match (known.key(kid), &known.failure) {
            // Old keys are better than none while the issuer does not respond.
            (Some(key), _) => Ok(Some(key)),
            (None, Some(reason)) => Err(AccountError::NoIssuer(reason.clone())),
            (None, None) => Ok(None),
        }
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let discovery = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let Discovery { issuer, jwks_uri } = self.get(&discovery).await?;
        if issuer != self.name {
            return Err(format!("{discovery} names another issuer, `{issuer}`"));
        }
        self.get(&jwks_uri).await
    }

    async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, String> {
        let request = Request::get(address).body(Full::default()).map_err(|error| error.to_string())?;
        let answered = self.client.call(request).await.map_err(|error| error.to_string())?;
        if answered.status != StatusCode::OK {
            return Err(format!("{address} returned {}", answered.status));
        }
        serde_json::from_slice(&answered.body).map_err(|error| format!("parse {address} failed: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_wrong_length_is_not_used() {
        let set = |x: &str| {
            let json = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"first","x":"{x}"}}]}}"#);
            IssuerKeys::of_json(json.as_bytes()).expect("a key set")
        };
        assert!(set("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").key(Some("first")).is_some());
        assert!(set("11qYAYKxCrfVS_7TyWQHOg").key(Some("first")).is_none());
    }
}
