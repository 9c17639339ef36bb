//! Operators' credentials, attempts to sign in, and sessions.

use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    credentials::{FREE_FAILURES, WAIT_S},
    role::Role,
};
use crate::db::{Author, Database, NewAuditEntry, StoreError, audit};

/// An operator, as owners see one.
#[derive(Debug, FromRow)]
pub struct OperatorRow {
    pub name: String,
    pub role: String,
    pub created_at: OffsetDateTime,
    pub last_seen_at: Option<OffsetDateTime>,
}

/// The stored credentials of an operator. Must not be printed.
#[derive(FromRow)]
pub struct Credentials {
    pub name: String,
    pub role: String,
    pub password: String,
    pub totp_secret: Vec<u8>,
    pub totp_step: i64,
    /// The database's clock, in Unix seconds.
    pub now_s: i64,
}

/// An attempt to sign in, which counts as failed until it succeeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attempt {
    /// It is counted as the nth.
    Counted(i32),
    /// Too many have failed: the caller has to wait, in seconds.
    Wait(f64),
}

/// A valid session.
#[derive(Debug, FromRow)]
pub struct SessionRow {
    pub name: String,
    pub role: String,
    pub expires_at: OffsetDateTime,
}

/// The changes of an operator. A new password or secret ends the operator's sessions.
#[derive(Default)]
pub struct OperatorChange<'a> {
    pub role: Option<Role>,
    pub password: Option<&'a str>,
    pub totp_secret: Option<&'a [u8]>,
}

/// Operators, sessions and API tokens, as requests are authenticated.
#[derive(Clone)]
pub(crate) struct AuthStore(pub(crate) Database);

impl AuthStore {
    /// Changes an operator; `None` if no operator has this name. A new password or secret ends the
    /// sessions, and deletes the enrolment code.
    pub async fn change_operator(
        &self,
        by: &Author,
        what: &'static str,
        name: &str,
        change: &OperatorChange<'_>,
    ) -> Result<Option<OperatorRow>, StoreError> {
        let mut transaction = self.0.begin(by, what).await?;
        let changed = sqlx::query_as(
            "UPDATE operators SET role = coalesce($2, role), password = coalesce($3, password), \
             totp_secret = coalesce($4, totp_secret), totp_step = CASE WHEN $4 IS NULL THEN totp_step ELSE 0 END \
             WHERE name = $1 RETURNING name, role, created_at, last_seen_at",
        )
        .bind(name)
        .bind(change.role.map(Role::as_str))
        .bind(change.password)
        .bind(change.totp_secret)
        .fetch_optional(&mut *transaction)
        .await?;
        let has_new_secret = change.password.is_some() || change.totp_secret.is_some();
        if changed.is_some() && has_new_secret {
            sqlx::query("DELETE FROM operator_sessions WHERE operator = $1")
                .bind(name)
                .execute(&mut *transaction)
                .await?;
            // An enrolment code could undo the change.
            sqlx::query("DELETE FROM enrolments WHERE operator = $1").bind(name).execute(&mut *transaction).await?;
            audit(&mut transaction, by, NewAuditEntry { action: what, subject: name, ..NewAuditEntry::default() })
                .await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    pub async fn credentials(&self, name: &str) -> Result<Option<Credentials>, StoreError> {
        let known = sqlx::query_as(
            "SELECT name, role, password, totp_secret, totp_step, extract(epoch FROM now())::bigint AS now_s \
             FROM operators WHERE name = $1",
        );
        Ok(known.bind(name).fetch_optional(&self.0.pool).await?)
    }

    /// Counts an attempt before it is checked, so that parallel attempts don't get more checks than
    /// sequential ones.
    pub async fn begin_attempt(&self, attempt: [u8; 32]) -> Result<Attempt, StoreError> {
        let counted = sqlx::query_scalar(
            "INSERT INTO sign_in_failures AS known (attempt, failures, failed_at) VALUES ($1, 1, clock_timestamp()) \
             ON CONFLICT (attempt) DO UPDATE SET failures = known.failures + 1, failed_at = clock_timestamp() \
             WHERE known.failures < $2 OR known.failed_at <= clock_timestamp() - make_interval(secs => $3) RETURNING failures",
        )
        .bind(&attempt[..])
        .bind(FREE_FAILURES)
        .bind(WAIT_S)
        .fetch_optional(&self.0.pool)
        .await?;
        if let Some(failures) = counted {
            return Ok(Attempt::Counted(failures));
        }
        let wait_s: Option<f64> = sqlx::query_scalar(
            "SELECT ($2 - extract(epoch FROM clock_timestamp() - failed_at))::double precision FROM sign_in_failures WHERE attempt = $1",
        )
        .bind(&attempt[..])
        .bind(WAIT_S)
        .fetch_optional(&self.0.pool)
        .await?;
        Ok(Attempt::Wait(wait_s.unwrap_or(WAIT_S)))
    }

    /// Writes a failed attempt of an operator to the audit log. Unknown names are not stored.
    pub async fn record_failed_attempt(&self, name: &str, failures: i32) -> Result<(), StoreError> {
        let what = if failures < FREE_FAILURES { "sign_in_failed" } else { "sign_in_locked" };
        let by = Author { who: name.to_owned(), why: None };
        let after = Some(json!({ "failures": failures }));
        let entry = NewAuditEntry { action: what, subject: name, sale: None, after };
        audit(&mut *self.0.pool.acquire().await?, &by, entry).await
    }

    /// Deletes the failed attempts, after one has succeeded.
    pub async fn forget_attempts(&self, attempt: [u8; 32]) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sign_in_failures WHERE attempt = $1").bind(&attempt[..]).execute(&self.0.pool).await?;
        Ok(())
    }

    /// Begins a session, once for each time step of the codes. Returns its end; `None` if the code
    /// was used.
    pub async fn sign_in(
        &self,
        name: &str,
        step: i64,
        digest: [u8; 32],
        lasts_s: f64,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let mut transaction = self.0.pool.begin().await?;
        let expires_at = sqlx::query_scalar(
            "WITH used AS (UPDATE operators SET totp_step = $2, last_seen_at = now() \
             WHERE name = $1 AND totp_step < $2 RETURNING name) \
             INSERT INTO operator_sessions (digest, operator, expires_at) \
             SELECT $3, name, now() + make_interval(secs => $4) FROM used RETURNING expires_at",
        )
        .bind(name)
        .bind(step)
        .bind(&digest[..])
        .bind(lasts_s)
        .fetch_optional(&mut *transaction)
        .await?;
        if expires_at.is_some() {
            let by = Author { who: name.to_owned(), why: None };
            audit(
                &mut transaction,
                &by,
                NewAuditEntry { action: "sign_in", subject: name, ..NewAuditEntry::default() },
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(expires_at)
    }

    /// The session with this digest, if it is valid.
    pub async fn session(&self, digest: [u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT name, role, expires_at FROM operator_sessions JOIN operators ON name = operator \
             WHERE digest = $1 AND expires_at > now()",
        )
        .bind(&digest[..])
        .fetch_optional(&self.0.pool)
        .await?)
    }

    pub async fn sign_out(&self, digest: [u8; 32]) -> Result<(), StoreError> {
        let mut transaction = self.0.pool.begin().await?;
        let name: Option<String> =
            sqlx::query_scalar("DELETE FROM operator_sessions WHERE digest = $1 RETURNING operator")
                .bind(&digest[..])
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some(name) = name {
            let by = Author { who: name.clone(), why: None };
            let entry = NewAuditEntry { action: "sign_out", subject: &name, ..NewAuditEntry::default() };
            audit(&mut transaction, &by, entry).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Deletes ended sessions and old failures.
    pub async fn delete_ended_sessions(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sign_in_failures WHERE failed_at < now() - interval '1 hour'")
            .execute(&self.0.pool)
            .await?;
        sqlx::query("DELETE FROM operator_sessions WHERE expires_at <= now()").execute(&self.0.pool).await?;
        Ok(())
    }

    /// The name and the role of a valid API token.
    pub async fn token(&self, digest: [u8; 32]) -> Result<Option<(String, String)>, StoreError> {
        Ok(sqlx::query_as("SELECT name, role FROM api_tokens WHERE digest = $1 AND expires_at > now()")
            .bind(&digest[..])
            .fetch_optional(&self.0.pool)
            .await?)
    }
}
