//! Stored responses to requests with a key, in Postgres.

use std::time::Duration;

use fairline_postgres::PgPool;

/// Responses deleted in one statement, at most.
const FORGOTTEN_MAX: i64 = 50_000;

/// The digest of a caller and a path.
pub(crate) type Scope = [u8; 32];

/// A request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The caller and path.
    pub(crate) scope: Scope,
    pub(crate) key: String,
    pub(crate) request: [u8; 32],
}

/// The state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Unused: the request has to be executed.
    New,
    /// The first request with it is in progress.
    UnderWay,
    /// It was used with another body.
    Other,
    /// The stored response.
    Answered { status: u16, body: String },
}

/// The table `answers`.
#[derive(Clone)]
pub(crate) struct Answers(pub(crate) PgPool);

impl Answers {
    /// The identity of the caller under which a key was used before.
    pub(crate) async fn known_scope(&self, asked: &Asked, others: &[Scope]) -> Result<Option<Scope>, sqlx::Error> {
        let scopes: Vec<&[u8]> = [&asked.scope].into_iter().chain(others).map(|scope| &scope[..]).collect();
        let known = sqlx::query_scalar("SELECT scope FROM answers WHERE key = $1 AND scope = ANY ($2) LIMIT 1");
        let known: Option<Vec<u8>> = known.bind(&asked.key).bind(scopes).fetch_optional(&self.0).await?;
        Ok(known.and_then(|scope| scope.try_into().ok()))
    }

    /// Records that a request with a key is in progress, or returns the state of the earlier
    /// request.
    pub(crate) async fn ask(&self, asked: &Asked, cut_off_after: Duration) -> Result<Known, sqlx::Error> {
        let new: Option<i32> = sqlx::query_scalar(
            "INSERT INTO answers (scope, key, request) VALUES ($1, $2, $3) ON CONFLICT (scope, key) DO UPDATE \
             SET started_at = now() WHERE answers.status IS NULL AND answers.request = excluded.request \
             AND answers.started_at < now() - make_interval(secs => $4) RETURNING 1",
        )
        .bind(&asked.scope[..])
        .bind(&asked.key)
        .bind(&asked.request[..])
        .bind(cut_off_after.as_secs_f64())
        .fetch_optional(&self.0)
        .await?;
        if new.is_some() {
            return Ok(Known::New);
        }
        let known: Option<(Vec<u8>, Option<i32>, Option<String>)> =
            sqlx::query_as("SELECT request, status, body FROM answers WHERE scope = $1 AND key = $2")
                .bind(&asked.scope[..])
                .bind(&asked.key)
                .fetch_optional(&self.0)
                .await?;
        Ok(match known {
            Some((request, ..)) if request != asked.request => Known::Other,
            Some((_, Some(status), Some(body))) => {
                Known::Answered { status: u16::try_from(status).unwrap_or(200), body }
            }
            // Also if it was deleted at this moment: the next request is executed.
            _ => Known::UnderWay,
        })
    }

    /// Stores the response to a request.
    pub(crate) async fn keep(&self, asked: &Asked, status: u16, body: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE answers SET status = $3, body = $4 WHERE scope = $1 AND key = $2 AND status IS NULL")
            .bind(&asked.scope[..])
            .bind(&asked.key)
            .bind(i32::from(status))
            .bind(body)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// Deletes a key, so that its request can be retried.
    pub(crate) async fn forget(&self, asked: &Asked) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM answers WHERE scope = $1 AND key = $2 AND status IS NULL")
            .bind(&asked.scope[..])
            .bind(&asked.key)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// Deletes a bounded number of older responses.
    pub(crate) async fn forget_old(&self, age: Duration) -> Result<(), sqlx::Error> {
        sqlx::query(
            "DELETE FROM answers WHERE ctid = ANY (ARRAY (SELECT ctid FROM answers \
             WHERE started_at < now() - make_interval(secs => $1) ORDER BY started_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        )
        .bind(age.as_secs_f64())
        .bind(FORGOTTEN_MAX)
        .execute(&self.0)
        .await?;
        Ok(())
    }
}
