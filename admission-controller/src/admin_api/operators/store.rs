//! Operators, as owners manage them.

use fairline_postgres::PgConnection;

use crate::{
    auth::{role::Role, store::OperatorRow},
    db::{Author, Database, NewAuditEntry, StoreError, audit},
};

/// The maximum number of operators.
pub const OPERATORS_MAX: i64 = 200;

/// A new operator. Must not be printed.
pub struct NewOperator<'a> {
    pub name: &'a str,
    pub role: Role,
    pub password: &'a str,
    pub totp_secret: &'a [u8],
    /// The digest of the enrolment code, if the operator chooses the password.
    pub enrols: Option<[u8; 32]>,
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

/// Operators and their enrolment.
#[derive(Clone)]
pub(crate) struct OperatorStore(pub(crate) Database);

impl OperatorStore {
    pub async fn operators(&self) -> Result<Vec<OperatorRow>, StoreError> {
        Ok(sqlx::query_as("SELECT name, role, created_at, last_seen_at FROM operators ORDER BY name")
            .fetch_all(&self.0.pool)
            .await?)
    }

    /// Adds an operator. `None` if there are too many.
    pub async fn add_operator(&self, by: &Author, new: &NewOperator<'_>) -> Result<Option<OperatorRow>, StoreError> {
        let mut transaction = self.0.begin(by, "add_operator").await?;
        // With the lock, two requests can't both add the last one.
        sqlx::query("LOCK TABLE operators IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        let added = sqlx::query_as(
            "INSERT INTO operators (name, role, password, totp_secret) SELECT $1, $2, $3, $4 \
             WHERE (SELECT count(*) FROM operators) < $5 RETURNING name, role, created_at, last_seen_at",
        )
        .bind(new.name)
        .bind(new.role.as_str())
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

    /// Replaces an operator's enrolment code. `false` if no operator has this name.
    pub async fn renew_enrolment(&self, by: &Author, name: &str, digest: [u8; 32]) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, "renew_enrolment").await?;
        let known = sqlx::query("SELECT FROM operators WHERE name = $1").bind(name).fetch_optional(&mut *transaction);
        if known.await?.is_none() {
            return Ok(false);
        }
        set_enrolment(&mut transaction, name, digest).await?;
        let entry = NewAuditEntry { action: "renew_enrolment", subject: name, ..NewAuditEntry::default() };
        audit(&mut transaction, by, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether an enrolment code is valid.
    pub async fn is_enrolment(&self, digest: [u8; 32]) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM enrolments WHERE digest = $1 AND expires_at > now())")
            .bind(&digest[..])
            .fetch_one(&self.0.pool)
            .await?)
    }

    /// Uses an enrolment code, and ends the operator's sessions. Returns the name and the role.
    pub async fn enrol(
        &self,
        digest: [u8; 32],
        password: &str,
        totp_secret: &[u8],
    ) -> Result<Option<(String, String)>, StoreError> {
        let mut transaction = self.0.pool.begin().await?;
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
            let by = Author { who: name.clone(), why: None };
            audit(&mut transaction, &by, NewAuditEntry { action: "enrol", subject: name, ..NewAuditEntry::default() })
                .await?;
        }
        transaction.commit().await?;
        Ok(enrolled)
    }

    /// Removes an operator, and ends the sessions. `false` if there was none with this name.
    pub async fn remove_operator(&self, by: &Author, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, "remove_operator").await?;
        let gone = sqlx::query("DELETE FROM operators WHERE name = $1").bind(name).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() == 1)
    }
}
