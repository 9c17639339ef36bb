//! The sandbox gateway as a merchant meets it: over HTTP, and by its webhook.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{Router, routing::post};
use fairline_sandbox_gateway::{Settings, run};
use fairline_server::{LogFormat, LogSettings, Secret, ServeLimits, Shutdown, serve};
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

async fn start(webhook_urls: Vec<String>, shutdown: &Shutdown) -> SocketAddr {
    let (listener, listen) = listener().await;
    let log = LogSettings { format: LogFormat::Text, ..LogSettings::default() };
    let webhook_secret = Secret::new("whsec_test");
    tokio::spawn(run(Settings { listen, webhook_urls, webhook_secret, log }, listener, shutdown.clone()));
    listen
}

async fn call(gateway: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> (u16, Value) {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{gateway}/v1{path}"))
        .header("authorization", "Bearer sk_test")
        .header("content-type", "application/x-www-form-urlencoded");
    if !key.is_empty() {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Full::from(body.to_owned())).expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let (parts, body) = client.request(request).await.expect("a response").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&body).expect("JSON"))
}

const INTENTS: &str = "/payment_intents";
const VISA: &str = "amount=1234&currency=eur&confirm=true&capture_method=manual&payment_method_data[type]=card\
    &payment_method_data[card][token]=tok_visa";

#[tokio::test]
async fn an_intent_is_captured_and_refunded_and_wrong_calls_are_rejected() {
    let shutdown = Shutdown::new();
    let gateway = start(Vec::new(), &shutdown).await;
    let (status, intent) = call(gateway, "POST", INTENTS, "key-create", VISA).await;
    assert_eq!((status, &intent["status"], &intent["amount"]), (200, &json!("requires_capture"), &json!(1234)));
    let id = intent["id"].as_str().expect("an id");
    let path = |step: &str| format!("{INTENTS}/{id}{step}");
    let refund = format!("payment_intent={id}");

    let card = VISA.replace("tok_visa", "4242424242424242");
    let declined = VISA.replace("tok_visa", "tok_declined");
    for (case, method, path, key, body, expected, code) in [
        ("no key", "POST", INTENTS.to_owned(), "", VISA, 400, ""),
        ("a short key", "POST", INTENTS.to_owned(), "key", VISA, 400, ""),
        ("an unknown method", "POST", INTENTS.to_owned(), "key-card", card.as_str(), 400, "resource_missing"),
        ("a declined card", "POST", INTENTS.to_owned(), "key-declined", declined.as_str(), 402, "card_declined"),
        ("a field too few", "POST", INTENTS.to_owned(), "key-less", "amount=1", 400, "parameter_missing"),
        ("a key for something else", "POST", path("/capture"), "key-create", "", 400, ""),
        (
            "an unknown intent",
            "POST",
            "/payment_intents/pi_none/capture".to_owned(),
            "key-none",
            "",
            404,
            "resource_missing",
        ),
        ("an unknown intent, read", "GET", "/payment_intents/pi_none".to_owned(), "", "", 404, "resource_missing"),
        (
            "a refund before the capture",
            "POST",
            "/refunds".to_owned(),
            "key-early",
            &refund,
            400,
            "payment_intent_unexpected_state",
        ),
        ("the capture", "POST", path("/capture"), "key-capture", "", 200, ""),
        ("the capture again", "POST", path("/capture"), "key-capture", "", 200, ""),
        ("a second capture", "POST", path("/capture"), "key-second", "", 400, "payment_intent_unexpected_state"),
        ("a cancellation too late", "POST", path("/cancel"), "key-cancel", "", 400, "payment_intent_unexpected_state"),
        ("the refund", "POST", "/refunds".to_owned(), "key-refund", &refund, 200, ""),
        ("a second refund", "POST", "/refunds".to_owned(), "key-refund-2", &refund, 400, "charge_already_refunded"),
    ] {
        let (status, body) = call(gateway, method, &path, key, body).await;
        assert_eq!((status, body["error"]["code"].as_str().unwrap_or_default()), (expected, code), "{case}: {body}");
    }
    let now = call(gateway, "GET", &path(""), "", "").await.1;
    assert_eq!((&now["status"], &now["latest_charge"]["refunded"]), (&json!("succeeded"), &json!(true)));
    shutdown.trigger();
}

#[tokio::test]
async fn every_change_sends_a_webhook_to_each_endpoint() {
    let shutdown = Shutdown::new();
    let (listener, address) = listener().await;
    let (received, mut events) = mpsc::channel(8);
    let receive = move |headers: axum::http::HeaderMap, body: String| async move {
        let signed = headers["stripe-signature"].to_str().expect("text").to_owned();
        assert!(signed.starts_with("t=") && signed.contains(",v1=") && signed.len() > 70, "{signed}");
        received.send(body).await.expect("the test listens");
    };
    let stop = shutdown.clone();
    tokio::spawn(async move {
        serve(listener, Router::new().route("/events", post(receive)), ServeLimits::default(), &stop).await;
    });
    let endpoints = vec![format!("http://{address}/events"); 2];
    let gateway = start(endpoints, &shutdown).await;

    let (_, intent) = call(gateway, "POST", INTENTS, "key-create", VISA).await;
    let capture = format!("{INTENTS}/{}/capture", intent["id"].as_str().expect("an id"));
    call(gateway, "POST", &capture, "key-capture", "").await;
    // Of each event by its id, the states that the endpoints were sent.
    let mut sent = BTreeMap::<String, Vec<String>>::new();
    for _ in 0..4 {
        let event: Value = serde_json::from_str(&events.recv().await.expect("an event")).expect("JSON");
        let object = &event["data"]["object"];
        assert_eq!(object["id"], intent["id"]);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        sent.entry(text(&event["id"])).or_default().push(text(&object["status"]));
    }
    let mut sent: Vec<Vec<String>> = sent.into_values().collect();
    sent.sort();
    assert_eq!(sent, [["requires_capture"; 2], ["succeeded"; 2]]);
    shutdown.trigger();
}
