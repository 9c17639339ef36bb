//! Payments that end before they are authorised: too late, withdrawn, declined or rejected. No
//! shopper is charged after the page has shown that nothing was.

use std::net::SocketAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    gateway::send_webhook,
    test_checkout::{
        Reply, Shopper, StockCounts, TestCheckout, WEBHOOK_SECRET, call, eventually, listener, start_gateway,
    },
};

const SIXTEEN_MINUTES_AGO: &str = "UPDATE payments SET created_at = now() - interval '16 minutes', \
    updated_at = now() - interval '16 minutes' WHERE hold_id = $1";

/// A shop whose gateway is down, and the gateway's address.
async fn without_gateway() -> (TestCheckout, SocketAddr) {
    let (reserved, gateway) = listener().await;
    drop(reserved);
    (TestCheckout::open_with(|settings| settings.gateway_url = format!("http://{gateway}")).await, gateway)
}

/// Starts the gateway, and a process whose circuit is closed.
async fn the_gateway_returns(test: &TestCheckout, gateway: SocketAddr) {
    let listener = tokio::net::TcpListener::bind(gateway).await.expect("the port is still free");
    start_gateway(listener, &test.shutdown);
    test.one_more_checkout().await;
}

/// The states of an order's payments at the gateway, found with or without their references.
pub(crate) async fn found_at(gateway: SocketAddr, test: &TestCheckout, order: Uuid) -> Vec<String> {
    let ids = sqlx::query_scalar("SELECT id FROM payments WHERE hold_id = $1 ORDER BY created_at").bind(order);
    let ids: Vec<Uuid> = ids.fetch_all(&test.pool).await.expect("payments");
    let mut found = Vec::new();
    for id in ids {
        let path = format!("/v1/payment_intents/search?query=metadata%5B'payment'%5D:'{id}'");
        let answer = call(gateway, "GET", &path, &[("authorization", "Bearer sk_test")], "").await.expect("a response");
        let intents = answer.body["data"].as_array().expect("a list").clone();
        found.extend(intents.iter().map(|intent| intent["status"].as_str().expect("a status").to_owned()));
    }
    found
}

/// Waits until nothing is left to be settled with the gateway about an order.
async fn settles(test: &TestCheckout, order: Uuid) {
    eventually(|| async {
        let hurry = sqlx::query(
            "UPDATE payments SET settle_at = now(), updated_at = now() - interval '5 minutes' \
             WHERE hold_id = $1 AND settle_at IS NOT NULL",
        );
        let left = hurry.bind(order).execute(&test.pool).await.expect("done").rows_affected();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

async fn withdraw(test: &TestCheckout, shopper: &Shopper, order: Uuid) -> Reply {
    let path = format!("/api/orders/{order}/payment");
    call(test.checkout, "DELETE", &path, &[("cookie", &shopper.cookie)], "").await.expect("a response")
}

async fn cancel(test: &TestCheckout, shopper: &Shopper, order: Uuid) -> Reply {
    let path = format!("/api/orders/{order}/cancel");
    call(test.checkout, "POST", &path, &[("cookie", &shopper.cookie)], "").await.expect("a response")
}

/// The whole sequence: the shopper is notified immediately, and the gateway's late response changes
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn no_shopper_is_charged_after_the_payment_was_given_up_and_the_sale_closed() {
    let (test, gateway) = without_gateway().await;
    let sale = test.sale(2).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 202);
    test.change("UPDATE holds SET expires_at = now() - interval '10 minutes' WHERE id = $1", order).await;
    test.change(SIXTEEN_MINUTES_AGO, order).await;
    test.change("UPDATE sales SET status = 'closed' WHERE id = $1", sale.0).await;
    // While the gateway is still down.
    test.order_becomes(&shopper, order, "expired").await;
    assert_eq!(test.payments(order).await, ["voided"]);
    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock == (StockCounts { total: 2, promised: 0, held: 0, sold: 0 }) { Ok(()) } else { Err(stock) }
    })
    .await;
    the_gateway_returns(&test, gateway).await;
    settles(&test, order).await;
    assert_eq!(found_at(gateway, &test, order).await, [""; 0], "nothing was begun");
    assert_eq!(test.payments(order).await, ["voided"]);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.slug(), "hold-expired");
    test.stock_is_reconciled().await;
}

/// A closed sale does not extend a hold for a payment that has not begun at the gateway; before the
/// hold expires, it is paid.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_closed_sale_a_payment_begins_only_before_the_hold_expires() {
    let (test, gateway) = without_gateway().await;
    let sale = test.sale(4).await;
    let (in_time, kept) = test.hold(sale).await;
    let (late, lost) = test.hold(sale).await;
    for (shopper, order) in [(&in_time, kept), (&late, lost)] {
        assert_eq!(test.pay(shopper, order, "tok_visa").await.status, 202);
    }
    // No payment of these two has begun when the sale is closed.
    let (next, next_kept) = test.hold(sale).await;
    let (too_late, next_lost) = test.hold(sale).await;
    test.change("UPDATE sales SET status = 'closed' WHERE id = $1", sale.0).await;
    for order in [lost, next_lost] {
        test.change("UPDATE holds SET expires_at = now() - interval '1 second' WHERE id = $1", order).await;
    }
    let refused = test.pay(&too_late, next_lost, "tok_visa").await;
    assert_eq!((refused.status, refused.slug()), (409, "hold-expired"), "{refused:?}");
    test.order_becomes(&late, lost, "expired").await;
    the_gateway_returns(&test, gateway).await;
    test.order_becomes(&in_time, kept, "paid").await;
    let begun = test.pay(&next, next_kept, "tok_visa").await;
    assert!(matches!(begun.status, 200 | 202), "{begun:?}");
    test.order_becomes(&next, next_kept, "paid").await;
    let refused = test.pay(&too_late, next_lost, "tok_visa").await;
    assert_eq!(refused.slug(), "hold-expired", "{refused:?}");
    assert_eq!((test.payments(lost).await, test.stock(sale).await.sold), (vec!["voided".to_owned()], 2));
    assert_eq!(test.payments(next_lost).await, [""; 0], "no payment begins");
    for order in [lost, next_lost] {
        assert_eq!(found_at(gateway, &test, order).await, [""; 0]);
    }
    test.stock_is_reconciled().await;
}

/// The gateway had authorised it, and its response was lost with the process; hours later it is
/// found and released.
#[tokio::test(flavor = "multi_thread")]
async fn an_authorisation_without_an_answer_is_released_when_found_too_late() {
    let (test, gateway) = without_gateway().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 202);
    test.change("UPDATE holds SET expires_at = now() - interval '10 minutes' WHERE id = $1", order).await;
    test.change(SIXTEEN_MINUTES_AGO, order).await;
    test.order_becomes(&shopper, order, "expired").await;
    let listener = tokio::net::TcpListener::bind(gateway).await.expect("the port is still free");
    start_gateway(listener, &test.shutdown);
    authorised_without_an_answer(gateway, &test, order).await;
    test.one_more_checkout().await;
    settles(&test, order).await;
    assert_eq!(found_at(gateway, &test, order).await, ["canceled"]);
    assert_eq!(test.payments(order).await, ["voided"]);
    test.stock_is_reconciled().await;
}

/// The gateway authorises the newest payment of an order, for a process that died before the
/// response.
async fn authorised_without_an_answer(gateway: SocketAddr, test: &TestCheckout, order: Uuid) -> String {
    let newest = sqlx::query_scalar("SELECT id FROM payments WHERE hold_id = $1 ORDER BY created_at DESC LIMIT 1");
    let payment: Uuid = newest.bind(order).fetch_one(&test.pool).await.expect("a payment");
    let form = format!(
        "amount=1234&currency=eur&payment_method_types[]=card&capture_method=manual&confirm=true&metadata[payment]={payment}\
         &payment_method_data[type]=card&payment_method_data[card][token]=tok_visa"
    );
    post(gateway, "/v1/payment_intents", &format!("{payment}-unreported"), &form).await["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// A call to the gateway by hand.
async fn post(gateway: SocketAddr, path: &str, key: &str, form: &str) -> Value {
    let kind = "application/x-www-form-urlencoded";
    let headers = [("idempotency-key", key), ("authorization", "Bearer sk_test"), ("content-type", kind)];
    let answer = call(gateway, "POST", path, &headers, form).await.expect("a response");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_payment_is_withdrawn_while_the_gateway_is_down_and_never_charged() {
    let (test, gateway) = without_gateway().await;
    let sale = test.sale(3).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 202);
    let stranger = test.admit(sale).await;
    assert_eq!(withdraw(&test, &stranger, order).await.slug(), "order-not-found");
    for _ in 0..2 {
        let withdrawn = withdraw(&test, &shopper, order).await;
        assert_eq!((withdrawn.status, &withdrawn.body["status"]), (200, &json!("held")), "{withdrawn:?}");
    }
    let (other, others) = test.hold(sale).await;
    assert_eq!(test.pay(&other, others, "tok_visa").await.status, 202);
    let cancelled = cancel(&test, &other, others).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")), "{cancelled:?}");
    assert_eq!(test.payments(others).await, ["voided"]);

    the_gateway_returns(&test, gateway).await;
    test.change("UPDATE payments SET created_at = now() - interval '3 minutes' WHERE hold_id = $1", order).await;
    settles(&test, order).await;
    assert_eq!(found_at(gateway, &test, order).await, [""; 0]);
    assert_eq!(test.stock(sale).await, StockCounts { total: 3, promised: 1, held: 1, sold: 0 });
    test.stock_is_reconciled().await;
}

/// The payment's driver and its shopper race: one row decides, and the gateway follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_withdrawn_during_the_gateway_call_is_either_paid_or_released() {
    let test = TestCheckout::open().await;
    let sale = test.sale(6).await;
    let mut ended = Vec::new();
    // The gateway has authorised the slow ones immediately, and responds two seconds later.
    for method in ["tok_slow", "tok_visa", "tok_slow", "tok_visa", "tok_no_action", "tok_visa"] {
        let (shopper, order) = test.hold(sale).await;
        let (_, answer) = tokio::join!(test.pay(&shopper, order, method), async {
            eventually(|| async {
                let payments = test.payments(order).await;
                if payments.is_empty() { Err(payments) } else { Ok(()) }
            })
            .await;
            withdraw(&test, &shopper, order).await
        });
        assert!(answer.status == 200 || answer.slug() == "payment-not-withdrawn", "{method}: {answer:?}");
        ended.push((shopper, order, answer.status == 200));
    }
    for (shopper, order, withdrawn) in ended {
        if withdrawn {
            assert_eq!(test.order(&shopper, order).await.body["status"], "held");
            assert_eq!(test.payments(order).await, ["voided"]);
            test.gateway_shows(order, &["canceled"]).await;
        } else {
            test.order_becomes(&shopper, order, "paid").await;
            assert_eq!(withdraw(&test, &shopper, order).await.slug(), "payment-not-withdrawn");
            test.gateway_shows(order, &["succeeded"]).await;
        }
    }
    test.stock_is_reconciled().await;
}

/// The first attempt fails only after the withdrawal, and no second one follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_payment_is_not_tried_again() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    let (_, withdrawn) = tokio::join!(test.pay(&shopper, order, "tok_flaky_late"), async {
        eventually(|| async {
            let payments = test.payments(order).await;
            if payments.is_empty() { Err(payments) } else { Ok(()) }
        })
        .await;
        withdraw(&test, &shopper, order).await
    });
    assert_eq!(withdrawn.status, 200, "{withdrawn:?}");
    test.change("UPDATE payments SET created_at = now() - interval '3 minutes' WHERE hold_id = $1", order).await;
    settles(&test, order).await;
    assert_eq!(found_at(test.gateway, &test, order).await, [""; 0]);
    assert_eq!(test.payments(order).await, ["voided"]);
    // The next payment of the order is another one.
    assert_eq!(test.pay(&shopper, order, "tok_flaky").await.status, 200);
    test.stock_is_reconciled().await;
}

/// A withdrawn payment is captured by hand, in the gateway's dashboard.
#[tokio::test(flavor = "multi_thread")]
async fn money_captured_after_a_payment_has_ended_is_refunded() {
    let (test, gateway) = without_gateway().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 202);
    assert_eq!(cancel(&test, &shopper, order).await.body["status"], "cancelled");
    let listener = tokio::net::TcpListener::bind(gateway).await.expect("the port is still free");
    start_gateway(listener, &test.shutdown);
    let id = authorised_without_an_answer(gateway, &test, order).await;
    post(gateway, &format!("/v1/payment_intents/{id}/capture"), "by-hand-capture", "").await;
    test.one_more_checkout().await;
    test.change("UPDATE payments SET settle_at = now() WHERE hold_id = $1", order).await;
    eventually(|| async {
        let states = test.payments(order).await;
        if states == ["refunded"] { Ok(()) } else { Err(states) }
    })
    .await;
    assert_eq!(test.order(&shopper, order).await.body["status"], "refunded");
    test.stock_is_reconciled().await;
}

/// A webhook names a payment that was given up without a known reference.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_given_up_payment_releases_it() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_broken").await.slug(), "payment-declined");
    assert_eq!(test.payments(order).await, ["voided"]);
    test.change("UPDATE payments SET settle_at = NULL WHERE hold_id = $1", order).await;
    let id = authorised_without_an_answer(test.gateway, &test, order).await;
    let payment: Uuid = sqlx::query_scalar("SELECT id FROM payments WHERE hold_id = $1")
        .bind(order)
        .fetch_one(&test.pool)
        .await
        .expect("a payment");
    let intent = json!({ "object": "payment_intent", "id": id, "status": "requires_capture", "metadata": { "payment": payment } });
    let event =
        json!({ "id": "evt_late", "type": "payment_intent.amount_capturable_updated", "data": { "object": intent } });
    assert_eq!(send_webhook(&test, WEBHOOK_SECRET, 0, &event.to_string()).await.status, 200);
    test.gateway_shows(order, &["canceled"]).await;
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_can_not_be_confirmed_and_attempts_are_limited() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    for attempt in 1..=8 {
        let declined = test.pay(&shopper, order, "tok_declined").await;
        assert_eq!(declined.slug(), "payment-declined", "attempt {attempt}: {declined:?}");
    }
    let refused = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((refused.status, refused.slug()), (429, "too-many-attempts"), "{refused:?}");
    test.gateway_shows(order, &["canceled"; 8]).await;
    assert_eq!(test.payments(order).await.len(), 8);
    assert_eq!(cancel(&test, &shopper, order).await.body["status"], "cancelled", "the unit goes to the next");
    test.stock_is_reconciled().await;
}

/// The gateway's minimum amount does not concern the card.
#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_the_gateway_rejects_is_not_a_declined_card() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    test.change("UPDATE sales SET price_minor = 49 WHERE id = $1", sale.0).await;
    let (shopper, order) = test.hold(sale).await;
    let rejected = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((rejected.status, rejected.slug()), (409, "payment-rejected"), "{rejected:?}");
    assert_eq!(rejected.body["code"], "amount_too_small");
    let metrics = call(test.checkout, "GET", "/metrics", &[], "").await.expect("a response").body;
    let metrics = metrics.as_str().expect("text");
    assert!(metrics.contains("checkout_gateway_rejections_total{code=\"amount_too_small\"} 1"), "{metrics}");
    // An amount that can't be expressed for the gateway.
    test.change("UPDATE sales SET price_minor = 5124, currency = 'KWD' WHERE id = $1", sale.0).await;
    test.change("UPDATE stock SET total = 2 WHERE sale_id = $1", sale.0).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["code"], "amount_not_representable");
    test.stock_is_reconciled().await;
}
