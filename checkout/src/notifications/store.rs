//! Notifications: stored once for each subject, and taken by the dispatcher.

use fairline_events::{Event, EventKind};
use fairline_notification_channels::Address;
use fairline_postgres::PgConnection;
use fairline_sale::{SaleId, price_text};
use serde_json::{Value, json};
use sqlx::FromRow;
use time::{OffsetDateTime, macros::format_description};
use uuid::Uuid;

use crate::{
    auth::account::AccountId,
    db::{PgPool, StoreError},
    notifications::notification::{Content, Details, DueNotification, SendOutcome},
};

/// A notification that was taken this long ago without an outcome was interrupted. It may have
/// arrived.
const INTERRUPTED_AFTER_S: f64 = 120.0;
/// How long a notification about an order is relevant, in seconds.
const NEWS_RELEVANT_S: i32 = 2 * 24 * 3600;
/// How long a warning is relevant, in seconds.
const WARNING_RELEVANT_S: i32 = 120;
/// The longest stored reason, in characters.
const REASON_CHARS_MAX: usize = 300;
/// A hold is about to expire when it has this many seconds left, or a third of its time.
const WARNED_BEFORE_S: f64 = 120.0;
/// Holds and turns that one sweep warns of, at most.
const WARNED_MAX: i64 = 200;
/// Browsers that one account is notified in, at most.
const BROWSERS_MAX: i64 = 5;
/// A turn is near with at most this many shoppers ahead, or as many as the current rate admits
/// within `NEAR_S`.
const NEAR_AHEAD: i64 = 20;
const NEAR_S: f64 = 180.0;
/// The rate is measured over this many seconds. A sale that has just opened counts as open for at
/// least `RATE_OVER_MIN_S`.
const RATE_OVER_S: f64 = 60.0;
const RATE_OVER_MIN_S: f64 = 10.0;

/// A notification to be stored.
pub(crate) struct NewNotification<'a> {
    pub(crate) subject: &'a str,
    pub(crate) account: Option<AccountId>,
    pub(crate) address: &'a Address,
    pub(crate) content: &'a Content,
    /// How long it is relevant after its event, in seconds.
    pub(crate) relevant_s: i32,
    /// When its event happened; `None`: just now.
    pub(crate) happened_at: Option<OffsetDateTime>,
}

/// Stores a notification, unless it is stored already or no longer relevant. It is sent in the
/// current trace.
pub(crate) async fn write(connection: &mut PgConnection, new: NewNotification<'_>) -> Result<(), StoreError> {
    let NewNotification { subject, account, address, content, relevant_s, happened_at } = new;
    sqlx::query(
        "INSERT INTO notifications (subject, account_id, address, content, traceparent, relevant_until) \
         SELECT $1, $2, $3, $4, $7, relevant_until FROM (SELECT coalesce($6, now()) + make_interval(secs => $5) AS relevant_until) AS relevance \
         WHERE relevant_until > now() ON CONFLICT (subject) DO NOTHING",
    )
    .bind(subject)
    .bind(account.map(|AccountId(id)| id))
    .bind(address.as_str())
    .bind(json!(content))
    .bind(f64::from(relevant_s))
    .bind(happened_at)
    .bind(fairline_telemetry::current().map(|trace| trace.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Creates the content of a notification.
type ContentOf = fn(Details) -> Content;

/// The notification for a kind of event, and for how many seconds it is relevant.
fn content_of(kind: EventKind) -> Option<(ContentOf, i32)> {
    match kind {
        EventKind::PurchaseCompleted => Some((Content::OrderConfirmed, NEWS_RELEVANT_S)),
        EventKind::PaymentRefunded => Some((Content::Refunded, NEWS_RELEVANT_S)),
        EventKind::HoldAboutToExpire => Some((Content::HoldAboutToExpire, WARNING_RELEVANT_S)),
        EventKind::TurnIsNear => Some((Content::TurnIsNear, WARNING_RELEVANT_S)),
        _ => None,
    }
}

/// Marks the reminders whose turn is near. One lookup finds the next line with pending reminders.
const REMIND_OF_NEAR_TURNS: &str = "WITH RECURSIVE waited_for (line_id) AS ( \
        (SELECT line_id FROM reminders WHERE sent_at IS NULL ORDER BY line_id LIMIT 1) UNION ALL \
        SELECT (SELECT line_id FROM reminders WHERE sent_at IS NULL AND line_id > waited_for.line_id ORDER BY line_id LIMIT 1) \
        FROM waited_for WHERE line_id IS NOT NULL \
    ), fronts AS MATERIALIZED ( \
        SELECT lines.id, lines.sale_id, lines.epoch, cursor + least(total - sold, \
        greatest($1, least(rate_cap_per_s, coalesce(per_s * coalesce(share, 1), 0)) * $2)) AS front \
        FROM waited_for JOIN lines ON lines.id = line_id JOIN sales ON sales.id = lines.sale_id \
        JOIN stock ON stock.sale_id = sales.id AND item = 1 CROSS JOIN LATERAL ( \
            SELECT (max(admitted) - min(admitted)) / greatest(extract(epoch FROM now() - min(at)), $4)::double precision AS per_s \
            FROM samples WHERE samples.sale_id = sales.id AND at > now() - make_interval(secs => $5)) AS last_minute \
        WHERE status = 'open' AND sold < total \
    ) \
    UPDATE reminders SET sent_at = now() FROM fronts WHERE fronts.id = line_id AND reminders.id = ANY (ARRAY ( \
        SELECT reminders.id FROM fronts JOIN reminders ON fronts.id = line_id \
        WHERE sent_at IS NULL AND (reminders.epoch, ordinal) <= (fronts.epoch::bigint, floor(front)::bigint) \
        ORDER BY line_id, ordinal LIMIT $3 FOR UPDATE OF reminders SKIP LOCKED)) \
    RETURNING fronts.sale_id, reminders.id";

/// A recipient of an event, and the details.
#[derive(FromRow)]
struct Recipient {
    /// The index of the event, from 1.
    nth: i64,
    account_id: Uuid,
    address: String,
    /// Distinguishes the addresses of one account; empty for the first.
    way: String,
    name: String,
    slug: String,
    quantity: i32,
    amount_minor: i64,
    currency: String,
    expires_at: OffsetDateTime,
}

impl Recipient {
    fn details(&self, order: Option<Uuid>) -> Details {
        let clock = format_description!("[hour]:[minute] UTC");
        Details {
            sale: self.name.clone(),
            slug: self.slug.clone(),
            order: order.map(|order| order.to_string()).unwrap_or_default(),
            quantity: self.quantity,
            amount: price_text(self.amount_minor, &self.currency),
            until: self.expires_at.format(clock).unwrap_or_default(),
        }
    }
}

/// Notifications, reminders and subscriptions.
#[derive(Clone)]
pub(crate) struct NotificationStore(pub(crate) PgPool);

impl NotificationStore {
    /// Stores the notifications for events of holds and reminders with an account.
    pub(crate) async fn store_notifications(&self, events: &[Event]) -> Result<(), StoreError> {
        let id = |event: &Event, field: &str| event.data[field].as_str().and_then(|id| Uuid::try_parse(id).ok());
        let notifying: Vec<&Event> = events.iter().filter(|event| content_of(event.kind).is_some()).collect();
        if notifying.is_empty() {
            return Ok(());
        }
        // LIMIT keeps the joins inside: for many events, the plan would scan the tables.
        let concerned: Vec<Recipient> = sqlx::query_as(
            "WITH published AS ( \
                SELECT * FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS published (ordered, reminder, nth) \
             ), concerned AS ( \
                SELECT nth, of_order.* FROM published, LATERAL ( \
                    SELECT account_id, name, slug, quantity, amount_minor, holds.currency, expires_at \
                    FROM holds JOIN sales ON sales.id = sale_id WHERE holds.id = ordered AND account_id IS NOT NULL LIMIT 1 \
                ) AS of_order UNION ALL \
                SELECT nth, of_reminder.* FROM published, LATERAL ( \
                    SELECT account_id, name, slug, 0, 0, currency, now() FROM reminders JOIN lines ON lines.id = line_id \
                    JOIN sales ON sales.id = sale_id WHERE reminders.id = reminder LIMIT 1 \
                ) AS of_reminder \
             ) \
             SELECT concerned.*, address, way FROM concerned, LATERAL ( \
                SELECT address, '' AS way FROM accounts WHERE id = account_id AND address IS NOT NULL UNION ALL \
                SELECT concat_ws(' ', endpoint, p256dh, auth), '/' || md5(endpoint) FROM push_subscriptions \
                WHERE push_subscriptions.account_id = concerned.account_id) AS addresses",
        )
        .bind(notifying.iter().map(|event| id(event, "order_id")).collect::<Vec<_>>())
        .bind(notifying.iter().map(|event| id(event, "reminder_id")).collect::<Vec<_>>())
        .fetch_all(&self.0)
        .await?;
        for concerned in concerned {
            let event = usize::try_from(concerned.nth - 1).ok().and_then(|nth| notifying.get(nth));
            let Some((event, (content, relevant_s))) = event.and_then(|event| Some((event, content_of(event.kind)?)))
            else {
                continue;
            };
            let (account, address) = (AccountId(concerned.account_id), Address::stored(concerned.address.clone()));
            let subject = format!("{}{}", event.id(), concerned.way);
            let mut details = concerned.details(id(event, "order_id"));
            // A refund may be partial, so it carries its own amount.
            if let (EventKind::PaymentRefunded, Some(minor)) = (event.kind, event.data["amount_minor"].as_i64()) {
                details.amount = price_text(minor, &concerned.currency);
            }
            let content = content(details);
            // Relevance counts from the event, not from the time at which it was handled.
            let connection = &mut *self.0.acquire().await?;
            let new = NewNotification {
                subject: &subject,
                account: Some(account),
                address: &address,
                content: &content,
                relevant_s,
                happened_at: Some(event.time),
            };
            fairline_telemetry::within(event.trace, write(connection, new)).await?;
        }
        Ok(())
    }

    /// Takes due notifications, the oldest first, and marks them as being sent. No process takes
    /// them again, unless they certainly did not arrive.
    pub(crate) async fn take_notifications(&self, limit: i64) -> Result<Vec<DueNotification>, StoreError> {
        sqlx::query(
            "UPDATE notifications SET state = CASE state WHEN 'sending' THEN 'unknown' ELSE 'given_up' END, address = NULL, \
             error = coalesce(error, 'interrupted, or no longer relevant') WHERE due_at <= now() \
             AND (state = 'sending' AND due_at < now() - make_interval(secs => $1) OR state = 'waiting' AND relevant_until < now())",
        )
        .bind(INTERRUPTED_AFTER_S)
        .execute(&self.0)
        .await?;
        let rows: Vec<(String, String, Value, i32, Option<String>)> = sqlx::query_as(
            "UPDATE notifications SET state = 'sending', attempts = attempts + 1, due_at = now() WHERE subject IN ( \
                SELECT subject FROM notifications WHERE state = 'waiting' AND due_at <= now() AND relevant_until >= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) \
             RETURNING subject, address, content, attempts, traceparent",
        )
        .bind(limit)
        .fetch_all(&self.0)
        .await?;
        let notification =
            |(subject, address, content, attempts, trace): (String, String, Value, i32, Option<String>)| {
                let permanent = |_| StoreError::Corrupt(format!("notification {subject} is invalid"));
                let content = serde_json::from_value(content).map_err(permanent)?;
                let trace = trace.and_then(|trace| trace.parse().ok());
                Ok(DueNotification { subject, address: Address::stored(address), content, attempts, trace })
            };
        rows.into_iter().map(notification).collect()
    }

    /// Stores the outcome of a notification.
    pub(crate) async fn record_sending(
        &self,
        notification: &DueNotification,
        outcome: &SendOutcome,
    ) -> Result<(), StoreError> {
        let (state, retry_after, error) = match outcome {
            SendOutcome::Sent => ("sent", None, None),
            SendOutcome::Unknown(reason) => ("unknown", None, Some(reason)),
            SendOutcome::GivenUp(reason) => ("given_up", None, Some(reason)),
            SendOutcome::Retry { reason, after } => ("waiting", Some(after.as_secs_f64()), Some(reason)),
        };
        let error: Option<String> = error.map(|why| why.chars().take(REASON_CHARS_MAX).collect());
        sqlx::query(
            // `|| ''` keeps the planner from the index of all due notifications.
            "UPDATE notifications SET state = $2, due_at = now() + make_interval(secs => coalesce($3, 0)), error = $4, \
             address = CASE WHEN $2 = 'waiting' THEN address END WHERE subject = $1 AND state || '' = 'sending'",
        )
        .bind(&notification.subject)
        .bind(state)
        .bind(retry_after)
        .bind(error)
        .execute(&self.0)
        .await?;
        Ok(())
    }

    /// Publishes an event for each hold with an account that is about to expire, once. Returns
    /// their number.
    pub(crate) async fn warn_of_expiring_holds(&self) -> Result<usize, StoreError> {
        let mut transaction = self.0.begin().await?;
        let warned: Vec<(Uuid, Uuid)> = sqlx::query_as(
            // The order and LIMIT keep the planner from reading the open holds and the unfinished
            // payments of all sales.
            "UPDATE holds SET warned = true WHERE id IN (SELECT id FROM holds WHERE account_id IS NOT NULL AND NOT warned \
             AND state IN ('promised', 'held') AND expires_at > now() AND expires_at < now() + make_interval(secs => $1) \
             AND expires_at - now() < least(make_interval(secs => $1), (expires_at - created_at) / 3) \
             AND (SELECT true FROM payments WHERE hold_id = holds.id AND state IN ('started', 'authorised') LIMIT 1) IS NULL \
             ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING sale_id, id",
        )
        .bind(WARNED_BEFORE_S)
        .bind(WARNED_MAX)
        .fetch_all(&mut *transaction)
        .await?;
        publish_each(&mut transaction, EventKind::HoldAboutToExpire, "order_id", &warned).await?;
        transaction.commit().await?;
        Ok(warned.len())
    }

    /// Publishes an event for each reminder whose turn is near, once. Returns their number.
    pub(crate) async fn publish_near_turns(&self) -> Result<usize, StoreError> {
        let mut transaction = self.0.begin().await?;
        let near: Vec<(Uuid, Uuid)> = sqlx::query_as(REMIND_OF_NEAR_TURNS)
            .bind(NEAR_AHEAD as f64)
            .bind(NEAR_S)
            .bind(WARNED_MAX)
            .bind(RATE_OVER_MIN_S)
            .bind(RATE_OVER_S)
            .fetch_all(&mut *transaction)
            .await?;
        publish_each(&mut transaction, EventKind::TurnIsNear, "reminder_id", &near).await?;
        transaction.commit().await?;
        Ok(near.len())
    }

    /// Stores a reminder for an account's turn in a line. Not in a draw, whose order differs from
    /// that of the tickets.
    pub(crate) async fn remind(
        &self,
        line: SaleId,
        account: AccountId,
        epoch: u32,
        ordinal: u64,
    ) -> Result<bool, StoreError> {
        let stored = sqlx::query(
            "INSERT INTO reminders (id, line_id, account_id, epoch, ordinal) SELECT $1, lines.id, accounts.id, $4, $5 \
             FROM lines JOIN sales ON sales.id = sale_id, accounts \
             WHERE lines.id = $2 AND accounts.id = $3 AND line_order = 'fifo' \
             AND (address IS NOT NULL OR EXISTS (SELECT FROM push_subscriptions WHERE account_id = accounts.id)) \
             ON CONFLICT (line_id, account_id) DO UPDATE SET epoch = excluded.epoch, ordinal = excluded.ordinal",
        )
        .bind(Uuid::new_v4())
        .bind(line.0)
        .bind(account.0)
        .bind(i64::from(epoch))
        .bind(i64::try_from(ordinal).unwrap_or(i64::MAX))
        .execute(&self.0)
        .await?;
        Ok(stored.rows_affected() > 0)
    }

    /// Subscribes a browser to the notifications of an account. Only the newest few browsers are
    /// kept.
    pub(crate) async fn subscribe(
        &self,
        account: AccountId,
        endpoint: &str,
        p256dh: &str,
        auth: &str,
    ) -> Result<bool, StoreError> {
        let stored = sqlx::query(
            "WITH older AS (DELETE FROM push_subscriptions WHERE endpoint IN (SELECT endpoint FROM push_subscriptions \
                WHERE account_id = $2 AND endpoint <> $1 ORDER BY created_at DESC OFFSET $5)) \
             INSERT INTO push_subscriptions (endpoint, account_id, p256dh, auth) SELECT $1, id, $3, $4 FROM accounts WHERE id = $2 \
             ON CONFLICT (endpoint) DO UPDATE SET account_id = excluded.account_id, p256dh = excluded.p256dh, auth = excluded.auth",
        )
        .bind(endpoint)
        .bind(account.0)
        .bind(p256dh)
        .bind(auth)
        .bind(BROWSERS_MAX - 1)
        .execute(&self.0)
        .await?;
        Ok(stored.rows_affected() > 0)
    }

    /// Removes a browser from the notifications of an account.
    pub(crate) async fn unsubscribe(&self, account: AccountId, endpoint: &str) -> Result<(), StoreError> {
        let gone = sqlx::query("DELETE FROM push_subscriptions WHERE account_id = $1 AND endpoint = $2");
        gone.bind(account.0).bind(endpoint).execute(&self.0).await?;
        Ok(())
    }

    /// Deletes the subscription of a browser that no longer exists.
    pub(crate) async fn forget_subscription(&self, address: &Address) -> Result<(), StoreError> {
        let gone = sqlx::query("DELETE FROM push_subscriptions WHERE endpoint = split_part($1, ' ', 1)");
        gone.bind(address.as_str()).execute(&self.0).await?;
        Ok(())
    }
}

/// Publishes one event for each row, in one statement. It locks the counters of each sale once,
/// until the end of the transaction, in the order of their ids.
async fn publish_each(
    connection: &mut PgConnection,
    kind: EventKind,
    field: &str,
    each: &[(Uuid, Uuid)],
) -> Result<(), StoreError> {
    if each.is_empty() {
        return Ok(());
    }
    let (sales, ids): (Vec<Uuid>, Vec<Uuid>) = each.iter().copied().unzip();
    sqlx::query(
        "INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, number_events(sale_id, count(*)), $1, \
         json_agg(json_build_object($2::text, id) ORDER BY id) \
         FROM unnest($3::uuid[], $4::uuid[]) AS each (sale_id, id) GROUP BY sale_id ORDER BY sale_id",
    )
    .bind(kind.as_str())
    .bind(field)
    .bind(sales)
    .bind(ids)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statement_of_near_turns_matches_its_snapshot() {
        assert_snapshot!("remind_of_near_turns", statement(REMIND_OF_NEAR_TURNS));
    }
}
