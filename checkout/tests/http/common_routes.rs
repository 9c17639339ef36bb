//! Keys, documents, health and settings.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use axum::{Router, http::StatusCode, routing::get};
use fairline_admission_token::{Jwk, Jwks, SigningKey};
use fairline_server::{ServeLimits, Shutdown, serve};

use crate::test_checkout::{TestCheckout, call, eventually, listener};

#[tokio::test(flavor = "multi_thread")]
async fn stock_counters_that_differ_from_their_rows_show_in_the_metrics() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    test.pay(&shopper, order, "tok_visa").await;
    test.order_becomes(&shopper, order, "paid").await;
    test.admit(sale).await;
    let seen = async |checkout, metric: &str| {
        let metrics = call(checkout, "GET", "/metrics", &[], "").await.expect("a response").body;
        let metrics = metrics.as_str().unwrap_or_default().to_owned();
        let line = metrics.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse::<f64>().ok());
        line.ok_or(metrics)
    };
    // Each process reconciles at its start, and then at intervals.
    let checkout = test.one_more_checkout().await;
    let accuracy = "checkout_inventory_accuracy_ratio";
    assert!((eventually(|| seen(checkout, accuracy)).await - 1.0).abs() < 1e-9);
    test.change("UPDATE stock SET sold = sold - 1 WHERE sale_id = $1", sale.0).await;
    let checkout = test.one_more_checkout().await;
    eventually(|| async {
        let accuracy = seen(checkout, accuracy).await?;
        if accuracy < 1e-9 { Ok(()) } else { Err(accuracy.to_string()) }
    })
    .await;
    let most = seen(checkout, "db_pool_connections_max{pool=\"checkout\"}").await.expect("the pool");
    assert!(most >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_once_the_controller_starts_and_again_for_a_new_key() {
    let served = Arc::new(Mutex::new(None::<String>));
    let (controller, address) = listener().await;
    let keys = served.clone();
    let jwks = move || {
        let keys = keys.lock().expect("no panic").clone();
        async move { keys.ok_or(StatusCode::SERVICE_UNAVAILABLE) }
    };
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        serve(controller, Router::new().route("/jwks.json", get(jwks)), ServeLimits::default(), &stop).await;
    });
    let mut test = TestCheckout::open_with(|settings| settings.jwks = format!("http://{address}/jwks.json")).await;
    let sale = test.sale(5).await;
    let shopper = test.admit(sale).await;

    let early = test.purchase(&shopper, 1).await;
    assert_eq!((early.status, early.slug()), (503, "unavailable"));
    assert_eq!(call(test.checkout, "GET", "/health/ready", &[], "").await.expect("a response").status, 503);

    *served.lock().expect("no panic") = Some(fs::read_to_string(test.jwks_path()).expect("the keys"));
    let bought = eventually(|| async {
        let answer = test.purchase(&shopper, 1).await;
        if answer.status == 503 { Err(answer) } else { Ok(answer) }
    })
    .await;
    assert_eq!(bought.status, 201);
    assert_eq!(call(test.checkout, "GET", "/health/ready", &[], "").await.expect("a response").status, 200);

    // A new key, published beside the old one.
    let (old, new) = (Jwk::new(&test.key.verifying_key()), SigningKey::generate());
    let both = Jwks::new(vec![old, Jwk::new(&new.verifying_key())]).expect("keys").to_json();
    *served.lock().expect("no panic") = Some(both);
    let old_shopper = test.admit(sale).await;
    test.key = new;
    let new_shopper = test.admit(sale).await;
    let bought = eventually(|| async {
        let answer = test.purchase(&new_shopper, 1).await;
        if answer.status == 401 { Err(answer) } else { Ok(answer) }
    })
    .await;
    assert_eq!(bought.status, 201);
    assert_eq!(test.purchase(&old_shopper, 1).await.status, 201);

    // A controller that is gone takes no key away.
    shutdown.trigger();
    let shopper = test.admit(sale).await;
    assert_eq!(test.purchase(&shopper, 1).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_and_the_metrics_are_served() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    test.pay(&shopper, order, "tok_visa").await;

    let document = call(test.checkout, "GET", "/openapi/checkout.json", &[], "").await.expect("a response");
    assert_eq!(document.status, 200);
    assert!(document.body["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for (path, method) in [
        ("/api/flash-sales/{id}/purchase", "post"),
        ("/api/orders/{id}/payment", "post"),
        ("/api/orders/{id}", "get"),
        ("/api/orders", "get"),
    ] {
        assert!(document.body["paths"][path][method]["responses"].is_object(), "{path}");
    }

    let metrics = call(test.checkout, "GET", "/metrics", &[], "").await.expect("a response");
    let metrics = metrics.body.as_str().expect("text");
    for metric in [
        r#"checkout_redemptions_total{outcome="held"}"#,
        r#"checkout_payments_total{outcome="captured"}"#,
        "checkout_redeem_duration_seconds_bucket",
        r#"checkout_gateway_call_duration_seconds_count{call="capture",outcome="answered"}"#,
        r#"route="/api/flash-sales/{id}/purchase""#,
    ] {
        assert!(metrics.contains(metric), "{metric} is missing in {metrics}");
    }
    assert!(!metrics.contains(&order.to_string()) && !metrics.contains(&sale.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_setting_is_explained() {
    let test = TestCheckout::open().await;
    let wrong = |change: fn(&mut checkout::Settings)| {
        let mut settings = test.settings.clone();
        change(&mut settings);
        async move {
            let refused = checkout::Checkout::start(&settings, &Shutdown::new()).await;
            refused.err().expect("refused").to_string()
        }
    };
    for (change, word) in [
        ((|settings| settings.gateway_url = "ftp://pay.example".to_owned()) as fn(&mut checkout::Settings), "gateway"),
        (|settings| settings.jwks = "/nowhere/jwks.json".to_owned(), "/nowhere/jwks.json"),
        (|settings| settings.jwks = "ftp://keys.example".to_owned(), "http://"),
        (|settings| settings.ticket_key = fairline_server::Secret::new("abc"), "ticket key"),
        (|settings| settings.postgres_url = fairline_server::Secret::new("redis://secret@here"), "Postgres"),
        (|settings| settings.purchase_burst = 0, "positive"),
        (|settings| settings.merchant_key = Some(fairline_server::Secret::new("secret")), "too short"),
        (|settings| settings.waiting_room_url = Some("waiting.example".to_owned()), "waiting room"),
        (|settings| settings.redis_url = fairline_server::Secret::new("secret:x"), "Redis"),
    ] {
        let sentence = wrong(change).await;
        assert!(sentence.contains(word) && sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.contains("secret"), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_see_the_heartbeat_until_checkout_deregisters() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_declined").await.status, 402, "not a server error");
    test.pay(&shopper, order, "tok_slow").await;
    let seen =
        || sqlx::query_as::<_, (i32, i32, i32)>("SELECT answered, failed, slow FROM checkouts").fetch_all(&test.pool);
    eventually(|| async {
        let seen = seen().await.expect("read");
        if seen == [(3, 0, 0)] { Ok(()) } else { Err(seen) }
    })
    .await;
    test.shutdown.trigger();
    eventually(|| async {
        let seen = seen().await.expect("read");
        if seen.is_empty() { Ok(()) } else { Err(seen) }
    })
    .await;
}
