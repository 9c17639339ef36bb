//! Public keys of admission tokens.
//!
//! - A background task fetches the keys; verification makes no call.
//! - A cache of verified tokens spares the signature check of a token that comes again.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fairline_admission_token::{Claims, Jwks, TokenError, VerifiedToken, verify};
use fairline_http_client::{HttpClient, web_address};
use fairline_sale::{SaleId, VisitorId};
use fairline_server::{Shutdown, StartError, report_alive};
use http_body_util::Full;
use hyper::{Request, Uri};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tracing::{info, warn};
use uuid::Uuid;

use crate::generational_cache::GenerationalCache;

/// The age at which the keys are fetched again. A controller publishes a new key at least this long
/// before it signs with it.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// The least time between two fetches, however many unknown keys tokens name.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// The least time between two attempts while no key is known.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// Verified tokens that the cache holds at least; twice as many at most. One takes about 700 bytes.
/// Forged tokens are not cached: a client could evict the others with a stream of new ones.
const SEEN_MAX: usize = 16_384;

/// The clock of this process may be off, so the row of the admission decides whether a token has
/// expired.
const NO_CLOCK: i64 = i64::MIN;

/// Where the keys come from.
#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Http(Box<HttpClient>, Uri),
}

/// The claims of a token that was verified before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedClaims {
    /// The admission.
    pub admission: Uuid,
    /// Its sale.
    pub sale: SaleId,
    /// Its holder.
    pub visitor: VisitorId,
}

/// A genuine token: the signed part, and the claims.
struct CachedToken {
    signed: String,
    genuine: VerifiedToken,
    seen: Option<CachedClaims>,
}

/// A key set, and a cache of the tokens that it verified, by signature. A new key set replaces
/// both.
struct KeySetCache {
    keys: Jwks,
    seen: Mutex<GenerationalCache<String, CachedToken, SEEN_MAX>>,
}

impl KeySetCache {
    fn new(keys: Jwks) -> Self {
        Self { keys, seen: Mutex::default() }
    }

    /// Looks up a token that was verified before.
    fn remembered<T>(&self, token: &str, of: impl FnOnce(&CachedToken) -> T) -> Option<T> {
        let (signed, signature) = token.rsplit_once('.')?;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(signature).filter(|remembered| remembered.signed == signed).map(of)
    }

    fn remember(&self, token: &str, genuine: VerifiedToken) {
        let Some((signed, signature)) = token.rsplit_once('.') else { return };
        let Claims { jti: admission, sale, ref sub, .. } = genuine.claims;
        let seen = sub.parse().ok().map(|visitor| CachedClaims { admission, sale, visitor });
        let remembered = CachedToken { signed: signed.to_owned(), genuine, seen };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).keep(signature.to_owned(), remembered);
    }

    /// The claims of a token that was verified before.
    fn known(&self, token: &str) -> Option<VerifiedToken> {
        self.remembered(token, |remembered| remembered.genuine.clone())
    }

    fn seen(&self, token: &str) -> Option<CachedClaims> {
        self.remembered(token, |remembered| remembered.seen)?
    }

    fn verify(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        if let Some(known) = self.known(token) {
            return Ok(known);
        }
        let verified = verify(token, &self.keys, NO_CLOCK);
        if let Ok(genuine) = &verified {
            self.remember(token, genuine.clone());
        }
        verified
    }
}

/// The current keys, and the task that refreshes them.
#[derive(Clone)]
pub struct Keys {
    current: watch::Receiver<Option<KeySetCache>>,
    wanted: Arc<Notify>,
}

/// Why a token's claims are not known.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimsError {
    /// No keys are loaded yet.
    NoKeys,
    /// The token is not genuine.
    Token(TokenError),
}

impl Keys {
    /// Loads the keys. A key file must exist. A controller that does not respond yet is retried in
    /// the background.
    ///
    /// # Errors
    /// Returns an error if the source is no URL and no readable file.
    pub async fn load(source: &str, shutdown: &Shutdown) -> Result<Self, StartError> {
        let source = match web_address(source) {
            Some(address) => Source::Http(Box::new(HttpClient::new(FETCH_TIMEOUT)), address),
            None if source.contains("://") => {
                return Err(StartError::new(format!(
                    "The key source `{source}` is neither an http:// or https:// URL nor a file."
                )));
            }
            None => Source::File(source.into()),
        };
        let first = match (fetch(&source).await, &source) {
            (Ok(keys), _) => Some(KeySetCache::new(keys)),
            (Err(error), Source::File(path)) => {
                return Err(StartError::new(format!("Can't read the keys in {}: {error}.", path.display())));
            }
            (Err(error), Source::Http(_, address)) => {
                warn!(%address, error, "fetch admission token keys failed; it will be retried");
                None
            }
        };
        let (keys, current) = watch::channel(first);
        let wanted = Arc::new(Notify::new());
        let (refreshes, stop, watched) = (wanted.clone(), shutdown.clone(), shutdown.watch("admission-keys"));
        shutdown.spawn(async move {
            while watched.caught(keep_fresh(&source, &keys, &refreshes, &stop)).await.is_none() {}
        });
        Ok(Self { current, wanted })
    }

    /// Whether any keys are loaded.
    #[must_use]
    pub fn are_loaded(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// The claims of a genuine token that was verified before.
    #[must_use]
    pub fn known(&self, token: &str) -> Option<VerifiedToken> {
        self.current.borrow().as_ref()?.known(token)
    }

    /// The claims in short, whether or not the token has expired.
    #[must_use]
    pub fn seen(&self, token: &str) -> Option<CachedClaims> {
        self.current.borrow().as_ref()?.seen(token)
    }

    /// The claims of a genuine token, whether or not it has expired. An unknown key triggers a
    /// fetch soon.
    ///
    /// # Errors
    /// Returns an error if the token is not genuine, or no keys are loaded yet.
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, ClaimsError> {
        let known = self.current.borrow();
        let verified = known.as_ref().ok_or(ClaimsError::NoKeys)?.verify(token);
        if verified == Err(TokenError::UnknownKey) {
            self.wanted.notify_one();
        }
        verified.map_err(ClaimsError::Token)
    }
}

async fn keep_fresh(source: &Source, keys: &watch::Sender<Option<KeySetCache>>, wanted: &Notify, shutdown: &Shutdown) {
    loop {
        report_alive();
        let pause = async {
            if keys.borrow().is_none() {
                sleep(FIRST_PAUSE).await;
            } else {
                sleep(REFRESH_PAUSE).await;
                // An early wake-up and the timeout both lead to a fetch.
                let _ = timeout(REFRESH_EVERY - REFRESH_PAUSE, wanted.notified()).await;
            }
        };
        tokio::select! {
            () = pause => {}
            () = shutdown.triggered() => return,
        }
        match fetch(source).await {
            // The cache stays valid with the same keys.
            Ok(fetched) if keys.borrow().as_ref().is_some_and(|known| known.keys == fetched) => {}
            Ok(fetched) => {
                if keys.send_replace(Some(KeySetCache::new(fetched))).is_none() {
                    info!("admission token keys loaded");
                }
            }
            Err(error) => warn!(error, "fetch admission token keys failed; keeping the old keys"),
        }
    }
}

async fn fetch(source: &Source) -> Result<Jwks, String> {
    let json = match source {
        Source::File(path) => tokio::fs::read(path).await.map_err(|error| error.to_string())?,
        Source::Http(client, address) => {
            let request = Request::get(address).body(Full::default()).map_err(|error| error.to_string())?;
            let answered = client.call(request).await.map_err(|error| error.to_string())?;
            if !answered.status.is_success() {
                return Err(format!("{address} returned {}", answered.status));
            }
            answered.body.into()
        }
    };
    Jwks::from_json(&json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use fairline_admission_token::{AUDIENCE, ISSUER, Jwk, SigningKey};
    use fairline_sale::{SaleId, VisitorId};
    use uuid::Uuid;

    use super::*;

    fn claims(number: u128, exp: i64) -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: VisitorId([7; 16]).to_string(),
            jti: Uuid::from_u128(number),
            sale: SaleId(Uuid::from_u128(2)),
            qty: 1,
            iat: 0,
            exp,
        }
    }

    #[test]
    fn a_cached_token_has_the_same_claims() {
        let key = SigningKey::generate();
        let known = KeySetCache::new(Jwks::new(vec![Jwk::new(&key.verifying_key())]).expect("a key"));
        let token = key.mint(&claims(1, 100));
        let forged = SigningKey::generate().mint(&claims(1, 100));
        let genuine = VerifiedToken { claims: claims(1, 100), kid: key.kid().to_owned() };
        for _ in 0..2 {
            assert_eq!(known.verify(&token), Ok(genuine.clone()), "whenever it expires");
            assert_eq!(known.verify(&forged), Err(TokenError::UnknownKey));
            assert_eq!(known.verify(&format!("{token}x")), Err(TokenError::Malformed));
        }
        assert_eq!(known.remembered(&token, |remembered| remembered.genuine.clone()), Some(genuine));
        assert!(known.remembered(&forged, |_| ()).is_none(), "forged tokens are not cached");
        let (signed, signature) = token.rsplit_once('.').expect("a token");
        let other = format!("{}.{signature}", &signed[..signed.len() - 1]);
        assert!(known.remembered(&other, |_| ()).is_none(), "a signature is not a token");
    }
}
