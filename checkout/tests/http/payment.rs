//! Payments: however the gateway behaves, the shopper is charged once for an order, or not at all.

use serde_json::json;
use uuid::Uuid;

use crate::shop::{Shop, Stock, call, eventually, listener, start_gateway};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_payment_makes_an_order_and_a_second_one_changes_nothing() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    let paid = shop.pay(&shopper, order, "tok_visa").await;
    assert_eq!((paid.status, &paid.body["status"]), (200, &json!("paid")), "{paid:?}");
    assert!(paid.body["paid_at"].is_string());
    assert_eq!(shop.stock(sale).await, Stock { total: 5, promised: 0, held: 0, sold: 1 });

    let again = shop.pay(&shopper, order, "tok_visa").await;
    assert_eq!((again.status, &again.body), (200, &paid.body));
    assert_eq!(shop.payments(order).await, ["captured"]);
    assert_eq!(shop.at_the_gateway(order).await, ["succeeded"]);
    assert_eq!(shop.purchase(&shopper, 1).await.body["order"], paid.body, "a used token shows its order");
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_keeps_the_hold_for_another_try() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    // The gateway does not know the last token.
    for method in ["tok_declined", "tok_declined", "tok_nonsense"] {
        let declined = shop.pay(&shopper, order, method).await;
        assert_eq!((declined.status, declined.slug()), (402, "payment-declined"), "{method}: {declined:?}");
        assert_eq!(shop.order(&shopper, order).await.body["status"], "held");
    }
    assert_eq!(shop.stock(sale).await.held, 1);
    assert_eq!(shop.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    assert_eq!(shop.payments(order).await, ["declined", "declined", "declined", "captured"]);
    shop.books_are_straight().await;
}

/// A shopper who closes the bank's page has not paid, and may pay again.
#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_does_not_prove_who_they_are_may_pay_with_something_else_or_give_the_order_back() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    assert_eq!(shop.pay(&shopper, order, "tok_no_action").await.status, 202);
    let again = shop.pay(&shopper, order, "tok_no_action").await;
    assert_eq!((again.status, shop.payments(order).await.len()), (202, 1), "the same is no second payment");
    assert_eq!(shop.pay(&shopper, order, "tok_declined").await.slug(), "payment-declined");
    assert_eq!(shop.pay(&shopper, order, "tok_no_action").await.status, 202);
    let paid = shop.pay(&shopper, order, "tok_visa").await;
    assert_eq!((paid.status, &paid.body["status"]), (200, &json!("paid")), "{paid:?}");
    assert_eq!(shop.payments(order).await, ["voided", "declined", "voided", "captured"]);
    // The old intents can't be authenticated or confirmed any more.
    shop.gateway_shows(order, &["canceled", "canceled", "canceled", "succeeded"]).await;

    let (shopper, order) = shop.hold(sale).await;
    assert_eq!(shop.pay(&shopper, order, "tok_no_action").await.status, 202);
    let path = format!("/api/orders/{order}/cancel");
    let given_back = call(shop.checkout, "POST", &path, &[("cookie", &shopper.cookie)], "").await.expect("an answer");
    assert_eq!((given_back.status, &given_back.body["status"]), (200, &json!("cancelled")), "{given_back:?}");
    shop.gateway_shows(order, &["canceled"]).await;
    assert_eq!(shop.stock(sale).await, Stock { total: 5, promised: 0, held: 0, sold: 1 });
    shop.books_are_straight().await;
}

/// Hundreds of shoppers at their banks' pages do not mean hundreds of gateway calls a second.
#[tokio::test(flavor = "multi_thread")]
async fn while_a_shopper_proves_who_they_are_the_gateway_is_not_asked_all_the_time_but_when_they_ask() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    assert_eq!(shop.pay(&shopper, order, "tok_action").await.status, 202);
    let metrics = call(shop.checkout, "GET", "/metrics", &[], "").await.expect("an answer").body;
    let metrics = metrics.as_str().expect("text");
    assert!(metrics.contains("checkout_gateway_call_duration_seconds_count{call=\"authorise\""), "the control");
    assert!(!metrics.contains("call=\"look_up\""), "it was asked again");
    eventually(|| async {
        let now = shop.at_the_gateway(order).await;
        if now == ["requires_capture"] { Ok(()) } else { Err(now) }
    })
    .await;
    let paid = shop.pay(&shopper, order, "tok_action").await;
    assert_eq!((paid.status, &paid.body["status"]), (200, &json!("paid")), "{paid:?}");
    assert_eq!(shop.payments(order).await, ["captured"]);
    shop.books_are_straight().await;
}

/// A unit is not held forever for money that the bank does not pay.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_can_not_be_captured_is_let_go_and_the_shopper_may_pay_again() {
    let shop = Shop::open().await;
    let sale = shop.sale(1).await;
    let (shopper, order) = shop.hold(sale).await;
    let refused = shop.pay(&shopper, order, "tok_uncapturable").await;
    assert_eq!((refused.status, refused.slug()), (402, "payment-declined"), "{refused:?}");
    assert_eq!(shop.payments(order).await, ["voided"]);
    assert_eq!(shop.at_the_gateway(order).await, ["canceled"]);
    assert_eq!(shop.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_yield_mode_a_unit_is_held_only_while_a_payment_runs() {
    let shop = Shop::open().await;
    let sale = shop.sale(1).await;
    shop.meddle("UPDATE sales SET mode = 'yield' WHERE id = $1", sale.0).await;
    shop.meddle("UPDATE stock SET overbook = 2 WHERE sale_id = $1", sale.0).await;
    let (first, first_order) = shop.hold(sale).await;
    let (second, second_order) = shop.hold(sale).await;
    let (third, third_order) = shop.hold(sale).await;
    assert_eq!(shop.order(&first, first_order).await.body["status"], "promised");
    assert_eq!(shop.stock(sale).await, Stock { total: 1, promised: 3, held: 0, sold: 0 });

    // The first has to authenticate, and the unit is held meanwhile.
    let proving = shop.pay(&first, first_order, "tok_action").await;
    assert_eq!((proving.status, &proving.body["status"]), (202, &json!("payment_pending")));
    let refused = shop.pay(&second, second_order, "tok_visa").await;
    assert_eq!((refused.status, refused.slug()), (409, "no-unit-now"), "{refused:?}");
    assert!(shop.payments(second_order).await.is_empty(), "nothing was asked of the gateway");
    shop.order_becomes(&first, first_order, "paid").await;
    assert_eq!(shop.stock(sale).await, Stock { total: 1, promised: 2, held: 0, sold: 1 });

    // One more unit: a declined payment releases it for the next.
    shop.meddle("UPDATE stock SET total = 2 WHERE sale_id = $1", sale.0).await;
    assert_eq!(shop.pay(&second, second_order, "tok_declined").await.slug(), "payment-declined");
    assert_eq!(shop.order(&second, second_order).await.body["status"], "promised");
    assert_eq!(shop.stock(sale).await, Stock { total: 2, promised: 2, held: 0, sold: 1 });
    assert_eq!(shop.pay(&third, third_order, "tok_visa").await.body["status"], "paid");
    assert_eq!(shop.pay(&second, second_order, "tok_visa").await.slug(), "no-unit-now");

    // A visit that never pays expires like a hold, and its promise with it.
    shop.meddle("UPDATE holds SET expires_at = now() WHERE id = $1", second_order).await;
    shop.order_becomes(&second, second_order, "lapsed").await;
    eventually(|| async {
        let stock = shop.stock(sale).await;
        if stock == (Stock { total: 2, promised: 0, held: 0, sold: 2 }) { Ok(()) } else { Err(stock) }
    })
    .await;
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_who_pay_at_once_for_three_units_in_yield_mode_three_buy() {
    let shop = Shop::open().await;
    let sale = shop.sale(3).await;
    shop.meddle("UPDATE sales SET mode = 'yield' WHERE id = $1", sale.0).await;
    shop.meddle("UPDATE stock SET overbook = 7 WHERE sale_id = $1", sale.0).await;
    let checkouts = [shop.checkout, shop.one_more_checkout().await];
    let visitors = futures_util::future::join_all((0..10).map(|_| shop.hold(sale))).await;
    let pay = |(n, (shopper, order)): (usize, &(crate::shop::Shopper, Uuid))| {
        let (path, cookie, to) = (format!("/api/orders/{order}/payment"), shopper.cookie.clone(), checkouts[n % 2]);
        async move { call(to, "POST", &path, &[("cookie", &cookie)], r#"{"payment_method":"tok_visa"}"#).await }
    };
    let answers = futures_util::future::join_all(visitors.iter().enumerate().map(pay)).await;
    let mut statuses: Vec<u16> = answers.iter().flatten().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(shop.stock(sale).await, Stock { total: 3, promised: 7, held: 0, sold: 3 });
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dawdles_fails_or_falls_silent_charges_once() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let pay = |method: &'static str, statuses: [u16; 2]| {
        let shop = &shop;
        async move {
            let (shopper, order) = shop.hold(sale).await;
            let answer = shop.pay(&shopper, order, method).await;
            assert!(statuses.contains(&answer.status), "{method}: {answer:?}");
            let pending = answer.status == 202;
            assert_eq!(answer.body["status"], if pending { "payment_pending" } else { "paid" }, "{method}");
            shop.order_becomes(&shopper, order, "paid").await;
            assert_eq!(shop.payments(order).await, ["captured"], "{method}");
            assert_eq!(shop.at_the_gateway(order).await, ["succeeded"], "{method}");
        }
    };
    // On a busy machine a payment may take longer than a shopper's request waits.
    tokio::join!(
        pay("tok_slow", [200, 202]),
        pay("tok_flaky", [200, 202]),
        pay("tok_timeout", [202; 2]),
        pay("tok_action", [202; 2])
    );
    assert_eq!(shop.stock(sale).await, Stock { total: 5, promised: 0, held: 0, sold: 4 });
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_clicks_at_two_checkouts_pay_once() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    let checkouts = [shop.checkout, shop.one_more_checkout().await];
    let (path, headers) = (format!("/api/orders/{order}/payment"), [("cookie", shopper.cookie.as_str())]);
    let click = |n: usize| call(checkouts[n % 2], "POST", &path, &headers, r#"{"payment_method":"tok_visa"}"#);
    let clicks = (0..20).map(click);
    for answer in futures_util::future::join_all(clicks).await {
        assert!(answer.as_ref().is_some_and(|answer| [200, 202].contains(&answer.status)), "{answer:?}");
    }
    shop.order_becomes(&shopper, order, "paid").await;
    assert_eq!(shop.payments(order).await, ["captured"]);
    assert_eq!(shop.stock(sale).await, Stock { total: 5, promised: 0, held: 0, sold: 1 });
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_payment_has_its_answer() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    let (stranger, _) = shop.hold(sale).await;
    let path = |order: &dyn std::fmt::Display| format!("/api/orders/{order}/payment");
    let good = r#"{"payment_method":"tok_visa"}"#;
    let long = format!("{good}{}", " ".repeat(16 * 1024));
    for (case, path, cookie, body, status, slug) in [
        ("no ticket", path(&order), "", good, 404, "unknown-order"),
        ("another shopper's", path(&order), stranger.cookie.as_str(), good, 404, "unknown-order"),
        ("no such order", path(&Uuid::new_v4()), &shopper.cookie, good, 404, "unknown-order"),
        ("not an id", path(&"first"), &shopper.cookie, good, 404, "unknown-order"),
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
        let answer = call(shop.checkout, "POST", &path, &[("cookie", cookie)], body).await.expect("an answer");
        assert_eq!((answer.status, answer.slug()), (status, slug), "{case}: {answer:?}");
        if status == 422 {
            let detail = answer.body["detail"].as_str().expect("a detail");
            assert!(detail.contains("`payment_method`") || detail.contains("`amount`"), "{case}: {detail}");
            assert!(!detail.contains("4242"), "{case}: {detail}");
        }
    }
    assert_eq!(shop.payments(order).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_lapses_and_its_units_come_back() {
    let shop = Shop::open().await;
    let _second_sweeper = shop.one_more_checkout().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    let (other, kept) = shop.hold(sale).await;
    shop.meddle("UPDATE holds SET expires_at = now() WHERE id = $1", order).await;
    // Expired, whether or not the sweeper has run.
    assert_eq!(shop.order(&shopper, order).await.body["status"], "lapsed");
    let late = shop.pay(&shopper, order, "tok_visa").await;
    assert_eq!((late.status, late.slug()), (409, "hold-lapsed"));
    eventually(|| async {
        let stock = shop.stock(sale).await;
        if stock == (Stock { total: 5, promised: 0, held: 1, sold: 0 }) { Ok(()) } else { Err(stock) }
    })
    .await;
    assert_eq!(shop.order(&shopper, order).await.body["status"], "lapsed");
    assert_eq!(shop.order(&other, kept).await.body["status"], "held");
    assert_eq!(shop.payments(order).await, [""; 0]);
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gateway_is_down_the_hold_outlives_its_time_and_is_paid_when_it_is_back() {
    let (reserved, gateway) = listener().await;
    drop(reserved);
    let shop = Shop::open_with(|settings| settings.gateway_url = format!("http://{gateway}")).await;
    let sale = shop.sale(1).await;
    let (shopper, order) = shop.hold(sale).await;
    let pending = shop.pay(&shopper, order, "tok_visa").await;
    assert_eq!((pending.status, &pending.body["status"]), (202, &json!("payment_pending")));

    shop.meddle("UPDATE holds SET expires_at = now() - interval '1 minute' WHERE id = $1", order).await;
    // Another expired hold proves that the sweeper has run.
    let control_sale = shop.sale(1).await;
    let (control, control_order) = shop.hold(control_sale).await;
    shop.meddle("UPDATE holds SET expires_at = now() WHERE id = $1", control_order).await;
    eventually(|| async {
        let stock = shop.stock(control_sale).await;
        if stock.held == 0 { Ok(()) } else { Err(stock) }
    })
    .await;
    assert_eq!(shop.order(&control, control_order).await.body["status"], "lapsed");
    assert_eq!(shop.stock(sale).await.held, 1);
    assert_eq!(shop.order(&shopper, order).await.body["status"], "payment_pending");

    let listener = tokio::net::TcpListener::bind(gateway).await.expect("the port is still free");
    start_gateway(listener, &shop.shutdown);
    // A process whose circuit is still closed.
    let _another = shop.one_more_checkout().await;
    shop.order_becomes(&shopper, order, "paid").await;
    shop.books_are_straight().await;
}
