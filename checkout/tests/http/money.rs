//! Money that moves after the payment: refunds by the shop and by hand, and disputes. The gateway
//! counts, and each change is published once.

use std::net::SocketAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_checkout::{
    MERCHANT_KEY, Reply, Shopper, TestCheckout, call, eventually, listener, start_gateway_with_webhooks,
};

/// A shop whose gateway sends webhooks, and the gateway's address.
async fn open() -> (TestCheckout, SocketAddr) {
    let (reserved, gateway) = listener().await;
    let test = TestCheckout::open_with(|settings| settings.gateway_url = format!("http://{gateway}")).await;
    start_gateway_with_webhooks(reserved, &format!("http://{}/webhooks/stripe", test.checkout), &test.shutdown);
    (test, gateway)
}

async fn paid(test: &TestCheckout, method: &str) -> (Shopper, Uuid) {
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    let answer = test.pay(&shopper, order, method).await;
    assert_eq!(answer.body["status"], "paid", "{answer:?}");
    (shopper, order)
}

/// A call to the gateway by hand, as from its dashboard.
async fn by_hand(gateway: SocketAddr, path: &str, form: &str) -> Reply {
    let key = Uuid::new_v4().to_string();
    let kind = "application/x-www-form-urlencoded";
    let headers = [("idempotency-key", key.as_str()), ("authorization", "Bearer sk_test"), ("content-type", kind)];
    call(gateway, "POST", path, &headers, form).await.expect("a response")
}

async fn reference(test: &TestCheckout, order: Uuid) -> String {
    let known = sqlx::query_scalar("SELECT gateway_ref FROM payments WHERE hold_id = $1 AND state = 'captured'");
    known.bind(order).fetch_one(&test.pool).await.expect("a reference")
}

async fn refund_by_hand(test: &TestCheckout, gateway: SocketAddr, order: Uuid, amount: i64) {
    let form = format!("payment_intent={}&amount={amount}", reference(test, order).await);
    let answer = by_hand(gateway, "/v1/refunds", &form).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn refund(test: &TestCheckout, order: Uuid, body: &Value) -> Reply {
    let key = format!("Bearer {MERCHANT_KEY}");
    let path = format!("/api/orders/{order}/refund");
    call(test.checkout, "POST", &path, &[("authorization", &key)], &body.to_string()).await.expect("a response")
}

/// Waits until an order shows this refunded amount and status.
async fn shows(test: &TestCheckout, shopper: &Shopper, order: Uuid, refunded_minor: i64, status: &str) {
    eventually(|| async {
        let body = test.order(shopper, order).await.body;
        if body["refunded_minor"] == refunded_minor && body["status"] == status { Ok(()) } else { Err(body) }
    })
    .await;
}

/// Webhooks arrive twice, late, out of order, or normally.
#[tokio::test(flavor = "multi_thread")]
async fn a_manual_refund_is_detected_shown_and_counted_once() {
    let (test, gateway) = open().await;
    for method in ["tok_visa", "tok_webhooks_twice", "tok_webhooks_late", "tok_webhooks_shuffled"] {
        let (shopper, order) = paid(&test, method).await;
        refund_by_hand(&test, gateway, order, 234).await;
        // The second refund releases the webhook of the first that was held back.
        refund_by_hand(&test, gateway, order, 400).await;
        shows(&test, &shopper, order, 634, "paid").await;
        refund_by_hand(&test, gateway, order, 600).await;
        shows(&test, &shopper, order, 1234, "refunded").await;
        let seen = test.events_of(order).await;
        let refunds: Vec<&Value> =
            seen.iter().filter(|(kind, _)| kind == "PaymentRefunded").map(|(_, data)| data).collect();
        let sum: i64 = refunds.iter().map(|data| data["amount_minor"].as_i64().expect("an amount")).sum();
        assert_eq!((sum, &refunds.last().expect("one")["refunded_minor"]), (1234, &json!(1234)), "{method}");
    }
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_refund_and_a_manual_one_are_not_counted_twice() {
    let (test, gateway) = open().await;
    let (shopper, order) = paid(&test, "tok_visa").await;
    let part = refund(&test, order, &json!({ "amount_minor": 200, "reason": "scratched" })).await;
    assert_eq!((part.status, &part.body["status"]), (202, &json!("done")), "{part:?}");
    shows(&test, &shopper, order, 200, "paid").await;
    refund_by_hand(&test, gateway, order, 34).await;
    shows(&test, &shopper, order, 234, "paid").await;
    let much = refund(&test, order, &json!({ "amount_minor": 1001, "reason": "too much" })).await;
    assert_eq!((much.status, much.slug(), &much.body["left_minor"]), (409, "not-refundable", &json!(1000)), "{much:?}");
    let rest = refund(&test, order, &json!({ "reason": "all of it" })).await;
    assert_eq!((rest.status, &rest.body["status"]), (202, &json!("done")), "{rest:?}");
    shows(&test, &shopper, order, 1234, "refunded").await;
    let path = format!("/v1/payment_intents/{}", reference(&test, order).await);
    let intent =
        call(gateway, "GET", &path, &[("authorization", "Bearer sk_test")], "").await.expect("a response").body;
    assert_eq!(intent["latest_charge"]["amount_refunded"], 1234);
    assert_eq!(refund(&test, order, &json!({ "reason": "again" })).await.slug(), "not-refundable");
    test.stock_is_reconciled().await;
}

/// The bank may report days later that it did not accept the refund.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_refund_is_no_longer_counted() {
    let (test, _) = open().await;
    let (shopper, order) = paid(&test, "tok_refund_fails").await;
    assert_eq!(refund(&test, order, &json!({ "reason": "scratched" })).await.body["status"], "done");
    shows(&test, &shopper, order, 1234, "refunded").await;
    shows(&test, &shopper, order, 0, "paid").await;
    let seen: Vec<String> = test.events_of(order).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(seen, ["InventoryReserved", "PurchaseCompleted", "PaymentRefunded", "RefundFailed"]);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_detected_shown_and_published_until_it_ends() {
    let (test, gateway) = open().await;
    for (method, evidence, ending, kept_by_the_bank) in [
        ("tok_createDispute", "winning_evidence", "won", 0),
        ("tok_createDispute", "losing_evidence", "lost", 1234),
        ("tok_dispute_early", "winning_evidence", "won", 0),
    ] {
        let (shopper, order) = paid(&test, method).await;
        let disputed = async |standing: &str| {
            eventually(|| async {
                let body = test.order(&shopper, order).await.body;
                if body["dispute"] == standing { Ok(()) } else { Err(body) }
            })
            .await;
        };
        disputed("needs_response").await;
        let dispute = reference(&test, order).await.replacen("pi_", "dp_", 1);
        let form = format!("evidence[uncategorized_text]={evidence}");
        assert_eq!(by_hand(gateway, &format!("/v1/disputes/{dispute}"), &form).await.status, 200);
        disputed(ending).await;
        let seen: Vec<(Value, Value)> = test
            .events_of(order)
            .await
            .into_iter()
            .filter(|(kind, _)| kind == "PaymentDisputed")
            .map(|(_, data)| (data["dispute"].clone(), data["amount_minor"].clone()))
            .collect();
        assert_eq!(seen, [(json!("needs_response"), json!(1234)), (json!(ending), json!(kept_by_the_bank))]);
        let kept: i64 = sqlx::query_scalar("SELECT disputed_minor FROM payments WHERE hold_id = $1")
            .bind(order)
            .fetch_one(&test.pool)
            .await
            .expect("a payment");
        assert_eq!(kept, kept_by_the_bank);
    }
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invalid_refund_has_its_problem() {
    let test = TestCheckout::open().await;
    let sale = test.sale(2).await;
    let (_, unpaid) = test.hold(sale).await;
    let (shopper, order) = paid(&test, "tok_visa").await;
    for (case, order, body, status, slug) in [
        ("not paid", unpaid, json!({ "reason": "x" }), 409, "not-refundable"),
        ("no such order", Uuid::new_v4(), json!({ "reason": "x" }), 404, "order-not-found"),
        ("no reason", order, json!({}), 422, "invalid-body"),
        ("nothing", order, json!({ "reason": "x", "amount_minor": 0 }), 422, "invalid-body"),
        ("a field too many", order, json!({ "reason": "x", "all": true }), 422, "invalid-body"),
    ] {
        let answer = refund(&test, order, &body).await;
        assert_eq!((answer.status, answer.slug()), (status, slug), "{case}: {answer:?}");
    }
    let path = format!("/api/orders/{order}/refund");
    let body = r#"{"reason":"mine"}"#;
    let shopper_s = call(test.checkout, "POST", &path, &[("cookie", &shopper.cookie)], body).await.expect("a response");
    assert_eq!((shopper_s.status, shopper_s.slug()), (401, "invalid-merchant-key"));
}

/// While the gateway is down a request waits, and it is executed once when the gateway is back.
#[tokio::test(flavor = "multi_thread")]
async fn an_operators_request_is_executed_by_any_checkout() {
    let (test, _) = open().await;
    let (shopper, order) = paid(&test, "tok_visa").await;
    let sale = test.sale(1).await;
    let (holder, held) = test.hold(sale).await;
    // As the controller writes it.
    for (order, kind, amount) in [(order, "refund", Some(34_i64)), (held, "cancel", None)] {
        sqlx::query(
            "INSERT INTO order_requests (id, order_id, sale_id, kind, amount_minor, reason, requested_by) \
             SELECT $1, id, sale_id, $3, $4, 'a reason', 'ada' FROM holds WHERE id = $2",
        )
        .bind(Uuid::now_v7())
        .bind(order)
        .bind(kind)
        .bind(amount)
        .execute(&test.pool)
        .await
        .expect("a request");
    }
    shows(&test, &shopper, order, 34, "paid").await;
    test.order_becomes(&holder, held, "cancelled").await;
    // A request is marked after it was carried out.
    eventually(|| async {
        let states = sqlx::query_scalar("SELECT state FROM order_requests").fetch_all(&test.pool).await;
        let states: Vec<String> = states.expect("requests");
        if states == ["done", "done"] { Ok(()) } else { Err(states) }
    })
    .await;
    test.stock_is_reconciled().await;
}
