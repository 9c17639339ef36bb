//! Stored responses to requests with a key, in Postgres.

use std::time::Duration;

use fairline_postgres::{PgPool, StoreError};

/// Responses deleted in one statement, at most.
const DELETED_MAX: i64 = 50_000;

/// The digest of a caller and a path.
pub(crate) type Scope = [u8; 32];

/// A request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyedRequest {
    /// The caller and path.
    pub(crate) scope: Scope,
    pub(crate) key: String,
    pub(crate) request: [u8; 32],
}

/// The state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// Unused: the request has to be executed.
    New,
    /// The first request with it is in progress.
    InProgress,
    /// It was used with another body.
    Other,
    /// The stored response.
    Answered { status: u16, body: String },
}

/// The table `idempotency_keys`.
#[derive(Clone)]
pub(crate) struct Store(pub(crate) PgPool);

impl Store {
    /// The identity of the caller under which a key was used before.
    pub(crate) async fn known_scope(
        &self,
        request: &KeyedRequest,
        others: &[Scope],
    ) -> Result<Option<Scope>, StoreError> {
        let scopes: Vec<&[u8]> = [&request.scope].into_iter().chain(others).map(|scope| &scope[..]).collect();
        let known =
            sqlx::query_scalar("SELECT scope FROM idempotency_keys WHERE key = $1 AND scope = ANY ($2) LIMIT 1");
        let known: Option<Vec<u8>> = known.bind(&request.key).bind(scopes).fetch_optional(&self.0).await?;
        Ok(known.and_then(|scope| scope.try_into().ok()))
    }

    /// Records that a request with a key is in progress, or returns the state of the earlier
    /// request.
    pub(crate) async fn begin(
        &self,
        request: &KeyedRequest,
        interrupted_after: Duration,
    ) -> Result<KeyState, StoreError> {
        let new: Option<i32> = sqlx::query_scalar(
            "INSERT INTO idempotency_keys (scope, key, request) VALUES ($1, $2, $3) ON CONFLICT (scope, key) DO UPDATE \
             SET started_at = now() WHERE idempotency_keys.status IS NULL AND idempotency_keys.request = excluded.request \
             AND idempotency_keys.started_at < now() - make_interval(secs => $4) RETURNING 1",
        )
        .bind(&request.scope[..])
        .bind(&request.key)
        .bind(&request.request[..])
        .bind(interrupted_after.as_secs_f64())
        .fetch_optional(&self.0)
        .await?;
        if new.is_some() {
            return Ok(KeyState::New);
        }
        let known: Option<(Vec<u8>, Option<i32>, Option<String>)> =
            sqlx::query_as("SELECT request, status, body FROM idempotency_keys WHERE scope = $1 AND key = $2")
                .bind(&request.scope[..])
                .bind(&request.key)
                .fetch_optional(&self.0)
                .await?;
        Ok(match known {
            Some((stored, ..)) if stored != request.request => KeyState::Other,
            Some((_, Some(status), Some(body))) => {
                KeyState::Answered { status: u16::try_from(status).unwrap_or(200), body }
            }
            // Also if it was deleted at this moment: the next request is executed.
            _ => KeyState::InProgress,
        })
    }

    /// Stores the response to a request.
    pub(crate) async fn keep(&self, request: &KeyedRequest, status: u16, body: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE idempotency_keys SET status = $3, body = $4 WHERE scope = $1 AND key = $2 AND status IS NULL",
        )
        .bind(&request.scope[..])
        .bind(&request.key)
        .bind(i32::from(status))
        .bind(body)
        .execute(&self.0)
        .await?;
        Ok(())
    }

    /// Deletes a key, so that its request can be retried.
    pub(crate) async fn forget(&self, request: &KeyedRequest) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND status IS NULL")
            .bind(&request.scope[..])
            .bind(&request.key)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// Deletes a bounded number of older responses.
    pub(crate) async fn forget_old(&self, age: Duration) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY (SELECT ctid FROM idempotency_keys \
             WHERE started_at < now() - make_interval(secs => $1) ORDER BY started_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        )
        .bind(age.as_secs_f64())
        .bind(DELETED_MAX)
        .execute(&self.0)
        .await?;
        Ok(())
    }
}
