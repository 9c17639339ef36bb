//! The shop's own issuer of accounts: an OpenID Connect provider, whose ID tokens are validated by its published keys (OpenID Connect Core
//! 1.0, section 3.1.3.7).

use std::{sync::Arc, time::Duration};

use fairline_service::StartError;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind, jwk::JwkSet};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    CLOCK_SLACK_S,
    accounts::account::Address,
    error::CheckoutError,
    outbound::{HttpClient, web_address},
};

const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// How old the keys get.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
/// The least time between two fetches, however many unknown keys tokens name.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// How far the issuer's clock may be off, in seconds.
const LEEWAY_S: u64 = CLOCK_SLACK_S.unsigned_abs();
/// Those with a key that is public.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
/// The longest name of an account (OpenID Connect Core 1.0, section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Whom an ID token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vouched {
    pub(crate) subject: String,
    /// The e-mail address, where the issuer says that it is verified.
    pub(crate) address: Option<Address>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// What is known of the issuer's keys.
#[derive(Default)]
struct Known {
    keys: Option<JwkSet>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
    /// Why the last try came to nothing, if it did.
    failure: Option<String>,
}

impl Known {
    fn key(&self, kid: Option<&str>) -> Option<DecodingKey> {
        let keys = self.keys.as_ref()?;
        let jwk = match kid {
            Some(kid) => keys.find(kid),
            // Without a name, there has to be one alone.
            None => keys.keys.first().filter(|_| keys.keys.len() == 1),
        };
        DecodingKey::from_jwk(jwk?).ok()
    }
}

/// The issuer.
#[derive(Clone)]
pub(crate) struct Issuer {
    name: String,
    audience: String,
    client: HttpClient,
    known: Arc<Mutex<Known>>,
}

impl Issuer {
    /// An issuer, by its address, and what it calls us.
    pub(crate) fn new(name: &str, audience: &str) -> Result<Self, StartError> {
        let wrong = || StartError::new(format!("The issuer's address `{name}` is not an http:// or https:// one."));
        web_address(name).ok_or_else(wrong)?;
        let client = HttpClient::new(FETCH_TIMEOUT);
        Ok(Self { name: name.to_owned(), audience: audience.to_owned(), client, known: Arc::default() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whom an ID token names, if it is the issuer's, for us, and in time.
    pub(crate) async fn vouch(&self, id_token: &str) -> Result<Vouched, CheckoutError> {
        let bad = |reason: &str| CheckoutError::BadIdToken(reason.to_owned());
        let header = jsonwebtoken::decode_header(id_token).map_err(|_| bad("it is no signed token"))?;
        // Never by what the token says alone: with `none`, or a public key for a shared one, anybody could sign.
        if !ALGORITHMS.contains(&header.alg) {
            return Err(bad("it is not signed with a key that the issuer publishes"));
        }
        let key = self
            .key(header.kid.as_deref())
            .await?
            .ok_or_else(|| bad("it is signed with a key that the issuer has not"))?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.name]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_S;
        let claims = jsonwebtoken::decode::<Claims>(id_token, &key, &validation);
        let claims = claims.map_err(|error| {
            bad(match error.kind() {
                ErrorKind::ExpiredSignature => "it has run out",
                ErrorKind::ImmatureSignature => "it is not good yet",
                ErrorKind::InvalidAudience => "it is for somebody else",
                ErrorKind::InvalidIssuer => "it is another issuer's",
                _ => "its signature or its claims are wrong",
            })
        })?;
        let Claims { sub, email, email_verified } = claims.claims;
        if !(1..=SUBJECT_BYTES_MAX).contains(&sub.len()) {
            return Err(bad("it names nobody"));
        }
        let address = email.filter(|_| email_verified).and_then(|email| Address::email(&email));
        Ok(Vouched { subject: sub, address })
    }

    /// A key of the issuer. One that is not known, or is old, has them fetched again.
    async fn key(&self, kid: Option<&str>) -> Result<Option<DecodingKey>, CheckoutError> {
        let mut known = self.known.lock().await;
        let are_fresh = known.fetched_at.is_some_and(|at| at.elapsed() < REFRESH_EVERY);
        if let Some(key) = known.key(kid).filter(|_| are_fresh) {
            return Ok(Some(key));
        }
        // A try that failed counts as well: nobody waits for an issuer who has just kept somebody else waiting.
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
            // Old keys are better than none while the issuer is away.
            (Some(key), _) => Ok(Some(key)),
            (None, Some(reason)) => Err(CheckoutError::NoIssuer(reason.clone())),
            (None, None) => Ok(None),
        }
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let discovery = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let Discovery { issuer, jwks_uri } = self.get(&discovery).await?;
        if issuer != self.name {
            return Err(format!("{discovery} is of another issuer, `{issuer}`"));
        }
        self.get(&jwks_uri).await
    }

    async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, String> {
        let request = Request::get(address).body(Full::default()).map_err(|error| error.to_string())?;
        let answered = self.client.call(request).await.map_err(|error| error.to_string())?;
        if answered.status != StatusCode::OK {
            return Err(format!("{address} answered {}", answered.status));
        }
        serde_json::from_slice(&answered.body).map_err(|error| format!("{address} makes no sense: {error}"))
    }
}
