//! Crashes: after a crash at any step of a payment, the next sweep brings it to the right end.
//!
//! A crash leaves the state of the database and the state of the gateway. Each case creates both
//! through checkout's own interfaces, and then lets a checkout find them.

use axum::{Router, http::StatusCode};
use checkout::Settings;
use fairline_sale::SaleId;
use uuid::Uuid;

use crate::test_checkout::{StockCounts, TestCheckout, call, eventually, listener, start_checkout};

/// What was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Committed {
    Started,
    Authorised,
    RefundDue,
}

/// What the gateway did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum AtGateway {
    Nothing,
    Declined,
    Authorised,
    Captured,
    Refunded,
    /// A full refund by hand, in the gateway's dashboard.
    RefundedByHand,
    Cancelled,
}

/// The state of the hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExpectedHold {
    Held,
    /// It has expired, and the sweeper may run.
    RunOut,
    /// Its unit went back and is free.
    ExpiredUnitFree,
    /// Its unit went back and was promised to the next shopper.
    ExpiredUnitGone,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_step_ends_as_an_order_or_without_a_charge() {
    use {AtGateway as G, Committed as C, ExpectedHold as H};
    let test = TestCheckout::open().await;
    let cases = [
        // Between the commit of the payment and the call to authorise it.
        (C::Started, G::Nothing, H::Held, "captured", "succeeded", "paid"),
        (C::Started, G::Nothing, H::RunOut, "captured", "succeeded", "paid"),
        // The gateway was not called, and is not any more: a hold is renewed for authorised money
        // only.
        (C::Started, G::Nothing, H::ExpiredUnitFree, "voided", "", "expired"),
        (C::Started, G::Nothing, H::ExpiredUnitGone, "voided", "", "expired"),
        // Between the gateway's response and its commit.
        (C::Started, G::Authorised, H::Held, "captured", "succeeded", "paid"),
        (C::Started, G::Authorised, H::RunOut, "captured", "succeeded", "paid"),
        (C::Started, G::Authorised, H::ExpiredUnitFree, "voided", "canceled", "expired"),
        (C::Started, G::Authorised, H::ExpiredUnitGone, "voided", "canceled", "expired"),
        (C::Started, G::Declined, H::Held, "declined", "canceled", "held"),
        (C::Started, G::Declined, H::ExpiredUnitGone, "voided", "canceled", "expired"),
        (C::Started, G::Cancelled, H::Held, "voided", "canceled", "held"),
        // Between the commit of the authorisation and the capture or the void.
        (C::Authorised, G::Authorised, H::Held, "captured", "succeeded", "paid"),
        (C::Authorised, G::Authorised, H::RunOut, "captured", "succeeded", "paid"),
        (C::Authorised, G::Authorised, H::ExpiredUnitFree, "captured", "succeeded", "paid"),
        (C::Authorised, G::Authorised, H::ExpiredUnitGone, "voided", "canceled", "expired"),
        // Between the capture and the commit of the order.
        (C::Authorised, G::Captured, H::Held, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::RunOut, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::ExpiredUnitFree, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::ExpiredUnitGone, "refunded", "refunded", "refunded"),
        // Between the void and its commit. The shopper of the first still has the hold, and may
        // retry.
        (C::Authorised, G::Cancelled, H::Held, "voided", "canceled", "held"),
        (C::Authorised, G::Cancelled, H::ExpiredUnitGone, "voided", "canceled", "expired"),
        // Between the commit of a due refund and the refund, and between the refund and its commit.
        (C::RefundDue, G::Captured, H::ExpiredUnitGone, "refunded", "refunded", "refunded"),
        (C::RefundDue, G::Refunded, H::ExpiredUnitGone, "refunded", "refunded", "refunded"),
        // The refund was made by hand first.
        (C::RefundDue, G::RefundedByHand, H::ExpiredUnitGone, "refunded", "refunded", "refunded"),
    ];
    for (committed, at_gateway, hold, payment, intent, order) in cases {
        let case = format!("{committed:?}, {at_gateway:?}, {hold:?}");
        let sale = test.sale(1).await;
        let (shopper, id) = test.hold(sale).await;
        leave_behind(&test, id, method(at_gateway), committed, at_gateway).await;
        becomes(&test, sale, id, hold).await;
        if hold == ExpectedHold::ExpiredUnitGone {
            test.admit(sale).await;
        }
        ends(&test, id, payment, intent, &case).await;
        assert_eq!(test.order(&shopper, id).await.body["status"], order, "{case}");
        let (promised, held, sold) = match (order, hold) {
            ("paid", _) => (0, 0, 1),
            ("held", _) => (0, 1, 0),
            (_, H::ExpiredUnitFree) => (0, 0, 0),
            _ => (1, 0, 0),
        };
        assert_eq!(test.stock(sale).await, StockCounts { total: 1, promised, held, sold }, "{case}");
    }
    test.stock_is_reconciled().await;
}

/// The same in yield mode, where a unit is held only during a payment.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_yield_mode_ends_as_an_order_or_without_a_charge() {
    use {AtGateway as G, Committed as C, ExpectedHold as H};
    let test = TestCheckout::open().await;
    for (committed, at_gateway, hold, payment, intent, order) in [
        (C::Started, G::Nothing, H::Held, "captured", "succeeded", "paid"),
        (C::Started, G::Nothing, H::ExpiredUnitGone, "voided", "", "expired"),
        // The unit is free for others who pay, and the visit continues.
        (C::Started, G::Declined, H::Held, "declined", "canceled", "promised"),
        (C::Authorised, G::Cancelled, H::Held, "voided", "canceled", "promised"),
        (C::Authorised, G::Authorised, H::RunOut, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::ExpiredUnitFree, "captured", "succeeded", "paid"),
        (C::Authorised, G::Captured, H::ExpiredUnitGone, "refunded", "refunded", "refunded"),
    ] {
        let case = format!("{committed:?}, {at_gateway:?}, {hold:?}");
        let sale = test.sale(1).await;
        test.change("UPDATE sales SET mode = 'yield' WHERE id = $1", sale.0).await;
        test.change("UPDATE stock SET overbook = 2 WHERE sale_id = $1", sale.0).await;
        let (shopper, id) = test.hold(sale).await;
        is_being_paid_for(&test, sale, id).await;
        leave_behind(&test, id, method(at_gateway), committed, at_gateway).await;
        becomes(&test, sale, id, hold).await;
        if hold == ExpectedHold::ExpiredUnitGone {
            let (_, other) = test.hold(sale).await;
            is_being_paid_for(&test, sale, other).await;
        }
        ends(&test, id, payment, intent, &case).await;
        assert_eq!(test.order(&shopper, id).await.body["status"], order, "{case}");
        let (promised, held, sold) = match order {
            "paid" => (0, 0, 1),
            "promised" => (1, 0, 0),
            _ => (0, 1, 0),
        };
        assert_eq!(test.stock(sale).await, StockCounts { total: 1, promised, held, sold }, "{case}");
    }
    test.stock_is_reconciled().await;
}

/// Holds the unit of a visit in yield mode, as during a payment.
async fn is_being_paid_for(test: &TestCheckout, sale: SaleId, order: Uuid) {
    test.change("UPDATE holds SET state = 'held' WHERE id = $1 AND state = 'promised'", order).await;
    test.change("UPDATE stock SET promised = promised - 1, held = held + 1 WHERE sale_id = $1", sale.0).await;
}

/// The payment method that makes the gateway do that.
fn method(at_gateway: AtGateway) -> &'static str {
    if at_gateway == AtGateway::Declined { "tok_declined" } else { "tok_visa" }
}

async fn becomes(test: &TestCheckout, sale: SaleId, order: Uuid, hold: ExpectedHold) {
    match hold {
        ExpectedHold::Held => {}
        ExpectedHold::RunOut => {
            test.change("UPDATE holds SET expires_at = now() - interval '1 hour' WHERE id = $1", order).await;
        }
        ExpectedHold::ExpiredUnitFree | ExpectedHold::ExpiredUnitGone => {
            let expire = "UPDATE holds SET state = 'expired', expires_at = now() - interval '1 hour' WHERE id = $1";
            test.change(expire, order).await;
            test.change("UPDATE stock SET held = held - 1 WHERE sale_id = $1", sale.0).await;
        }
    }
}

/// Lets a sweeper find the payment of an order, and waits until it and its intent have ended like
/// this.
async fn ends(test: &TestCheckout, order: Uuid, payment: &str, intent: &str, case: &str) {
    // Makes it old enough for the sweeper.
    test.change(
        "UPDATE payments SET updated_at = now() - interval '1 hour', recovery_attempts = 0 WHERE hold_id = $1",
        order,
    )
    .await;
    eventually(|| async {
        let states = test.payments(order).await;
        if states == [payment] { Ok(()) } else { Err((case, states)) }
    })
    .await;
    // The settlement after the end takes a moment more.
    let intents: &[&str] = if intent.is_empty() { &[] } else { &[intent] };
    eventually(|| async {
        let seen = test.at_the_gateway(order).await;
        if seen == intents { Ok(()) } else { Err((case, seen)) }
    })
    .await;
}

/// Waits until a sweeper has processed the payment of an order.
async fn is_swept(test: &TestCheckout, order: Uuid) {
    // A sweep waits for what it has found, so by the second the first has ended.
    for _ in 0..2 {
        test.change("UPDATE payments SET updated_at = now() - interval '1 hour' WHERE hold_id = $1", order).await;
        eventually(|| async {
            let found = sqlx::query_scalar(
                "SELECT updated_at > now() - interval '10 minutes' FROM payments WHERE hold_id = $1",
            );
            let found: bool = found.bind(order).fetch_one(&test.pool).await.expect("a payment");
            if found { Ok(()) } else { Err("no sweep has come by") }
        })
        .await;
    }
}

/// Creates a payment as a crashed process left it.
async fn leave_behind(test: &TestCheckout, order: Uuid, method: &str, committed: Committed, at_gateway: AtGateway) {
    let payment = Uuid::now_v7();
    let gateway = |path: String, step: &'static str, form: String| async move {
        let key = format!("{payment}-{step}");
        let kind = "application/x-www-form-urlencoded";
        let headers = [("idempotency-key", key.as_str()), ("authorization", "Bearer sk_test"), ("content-type", kind)];
        let answer = call(test.gateway, "POST", &format!("/v1{path}"), &headers, &form).await.expect("a response");
        let expected = if at_gateway == AtGateway::Declined { 402 } else { 200 };
        assert_eq!(answer.status, expected, "{answer:?}");
        answer.body["id"].as_str().unwrap_or_default().to_owned()
    };
    let mut reference = None;
    if at_gateway >= AtGateway::Declined {
        let new = format!(
            "amount=1234&currency=eur&payment_method_types[]=card&capture_method=manual&confirm=true&metadata[payment]={payment}\
             &metadata[order]={order}&payment_method_data[type]=card&payment_method_data[card][token]={method}"
        );
        let id = gateway("/payment_intents".to_owned(), "authorise", new).await;
        if matches!(at_gateway, AtGateway::Captured | AtGateway::Refunded | AtGateway::RefundedByHand) {
            gateway(format!("/payment_intents/{id}/capture"), "capture", String::new()).await;
        }
        match at_gateway {
            AtGateway::Refunded => {
                let ours = format!("payment_intent={id}&metadata[payment]={payment}");
                gateway("/refunds".to_owned(), "refund", ours).await;
            }
            AtGateway::RefundedByHand => {
                gateway("/refunds".to_owned(), "by-hand", format!("payment_intent={id}")).await;
            }
            _ => {}
        }
        if at_gateway == AtGateway::Cancelled {
            gateway(format!("/payment_intents/{id}/cancel"), "cancel", String::new()).await;
        }
        reference = Some(id);
    }
    let (state, reference) = match committed {
        Committed::Started => ("started", None),
        Committed::Authorised => ("authorised", reference),
        Committed::RefundDue => ("refund_due", reference),
    };
    sqlx::query(
        "INSERT INTO payments (id, hold_id, payment_method, gateway_ref, state, amount_minor, currency) \
         VALUES ($1, $2, $5, $3, $4, 1234, 'EUR')",
    )
    .bind(payment)
    .bind(order)
    .bind(reference)
    .bind(state)
    .bind(method)
    .execute(&test.pool)
    .await
    .expect("a payment");
}

/// A server at a wrong URL does not have our payments, while the money may be captured all the
/// same.
#[tokio::test(flavor = "multi_thread")]
async fn a_captured_payment_survives_a_wrong_gateway_url_and_becomes_an_order() {
    let (elsewhere, address) = listener().await;
    let nothing_here = || async { (StatusCode::NOT_FOUND, "<html>No such page</html>") };
    tokio::spawn(async move { axum::serve(elsewhere, Router::new().fallback(nothing_here)).await });
    let test = TestCheckout::open_with(|settings| settings.gateway_url = format!("http://{address}")).await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    leave_behind(&test, order, "tok_visa", Committed::Authorised, AtGateway::Captured).await;
    test.change("UPDATE holds SET expires_at = now() - interval '1 hour' WHERE id = $1", order).await;
    is_swept(&test, order).await;
    assert_eq!(test.payments(order).await, ["authorised"]);
    assert_eq!(test.stock(sale).await.held, 1, "the unit waits for it");

    let mended = Settings { gateway_url: format!("http://{}", test.gateway), ..test.settings.clone() };
    start_checkout(&mended, &test.shutdown).await;
    eventually(|| async {
        // The process with the wrong URL sweeps, too, and each of its attempts would defer the next
        // one.
        let due =
            "UPDATE payments SET updated_at = now() - interval '1 hour', recovery_attempts = 0 WHERE hold_id = $1";
        test.change(due, order).await;
        let answer = test.order(&shopper, order).await;
        if answer.body["status"] == "paid" { Ok(()) } else { Err(answer.body) }
    })
    .await;
    test.stock_is_reconciled().await;
}

/// With the key of another account, the gateway reports that the payment does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn a_captured_payment_survives_a_wrong_gateway_key_and_becomes_an_order() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    leave_behind(&test, order, "tok_visa", Committed::Authorised, AtGateway::Captured).await;
    let known_as = reference(&test, order).await;
    let is_known_as = async |name: &str| {
        let known = sqlx::query("UPDATE payments SET gateway_ref = $2 WHERE hold_id = $1").bind(order).bind(name);
        known.execute(&test.pool).await.expect("done");
    };
    is_known_as("pi_3MtwBwLkdIwHu7ix28a3tqPa").await;
    is_swept(&test, order).await;
    assert_eq!(test.payments(order).await, ["authorised"]);
    assert_eq!(test.stock(sale).await.held, 1, "the unit waits for it");
    is_known_as(&known_as).await;
    ends(&test, order, "captured", "succeeded", "known again").await;
    assert_eq!(test.order(&shopper, order).await.body["status"], "paid");
    test.stock_is_reconciled().await;
}

/// The gateway's id of an order's only payment.
async fn reference(test: &TestCheckout, order: Uuid) -> String {
    let known = sqlx::query_scalar("SELECT gateway_ref FROM payments WHERE hold_id = $1").bind(order);
    known.fetch_one(&test.pool).await.expect("a reference")
}

/// A due refund is complete only when the bank confirms it.
#[tokio::test(flavor = "multi_thread")]
async fn pending_and_failed_refunds_do_not_count_as_refunded() {
    let test = TestCheckout::open().await;
    for (method, becomes) in [("tok_refund_late", "succeeded"), ("tok_refund_fails", "failed")] {
        let sale = test.sale(1).await;
        let (shopper, order) = test.hold(sale).await;
        leave_behind(&test, order, method, Committed::RefundDue, AtGateway::Captured).await;
        let path = format!("/v1/refunds?payment_intent={}", reference(&test, order).await);
        let refund = || async {
            let headers = [("authorization", "Bearer sk_test")];
            call(test.gateway, "GET", &path, &headers, "").await.expect("a response").body["data"][0]["status"].clone()
        };
        test.change("UPDATE payments SET updated_at = now() - interval '1 minute' WHERE hold_id = $1", order).await;
        eventually(|| async {
            let (state, now) = (test.payments(order).await, refund().await);
            // In this order, so that a refund that has just been made is not too early.
            assert!(state == ["refund_due"] || now == "succeeded", "{state:?} {now}");
            if now == "pending" { Ok(()) } else { Err(now) }
        })
        .await;
        eventually(|| async {
            let now = refund().await;
            if now == becomes { Ok(()) } else { Err(now) }
        })
        .await;
        if becomes == "succeeded" {
            ends(&test, order, "refunded", "refunded", method).await;
        } else {
            is_swept(&test, order).await;
            assert_eq!(test.payments(order).await, ["refund_due"], "{method}");
        }
        assert_eq!(test.order(&shopper, order).await.body["status"], "refunded");
    }
    test.stock_is_reconciled().await;
}

/// A gateway that lost everything, such as a restarted sandbox, holds no money.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_unknown_to_the_gateway_is_voided_and_can_be_repeated() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    leave_behind(&test, order, "tok_visa", Committed::Authorised, AtGateway::Authorised).await;
    test.change(
        "UPDATE payments SET gateway_ref = 'pi_sandbox_forgotten', updated_at = now() - interval '1 minute' WHERE hold_id = $1",
        order,
    )
    .await;
    test.order_becomes(&shopper, order, "held").await;
    assert_eq!(test.payments(order).await, ["voided"]);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    test.stock_is_reconciled().await;
}

/// A payment whose shopper does not authenticate within a quarter of an hour is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_waits_for_its_shopper_ends() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    leave_behind(&test, order, "tok_action", Committed::Started, AtGateway::Authorised).await;
    test.change(
        "UPDATE payments SET created_at = now() - interval '16 minutes', updated_at = now() - interval '1 minute' \
         WHERE hold_id = $1",
        order,
    )
    .await;
    test.order_becomes(&shopper, order, "held").await;
    assert_eq!(test.payments(order).await, ["voided"]);
    assert_eq!(test.at_the_gateway(order).await, ["canceled"]);
    test.stock_is_reconciled().await;
}

/// Two concurrent sweepers capture every payment once.
#[tokio::test(flavor = "multi_thread")]
async fn several_sweepers_share_what_a_crash_left() {
    let test = TestCheckout::open().await;
    for _ in 0..2 {
        test.one_more_checkout().await;
    }
    let sale = test.sale(30).await;
    let mut left = Vec::new();
    for _ in 0..30 {
        let (_, order) = test.hold(sale).await;
        leave_behind(&test, order, "tok_visa", Committed::Authorised, AtGateway::Authorised).await;
        left.push(order);
    }
    test.change("UPDATE payments SET updated_at = now() - interval '1 minute' WHERE hold_id IN (SELECT id FROM holds WHERE sale_id = $1)", sale.0).await;
    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock == (StockCounts { total: 30, promised: 0, held: 0, sold: 30 }) { Ok(()) } else { Err(stock) }
    })
    .await;
    for order in left {
        assert_eq!(test.at_the_gateway(order).await, ["succeeded"]);
    }
    test.stock_is_reconciled().await;
}
