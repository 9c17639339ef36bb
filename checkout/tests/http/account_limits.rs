//! The limit of a sale per account: with many tokens, with many idempotency keys, after a late
//! payment, after erasure, and for accounts that the merchant names.

use fairline_sale::SaleId;
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    accounts::{checkout_with_channels, post_json, profile, purchase, sign_in, text},
    test_checkout::{AdmissionSetup, MERCHANT_KEY, Shopper, StockCounts, TestCheckout, call, eventually},
};

/// A sale with a limit per account.
async fn limited_sale(test: &TestCheckout, total: i32, limit: i32) -> SaleId {
    let sale = test.sale(total).await;
    let set = sqlx::query("UPDATE sales SET per_account_limit = $2 WHERE id = $1").bind(sale.0).bind(limit);
    set.execute(&test.pool).await.expect("a limit");
    sale
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_per_account_holds_with_many_tokens() {
    let (test, sandbox) = checkout_with_channels().await;
    let other = test.one_more_checkout().await;
    let sale = limited_sale(&test, 100, 3).await;
    let (ada, bob) =
        (sign_in(&test, &sandbox, "ada@example.org").await, sign_in(&test, &sandbox, "bob@example.org").await);
    let (ada, bob) = (text(&ada, "access_token").to_owned(), text(&bob, "access_token").to_owned());

    // Without an account nothing is used up.
    let guest = test.admit(sale).await;
    let refused = test.purchase(&guest, 1).await;
    assert_eq!((refused.status, refused.slug()), (401, "account-required"));
    let stranger = purchase(&test, test.checkout, &guest, "a.forged.token", 1).await;
    assert_eq!(stranger.slug(), "account-required");
    assert_eq!(purchase(&test, test.checkout, &guest, &bob, 1).await.status, 201, "the same token, signed in");

    // Thirty tokens, at two checkouts, all at once: three units.
    let shoppers = join_all((0..30).map(|_| test.admit(sale))).await;
    let buying = shoppers.iter().enumerate().map(|(n, shopper)| {
        let at = if n % 2 == 0 { test.checkout } else { other };
        purchase(&test, at, shopper, &ada, 1)
    });
    let answers = join_all(buying).await;
    let held: Vec<usize> = (0..30).filter(|&n| answers[n].status == 201).collect();
    assert_eq!(held.len(), 3, "{answers:?}");
    for (n, answer) in answers.iter().enumerate().filter(|(n, _)| !held.contains(n)) {
        // After five collisions in a row the client has to try again, and then gets the reason.
        let answer =
            if answer.status == 503 { purchase(&test, other, &shoppers[n], &ada, 1).await } else { answer.clone() };
        assert_eq!((answer.status, answer.slug(), &answer.body["left"]), (422, "account-over-limit", &json!(0)));
    }
    assert_eq!(test.stock(sale).await, StockCounts { total: 100, promised: 27, held: 4, sold: 0 });
    test.stock_is_reconciled().await;

    // Units that were cancelled or expired may be bought again; paid units count.
    let order = |n: usize| -> Uuid { text(&answers[held[n]], "id").parse().expect("an id") };
    let cancel = format!("/api/orders/{}/cancel", order(0));
    let given = call(test.checkout, "POST", &cancel, &[("fairline-account", &ada)], "").await.expect("a response");
    assert_eq!(given.status, 200, "by the account alone: {given:?}");
    let mut left = shoppers.iter().enumerate().filter(|(n, _)| !held.contains(n)).map(|(_, shopper)| shopper);
    assert_eq!(purchase(&test, other, left.next().expect("one"), &ada, 1).await.status, 201);
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", order(1)).await;
    let shopper = left.next().expect("one");
    eventually(|| async {
        let answer = purchase(&test, test.checkout, shopper, &ada, 1).await;
        if answer.status == 201 { Ok(()) } else { Err(answer) }
    })
    .await;
    let path = format!("/api/orders/{}/payment", order(2));
    let paid = post_json(other, &path, &[("fairline-account", &ada)], json!({ "payment_method": "tok_visa" })).await;
    assert_eq!(paid.body["status"], "paid", "{paid:?}");
    assert_eq!(purchase(&test, other, left.next().expect("one"), &ada, 1).await.slug(), "account-over-limit");
    test.stock_is_reconciled().await;

    // More than the rest, and more than the limit.
    let several = test.admit_as(sale, AdmissionSetup { quantity: 3, ..AdmissionSetup::default() }).await;
    let over = purchase(&test, test.checkout, &several, &bob, 3).await;
    assert_eq!((over.slug(), &over.body["left"]), ("account-over-limit", &json!(2)));
    assert_eq!(purchase(&test, test.checkout, &several, &bob, 2).await.status, 201);
    test.stock_is_reconciled().await;
}

/// Idempotency keys do not multiply the limit of an account.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_per_account_holds_with_many_idempotency_keys() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = limited_sale(&test, 50, 2).await;
    let ada = sign_in(&test, &sandbox, "ada@example.org").await;
    let ada = text(&ada, "access_token").to_owned();
    let shoppers = join_all((0..8).map(|_| test.admit(sale))).await;
    let buy = async |shopper: &Shopper| {
        let path = format!("/api/flash-sales/{}/purchase", shopper.claims.sale);
        let bearer = format!("Bearer {}", shopper.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("cookie", &shopper.cookie),
            ("fairline-account", &ada),
            ("idempotency-key", "a-key"),
        ];
        eventually(|| async {
            let answer = post_json(test.checkout, &path, &headers, json!({ "quantity": 1 })).await;
            // Neither is a final response yet.
            if answer.status == 503 || answer.slug() == "idempotent-request-in-progress" {
                Err(answer)
            } else {
                Ok(answer)
            }
        })
        .await
    };
    // Each key twice, all at once.
    let answers = join_all(shoppers.iter().chain(&shoppers).map(&buy)).await;
    let (first, second) = answers.split_at(shoppers.len());
    for (one, other) in first.iter().zip(second) {
        assert_eq!((one.status, &one.body), (other.status, &other.body));
        assert!(one.status == 201 || one.slug() == "account-over-limit", "{one:?}");
    }
    assert_eq!(first.iter().filter(|answer| answer.status == 201).count(), 2);
    assert_eq!(test.stock(sale).await.held, 2);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_beyond_the_limit_is_refunded() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = limited_sale(&test, 10, 1).await;
    let ada = sign_in(&test, &sandbox, "ada@example.org").await;
    let ada = text(&ada, "access_token");
    let (late, early) = (test.admit(sale).await, test.admit(sale).await);
    let order: Uuid = text(&purchase(&test, test.checkout, &late, ada, 1).await, "id").parse().expect("an id");
    // The bank authenticates first; the hold expires, its unit goes back, and the shopper buys with
    // another token.
    assert_eq!(test.pay(&late, order, "tok_action").await.status, 202);
    test.change("UPDATE payments SET created_at = now() - interval '3 minutes' WHERE hold_id = $1", order).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", order).await;
    eventually(|| async {
        let answer = purchase(&test, test.checkout, &early, ada, 1).await;
        if answer.status == 201 { Ok(()) } else { Err(answer) }
    })
    .await;
    // The bank approves after all.
    eventually(|| async {
        let payments = test.payments(order).await;
        if payments == ["voided"] { Ok(()) } else { Err(payments) }
    })
    .await;
    assert_eq!(test.at_the_gateway(order).await, ["canceled"]);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_account_keeps_its_limit() {
    let (test, sandbox) = checkout_with_channels().await;
    let sale = limited_sale(&test, 10, 1).await;
    let ada = sign_in(&test, &sandbox, "ada@example.org").await;
    let (token, shopper) = (text(&ada, "access_token"), test.admit(sale).await);
    let order: Uuid = text(&purchase(&test, test.checkout, &shopper, token, 1).await, "id").parse().expect("an id");
    let bearer = format!("Bearer {token}");
    let forget = async || {
        call(test.checkout, "DELETE", "/users/profile", &[("authorization", &bearer)], "").await.expect("a response")
    };
    assert_eq!(forget().await.slug(), "order-in-progress");
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.body["status"], "paid");
    eventually(|| async {
        (sandbox.notifications_to("ada@example.org").len() == 2).then_some(()).ok_or("no notification about the order")
    })
    .await;
    assert_eq!(forget().await.status, 204);
    assert_eq!(profile(&test, token).await.slug(), "not-signed-in");
    let body = json!({ "refresh_token": text(&ada, "refresh_token") });
    assert_eq!(post_json(test.checkout, "/users/login/refresh", &[], body).await.slug(), "session-ended");
    assert_eq!(test.order(&shopper, order).await.slug(), "order-not-found");
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM sign_ins) + (SELECT count(*) FROM notifications WHERE address IS NOT NULL \
         OR account_id IS NOT NULL) + (SELECT count(*) FROM holds WHERE account_id IS NOT NULL) + (SELECT count(*) FROM sessions)",
    )
    .fetch_one(&test.pool)
    .await
    .expect("a count");
    assert_eq!(left, 0);
    // A shopper who comes back has the same account, with what it has bought.
    let again = sign_in(&test, &sandbox, "ada@example.org").await;
    assert_eq!(again.body["account_id"], ada.body["account_id"]);
    let another = test.admit(sale).await;
    let over = purchase(&test, test.checkout, &another, text(&again, "access_token"), 1).await;
    assert_eq!(over.slug(), "account-over-limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchant_supplies_account_names() {
    let test = TestCheckout::open().await;
    let sale = limited_sale(&test, 10, 1).await;
    let bearer = format!("Bearer {MERCHANT_KEY}");
    let redeem = async |account: Value| {
        let shopper = test.admit(sale).await;
        let body = json!({ "sale_id": sale, "token": shopper.token, "quantity": 1, "account": account });
        post_json(test.checkout, "/api/admissions/redeem", &[("authorization", &bearer)], body).await
    };
    assert_eq!(redeem(Value::Null).await.slug(), "account-required");
    assert_eq!(redeem(json!("customer-17")).await.status, 201);
    assert_eq!(redeem(json!("customer-17")).await.slug(), "account-over-limit");
    assert_eq!(redeem(json!("customer-18")).await.status, 201);
    test.stock_is_reconciled().await;
}
