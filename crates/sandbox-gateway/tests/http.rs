//! The sandbox gateway as a merchant meets it: over HTTP, and by its webhook.

use std::net::SocketAddr;

use axum::{Router, routing::post};
use fairline_sandbox_gateway::{Settings, run};
use fairline_service::{LogFormat, LogSettings, ServeLimits, Shutdown, serve};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

async fn start(webhook_url: Option<String>, shutdown: &Shutdown) -> SocketAddr {
    let (listener, listen) = listener().await;
    let log = LogSettings { format: LogFormat::Text, level: "info".to_owned() };
    tokio::spawn(run(Settings { listen, webhook_url, log }, listener, shutdown.clone()));
    listen
}

async fn call(gateway: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(format!("http://{gateway}/v1/payment_intents{path}"));
    if !key.is_empty() {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Full::from(body.to_owned())).expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let (parts, body) = client.request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&body).expect("JSON"))
}

const VISA: &str = r#"{"amount_minor":1234,"currency":"EUR","payment_method":"tok_visa"}"#;

#[tokio::test]
async fn an_intent_goes_its_way_and_every_wrong_call_has_its_answer() {
    let shutdown = Shutdown::new();
    let gateway = start(None, &shutdown).await;
    let (status, intent) = call(gateway, "POST", "", "key-create", VISA).await;
    assert_eq!((status, &intent["status"], &intent["amount_minor"]), (200, &json!("requires_capture"), &json!(1234)));
    let path = |step: &str| format!("/{}{step}", intent["id"].as_str().expect("an id"));

    let card = VISA.replace("tok_visa", "4242424242424242");
    for (case, method, path, key, body, expected) in [
        ("no key", "POST", String::new(), "", VISA, 400),
        ("a short key", "POST", String::new(), "key", VISA, 400),
        ("an unknown method", "POST", String::new(), "key-card", card.as_str(), 422),
        ("a field too few", "POST", String::new(), "key-less", "{}", 422),
        ("a key for something else", "POST", path("/capture"), "key-create", "", 422),
        ("an unknown intent", "POST", "/pi_none/capture".to_owned(), "key-none", "", 404),
        ("an unknown intent to look at", "GET", "/pi_none".to_owned(), "", "", 404),
        ("a refund before the capture", "POST", path("/refund"), "key-early", "", 409),
        ("the capture", "POST", path("/capture"), "key-capture", "", 200),
        ("the capture again", "POST", path("/capture"), "key-capture", "", 200),
        ("a second capture", "POST", path("/capture"), "key-second", "", 409),
        ("a cancellation too late", "POST", path("/cancel"), "key-cancel", "", 409),
        ("the refund", "POST", path("/refund"), "key-refund", "", 200),
    ] {
        let (status, body) = call(gateway, method, &path, key, body).await;
        assert_eq!(status, expected, "{case}: {body}");
    }
    assert_eq!(call(gateway, "GET", &path(""), "", "").await.1["status"], "refunded");
    shutdown.trigger();
}

#[tokio::test]
async fn the_merchant_is_told_of_every_change() {
    let shutdown = Shutdown::new();
    let (ear, address) = listener().await;
    let (heard, mut events) = mpsc::channel(8);
    let hear = move |body: String| async move { heard.send(body).await.expect("the test listens") };
    let stop = shutdown.clone();
    tokio::spawn(async move {
        serve(ear, Router::new().route("/events", post(hear)), ServeLimits::default(), &stop).await;
    });
    let gateway = start(Some(format!("http://{address}/events")), &shutdown).await;

    let (_, intent) = call(gateway, "POST", "", "key-create", VISA).await;
    let capture = format!("/{}/capture", intent["id"].as_str().expect("an id"));
    call(gateway, "POST", &capture, "key-capture", "").await;
    for status in ["requires_capture", "succeeded"] {
        let event: Value = serde_json::from_str(&events.recv().await.expect("an event")).expect("JSON");
        assert_eq!(
            (&event["data"]["object"]["id"], &event["data"]["object"]["status"]),
            (&intent["id"], &json!(status))
        );
    }
    shutdown.trigger();
}
