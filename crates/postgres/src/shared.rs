//! What the connections of a pool share, and the deadline of their calls.

use std::{
    future::Future,
    io,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Error, postgres::PgConnectOptions};

use crate::{Durability, PoolOptions, Pooler, PostgresSettings};

/// State that a pool's connections share.
pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) address: PgConnectOptions,
    pub(crate) statement: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) durability: Durability,
    pub(crate) pooler: RwLock<Pooler>,
    /// Connections of an earlier generation are not used any more.
    pub(crate) generation: AtomicU64,
    /// Connections that have not responded since then are tested before use.
    suspected: Mutex<Option<Instant>>,
}

impl Shared {
    pub(crate) fn new(address: PgConnectOptions, settings: &PostgresSettings, options: PoolOptions) -> Self {
        Self {
            name: options.name,
            address,
            statement: options.statement,
            lifetime: options.lifetime,
            durability: settings.postgres_durability,
            pooler: RwLock::new(settings.postgres_pooler),
            generation: AtomicU64::new(0),
            suspected: Mutex::new(None),
        }
    }

    pub(crate) fn suspect(&self) {
        *self.suspected.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn suspects(&self, answered: Instant) -> bool {
        self.suspected.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| answered < since)
    }

    /// Invalidates the connections of this generation.
    pub(crate) fn give_up(&self, generation: u64) {
        // When many fail together, only the first call takes effect; newer connections stay valid.
        let next = generation + 1;
        let _ = self.generation.compare_exchange(generation, next, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Runs work with a deadline.
pub(crate) async fn bounded<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(silent()))
}

/// The error for an expired deadline.
pub(crate) fn silent() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no response in time"))
}
