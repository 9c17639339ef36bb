//! Limits how many passwords are hashed at the same time: each takes 19 MiB and 20 ms of a
//! processor.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    credentials::{hash_password, is_password, verify_password},
    error::AdminAuthError,
};
use crate::error::check_field;

/// Passwords that are hashed at the same time.
static HASHING: Semaphore = Semaphore::const_new(2);
/// Passwords that are hashed or wait for it.
static QUEUED: Semaphore = Semaphore::const_new(32);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A place in the queue and one among those that are hashed.
pub(super) type HashPermit = (SemaphorePermit<'static>, SemaphorePermit<'static>);

/// Waits for a password's turn. Fails if the queue is full or the wait too long.
pub(super) async fn turn() -> Result<HashPermit, AdminAuthError> {
    let queued = QUEUED.try_acquire().map_err(|_| AdminAuthError::TooManySignIns)?;
    match timeout(WAIT_MAX, HASHING.acquire()).await {
        Ok(Ok(hashing)) => Ok((queued, hashing)),
        _ => Err(AdminAuthError::TooManySignIns),
    }
}

/// Whether a password matches a hash. The turn lasts until the work ends, even if the client
/// disconnects.
pub(super) async fn verify(turn: HashPermit, password: String, hash: String) -> bool {
    let verified = spawn_blocking(move || (verify_password(&password, &hash), drop(turn)).0);
    verified.await.unwrap_or(false)
}

/// Hashes a new password, which `field` of the request contains.
pub(crate) async fn hash(field: &'static str, password: String) -> Result<String, AdminAuthError> {
    check_field(field, is_password(&password), "have at least 12 characters, and at most 200 bytes")?;
    let turn = turn().await?;
    let hash = spawn_blocking(move || (hash_password(&password, rand::random()), drop(turn)).0).await;
    hash.map_err(|_| AdminAuthError::Failed)
}
