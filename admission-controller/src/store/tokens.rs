//! Tokens of programs, as stored: by their digests.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::{By, Store, StoreError};
use crate::operator::Role;

/// Tokens at most.
pub const TOKENS_MAX: i64 = 200;

/// A token, as owners see one.
#[derive(Debug, FromRow)]
pub struct TokenRow {
    pub name: String,
    pub role: String,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl Store {
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        Ok(sqlx::query_as("SELECT name, role, created_by, created_at, expires_at FROM api_tokens ORDER BY name")
            .fetch_all(&self.pool)
            .await?)
    }

    /// Adds a token, unless there are too many.
    pub async fn add_token(
        &self,
        by: &By,
        name: &str,
        role: Role,
        digest: [u8; 32],
        lasts_days: i32,
    ) -> Result<Option<TokenRow>, StoreError> {
        let mut transaction = self.begin(by, "add_token").await?;
        // The lock keeps two from being the last one.
        sqlx::query("LOCK TABLE api_tokens IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        let added = sqlx::query_as(
            "INSERT INTO api_tokens (name, role, digest, created_by, expires_at) \
             SELECT $1, $2, $3, $4, now() + make_interval(days => $5) \
             WHERE (SELECT count(*) FROM api_tokens) < $6 RETURNING name, role, created_by, created_at, expires_at",
        )
        .bind(name)
        .bind(role.word())
        .bind(&digest[..])
        .bind(&by.who)
        .bind(lasts_days)
        .bind(TOKENS_MAX)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Revokes a token. Whether there was such a one.
    pub async fn revoke_token(&self, by: &By, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.begin(by, "revoke_token").await?;
        let gone = sqlx::query("DELETE FROM api_tokens WHERE name = $1").bind(name).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() == 1)
    }

    /// The name and the role of a token that is good.
    pub async fn token(&self, digest: [u8; 32]) -> Result<Option<(String, String)>, StoreError> {
        Ok(sqlx::query_as("SELECT name, role FROM api_tokens WHERE digest = $1 AND expires_at > now()")
            .bind(&digest[..])
            .fetch_optional(&self.pool)
            .await?)
    }
}
