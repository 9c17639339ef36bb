//! Sends signed events to webhooks, and repeats failed deliveries.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fairline_events::Event;
use fairline_http_client::HttpClient;
use fairline_server::Shutdown;
use futures_util::{StreamExt as _, stream};
use http_body_util::Full;
use hyper::{Request, StatusCode, header};
use rand::RngExt as _;
use time::OffsetDateTime;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    db::StoreError,
    webhooks::{
        delivery::{AttemptOutcome, judge, signature},
        store::{Delivery, Webhook, WebhookStore},
    },
};

const EVERY: Duration = Duration::from_millis(500);
/// A round that takes longer counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// The time limit of a webhook delivery.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Deliveries to one webhook at the same time.
const AT_ONCE: usize = 10;

/// The state of webhooks.
#[derive(Clone)]
pub(crate) struct Webhooks {
    store: WebhookStore,
    client: HttpClient,
    shutdown: Shutdown,
    /// Webhooks that a task sends to now.
    busy: Arc<Mutex<HashSet<Uuid>>>,
}

impl Webhooks {
    pub(crate) fn new(store: WebhookStore, shutdown: Shutdown) -> Self {
        Self { store, client: HttpClient::new(ANSWER_WITHIN), shutdown, busy: Arc::default() }
    }

    /// Stores the deliveries of each webhook. A repeated event is stored once.
    pub(crate) async fn consume(self, events: Vec<Event>) -> Result<(), StoreError> {
        self.store.store_deliveries(&events).await
    }

    /// Sends due deliveries until the process ends.
    pub(crate) fn start(&self) {
        let webhooks = self.clone();
        self.shutdown.keep("webhooks-sent", STALLED_AFTER, move |stop| {
            let webhooks = webhooks.clone();
            async move {
                let mut rounds = stop.rounds(EVERY);
                while rounds.next().await {
                    match webhooks.store.webhooks_with_due_deliveries().await {
                        Ok(due) => due.into_iter().for_each(|webhook| webhooks.send_in_background(webhook)),
                        Err(error) => warn!(%error, "read due webhooks failed; it will be retried"),
                    }
                }
            }
        });
    }

    /// Sends the due deliveries of a webhook, unless a task does so already.
    fn send_in_background(&self, webhook: Webhook) {
        let is_new = self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(webhook.id);
        if !is_new {
            return;
        }
        let webhooks = self.clone();
        self.shutdown.spawn(async move {
            if let Err(error) = webhooks.send(&webhook).await {
                warn!(%error, webhook = %webhook.id, "store webhook outcome failed; the delivery will be repeated");
            }
            webhooks.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&webhook.id);
        });
    }

    /// Sends the due deliveries of one webhook until none is left or one fails.
    async fn send(&self, webhook: &Webhook) -> Result<(), StoreError> {
        loop {
            let due = self.store.take_deliveries(webhook, AT_ONCE as i64).await?;
            if due.is_empty() || self.shutdown.is_triggered() {
                return Ok(());
            }
            let attempts = due.into_iter().map(|delivery| async move {
                let trace = Event::from_json(&delivery.body).and_then(|event| event.trace);
                let answer = fairline_telemetry::within(trace, post(&self.client, webhook, &delivery)).await;
                let attempted = judge(answer, delivery.attempts.unsigned_abs() as usize, rand::rng().random());
                (delivery, attempted)
            });
            let attempted: Vec<(Delivery, AttemptOutcome)> =
                stream::iter(attempts).buffer_unordered(AT_ONCE).collect().await;
            let mut has_failed = false;
            for (delivery, attempted) in attempted {
                let outcome = if attempted == AttemptOutcome::Delivered { "delivered" } else { "failed" };
                metrics::counter!("checkout_webhook_attempts_total", "outcome" => outcome).increment(1);
                has_failed |= attempted != AttemptOutcome::Delivered;
                if self.store.record_attempt(webhook, &delivery, &attempted).await? {
                    info!(webhook = %webhook.id, "webhook disabled");
                    return Ok(());
                }
            }
            if has_failed {
                return Ok(());
            }
        }
    }
}

async fn post(client: &HttpClient, webhook: &Webhook, delivery: &Delivery) -> Result<StatusCode, String> {
    let id = delivery.id();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let request = Request::post(&webhook.url)
        .header(header::CONTENT_TYPE, "application/cloudevents+json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", signature(&webhook.secret, &id, now, &delivery.body))
        .body(Full::from(delivery.body.clone()))
        .map_err(|error| error.to_string())?;
    client.call(request).await.map(|answered| answered.status).map_err(|error| error.to_string())
}
