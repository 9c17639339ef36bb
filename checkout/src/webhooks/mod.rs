//! Webhooks: events sent over HTTP to the URLs that the administrator has configured, signed
//! according to Standard Webhooks (<https://github.com/standard-webhooks/standard-webhooks>,
//! specification 1.0).
//!
//! - A failed delivery is retried for a day and a half at growing intervals.
//! - A webhook that fails for three days, or answers 410 Gone, is switched off.
//! - Each webhook has its own task, so that a slow one does not delay the others.

pub(crate) mod store;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use fairline_events::Event;
use futures_util::{StreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::{Request, StatusCode, header};
use rand::RngExt as _;
use sha2::Sha256;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    Checkout,
    db::StoreError,
    outbound::HttpClient,
    webhooks::store::{Delivery, Webhook},
};

const EVERY: Duration = Duration::from_millis(500);
/// A round that takes longer counts as stalled.
const STANDS_STILL: Duration = Duration::from_secs(120);
/// How long a webhook may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Deliveries to one webhook at the same time.
const AT_ONCE: usize = 10;
/// Pauses before the retries, by the number of attempts, in seconds. Then a delivery is given up.
const AGAIN_AFTER_S: [u64; 8] = [5, 60, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600];

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempted {
    Delivered,
    /// It is retried after this pause, or given up.
    Failed {
        why: String,
        again_after: Option<Duration>,
    },
    /// The receiver has unsubscribed (410 Gone).
    Gone,
}

/// The `webhook-signature` of a delivery.
fn signature(secret: &[u8], id: &str, unix_s: i64, body: &str) -> String {
    // HMAC accepts a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{unix_s}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// What follows from the response to an attempt. `jitter` is from 0 to 1.
fn judge(answer: Result<StatusCode, String>, attempts: usize, jitter: f64) -> Attempted {
    let why = match answer {
        Ok(status) if status.is_success() => return Attempted::Delivered,
        Ok(StatusCode::GONE) => return Attempted::Gone,
        Ok(status) => format!("it answered {status}"),
        Err(why) => why,
    };
    let again = AGAIN_AFTER_S.get(attempts.saturating_sub(1)).map(|&after_s| after_s as f64 * (0.9 + 0.2 * jitter));
    Attempted::Failed { why, again_after: again.map(Duration::from_secs_f64) }
}

/// Stores the deliveries of each webhook. A repeated event is stored once.
pub(crate) async fn hear(checkout: Checkout, events: Vec<Event>) -> Result<(), StoreError> {
    checkout.store.note_deliveries(&events).await
}

/// Sends due deliveries until the process ends.
pub(crate) fn start(checkout: &Checkout) {
    let known = checkout.clone();
    checkout.shutdown.keep("webhooks-sent", STANDS_STILL, move |stop| {
        let checkout = known.clone();
        async move {
        let client = HttpClient::new(ANSWER_WITHIN);
        let busy: Arc<Mutex<HashSet<Uuid>>> = Arc::default();
        let mut beat = interval(EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = stop.triggered() => return,
            }
            fairline_server::beat();
            match checkout.store.webhooks_with_news().await {
                Ok(webhooks) => {
                    for webhook in webhooks {
                        let id = webhook.id;
                        if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
                            continue;
                        }
                        let (checkout, client, busy) = (checkout.clone(), client.clone(), busy.clone());
                        stop.spawn(async move {
                            if let Err(error) = send(&checkout, &client, &webhook).await {
                                warn!(%error, webhook = %webhook.id, "store webhook outcome failed; the delivery will be repeated");
                            }
                            busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                        });
                    }
                }
                Err(error) => warn!(%error, "read due webhooks failed; it will be retried"),
            }
        }
        }
    });
}

/// Sends the due deliveries of one webhook until none is left or one fails.
async fn send(checkout: &Checkout, client: &HttpClient, webhook: &Webhook) -> Result<(), StoreError> {
    loop {
        let due = checkout.store.take_deliveries(webhook, AT_ONCE as i64).await?;
        if due.is_empty() || checkout.shutdown.is_triggered() {
            return Ok(());
        }
        let attempts = due.into_iter().map(|delivery| async move {
            let trace = Event::from_json(&delivery.body).and_then(|event| event.trace);
            let answer = fairline_telemetry::within(trace, post(client, webhook, &delivery)).await;
            let attempted = judge(answer, delivery.attempts.unsigned_abs() as usize, rand::rng().random());
            (delivery, attempted)
        });
        let attempted: Vec<(Delivery, Attempted)> = stream::iter(attempts).buffer_unordered(AT_ONCE).collect().await;
        let mut fails = false;
        for (delivery, attempted) in attempted {
            let outcome = if attempted == Attempted::Delivered { "delivered" } else { "failed" };
            metrics::counter!("checkout_webhook_attempts_total", "outcome" => outcome).increment(1);
            fails |= attempted != Attempted::Delivered;
            if checkout.store.note_attempt(webhook, &delivery, &attempted).await? {
                info!(webhook = %webhook.id, "webhook switched off");
                return Ok(());
            }
        }
        if fails {
            return Ok(());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_reference_libraries() {
        let secret = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_fails_is_tried_again_more_and_more_seldom_and_then_given_up() {
        assert_eq!(judge(Ok(StatusCode::NO_CONTENT), 1, 0.0), Attempted::Delivered);
        assert_eq!(judge(Ok(StatusCode::GONE), 1, 0.0), Attempted::Gone);
        let again = |attempts, jitter| match judge(Ok(StatusCode::FOUND), attempts, jitter) {
            Attempted::Failed { again_after, .. } => again_after.map(|after| after.as_secs_f64()),
            other => panic!("{other:?}"),
        };
        assert_eq!((again(1, 0.5), again(2, 0.0), again(2, 1.0)), (Some(5.0), Some(54.0), Some(66.0)));
        let delays: Vec<f64> = (1..).map_while(|attempts| again(attempts, 0.5)).collect();
        assert_eq!(delays.len(), AGAIN_AFTER_S.len());
        assert!(delays.is_sorted());
        let why = judge(Err("no answer within 10 s".to_owned()), 9, 0.5);
        assert_eq!(why, Attempted::Failed { why: "no answer within 10 s".to_owned(), again_after: None });
    }
}
