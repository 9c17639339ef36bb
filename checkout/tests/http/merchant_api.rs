//! Holds that are cancelled, and the merchant API: a checkout of the shop's own, a box office.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::test_checkout::{AdmissionSetup, MERCHANT_KEY, Reply, Shopper, StockCounts, TestCheckout, call, eventually};

async fn as_merchant(test: &TestCheckout, method: &str, path: &str, body: &Value) -> Reply {
    let key = format!("Bearer {MERCHANT_KEY}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(test.checkout, method, path, &[("authorization", &key)], &body).await.expect("a response")
}

async fn cancel(test: &TestCheckout, shopper: &Shopper, order: Uuid) -> Reply {
    let path = format!("/api/orders/{order}/cancel");
    call(test.checkout, "POST", &path, &[("cookie", &shopper.cookie)], "").await.expect("a response")
}

fn id(answer: &Reply) -> Uuid {
    answer.body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_cancelled_once_and_its_unit_is_free_at_once() {
    let test = TestCheckout::open().await;
    let sale = test.sale(3).await;
    let (shopper, order) = test.hold(sale).await;
    let stranger = test.admit(sale).await;
    assert_eq!(cancel(&test, &stranger, order).await.slug(), "order-not-found");
    for _ in 0..2 {
        let answer = cancel(&test, &shopper, order).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")), "{answer:?}");
        assert_eq!(test.stock(sale).await, StockCounts { total: 3, promised: 1, held: 0, sold: 0 });
    }
    let late = test.pay(&shopper, order, "tok_visa").await;
    assert_eq!((late.status, late.slug()), (409, "hold-expired"));
    let again = test.purchase(&shopper, 1).await;
    assert_eq!((again.slug(), &again.body["order"]["status"]), ("token-used", &json!("cancelled")));
    let standing =
        call(test.checkout, "GET", &format!("/orders/{order}/status"), &[("cookie", &shopper.cookie)], "").await;
    assert_eq!(standing.expect("a response").body["status"], json!("cancelled"));
    assert_eq!(cancel(&test, &shopper, Uuid::new_v4()).await.status, 404);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_pending_and_expired_orders_are_not_cancelled() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (payer, paid) = test.hold(sale).await;
    assert_eq!(test.pay(&payer, paid, "tok_visa").await.status, 200);
    let (asked, pending) = test.hold(sale).await;
    assert_eq!(test.pay(&asked, pending, "tok_no_action").await.status, 202);
    // The bank has approved it, and its money is about to be captured.
    test.change("UPDATE payments SET state = 'authorised', updated_at = now() WHERE hold_id = $1", pending).await;
    let (late, expired) = test.hold(sale).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", expired).await;
    for (shopper, order, status) in
        [(&payer, paid, "paid"), (&asked, pending, "payment_pending"), (&late, expired, "expired")]
    {
        let answer = cancel(&test, shopper, order).await;
        assert_eq!(
            (answer.status, answer.slug(), &answer.body["order"]["status"]),
            (409, "order-not-cancelled", &json!(status))
        );
    }
    // In yield mode the promise goes back.
    let sale = test.sale(1).await;
    test.change("UPDATE sales SET mode = 'yield' WHERE id = $1", sale.0).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.stock(sale).await.promised, 1);
    assert_eq!(cancel(&test, &shopper, order).await.status, 200);
    assert_eq!(test.stock(sale).await, StockCounts { total: 1, promised: 0, held: 0, sold: 0 });
    test.stock_is_reconciled().await;
}

/// The first one wins; never both.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_cancel_payment_and_expiry_have_one_outcome() {
    let test = TestCheckout::open().await;
    let second = test.one_more_checkout().await;
    let sale = test.sale(40).await;
    let mut all = JoinSet::new();
    for at in 0..40 {
        let (shopper, order) = test.hold(sale).await;
        if at % 4 == 0 {
            test.change("UPDATE holds SET expires_at = now() + interval '50 milliseconds' WHERE id = $1", order).await;
        }
        for (checkout, path, body) in [
            (second, format!("/api/orders/{order}/cancel"), ""),
            (test.checkout, format!("/api/orders/{order}/payment"), r#"{"payment_method":"tok_visa"}"#),
        ] {
            let cookie = shopper.cookie.clone();
            all.spawn(async move {
                let answer = call(checkout, "POST", &path, &[("cookie", &cookie)], body).await.expect("a response");
                // 202: its end is not reported before no process may authorise it any more.
                assert!(matches!(answer.status, 200 | 202 | 409), "{answer:?}");
            });
        }
    }
    all.join_all().await;
    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock.held == 0 && stock.promised == 0 { Ok(()) } else { Err(stock) }
    })
    .await;
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_checkout_redeems_confirms_and_releases() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let shopper = test.admit_as(sale, AdmissionSetup { quantity: 2, ..AdmissionSetup::default() }).await;
    let wish = json!({ "sale_id": sale, "token": shopper.token, "quantity": 2 });
    let redeemed = as_merchant(&test, "POST", "/api/admissions/redeem", &wish).await;
    assert_eq!((redeemed.status, &redeemed.body["status"]), (201, &json!("held")), "{redeemed:?}");
    let order = id(&redeemed);
    let again = as_merchant(&test, "POST", "/api/admissions/redeem", &wish).await;
    assert_eq!((again.status, again.slug()), (409, "token-used"));

    let confirm = async |order: Uuid, reference: &str| {
        as_merchant(&test, "POST", &format!("/api/orders/{order}/confirm"), &json!({ "reference": reference })).await
    };
    for _ in 0..2 {
        let sold = confirm(order, "invoice 1").await;
        assert_eq!((sold.status, &sold.body["status"]), (200, &json!("paid")), "{sold:?}");
    }
    let other = confirm(order, "invoice 2").await;
    assert_eq!((other.status, other.slug()), (409, "order-not-confirmed"));
    assert_eq!(test.stock(sale).await, StockCounts { total: 5, promised: 0, held: 0, sold: 2 });
    assert_eq!(test.order(&shopper, order).await.body["status"], json!("paid"), "its shopper sees it, too");

    // A released hold can't be confirmed; an expired one can, while a unit is free.
    let (_, released) = test.hold(sale).await;
    assert_eq!(as_merchant(&test, "POST", &format!("/api/orders/{released}/cancel"), &Value::Null).await.status, 200);
    assert_eq!(confirm(released, "invoice 3").await.slug(), "order-not-confirmed");
    let (late, expired) = test.hold(sale).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", expired).await;
    test.order_becomes(&late, expired, "expired").await;
    assert_eq!(confirm(expired, "invoice 4").await.body["status"], json!("paid"));
    let (asked, pending) = test.hold(sale).await;
    assert_eq!(test.pay(&asked, pending, "tok_action").await.status, 202);
    assert_eq!(confirm(pending, "invoice 5").await.slug(), "order-not-confirmed", "it would be paid twice");
    assert_eq!(confirm(Uuid::new_v4(), "invoice 6").await.slug(), "order-not-found");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchant_reserves_free_units_only() {
    let test = TestCheckout::open().await;
    let sale = test.sale(4).await;
    let shopper = test.admit(sale).await;
    let reserve = async |quantity: u16, reference: &str| {
        let wish = json!({ "sale_id": sale, "quantity": quantity, "reference": reference, "held_for_s": 60 });
        as_merchant(&test, "POST", "/inventory/reserve", &wish).await
    };
    let many = reserve(4, "all of them").await;
    assert_eq!((many.status, many.slug(), &many.body["free"]), (409, "insufficient-stock", &json!(3)));
    let held = reserve(2, "box office").await;
    assert_eq!((held.status, &held.body["status"], &held.body["quantity"]), (201, &json!("held"), &json!(2)));
    assert_eq!(id(&reserve(2, "box office").await), id(&held), "the same reference is the same reservation");
    assert_eq!(reserve(1, "box office").await.slug(), "reference-reused");
    assert_eq!(test.stock(sale).await, StockCounts { total: 4, promised: 1, held: 2, sold: 0 });
    assert_eq!(test.purchase(&shopper, 1).await.status, 201, "what was promised is there");

    let shown = as_merchant(&test, "GET", "/inventory/status", &Value::Null).await;
    let stock = &shown.body["stocks"][0];
    assert_eq!((&stock["sale_id"], &stock["held"], &stock["free"]), (&json!(sale), &json!(3), &json!(1)));
    assert_eq!(
        as_merchant(&test, "POST", &format!("/api/orders/{}/cancel", id(&held)), &Value::Null).await.status,
        200
    );
    let friends = reserve(3, "friends").await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", id(&friends)).await;
    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock.held == 1 { Ok(()) } else { Err(stock) }
    })
    .await;
    let crowd = json!({ "sale_id": Uuid::new_v4(), "quantity": 1, "reference": "a" });
    assert_eq!(as_merchant(&test, "POST", "/inventory/reserve", &crowd).await.slug(), "sale-not-found");
    for (field, value) in
        [("held_for_s", json!(0)), ("held_for_s", json!(604_801)), ("quantity", json!(0)), ("reference", json!(""))]
    {
        let mut wish = json!({ "sale_id": sale, "quantity": 1, "reference": "a" });
        wish[field] = value;
        assert_eq!(as_merchant(&test, "POST", "/inventory/reserve", &wish).await.status, 422, "{wish}");
    }
    test.change("UPDATE sales SET status = 'closed' WHERE id = $1", sale.0).await;
    assert_eq!(reserve(1, "too late").await.slug(), "sale-not-open");
    test.stock_is_reconciled().await;
}

/// Ten concurrent reservations, with shoppers who redeem, never exceed the stock.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_reservations_share_the_free_units() {
    let test = TestCheckout::open().await;
    let sale = test.sale(6).await;
    let mut all = JoinSet::new();
    for at in 0..10 {
        let (checkout, key) = (test.checkout, format!("Bearer {MERCHANT_KEY}"));
        let wish = json!({ "sale_id": sale, "quantity": 1, "reference": format!("till {at}") }).to_string();
        all.spawn(async move {
            let headers = [("authorization", key.as_str())];
            call(checkout, "POST", "/inventory/reserve", &headers, &wish).await.expect("a response").status
        });
    }
    let answers = all.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 6, "{answers:?}");
    assert_eq!(test.stock(sale).await, StockCounts { total: 6, promised: 0, held: 6, sold: 0 });
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchant_api_requires_the_merchant_key() {
    let test = TestCheckout::open().await;
    let closed = TestCheckout::open_with(|settings| settings.merchant_key = None).await;
    let sale = test.sale(1).await;
    let shopper = test.admit(sale).await;
    let redeem = json!({ "sale_id": sale, "token": shopper.token, "quantity": 1 }).to_string();
    for (at, given) in [
        (test.checkout, "Bearer wrong".to_owned()),
        (test.checkout, format!("Bearer {}", shopper.token)),
        (test.checkout, format!("Bearer {MERCHANT_KEY}x")),
        (test.checkout, MERCHANT_KEY.to_owned()),
        (closed.checkout, format!("Bearer {MERCHANT_KEY}")),
        (closed.checkout, "Bearer ".to_owned()),
    ] {
        for (method, path, body) in [
            ("POST", "/api/admissions/redeem", redeem.as_str()),
            ("POST", "/api/orders/0190a6a0-0000-7000-8000-000000000001/confirm", r#"{"reference":"a"}"#),
            ("GET", "/inventory/status", ""),
            ("POST", "/inventory/reserve", "{}"),
        ] {
            let headers = [("authorization", given.as_str()), ("cookie", shopper.cookie.as_str())];
            let answer = call(at, method, path, &headers, body).await.expect("a response");
            assert_eq!((answer.status, answer.slug()), (401, "invalid-merchant-key"), "{path} with {given}");
        }
    }
    assert_eq!(test.stock(sale).await.promised, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_status_is_shown_to_its_shopper_and_the_merchant() {
    let test = TestCheckout::open().await;
    let sale = test.sale(2).await;
    let (shopper, order) = test.hold(sale).await;
    let look = async |cookie: &str, id: Uuid| {
        call(test.checkout, "GET", &format!("/payments/{id}/status"), &[("cookie", cookie)], "")
            .await
            .expect("a response")
    };
    assert_eq!(look(&shopper.cookie, order).await.slug(), "payment-not-found", "no payment exists yet");
    assert_eq!(test.pay(&shopper, order, "tok_declined").await.status, 402);
    assert_eq!(look(&shopper.cookie, order).await.body["status"], json!("declined"));
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 200);
    let newest = look(&shopper.cookie, order).await;
    assert_eq!((&newest.body["status"], &newest.body["order_id"]), (&json!("captured"), &json!(order)));
    assert_eq!(look(&shopper.cookie, id(&newest)).await.body, newest.body);
    let stranger = test.admit(sale).await;
    assert_eq!(look(&stranger.cookie, order).await.status, 404);
    assert_eq!(as_merchant(&test, "GET", &format!("/payments/{order}/status"), &Value::Null).await.body, newest.body);
}

/// Requests that create may be repeated under the same key, by the shop, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_merchant_redemption_has_the_same_response() {
    let test = TestCheckout::open().await;
    let sale = test.sale(2).await;
    let shopper = test.admit(sale).await;
    let key = format!("Bearer {MERCHANT_KEY}");
    let redeem = async |quantity: u16| {
        let body = json!({ "sale_id": sale, "token": shopper.token, "quantity": quantity }).to_string();
        let headers = [("authorization", key.as_str()), ("idempotency-key", "redeem-1")];
        call(test.checkout, "POST", "/api/admissions/redeem", &headers, &body).await.expect("a response")
    };
    let first = redeem(1).await;
    let again = redeem(1).await;
    assert_eq!((first.status, again.status, &again.body), (201, 201, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(redeem(2).await.slug(), "idempotency-key-reused");
}
