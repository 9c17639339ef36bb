//! Sends webhooks to the merchant, signed as Stripe signs them: without retries, and with the
//! faults that the payment method selects.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use fairline_server::{Secret, Shutdown, StartError};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::{Method, Request, Uri, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use sha2::Sha256;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tracing::debug;
use uuid::Uuid;

use crate::{
    json::{dispute_to_json, to_json},
    processor::{Intent, IntentState, WebhookSchedule},
};

/// Maximum webhooks in the queue; further ones are dropped, as a real processor's may be late for
/// hours.
const WAITING_MAX: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Delay of a late webhook.
const LATE_BY: Duration = Duration::from_secs(3);

/// The merchant's webhook endpoints.
#[derive(Clone)]
pub(crate) struct WebhookSender {
    /// The queue of each endpoint.
    endpoints: Vec<mpsc::Sender<Bytes>>,
    /// The webhook that is sent after the next one.
    held_back: Arc<Mutex<Option<Bytes>>>,
}

impl WebhookSender {
    pub(crate) fn start(urls: &[String], secret: &Secret, shutdown: &Shutdown) -> Result<Self, StartError> {
        let endpoints = urls.iter().map(|url| endpoint(url, secret.clone(), shutdown)).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, held_back: Arc::default() })
    }

    /// Queues a webhook about an object.
    pub(crate) fn send(&self, kind: &str, object: &Value, schedule: WebhookSchedule) {
        let event = json!({
            "id": format!("evt_{}", Uuid::new_v4().simple()),
            "object": "event",
            "type": kind,
            "created": OffsetDateTime::now_utc().unix_timestamp(),
            "data": { "object": object },
        });
        let body = Bytes::from(event.to_string());
        match schedule {
            WebhookSchedule::Once => self.queue(body),
            WebhookSchedule::Twice => {
                self.queue(body.clone());
                self.queue(body);
            }
            WebhookSchedule::Late => {
                let webhook = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(LATE_BY).await;
                    webhook.queue(body);
                });
            }
            WebhookSchedule::Shuffled => {
                let earlier = self.held_back.lock().unwrap_or_else(PoisonError::into_inner).take();
                match earlier {
                    Some(earlier) => {
                        self.queue(body);
                        self.queue(earlier);
                    }
                    None => *self.held_back.lock().unwrap_or_else(PoisonError::into_inner) = Some(body),
                }
            }
        }
    }

    fn queue(&self, body: Bytes) {
        for endpoint in &self.endpoints {
            if endpoint.try_send(body.clone()).is_err() {
                debug!("queue webhook failed: queue is full");
            }
        }
    }
}

/// Starts the task that sends webhooks to one endpoint, and returns its queue.
fn endpoint(url: &str, secret: Secret, shutdown: &Shutdown) -> Result<mpsc::Sender<Bytes>, StartError> {
    let uri: Uri = url
        .parse()
        .ok()
        .filter(|uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some())
        .ok_or_else(|| StartError::new(format!("The webhook's address `{url}` is not an http:// one.")))?;
    let (events, mut waiting) = mpsc::channel(WAITING_MAX);
    let stop = shutdown.clone();
    shutdown.spawn(async move {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        loop {
            let body = tokio::select! {
                body = waiting.recv() => body,
                () = stop.triggered() => return,
            };
            let Some(body) = body else { return };
            post(&client, &uri, &secret, body).await;
        }
    });
    Ok(events)
}

/// The webhooks about an intent that has just changed.
pub(crate) fn events_of(intent: &Intent) -> Vec<(&'static str, Value)> {
    let kind = match intent.status {
        IntentState::RequiresAction => "payment_intent.requires_action",
        IntentState::RequiresCapture => "payment_intent.amount_capturable_updated",
        IntentState::Succeeded => "payment_intent.succeeded",
        IntentState::Canceled => "payment_intent.canceled",
        IntentState::Declined => "payment_intent.payment_failed",
    };
    let mut events = vec![(kind, to_json(intent))];
    if let Some(dispute) = dispute_to_json(intent) {
        events.push(("charge.dispute.created", dispute.clone()));
        events.push(("charge.dispute.funds_withdrawn", dispute));
    }
    events
}

/// The `Stripe-Signature` of a body.
fn signature(secret: &str, unix_s: i64, body: &[u8]) -> String {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{unix_s}.").as_bytes());
    mac.update(body);
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={unix_s},v1={digest}")
}

async fn post(client: &Client<HttpConnector, Full<Bytes>>, uri: &Uri, secret: &Secret, body: Bytes) {
    let signed = signature(secret.expose(), OffsetDateTime::now_utc().unix_timestamp(), &body);
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header("stripe-signature", signed)
        .body(Full::new(body))
        .expect("a checked address and constant headers make a request");
    match tokio::time::timeout(TIMEOUT, client.request(request)).await {
        Ok(Ok(response)) if response.status().is_success() => {}
        Ok(Ok(response)) => debug!(status = response.status().as_u16(), "send webhook failed: rejected"),
        Ok(Err(error)) => debug!(%error, "send webhook failed"),
        Err(_) => debug!("send webhook failed: timeout"),
    }
}
