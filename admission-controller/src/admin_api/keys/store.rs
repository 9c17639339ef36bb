//! Revoked signing keys.

use crate::db::{Author, Database, StoreError};

/// Revoked signing keys.
#[derive(Clone)]
pub(crate) struct KeyStore(pub(crate) Database);

impl KeyStore {
    /// The keys whose tokens are not to be believed.
    pub async fn revoked_keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT kid FROM revoked_keys").fetch_all(&self.0.pool).await?)
    }

    /// Revokes a key: after the commit, no checkout accepts a token that it has signed. The next
    /// tick gives its holders another one. It waits for the ticks that are under way, since they
    /// may be signing with it.
    pub async fn revoke_key(&self, by: &Author, kid: &str) -> Result<(), StoreError> {
        let mut transaction = self.0.begin(by, "revoke_key").await?;
        sqlx::query("SELECT FROM lines WHERE id = sale_id ORDER BY id FOR UPDATE").execute(&mut *transaction).await?;
        sqlx::query(
            "WITH revoked AS (INSERT INTO revoked_keys (kid) VALUES ($1) ON CONFLICT DO NOTHING) \
             UPDATE admissions SET kid = '', published_state = NULL WHERE kid = $1 AND state = 'promised'",
        )
        .bind(kid)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }
}
