//! The payment gateway: its webhooks, and outages.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::test_checkout::{
    Reply, TestCheckout, WEBHOOK_SECRET, call, eventually, listener, start_gateway_with_webhooks,
};

/// Sends checkout an event, signed as Stripe does `age_s` ago by the gateway's clock.
pub(crate) async fn send_webhook(test: &TestCheckout, secret: &str, age_s: i64, body: &str) -> Reply {
    let at = OffsetDateTime::now_utc().unix_timestamp() - age_s;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("{at}.{body}").as_bytes());
    let signed: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let header = format!("t={at},v1={signed}");
    call(test.checkout, "POST", "/webhooks/stripe", &[("stripe-signature", &header)], body).await.expect("a response")
}

async fn received(test: &TestCheckout) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM gateway_events").fetch_one(&test.pool).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_gateway_events_are_accepted_and_each_counts_once() {
    let test = TestCheckout::open().await;
    let event = |id: &str| {
        let intent = json!({ "object": "payment_intent", "id": "pi_unknown", "status": "succeeded" });
        json!({ "id": id, "type": "payment_intent.succeeded", "data": { "object": intent } }).to_string()
    };
    for (secret, age_s, body) in [
        ("whsec_other", 0, event("evt_1")),
        (WEBHOOK_SECRET, 400, event("evt_1")),
        (WEBHOOK_SECRET, -400, event("evt_1")),
        (WEBHOOK_SECRET, 0, "{}".to_owned()),
        (WEBHOOK_SECRET, 0, "not JSON".to_owned()),
    ] {
        let answer = send_webhook(&test, secret, age_s, &body).await;
        assert_eq!((answer.status, answer.slug()), (400, "invalid-webhook"), "{secret} {age_s} {body}");
    }
    let unsigned = call(test.checkout, "POST", "/webhooks/stripe", &[], &event("evt_1")).await.expect("a response");
    assert_eq!(unsigned.status, 400);
    let large = send_webhook(&test, WEBHOOK_SECRET, 0, &"x".repeat(3 << 20)).await;
    assert_eq!(large.status, 413);
    assert_eq!(received(&test).await, 0);
    for _ in 0..2 {
        assert_eq!(
            send_webhook(&test, WEBHOOK_SECRET, 0, &event("evt_1")).await.status,
            200,
            "about no payment of this shop"
        );
    }
    assert_eq!(received(&test).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_event_counts_only_if_a_lookup_confirms_it() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_action").await.status, 202);
    let reference: String = eventually(|| async {
        let known = sqlx::query_scalar("SELECT gateway_ref FROM payments WHERE hold_id = $1").bind(order);
        let known: Option<String> = known.fetch_one(&test.pool).await.expect("a payment");
        known.ok_or("no reference yet")
    })
    .await;
    let lie = json!({ "object": "payment_intent", "id": reference, "status": "canceled" });
    let lie = json!({ "id": "evt_lie", "type": "payment_intent.canceled", "data": { "object": lie } });
    assert_eq!(send_webhook(&test, WEBHOOK_SECRET, 0, &lie.to_string()).await.status, 200);
    test.order_becomes(&shopper, order, "paid").await;
    assert_eq!(test.at_the_gateway(order).await, ["succeeded"]);
    test.stock_is_reconciled().await;
}

/// A payment whose shopper has authenticated does not wait for the next sweep.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_late_and_reordered_events_end_every_payment_once() {
    let (reserved, gateway) = listener().await;
    let test = TestCheckout::open_with(|settings| settings.gateway_url = format!("http://{gateway}")).await;
    start_gateway_with_webhooks(reserved, &format!("http://{}/webhooks/stripe", test.checkout), &test.shutdown);
    let sale = test.sale(9).await;
    let mut orders = Vec::new();
    for method in
        ["tok_webhooks_twice", "tok_webhooks_shuffled", "tok_webhooks_late", "tok_webhooks_shuffled", "tok_action"]
    {
        let (shopper, order) = test.hold(sale).await;
        test.pay(&shopper, order, method).await;
        orders.push((shopper, order));
    }
    for (shopper, order) in &orders {
        test.order_becomes(shopper, *order, "paid").await;
    }
    eventually(|| async {
        let received = received(&test).await;
        if received >= 9 { Ok(()) } else { Err(received) }
    })
    .await;
    assert_eq!(test.stock(sale).await.sold, 5);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_circuit_is_open_the_shopper_keeps_the_hold_and_gets_a_notice() {
    let (reserved, gateway) = listener().await;
    drop(reserved);
    let test = TestCheckout::open_with(|settings| settings.gateway_url = format!("http://{gateway}")).await;
    let sale = test.sale(2).await;
    let (shopper, order) = test.hold(sale).await;
    let first = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((first.status, &first.body["status"]), (202, &json!("payment_pending")));
    let (other, others) = test.hold(sale).await;
    let seen = eventually(|| async {
        let seen = test.pay(&other, others, "tok_visa").await;
        if seen.body["notice"].is_string() { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert_eq!((seen.status, &seen.body["status"]), (202, &json!("payment_pending")));
    let metrics = call(test.checkout, "GET", "/metrics", &[], "").await.expect("a response").body;
    assert!(metrics.as_str().is_some_and(|text| text.contains("checkout_gateway_circuit_open 1")), "{metrics}");
    assert_eq!(test.stock(sale).await.held, 2);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_outlives_an_outage_of_the_gateway_up_to_a_quarter_of_an_hour() {
    let (reserved, gateway) = listener().await;
    drop(reserved);
    let test = TestCheckout::open_with(|settings| settings.gateway_url = format!("http://{gateway}")).await;
    // This process has made no call, and does not know.
    let _second = test.one_more_checkout().await;
    let sale = test.sale(3).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 202);
    eventually(|| async {
        let seen = sqlx::query_scalar("SELECT bool_or(gateway_down) FROM checkouts").fetch_one(&test.pool).await;
        if seen.expect("two checkouts") { Ok(()) } else { Err("neither checkout has found it away") }
    })
    .await;
    let (waiting, known) = test.hold(sale).await;
    assert_eq!(test.pay(&waiting, known, "tok_visa").await.status, 202);
    test.change("UPDATE payments SET gateway_ref = 'pi_before_the_outage' WHERE hold_id = $1", known).await;
    let both = async |began: &'static str| {
        for order in [order, known] {
            test.change(began, order).await;
            test.change("UPDATE holds SET expires_at = now() - interval '10 minutes' WHERE id = $1", order).await;
        }
    };
    both("UPDATE payments SET created_at = now() - interval '14 minutes' WHERE hold_id = $1").await;
    for _ in 0..3 {
        // A hold without a payment; the same sweep sees all three.
        let (_, idle) = test.hold(sale).await;
        test.change("UPDATE holds SET expires_at = now() WHERE id = $1", idle).await;
        eventually(|| async {
            let stock = test.stock(sale).await;
            if stock.held == 2 { Ok(()) } else { Err(stock) }
        })
        .await;
    }
    assert_eq!(test.order(&shopper, order).await.body["status"], "payment_pending");
    both("UPDATE payments SET created_at = now() - interval '16 minutes' WHERE hold_id = $1").await;
    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock.held == 0 { Ok(()) } else { Err(stock) }
    })
    .await;
    test.stock_is_reconciled().await;
}

/// A failure that the gateway replays for one key must not keep a shopper from paying.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_replayed_failure_the_shopper_can_pay_again() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    let broken = test.pay(&shopper, order, "tok_broken").await;
    assert_eq!((broken.status, broken.slug()), (402, "payment-declined"), "{broken:?}");
    assert_eq!(test.payments(order).await, ["voided"]);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_shopper_who_has_to_authenticate_gets_the_client_secret() {
    let test = TestCheckout::open().await;
    let sale = test.sale(2).await;
    let (shopper, order) = test.hold(sale).await;
    let stranger = test.admit(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_action").await.status, 202);
    let look = async |cookie: &str, order: Uuid| {
        call(test.checkout, "GET", &format!("/payments/{order}/status"), &[("cookie", cookie)], "")
            .await
            .expect("a response")
    };
    assert!(
        look(&shopper.cookie, order).await.body["client_secret"]
            .as_str()
            .is_some_and(|secret| secret.contains("_secret_"))
    );
    assert_eq!(look(&stranger.cookie, order).await.status, 404);
    test.order_becomes(&shopper, order, "paid").await;
    assert!(look(&shopper.cookie, order).await.body["client_secret"].is_null());
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM payments WHERE client_secret IS NOT NULL")
        .fetch_one(&test.pool)
        .await
        .expect("a count");
    assert_eq!(kept, 0, "it is worth nothing any more");
}
