//! Operators and their sessions, as stored.

use fairline_postgres::PgConnection;
use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{By, Store, StoreError};
use crate::operator::{FREE_FAILURES, Role, WAIT_S};

/// Operators at most.
pub const OPERATORS_MAX: i64 = 200;

/// An operator, as others see one.
#[derive(Debug, FromRow)]
pub struct OperatorRow {
    pub name: String,
    pub role: String,
    pub created_at: OffsetDateTime,
    pub last_seen_at: Option<OffsetDateTime>,
}

/// What an operator's sign-in is compared with. Not to be printed.
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

/// An attempt to sign in, counted as one that failed until it has not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attempt {
    /// It is the so manieth.
    Counted(i32),
    /// So many have failed that one has to wait, in seconds.
    Wait(f64),
}

/// A session that is good.
#[derive(Debug, FromRow)]
pub struct SessionRow {
    pub name: String,
    pub role: String,
    pub expires_at: OffsetDateTime,
}

/// A new operator. Not to be printed.
pub struct NewOperator<'a> {
    pub name: &'a str,
    pub role: Role,
    pub password: &'a str,
    pub totp_secret: &'a [u8],
    /// The digest of the code that the operator enrols with, if it is not the owner who chooses the password.
    pub enrols: Option<[u8; 32]>,
}

/// What is changed of an operator; signs that one out where a secret is.
#[derive(Default)]
pub struct OperatorChange<'a> {
    pub role: Option<Role>,
    pub password: Option<&'a str>,
    pub totp_secret: Option<&'a [u8]>,
}

/// Days within which an operator has to enrol.
const ENROLS_WITHIN_DAYS: i32 = 3;

async fn set_enrolment(connection: &mut PgConnection, name: &str, digest: [u8; 32]) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO enrolments (operator, digest, expires_at) VALUES ($1, $2, now() + make_interval(days => $3)) \
         ON CONFLICT (operator) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at",
    )
    .bind(name)
    .bind(&digest[..])
    .bind(ENROLS_WITHIN_DAYS)
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    pub async fn operators(&self) -> Result<Vec<OperatorRow>, StoreError> {
        Ok(sqlx::query_as("SELECT name, role, created_at, last_seen_at FROM operators ORDER BY name")
            .fetch_all(&self.pool)
            .await?)
    }

    /// Adds an operator, unless there are too many.
    pub async fn add_operator(&self, by: &By, new: &NewOperator<'_>) -> Result<Option<OperatorRow>, StoreError> {
        let mut transaction = self.begin(by, "add_operator").await?;
        // The lock keeps two from being the last one.
        sqlx::query("LOCK TABLE operators IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        let added = sqlx::query_as(
            "INSERT INTO operators (name, role, password, totp_secret) SELECT $1, $2, $3, $4 \
             WHERE (SELECT count(*) FROM operators) < $5 RETURNING name, role, created_at, last_seen_at",
        )
        .bind(new.name)
        .bind(new.role.word())
        .bind(new.password)
        .bind(new.totp_secret)
        .bind(OPERATORS_MAX)
        .fetch_optional(&mut *transaction)
        .await?;
        if let (Some(digest), Some(_)) = (new.enrols, &added) {
            set_enrolment(&mut transaction, new.name, digest).await?;
        }
        transaction.commit().await?;
        Ok(added)
    }

    /// Gives an operator another code to enrol with. Whether there is such a one.
    pub async fn renew_enrolment(&self, by: &By, name: &str, digest: [u8; 32]) -> Result<bool, StoreError> {
        let mut transaction = self.begin(by, "renew_enrolment").await?;
        let known = sqlx::query("SELECT FROM operators WHERE name = $1").bind(name).fetch_optional(&mut *transaction);
        if known.await?.is_none() {
            return Ok(false);
        }
        set_enrolment(&mut transaction, name, digest).await?;
        super::audit::note(&mut transaction, by, "renew_enrolment", name, None, None).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether there is a code that may be enrolled with.
    pub async fn is_enrolment(&self, digest: [u8; 32]) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM enrolments WHERE digest = $1 AND expires_at > now())")
            .bind(&digest[..])
            .fetch_one(&self.pool)
            .await?)
    }

    /// Uses a code to enrol, once, and ends the sessions that there were. The name and the role.
    pub async fn enrol(
        &self,
        digest: [u8; 32],
        password: &str,
        totp_secret: &[u8],
    ) -> Result<Option<(String, String)>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let enrolled: Option<(String, String)> = sqlx::query_as(
            "WITH used AS (DELETE FROM enrolments WHERE digest = $1 AND expires_at > now() RETURNING operator), \
             gone AS (DELETE FROM operator_sessions USING used WHERE operator_sessions.operator = used.operator) \
             UPDATE operators SET password = $2, totp_secret = $3, totp_step = 0 FROM used WHERE name = used.operator \
             RETURNING name, role",
        )
        .bind(&digest[..])
        .bind(password)
        .bind(totp_secret)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some((name, _)) = &enrolled {
            let by = By { who: name.clone(), why: None };
            super::audit::note(&mut transaction, &by, "enrol", name, None, None).await?;
        }
        transaction.commit().await?;
        Ok(enrolled)
    }

    /// Changes an operator, if there is such a one. Other words for the same person are other sessions: with a new
    /// password or secret, they end, and a code to enrol with is worth nothing any more.
    pub async fn change_operator(
        &self,
        by: &By,
        what: &'static str,
        name: &str,
        change: &OperatorChange<'_>,
    ) -> Result<Option<OperatorRow>, StoreError> {
        let mut transaction = self.begin(by, what).await?;
        let changed = sqlx::query_as(
            "UPDATE operators SET role = coalesce($2, role), password = coalesce($3, password), \
             totp_secret = coalesce($4, totp_secret), totp_step = CASE WHEN $4 IS NULL THEN totp_step ELSE 0 END \
             WHERE name = $1 RETURNING name, role, created_at, last_seen_at",
        )
        .bind(name)
        .bind(change.role.map(Role::word))
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
            // A code to enrol with would undo it.
            sqlx::query("DELETE FROM enrolments WHERE operator = $1").bind(name).execute(&mut *transaction).await?;
            super::audit::note(&mut transaction, by, what, name, None, None).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Removes an operator, and ends the sessions. Whether there was such a one.
    pub async fn remove_operator(&self, by: &By, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.begin(by, "remove_operator").await?;
        let gone = sqlx::query("DELETE FROM operators WHERE name = $1").bind(name).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() == 1)
    }

    pub async fn credentials(&self, name: &str) -> Result<Option<Credentials>, StoreError> {
        let known = sqlx::query_as(
            "SELECT name, role, password, totp_secret, totp_step, extract(epoch FROM now())::bigint AS now_s \
             FROM operators WHERE name = $1",
        );
        Ok(known.bind(name).fetch_optional(&self.pool).await?)
    }

    /// Counts an attempt before it is looked at: of many at the same time, no more are looked at than of one after the other.
    pub async fn begin_attempt(&self, attempt: [u8; 32]) -> Result<Attempt, StoreError> {
        let counted = sqlx::query_scalar(
            "INSERT INTO sign_in_failures AS known (attempt, failures, failed_at) VALUES ($1, 1, clock_timestamp()) \
             ON CONFLICT (attempt) DO UPDATE SET failures = known.failures + 1, failed_at = clock_timestamp() \
             WHERE known.failures < $2 OR known.failed_at <= clock_timestamp() - make_interval(secs => $3) RETURNING failures",
        )
        .bind(&attempt[..])
        .bind(FREE_FAILURES)
        .bind(WAIT_S)
        .fetch_optional(&self.pool)
        .await?;
        if let Some(failures) = counted {
            return Ok(Attempt::Counted(failures));
        }
        let wait_s: Option<f64> = sqlx::query_scalar(
            "SELECT ($2 - extract(epoch FROM clock_timestamp() - failed_at))::double precision FROM sign_in_failures WHERE attempt = $1",
        )
        .bind(&attempt[..])
        .bind(WAIT_S)
        .fetch_optional(&self.pool)
        .await?;
        Ok(Attempt::Wait(wait_s.unwrap_or(WAIT_S)))
    }

    /// Notes in the audit log that an attempt of an operator has failed; the names that nobody has are not kept.
    pub async fn note_failed_attempt(&self, name: &str, failures: i32) -> Result<(), StoreError> {
        let what = if failures < FREE_FAILURES { "sign_in_failed" } else { "sign_in_locked" };
        let by = By { who: name.to_owned(), why: None };
        let after = Some(json!({ "failures": failures }));
        super::audit::note(&mut *self.pool.acquire().await?, &by, what, name, None, after).await
    }

    /// An attempt has not failed: those before it are forgotten.
    pub async fn forget_attempts(&self, attempt: [u8; 32]) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sign_in_failures WHERE attempt = $1").bind(&attempt[..]).execute(&self.pool).await?;
        Ok(())
    }

    /// Begins a session, once for each step of the codes: of two that come with the same code, one does. When it ends.
    pub async fn sign_in(
        &self,
        name: &str,
        step: i64,
        digest: [u8; 32],
        lasts_s: f64,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let mut transaction = self.pool.begin().await?;
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
            let by = By { who: name.to_owned(), why: None };
            super::audit::note(&mut transaction, &by, "sign_in", name, None, None).await?;
        }
        transaction.commit().await?;
        Ok(expires_at)
    }

    /// Whose session it is, if it is good.
    pub async fn session(&self, digest: [u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT name, role, expires_at FROM operator_sessions JOIN operators ON name = operator \
             WHERE digest = $1 AND expires_at > now()",
        )
        .bind(&digest[..])
        .fetch_optional(&self.pool)
        .await?)
    }

    pub async fn sign_out(&self, digest: [u8; 32]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let name: Option<String> =
            sqlx::query_scalar("DELETE FROM operator_sessions WHERE digest = $1 RETURNING operator")
                .bind(&digest[..])
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some(name) = name {
            let by = By { who: name.clone(), why: None };
            super::audit::note(&mut transaction, &by, "sign_out", &name, None, None).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Forgets sessions that have ended, and failures that are long past.
    pub async fn forget_ended_sessions(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sign_in_failures WHERE failed_at < now() - interval '1 hour'")
            .execute(&self.pool)
            .await?;
        sqlx::query("DELETE FROM operator_sessions WHERE expires_at <= now()").execute(&self.pool).await?;
        Ok(())
    }
}
