//! Payments: however the gateway behaves, the shopper is charged once for an order, or not at all.

use serde_json::json;
use uuid::Uuid;

use crate::{
    paused_process::RESUMES_NOTHING,
    test_checkout::{StockCounts, TestCheckout, call, eventually, listener, start_gateway},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_makes_an_order_and_a_second_one_changes_nothing() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    let paid = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((paid.status, &paid.body["status"]), (200, &json!("paid")), "{paid:?}");
    assert!(paid.body["paid_at"].is_string());
    assert_eq!(test.stock(sale).await, StockCounts { total: 5, promised: 0, held: 0, sold: 1 });

    let again = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((again.status, &again.body), (200, &paid.body));
    assert_eq!(test.payments(order).await, ["captured"]);
    assert_eq!(test.at_the_gateway(order).await, ["succeeded"]);
    assert_eq!(test.purchase(&shopper, 1).await.body["order"], paid.body, "a used token shows its order");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_keeps_the_hold_for_another_try() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    // The gateway does not know the last token.
    for method in ["tok_declined", "tok_declined", "tok_nonsense"] {
        let declined = test.pay(&shopper, order, method).await;
        assert_eq!((declined.status, declined.slug()), (402, "payment-declined"), "{method}: {declined:?}");
        assert_eq!(test.order(&shopper, order).await.body["status"], "held");
    }
    assert_eq!(test.stock(sale).await.held, 1);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    assert_eq!(test.payments(order).await, ["declined", "declined", "declined", "captured"]);
    test.stock_is_reconciled().await;
}

/// A shopper who closes the bank's page has not paid, and may pay again.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_waits_for_authentication_can_be_replaced_or_the_order_cancelled() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_no_action").await.status, 202);
    let again = test.pay(&shopper, order, "tok_no_action").await;
    assert_eq!((again.status, test.payments(order).await.len()), (202, 1), "the same is no second payment");
    assert_eq!(test.pay(&shopper, order, "tok_declined").await.slug(), "payment-declined");
    assert_eq!(test.pay(&shopper, order, "tok_no_action").await.status, 202);
    let paid = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((paid.status, &paid.body["status"]), (200, &json!("paid")), "{paid:?}");
    assert_eq!(test.payments(order).await, ["voided", "declined", "voided", "captured"]);
    // The old intents can't be authenticated or confirmed any more.
    test.gateway_shows(order, &["canceled", "canceled", "canceled", "succeeded"]).await;

    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_no_action").await.status, 202);
    let path = format!("/api/orders/{order}/cancel");
    let cancelled = call(test.checkout, "POST", &path, &[("cookie", &shopper.cookie)], "").await.expect("a response");
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")), "{cancelled:?}");
    test.gateway_shows(order, &["canceled"]).await;
    assert_eq!(test.stock(sale).await, StockCounts { total: 5, promised: 0, held: 0, sold: 1 });
    test.stock_is_reconciled().await;
}

/// Hundreds of shoppers at their banks' pages do not mean hundreds of gateway calls a second.
#[tokio::test(flavor = "multi_thread")]
async fn during_authentication_the_gateway_is_read_only_on_request() {
    let test = TestCheckout::open().await;
    // The sweeper reads it too, once it was unchanged for ten seconds.
    sqlx::raw_sql(RESUMES_NOTHING).execute(&test.pool).await.expect("a trigger");
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_action").await.status, 202);
    let metrics = call(test.checkout, "GET", "/metrics", &[], "").await.expect("a response").body;
    let metrics = metrics.as_str().expect("text");
    assert!(metrics.contains("checkout_gateway_call_duration_seconds_count{call=\"authorise\""), "the control");
    assert!(!metrics.contains("call=\"look_up\""), "it was asked again");
    eventually(|| async {
        let now = test.at_the_gateway(order).await;
        if now == ["requires_capture"] { Ok(()) } else { Err(now) }
    })
    .await;
    let paid = test.pay(&shopper, order, "tok_action").await;
    assert_eq!((paid.status, &paid.body["status"]), (200, &json!("paid")), "{paid:?}");
    assert_eq!(test.payments(order).await, ["captured"]);
    test.stock_is_reconciled().await;
}

/// A unit is not held forever for money that the bank does not pay.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_can_not_be_captured_is_released_and_can_be_repeated() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    let refused = test.pay(&shopper, order, "tok_uncapturable").await;
    assert_eq!((refused.status, refused.slug()), (402, "payment-declined"), "{refused:?}");
    assert_eq!(test.payments(order).await, ["voided"]);
    assert_eq!(test.at_the_gateway(order).await, ["canceled"]);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_yield_mode_a_unit_is_held_only_while_a_payment_runs() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    test.change("UPDATE sales SET mode = 'yield' WHERE id = $1", sale.0).await;
    test.change("UPDATE stock SET overbook = 2 WHERE sale_id = $1", sale.0).await;
    let (first, first_order) = test.hold(sale).await;
    let (second, second_order) = test.hold(sale).await;
    let (third, third_order) = test.hold(sale).await;
    assert_eq!(test.order(&first, first_order).await.body["status"], "promised");
    assert_eq!(test.stock(sale).await, StockCounts { total: 1, promised: 3, held: 0, sold: 0 });

    // The first has to authenticate, and the unit is held meanwhile.
    let proving = test.pay(&first, first_order, "tok_action").await;
    assert_eq!((proving.status, &proving.body["status"]), (202, &json!("payment_pending")));
    let refused = test.pay(&second, second_order, "tok_visa").await;
    assert_eq!((refused.status, refused.slug()), (409, "no-unit-available"), "{refused:?}");
    assert!(test.payments(second_order).await.is_empty(), "nothing was asked of the gateway");
    test.order_becomes(&first, first_order, "paid").await;
    assert_eq!(test.stock(sale).await, StockCounts { total: 1, promised: 2, held: 0, sold: 1 });

    // One more unit: a declined payment releases it for the next.
    test.change("UPDATE stock SET total = 2 WHERE sale_id = $1", sale.0).await;
    assert_eq!(test.pay(&second, second_order, "tok_declined").await.slug(), "payment-declined");
    assert_eq!(test.order(&second, second_order).await.body["status"], "promised");
    assert_eq!(test.stock(sale).await, StockCounts { total: 2, promised: 2, held: 0, sold: 1 });
    assert_eq!(test.pay(&third, third_order, "tok_visa").await.body["status"], "paid");
    assert_eq!(test.pay(&second, second_order, "tok_visa").await.slug(), "no-unit-available");

    // A visit that never pays expires like a hold, and its promise with it.
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", second_order).await;
    test.order_becomes(&second, second_order, "expired").await;
    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock == (StockCounts { total: 2, promised: 0, held: 0, sold: 2 }) { Ok(()) } else { Err(stock) }
    })
    .await;
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_who_pay_at_once_for_three_units_in_yield_mode_three_buy() {
    let test = TestCheckout::open().await;
    let sale = test.sale(3).await;
    test.change("UPDATE sales SET mode = 'yield' WHERE id = $1", sale.0).await;
    test.change("UPDATE stock SET overbook = 7 WHERE sale_id = $1", sale.0).await;
    let checkouts = [test.checkout, test.one_more_checkout().await];
    let visitors = futures_util::future::join_all((0..10).map(|_| test.hold(sale))).await;
    let pay = |(n, (shopper, order)): (usize, &(crate::test_checkout::Shopper, Uuid))| {
        let (path, cookie, to) = (format!("/api/orders/{order}/payment"), shopper.cookie.clone(), checkouts[n % 2]);
        async move { call(to, "POST", &path, &[("cookie", &cookie)], r#"{"payment_method":"tok_visa"}"#).await }
    };
    let answers = futures_util::future::join_all(visitors.iter().enumerate().map(pay)).await;
    let mut statuses: Vec<u16> = answers.iter().flatten().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(test.stock(sale).await, StockCounts { total: 3, promised: 7, held: 0, sold: 3 });
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_failing_or_silent_gateway_charges_once() {
    // On a busy machine a commit takes longer than the two seconds after which a request gets 503.
    let test = TestCheckout::open_with(|settings| settings.postgres.postgres_statement_ms = 20_000).await;
    let sale = test.sale(5).await;
    let pay = |method: &'static str, statuses: [u16; 2]| {
        let test = &test;
        async move {
            let (shopper, order) = test.hold(sale).await;
            let answer = test.pay(&shopper, order, method).await;
            assert!(statuses.contains(&answer.status), "{method}: {answer:?}");
            let pending = answer.status == 202;
            assert_eq!(answer.body["status"], if pending { "payment_pending" } else { "paid" }, "{method}");
            test.order_becomes(&shopper, order, "paid").await;
            assert_eq!(test.payments(order).await, ["captured"], "{method}");
            assert_eq!(test.at_the_gateway(order).await, ["succeeded"], "{method}");
        }
    };
    // On a busy machine a payment may take longer than a shopper's request waits.
    tokio::join!(
        pay("tok_slow", [200, 202]),
        pay("tok_flaky", [200, 202]),
        pay("tok_timeout", [202; 2]),
        pay("tok_action", [202; 2])
    );
    assert_eq!(test.stock(sale).await, StockCounts { total: 5, promised: 0, held: 0, sold: 4 });
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_clicks_at_two_checkouts_pay_once() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    let checkouts = [test.checkout, test.one_more_checkout().await];
    let (path, headers) = (format!("/api/orders/{order}/payment"), [("cookie", shopper.cookie.as_str())]);
    let click = |n: usize| call(checkouts[n % 2], "POST", &path, &headers, r#"{"payment_method":"tok_visa"}"#);
    let clicks = (0..20).map(click);
    for answer in futures_util::future::join_all(clicks).await {
        assert!(answer.as_ref().is_some_and(|answer| [200, 202].contains(&answer.status)), "{answer:?}");
    }
    test.order_becomes(&shopper, order, "paid").await;
    assert_eq!(test.payments(order).await, ["captured"]);
    assert_eq!(test.stock(sale).await, StockCounts { total: 5, promised: 0, held: 0, sold: 1 });
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invalid_payment_has_its_problem() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    let (stranger, _) = test.hold(sale).await;
    let path = |order: &dyn std::fmt::Display| format!("/api/orders/{order}/payment");
    let good = r#"{"payment_method":"tok_visa"}"#;
    let long = format!("{good}{}", " ".repeat(16 * 1024));
    for (case, path, cookie, body, status, slug) in [
        ("no ticket", path(&order), "", good, 404, "order-not-found"),
        ("another shopper's", path(&order), stranger.cookie.as_str(), good, 404, "order-not-found"),
        ("no such order", path(&Uuid::new_v4()), &shopper.cookie, good, 404, "order-not-found"),
        ("not an id", path(&"first"), &shopper.cookie, good, 404, "order-not-found"),
        ("a long body", path(&order), &shopper.cookie, &long, 413, "body-too-large"),
        ("no method", path(&order), &shopper.cookie, "{}", 422, "invalid-body"),
        (
            "a card number",
            path(&order),
            &shopper.cookie,
            r#"{"payment_method":"4242424242424242"}"#,
            422,
            "invalid-body",
        ),
        (
            "a field too many",
            path(&order),
            &shopper.cookie,
            r#"{"payment_method":"tok_visa","amount":1}"#,
            422,
            "invalid-body",
        ),
    ] {
        let answer = call(test.checkout, "POST", &path, &[("cookie", cookie)], body).await.expect("a response");
        assert_eq!((answer.status, answer.slug()), (status, slug), "{case}: {answer:?}");
        if status == 422 {
            let detail = answer.body["detail"].as_str().expect("a detail");
            assert!(detail.contains("`payment_method`") || detail.contains("`amount`"), "{case}: {detail}");
            assert!(!detail.contains("4242"), "{case}: {detail}");
        }
    }
    assert_eq!(test.payments(order).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_expires_and_its_units_are_released() {
    let test = TestCheckout::open().await;
    let _second_sweeper = test.one_more_checkout().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    let (other, kept) = test.hold(sale).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", order).await;
    // Expired, whether or not the sweeper has run.
    assert_eq!(test.order(&shopper, order).await.body["status"], "expired");
    let late = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((late.status, late.slug()), (409, "hold-expired"));
    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock == (StockCounts { total: 5, promised: 0, held: 1, sold: 0 }) { Ok(()) } else { Err(stock) }
    })
    .await;
    assert_eq!(test.order(&shopper, order).await.body["status"], "expired");
    assert_eq!(test.order(&other, kept).await.body["status"], "held");
    assert_eq!(test.payments(order).await, [""; 0]);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gateway_is_down_the_hold_is_kept_and_paid_afterwards() {
    let (reserved, gateway) = listener().await;
    drop(reserved);
    let test = TestCheckout::open_with(|settings| settings.gateway_url = format!("http://{gateway}")).await;
    let sale = test.sale(1).await;
    let (shopper, order) = test.hold(sale).await;
    let pending = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((pending.status, &pending.body["status"]), (202, &json!("payment_pending")));

    test.change("UPDATE holds SET expires_at = now() - interval '1 minute' WHERE id = $1", order).await;
    // Another expired hold proves that the sweeper has run.
    let control_sale = test.sale(1).await;
    let (control, control_order) = test.hold(control_sale).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", control_order).await;
    eventually(|| async {
        let stock = test.stock(control_sale).await;
        if stock.held == 0 { Ok(()) } else { Err(stock) }
    })
    .await;
    assert_eq!(test.order(&control, control_order).await.body["status"], "expired");
    assert_eq!(test.stock(sale).await.held, 1);
    assert_eq!(test.order(&shopper, order).await.body["status"], "payment_pending");

    let listener = tokio::net::TcpListener::bind(gateway).await.expect("the port is still free");
    start_gateway(listener, &test.shutdown);
    // A process whose circuit is still closed.
    let _another = test.one_more_checkout().await;
    test.order_becomes(&shopper, order, "paid").await;
    test.stock_is_reconciled().await;
}
