//! The public keys of admission tokens. They are fetched beforehand; verification itself asks nobody.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fairline_admission_token::{Genuine, Jwks, TokenError, verify};
use fairline_service::{Shutdown, StartError};
use http_body_util::Full;
use hyper::{Request, Uri};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::outbound::{HttpClient, web_address};

/// How old the keys get: a controller shows a new one at least this long before it signs with it.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// The least time between two fetches, however many unknown keys tokens name.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// The least time between two tries while there is no key at all.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the keys are.
#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Http(Box<HttpClient>, Uri),
}

/// The keys, and the task that keeps them fresh.
#[derive(Clone)]
pub(crate) struct Keys {
    current: watch::Receiver<Option<Jwks>>,
    wanted: Arc<Notify>,
}

/// Why a token's claims are not known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoClaims {
    /// There are no keys yet.
    NoKeys,
    Token(TokenError),
}

impl Keys {
    /// Loads the keys. A file has to be there; a controller that does not answer yet is asked again in the background.
    pub(crate) async fn load(source: &str, shutdown: &Shutdown) -> Result<Self, StartError> {
        let source = match web_address(source) {
            Some(address) => Source::Http(Box::new(HttpClient::new(FETCH_TIMEOUT)), address),
            None if source.contains("://") => {
                return Err(StartError::new(format!(
                    "The keys' address `{source}` is neither an http:// or https:// one nor a file."
                )));
            }
            None => Source::File(source.into()),
        };
        let first = match (fetch(&source).await, &source) {
            (Ok(keys), _) => Some(keys),
            (Err(error), Source::File(path)) => {
                return Err(StartError::new(format!("The keys in {} can't be read: {error}.", path.display())));
            }
            (Err(error), Source::Http(_, address)) => {
                warn!(%address, error, "the keys of admission tokens can't be fetched yet");
                None
            }
        };
        let (keys, current) = watch::channel(first);
        let wanted = Arc::new(Notify::new());
        shutdown.spawn(keep_fresh(source, keys, wanted.clone(), shutdown.clone()));
        Ok(Self { current, wanted })
    }

    /// Whether there are any.
    pub(crate) fn are_loaded(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// What a genuine token says. A key that is not known has the keys fetched again, soon.
    pub(crate) fn verify(&self, token: &str, now_unix_s: i64) -> Result<Genuine, NoClaims> {
        let keys = self.current.borrow();
        let verified = verify(token, keys.as_ref().ok_or(NoClaims::NoKeys)?, now_unix_s);
        if verified == Err(TokenError::UnknownKey) {
            self.wanted.notify_one();
        }
        verified.map_err(NoClaims::Token)
    }
}

async fn keep_fresh(source: Source, keys: watch::Sender<Option<Jwks>>, wanted: Arc<Notify>, shutdown: Shutdown) {
    loop {
        let pause = async {
            if keys.borrow().is_none() {
                sleep(FIRST_PAUSE).await;
            } else {
                sleep(REFRESH_PAUSE).await;
                // Early or not, it is time.
                let _ = timeout(REFRESH_EVERY - REFRESH_PAUSE, wanted.notified()).await;
            }
        };
        tokio::select! {
            () = pause => {}
            () = shutdown.triggered() => return,
        }
        match fetch(&source).await {
            Ok(fetched) => {
                if keys.send_replace(Some(fetched)).is_none() {
                    info!("the keys of admission tokens were loaded");
                }
            }
            Err(error) => warn!(error, "the keys of admission tokens can't be fetched; the old ones stay"),
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
                return Err(format!("{address} answered {}", answered.status));
            }
            answered.body.into()
        }
    };
    Jwks::from_json(&json).map_err(|error| error.to_string())
}
