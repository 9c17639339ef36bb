//! Cached copies in Redis of data that is expensive to read. They may vanish at any time: without
//! one, the caller reads the database.

use std::time::Duration;

use fred::{clients::Client, interfaces::KeysInterface as _, types::Expiration};
use tracing::debug;

use crate::redis::Redis;

/// A cache.
#[derive(Clone)]
pub struct Cache(Redis);

impl Cache {
    /// A cache in a Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self(redis)
    }

    /// Returns a copy, if there is one.
    pub async fn get(&self, key: &str) -> Option<String> {
        let copy: Result<Option<String>, _> = self.0.run(key, |client| async move { client.get(key).await }).await;
        copy.inspect_err(|error| debug!(%error, key, "read cache failed")).ok().flatten()
    }

    /// Stores a copy for a while.
    pub async fn set(&self, key: &str, copy: String, kept: Duration) {
        let kept_ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        let write = |client: Client| {
            let copy = copy.clone();
            async move { client.set(key, copy, Some(Expiration::PX(kept_ms)), None, false).await }
        };
        let set: Result<(), _> = self.0.run(key, write).await;
        if let Err(error) = set {
            debug!(%error, key, "write cache failed");
        }
    }
}
