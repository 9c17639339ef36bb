//! What requests with a key were answered, in Postgres.

use std::time::Duration;

use fairline_postgres::PgPool;

/// Answers that are forgotten at once, at most.
const FORGOTTEN_MAX: i64 = 50_000;

/// Who asks for what, as a digest.
pub(crate) type Scope = [u8; 32];

/// What asks for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Who asks for what.
    pub(crate) scope: Scope,
    pub(crate) key: String,
    pub(crate) request: [u8; 32],
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: the request is to be done.
    New,
    /// The first request with it is still under way.
    UnderWay,
    /// It came with another body.
    Other,
    /// What it was answered.
    Answered { status: u16, body: String },
}

/// The table `answers`.
#[derive(Clone)]
pub(crate) struct Answers(pub(crate) PgPool);

impl Answers {
    /// The name under which a key came before, of those that its asker has.
    pub(crate) async fn known_scope(&self, asked: &Asked, others: &[Scope]) -> Result<Option<Scope>, sqlx::Error> {
        let scopes: Vec<&[u8]> = [&asked.scope].into_iter().chain(others).map(|scope| &scope[..]).collect();
        let known = sqlx::query_scalar("SELECT scope FROM answers WHERE key = $1 AND scope = ANY ($2) LIMIT 1");
        let known: Option<Vec<u8>> = known.bind(&asked.key).bind(scopes).fetch_optional(&self.0).await?;
        Ok(known.and_then(|scope| scope.try_into().ok()))
    }

    /// Notes that a request with a key is under way, unless one was before: then says what became of that.
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
            // Also where it was forgotten at this very moment: the next one is done.
            _ => Known::UnderWay,
        })
    }

    /// Keeps what a request was answered.
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

    /// Lets a request be tried again with its key.
    pub(crate) async fn forget(&self, asked: &Asked) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM answers WHERE scope = $1 AND key = $2 AND status IS NULL")
            .bind(&asked.scope[..])
            .bind(&asked.key)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// Forgets answers that are older: some of them.
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
