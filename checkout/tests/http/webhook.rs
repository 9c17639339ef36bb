//! Webhooks, with a faulty receiver.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use fairline_events::{EventKind, EventStream};
use fairline_telemetry::TraceContext;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::test_checkout::{TestCheckout, call, eventually, listener};

const SECRET: &[u8] = b"a secret of twenty-four bytes";

/// The requests that a receiver got, and its next responses; 204 after the last.
#[derive(Clone, Default)]
struct WebhookReceiver {
    received: Arc<Mutex<Vec<(String, Value)>>>,
    answers: Arc<Mutex<Vec<u16>>>,
    /// The trace of each request.
    traces: Arc<Mutex<Vec<Option<TraceContext>>>>,
}

async fn listen(State(receiver): State<WebhookReceiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&body);
    assert_eq!(header("webhook-signature"), format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())));
    let age = OffsetDateTime::now_utc().unix_timestamp() - timestamp.parse::<i64>().expect("a moment");
    assert!((0..60).contains(&age), "{age}");
    assert_eq!(header("content-type"), "application/cloudevents+json");
    let event: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(event["id"], json!(id));
    let trace = headers.get("traceparent").and_then(|trace| trace.to_str().ok()?.parse().ok());
    receiver.traces.lock().expect("no panic").push(trace);
    receiver.received.lock().expect("no panic").push((id, event));
    let answer = receiver.answers.lock().expect("no panic").pop().unwrap_or(204);
    StatusCode::from_u16(answer).expect("a status")
}

impl WebhookReceiver {
    /// A receiver with its first responses in reverse order, and its URL.
    async fn open(answers: &[u16]) -> (Self, String) {
        let receiver = Self::default();
        receiver.answers.lock().expect("no panic").extend(answers);
        let (listener, address) = listener().await;
        let router = Router::new().route("/hook", post(listen)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, format!("http://{address}/hook"))
    }

    fn kinds(&self) -> Vec<String> {
        let received = self.received.lock().expect("no panic");
        received.iter().map(|(_, event)| event["type"].as_str().expect("a kind").to_owned()).collect()
    }

    async fn receives(&self, count: usize) {
        eventually(|| async { if self.kinds().len() == count { Ok(()) } else { Err(self.kinds()) } }).await;
    }
}

async fn hook(test: &TestCheckout, url: &str, kinds: &[EventKind]) -> Uuid {
    let id = Uuid::now_v7();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    sqlx::query("INSERT INTO webhooks (id, url, secret, kinds) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(url)
        .bind(SECRET)
        .bind(kinds)
        .execute(&test.pool)
        .await
        .expect("a webhook");
    id
}

/// Waits until the deliveries of a webhook have these counts (waiting, delivered, given up), and
/// the webhook these flags.
async fn stands(test: &TestCheckout, id: Uuid, counts: [i64; 3], failing: bool, off: bool) {
    eventually(|| async {
        let row = sqlx::query(
            "SELECT failing_since IS NOT NULL, disabled_at IS NOT NULL, count(*) FILTER (WHERE state = 'waiting'), \
             count(*) FILTER (WHERE state = 'delivered'), count(*) FILTER (WHERE state = 'given_up') \
             FROM webhooks LEFT JOIN deliveries ON webhook_id = id WHERE id = $1 GROUP BY id",
        );
        let row = row.bind(id).fetch_one(&test.pool).await.expect("a webhook");
        let seen = ([row.get(2), row.get(3), row.get(4)], row.get::<bool, _>(0), row.get::<bool, _>(1));
        if seen == (counts, failing, off) { Ok(()) } else { Err(seen) }
    })
    .await;
}

/// Lets the pause before the next attempt pass.
async fn time_passes(test: &TestCheckout, id: Uuid) {
    test.change("UPDATE deliveries SET due_at = now() WHERE webhook_id = $1 AND state = 'waiting'", id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_receives_its_events_signed_and_retried_until_accepted() {
    let test = TestCheckout::open().await;
    let _second = test.one_more_checkout().await;
    let (all, url) = WebhookReceiver::open(&[]).await;
    let everything = hook(&test, &url, &[]).await;
    // A redirect is not a success, and is not followed.
    let (paid, url) = WebhookReceiver::open(&[500, 302]).await;
    let payments = hook(&test, &url, &[EventKind::PurchaseCompleted]).await;

    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 200);
    all.receives(2).await;
    stands(&test, everything, [0, 2, 0], false, false).await;
    let mut kinds = all.kinds();
    kinds.sort();
    assert_eq!(kinds, ["InventoryReserved", "PurchaseCompleted"]);

    paid.receives(1).await;
    stands(&test, payments, [1, 0, 0], true, false).await;
    time_passes(&test, payments).await;
    paid.receives(2).await;
    eventually(|| async {
        let noted = sqlx::query_scalar("SELECT last_error FROM webhooks WHERE id = $1").bind(payments);
        let noted: Option<String> = noted.fetch_one(&test.pool).await.expect("a webhook");
        if noted.as_ref().is_some_and(|error| error.contains("500")) { Ok(()) } else { Err(noted) }
    })
    .await;
    stands(&test, payments, [1, 0, 0], true, false).await;
    time_passes(&test, payments).await;
    stands(&test, payments, [0, 1, 0], false, false).await;
    let received = paid.received.lock().expect("no panic").clone();
    assert!(
        received.len() == 3 && received.iter().all(|message| *message == received[0]),
        "the same message each time"
    );
    assert_eq!(received[0].1["data"]["order_id"], json!(order));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gone_or_failing_webhook_is_switched_off_and_delays_no_other() {
    let test = TestCheckout::open().await;
    let (reserved, address) = listener().await;
    drop(reserved);
    let away = hook(&test, &format!("http://{address}/hook"), &[]).await;
    let (_, url) = WebhookReceiver::open(&[410]).await;
    let gone = hook(&test, &url, &[]).await;
    let (well, url) = WebhookReceiver::open(&[]).await;
    hook(&test, &url, &[]).await;

    let sale = test.sale(5).await;
    test.hold(sale).await;
    well.receives(1).await;
    stands(&test, away, [1, 0, 0], true, false).await;
    stands(&test, gone, [0, 0, 1], true, true).await;

    test.change("UPDATE webhooks SET failing_since = now() - interval '4 days' WHERE id = $1", away).await;
    time_passes(&test, away).await;
    stands(&test, away, [1, 0, 0], true, true).await;
    test.hold(sale).await;
    well.receives(2).await;
    stands(&test, gone, [0, 0, 1], true, true).await;
    stands(&test, away, [1, 0, 0], true, true).await;

    // The last attempt.
    test.change("UPDATE webhooks SET disabled_at = NULL, failing_since = now() WHERE id = $1", away).await;
    test.change("UPDATE deliveries SET attempts = 8 WHERE webhook_id = $1", away).await;
    time_passes(&test, away).await;
    stands(&test, away, [0, 0, 1], true, false).await;
}

/// One trace covers the page's request, the outbox, the stream in Redis and the webhook delivery,
/// and what the sweeper does much later.
#[tokio::test(flavor = "multi_thread")]
async fn one_request_and_its_consequences_are_one_trace() {
    let test = TestCheckout::open().await;
    let (receiver, url) = WebhookReceiver::open(&[]).await;
    hook(&test, &url, &[]).await;
    let sale = test.sale(5).await;
    let shopper = test.admit(sale).await;
    let trace = TraceContext::root(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 7);
    let (bearer, traceparent) = (format!("Bearer {}", shopper.token), trace.to_string());
    let headers = [("authorization", &*bearer), ("cookie", &*shopper.cookie), ("traceparent", &*traceparent)];
    let path = format!("/api/flash-sales/{sale}/purchase");
    let answer = call(test.checkout, "POST", &path, &headers, r#"{"quantity":1}"#).await.expect("a response");
    assert_eq!(answer.status, 201, "{answer:?}");
    let hold: Uuid = answer.body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    receiver.receives(1).await;
    test.change("UPDATE holds SET expires_at = now() - interval '1 second' WHERE id = $1", hold).await;
    receiver.receives(2).await;
    let mut kinds = receiver.kinds();
    kinds.sort();
    assert_eq!(kinds, ["InventoryReleased", "InventoryReserved"]);

    let redis = fairline_redis::connect(test.settings.redis_url.expose()).await.expect("a connection");
    let events = EventStream::new(redis).next(sale, "tracer", "tracer", 10).await.expect("a response");
    let in_redis: Vec<TraceContext> = events.iter().map(|event| event.trace.expect("a trace")).collect();
    assert_eq!(in_redis.len(), 2);
    for step in &in_redis {
        assert_eq!((step.trace, step.step == trace.step), (trace.trace, false), "another step of the same trace");
    }
    let sent: Vec<TraceContext> =
        receiver.traces.lock().expect("no panic").iter().map(|trace| trace.expect("a trace")).collect();
    assert!(sent.iter().all(|step| step.trace == trace.trace && !in_redis.contains(step)), "{sent:?}");
    for (_, event) in receiver.received.lock().expect("no panic").iter() {
        let cause: TraceContext = event["traceparent"].as_str().and_then(|text| text.parse().ok()).expect("a trace");
        assert!(in_redis.contains(&cause) && event["data"].get("traceparent").is_none(), "{event}");
    }
}
