//! API tokens. Only their digests are stored.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::{
    auth::role::Role,
    db::{Author, Database, StoreError},
};

/// The maximum number of tokens.
pub const TOKENS_MAX: i64 = 200;

/// A token, as owners see it.
#[derive(Debug, FromRow)]
pub struct TokenRow {
    pub name: String,
    pub role: String,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// A new token.
pub struct NewToken<'a> {
    pub name: &'a str,
    pub role: Role,
    pub digest: [u8; 32],
    pub lasts_days: i32,
}

/// API tokens.
#[derive(Clone)]
pub(crate) struct TokenStore(pub(crate) Database);

impl TokenStore {
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        Ok(sqlx::query_as("SELECT name, role, created_by, created_at, expires_at FROM api_tokens ORDER BY name")
            .fetch_all(&self.0.pool)
            .await?)
    }

    /// Adds a token. `None` if there are too many.
    pub async fn add_token(&self, by: &Author, new: &NewToken<'_>) -> Result<Option<TokenRow>, StoreError> {
        let mut transaction = self.0.begin(by, "add_token").await?;
        // With the lock, two requests can't both add the last one.
        sqlx::query("LOCK TABLE api_tokens IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        let added = sqlx::query_as(
            "INSERT INTO api_tokens (name, role, digest, created_by, expires_at) \
             SELECT $1, $2, $3, $4, now() + make_interval(days => $5) \
             WHERE (SELECT count(*) FROM api_tokens) < $6 RETURNING name, role, created_by, created_at, expires_at",
        )
        .bind(new.name)
        .bind(new.role.as_str())
        .bind(&new.digest[..])
        .bind(&by.who)
        .bind(new.lasts_days)
        .bind(TOKENS_MAX)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Revokes a token. `false` if there was none with this name.
    pub async fn revoke_token(&self, by: &Author, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, "revoke_token").await?;
        let gone = sqlx::query("DELETE FROM api_tokens WHERE name = $1").bind(name).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() == 1)
    }
}
