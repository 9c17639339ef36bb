//! Webhooks and their deliveries.

use fairline_events::Event;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    db::{PgPool, StoreError},
    webhooks::delivery::AttemptOutcome,
};

/// A delivery that was taken this long ago without an outcome is taken again: its process died.
const TAKEN_FOR_S: f64 = 60.0;
/// A webhook that has failed for this many days is disabled.
const OFF_AFTER_DAYS: i32 = 3;
/// The longest stored reason, in characters.
const REASON_CHARS_MAX: usize = 300;

/// A receiver of events.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Webhook {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) secret: Vec<u8>,
}

/// An event for one webhook.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Delivery {
    sale_id: Uuid,
    number: i64,
    pub(crate) body: String,
    /// Including this attempt.
    pub(crate) attempts: i32,
}

impl Delivery {
    /// The id of its event, by which a receiver recognises a duplicate.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.sale_id, self.number)
    }
}

/// Webhooks and their deliveries.
#[derive(Clone)]
pub(crate) struct WebhookStore(pub(crate) PgPool);

impl WebhookStore {
    /// Stores an event for each webhook that is enabled and subscribes to its kind.
    pub(crate) async fn store_deliveries(&self, events: &[Event]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO deliveries (webhook_id, sale_id, number, body) SELECT webhooks.id, sale, number, body \
             FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) AS received (sale, number, kind, body) \
             JOIN webhooks ON disabled_at IS NULL AND (kinds = '{}' OR kind = ANY (kinds)) ON CONFLICT DO NOTHING",
        )
        .bind(events.iter().map(|event| event.sale.0).collect::<Vec<_>>())
        .bind(events.iter().map(|event| i64::try_from(event.number).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(Event::to_json).collect::<Vec<_>>())
        .execute(&self.0)
        .await?;
        Ok(())
    }

    /// Webhooks with due deliveries.
    pub(crate) async fn webhooks_with_due_deliveries(&self) -> Result<Vec<Webhook>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, url, secret FROM webhooks WHERE disabled_at IS NULL AND EXISTS (SELECT FROM deliveries \
             WHERE webhook_id = webhooks.id AND state = 'waiting' AND due_at <= now())",
        )
        .fetch_all(&self.0)
        .await?)
    }

    /// Takes due deliveries, the oldest first; no other process takes them for a while.
    pub(crate) async fn take_deliveries(&self, webhook: &Webhook, limit: i64) -> Result<Vec<Delivery>, StoreError> {
        Ok(sqlx::query_as(
            "UPDATE deliveries SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3) \
             WHERE (webhook_id, sale_id, number) IN (SELECT webhook_id, sale_id, number FROM deliveries \
                WHERE webhook_id = $1 AND state = 'waiting' AND due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
             RETURNING sale_id, number, body, attempts",
        )
        .bind(webhook.id)
        .bind(limit)
        .bind(TAKEN_FOR_S)
        .fetch_all(&self.0)
        .await?)
    }

    /// Stores the outcome of an attempt. Returns whether it disabled the webhook.
    pub(crate) async fn record_attempt(
        &self,
        webhook: &Webhook,
        delivery: &Delivery,
        attempted: &AttemptOutcome,
    ) -> Result<bool, StoreError> {
        let (state, again_after, error) = match attempted {
            AttemptOutcome::Delivered => ("delivered", None, None),
            AttemptOutcome::Gone => ("given_up", None, Some("receiver returned 410 Gone".to_owned())),
            AttemptOutcome::Failed { why, again_after: None } => ("given_up", None, Some(why.clone())),
            AttemptOutcome::Failed { why, again_after } => {
                ("waiting", again_after.map(|after| after.as_secs_f64()), Some(why.clone()))
            }
        };
        let error: Option<String> = error.map(|why| why.chars().take(REASON_CHARS_MAX).collect());
        let off: Option<bool> = sqlx::query_scalar(
            "WITH noted AS (UPDATE deliveries SET state = $4, due_at = now() + make_interval(secs => coalesce($5, 0)) \
             WHERE webhook_id = $1 AND sale_id = $2 AND number = $3) \
             UPDATE webhooks SET last_error = $6, \
             failing_since = CASE WHEN $6 IS NULL THEN NULL ELSE coalesce(failing_since, now()) END, \
             disabled_at = CASE WHEN $7 OR $6 IS NOT NULL AND failing_since < now() - make_interval(days => $8) \
                THEN coalesce(disabled_at, now()) ELSE disabled_at END \
             WHERE id = $1 AND (failing_since IS NOT NULL OR $6 IS NOT NULL) RETURNING disabled_at IS NOT NULL",
        )
        .bind(webhook.id)
        .bind(delivery.sale_id)
        .bind(delivery.number)
        .bind(state)
        .bind(again_after)
        .bind(error)
        .bind(*attempted == AttemptOutcome::Gone)
        .bind(OFF_AFTER_DAYS)
        .fetch_optional(&self.0)
        .await?;
        Ok(off.unwrap_or(false))
    }
}
