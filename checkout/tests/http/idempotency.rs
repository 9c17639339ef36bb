//! `Idempotency-Key`: the same key returns the same response.

use serde_json::{Value, json};

use crate::{
    accounts,
    test_checkout::{MERCHANT_KEY, Reply, Shopper, TestCheckout, call},
};

async fn purchase(test: &TestCheckout, shopper: &Shopper, key: &str, body: &str) -> Reply {
    let path = format!("/api/flash-sales/{}/purchase", shopper.claims.sale);
    let bearer = format!("Bearer {}", shopper.token);
    let headers = [("authorization", bearer.as_str()), ("cookie", shopper.cookie.as_str()), ("idempotency-key", key)];
    call(test.checkout, "POST", &path, &headers, body).await.expect("a response")
}

async fn pay(test: &TestCheckout, cookie: &str, order: &str, key: &str, method: &str) -> Reply {
    let path = format!("/api/orders/{order}/payment");
    let body = format!(r#"{{"payment_method":"{method}"}}"#);
    let headers = [("cookie", cookie), ("idempotency-key", key)];
    call(test.checkout, "POST", &path, &headers, &body).await.expect("a response")
}

const ONE: &str = r#"{"quantity":1}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_repeats_its_response_and_rejects_another_body() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, other) = (test.admit(sale).await, test.admit(sale).await);
    let first = purchase(&test, &shopper, "a-key", ONE).await;
    assert_eq!((first.status, first.headers.get("idempotent-replayed")), (201, None));
    let again = purchase(&test, &shopper, "a-key", ONE).await;
    assert_eq!((again.status, &again.body), (201, &first.body), "not that the token was used");
    assert_eq!(again.headers.get("idempotent-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));
    assert_eq!(again.headers.get("content-type"), first.headers.get("content-type"));
    let changed = purchase(&test, &shopper, "a-key", r#"{"quantity":2}"#).await;
    assert_eq!((changed.status, changed.slug()), (422, "idempotency-key-reused"));
    assert_eq!(purchase(&test, &shopper, "another", ONE).await.slug(), "token-used", "the control");
    assert_eq!(purchase(&test, &other, "a-key", ONE).await.status, 201, "a key is its shopper's own");
    for wrong in ["a b", &"x".repeat(256)] {
        let refused = purchase(&test, &other, wrong, ONE).await;
        assert_eq!((refused.status, refused.slug()), (400, "invalid-idempotency-key"));
    }
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_payment_charges_once_and_only_its_shopper_gets_the_response() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let ((shopper, order), (thief, _)) = (test.hold(sale).await, test.hold(sale).await);
    let id = order.to_string();
    let declined = pay(&test, &shopper.cookie, &id, "first", "tok_declined").await;
    assert_eq!(declined.status, 402);
    let again = pay(&test, &shopper.cookie, &id, "first", "tok_declined").await;
    assert_eq!((again.status, &again.body), (402, &declined.body), "the bank is not asked again");
    assert_eq!(test.payments(order).await.len(), 1);
    let paid = pay(&test, &shopper.cookie, &id, "second", "tok_visa").await;
    assert_eq!(paid.status, 200);
    assert_eq!(pay(&test, &shopper.cookie, &id, "second", "tok_visa").await.body, paid.body);
    assert_eq!(pay(&test, &thief.cookie, &id, "second", "tok_visa").await.slug(), "order-not-found");
    assert_eq!(pay(&test, "", &id, "second", "tok_visa").await.slug(), "order-not-found");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_requests_with_one_key_one_is_executed() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    let id = order.to_string();
    let all = (0..10).map(|_| pay(&test, &shopper.cookie, &id, "a-key", "tok_slow"));
    let answers = futures_util::future::join_all(all).await;
    let waiting = answers.iter().filter(|answer| answer.slug() == "idempotent-request-in-progress").count();
    assert_eq!(waiting, 9, "{answers:?}");
    let done = answers.iter().find(|answer| answer.slug() != "idempotent-request-in-progress").expect("one");
    assert_eq!(pay(&test, &shopper.cookie, &id, "a-key", "tok_slow").await.body, done.body);
    test.order_becomes(&shopper, order, "paid").await;
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_and_interrupted_requests_can_be_retried_with_their_key() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let shopper = test.admit(sale).await;
    let mut lock = test.pool.begin().await.expect("a transaction");
    let locked = sqlx::query("SELECT FROM admissions WHERE id = $1 FOR UPDATE").bind(shopper.claims.jti);
    locked.execute(&mut *lock).await.expect("locked");
    assert_eq!(purchase(&test, &shopper, "a-key", ONE).await.status, 503);
    lock.commit().await.expect("committed");
    let held = purchase(&test, &shopper, "a-key", ONE).await;
    assert_eq!(held.status, 201);

    // As if the process had died before it could store the response.
    for (age_s, status, slug) in [(50, 409, "idempotent-request-in-progress"), (70, 409, "token-used")] {
        sqlx::query(
            "UPDATE idempotency_keys SET status = NULL, body = NULL, started_at = now() - make_interval(secs => $1)",
        )
        .bind(f64::from(age_s))
        .execute(&test.pool)
        .await
        .expect("cut off");
        let again = purchase(&test, &shopper, "a-key", ONE).await;
        assert_eq!((again.status, again.slug()), (status, slug));
    }
}

/// Between two attempts a browser may join another line, sign in, or get other tokens: it is the
/// same shopper.
#[tokio::test(flavor = "multi_thread")]
async fn another_ticket_or_access_token_keeps_the_callers_scope() {
    let (test, post) = accounts::checkout_with_channels().await;
    let (sale, other_sale) = (test.sale(5).await, test.sale(5).await);
    let (shopper, elsewhere) = (test.admit(sale).await, test.admit(other_sale).await);
    let both = Shopper { cookie: format!("{}; {}", elsewhere.cookie, shopper.cookie), ..shopper.clone() };
    let first = purchase(&test, &shopper, "a-key", ONE).await;
    assert_eq!(first.status, 201);
    let again = purchase(&test, &both, "a-key", ONE).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    let thief = Shopper { cookie: elsewhere.cookie.clone(), ..shopper.clone() };
    assert_eq!(
        purchase(&test, &thief, "a-key", ONE).await.slug(),
        "invalid-admission-token",
        "the token alone proves nothing"
    );

    let order = first.body["id"].as_str().expect("an id");
    let declined = pay(&test, &shopper.cookie, order, "first", "tok_declined").await;
    assert_eq!(declined.status, 402);
    let signed_in = accounts::sign_in(&test, &post, "ada@example.org").await;
    let account = signed_in.body["access_token"].as_str().expect("a token");
    for cookie in [both.cookie.clone(), format!("{}; fairline_account={account}", both.cookie)] {
        let again = pay(&test, &cookie, order, "first", "tok_declined").await;
        assert_eq!((again.status, &again.body), (402, &declined.body));
        assert!(again.headers.contains_key("idempotent-replayed"), "the bank is not asked again");
    }
    assert_eq!(test.payments(order.parse().expect("an id")).await, ["declined"]);
    assert_eq!(pay(&test, &elsewhere.cookie, order, "first", "tok_declined").await.slug(), "order-not-found");
    test.stock_is_reconciled().await;
}

/// The merchant's own systems send keys, too; a client without the merchant key is rejected.
#[tokio::test(flavor = "multi_thread")]
async fn merchant_requests_with_a_key_are_executed_once() {
    let test = TestCheckout::open().await;
    let sale = test.sale(9).await;
    let bearer = format!("Bearer {MERCHANT_KEY}");
    let ask = async |path: &str, key: &str, body: Value| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        call(test.checkout, "POST", path, &headers, &body.to_string()).await.expect("a response")
    };
    let token = test.admit(sale).await.token;
    let redeem = json!({ "sale_id": sale, "token": token, "quantity": 1 });
    let reserve = |quantity: i32| json!({ "sale_id": sale, "quantity": quantity, "reference": "friends" });
    let redeemed = ask("/api/admissions/redeem", "k", redeem.clone()).await;
    let confirm = format!("/api/orders/{}/confirm", redeemed.body["id"].as_str().expect("an id"));
    let confirmed = ask(&confirm, "k", json!({ "reference": "invoice-1" })).await;
    let reserved = ask("/inventory/reserve", "k", reserve(2)).await;
    for (path, body, first, status) in [
        ("/api/admissions/redeem", redeem, redeemed, 201),
        (&confirm, json!({ "reference": "invoice-1" }), confirmed, 200),
        ("/inventory/reserve", reserve(2), reserved, 201),
    ] {
        let again = ask(path, "k", body).await;
        assert_eq!((first.status, again.status, &again.body), (status, status, &first.body), "{path}");
        assert!(again.headers.contains_key("idempotent-replayed"), "{path}");
        let changed = ask(path, "k", reserve(3)).await;
        assert_eq!((changed.status, changed.slug()), (422, "idempotency-key-reused"), "{path}");
    }
    let headers = [("authorization", "Bearer another-shops-key"), ("idempotency-key", "k")];
    let body = "x".repeat(1 << 20);
    let refused = call(test.checkout, "POST", "/api/admissions/redeem", &headers, &body).await.expect("a response");
    assert_eq!((refused.status, refused.slug()), (401, "invalid-merchant-key"), "before its body is read");
    test.stock_is_reconciled().await;
}
