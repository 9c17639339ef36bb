//! Webhooks and the state of their deliveries.

use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Author, Database, StoreError};

/// The maximum number of webhooks.
pub const WEBHOOKS_MAX: i64 = 20;

/// Deliveries of a webhook in one state that are counted, at most: a week may have millions.
const COUNTED_MAX: i64 = 500;

/// A webhook, with its deliveries of the last week, up to [`COUNTED_MAX`] in each state.
#[derive(Debug, FromRow)]
pub struct WebhookRow {
    pub id: Uuid,
    pub url: String,
    pub kinds: Vec<String>,
    pub created_at: OffsetDateTime,
    pub failing_since: Option<OffsetDateTime>,
    pub last_error: Option<String>,
    pub disabled_at: Option<OffsetDateTime>,
    pub waiting: i64,
    pub delivered: i64,
    pub given_up: i64,
}

/// Webhooks.
#[derive(Clone)]
pub(crate) struct WebhookSettingsStore(pub(crate) Database);

impl WebhookSettingsStore {
    /// Webhooks, the oldest first.
    pub async fn webhooks(&self) -> Result<Vec<WebhookRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, url, kinds, created_at, failing_since, last_error, disabled_at, \
             (SELECT count(*) FROM (SELECT FROM deliveries WHERE webhook_id = id AND state = 'waiting' \
                ORDER BY due_at LIMIT $1) AS counted) AS waiting, \
             (SELECT count(*) FROM (SELECT FROM deliveries WHERE webhook_id = id AND state = 'delivered' \
                ORDER BY due_at LIMIT $1) AS counted) AS delivered, \
             (SELECT count(*) FROM (SELECT FROM deliveries WHERE webhook_id = id AND state = 'given_up' \
                ORDER BY due_at LIMIT $1) AS counted) AS given_up \
             FROM webhooks ORDER BY created_at, id",
        )
        .bind(COUNTED_MAX)
        .fetch_all(&self.0.pool)
        .await?)
    }

    /// Adds a webhook. `None` if there are too many.
    pub async fn add_webhook(
        &self,
        by: &Author,
        url: &str,
        secret: &[u8],
        kinds: &[&str],
    ) -> Result<Option<Uuid>, StoreError> {
        // With the lock, two requests can't both add the last one.
        let mut transaction = self.0.begin(by, "add_webhook").await?;
        sqlx::query("LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        let added = sqlx::query_scalar(
            "INSERT INTO webhooks (id, url, secret, kinds) SELECT $1, $2, $3, $4 \
             WHERE (SELECT count(*) FROM webhooks) < $5 RETURNING id",
        )
        .bind(Uuid::now_v7())
        .bind(url)
        .bind(secret)
        .bind(kinds)
        .bind(WEBHOOKS_MAX)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Enables a webhook again; waiting events are due immediately. `false` if no webhook has this
    /// id.
    pub async fn enable_webhook(&self, by: &Author, id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, "enable_webhook").await?;
        let enabled = sqlx::query(
            "WITH due AS (UPDATE deliveries SET due_at = now() WHERE webhook_id = $1 AND state = 'waiting') \
             UPDATE webhooks SET disabled_at = NULL, failing_since = NULL, last_error = NULL WHERE id = $1",
        );
        let enabled = enabled.bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(enabled.rows_affected() == 1)
    }

    /// Deletes a webhook. `false` if there was none with this id.
    pub async fn delete_webhook(&self, by: &Author, id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin(by, "delete_webhook").await?;
        let gone = sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() == 1)
    }
}
