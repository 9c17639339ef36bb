//! The limit per shopper: it holds across turns, lanes and checkouts.

use futures_util::future::join_all;
use uuid::Uuid;

use crate::test_checkout::{AdmissionSetup, Reply, Shopper, TestCheckout, eventually};

fn order_of(answer: &Reply) -> Uuid {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

fn refused_with(answer: &Reply, left: i32) {
    assert_eq!((answer.status, answer.slug()), (422, "shopper-over-limit"), "{answer:?}");
    assert_eq!((&answer.body["left"], &answer.body["field"]), (&left.into(), &"quantity".into()), "{answer:?}");
}

/// Lets a hold expire, and waits until its units are back.
async fn expire_hold(test: &TestCheckout, order: Uuid) {
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", order).await;
    eventually(|| async {
        let state: String = sqlx::query_scalar("SELECT state FROM holds WHERE id = $1")
            .bind(order)
            .fetch_one(&test.pool)
            .await
            .expect("a hold");
        if state == "expired" { Ok(()) } else { Err(state) }
    })
    .await;
}

async fn cancel(test: &TestCheckout, shopper: &Shopper, order: Uuid) {
    let path = format!("/api/orders/{order}/cancel");
    let answer = crate::test_checkout::call(test.checkout, "POST", &path, &[("cookie", &shopper.cookie)], "").await;
    assert_eq!(answer.expect("a response").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_at_the_limit_can_not_buy_by_another_turn() {
    let test = TestCheckout::open().await;
    let sale = test.sale(20).await;
    test.change("UPDATE sales SET per_shopper_limit = 1 WHERE id = $1", sale.0).await;
    let (first, order) = test.hold(sale).await;
    assert_eq!(test.pay(&first, order, "tok_visa").await.status, 200);
    let again = test.admit_again(&first, 1).await;
    refused_with(&test.purchase(&again, 1).await, 0);
    // Another shopper is not affected.
    test.hold(sale).await;
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_turn_may_buy_the_rest_of_the_limit() {
    let test = TestCheckout::open().await;
    // Three to a shopper.
    let sale = test.sale(20).await;
    let first = test.admit_as(sale, AdmissionSetup { quantity: 3, ..AdmissionSetup::default() }).await;
    let order = order_of(&test.purchase(&first, 2).await);
    let second = test.admit_again(&first, 3).await;
    refused_with(&test.purchase(&second, 2).await, 1);
    order_of(&test.purchase(&second, 1).await);
    let third = test.admit_again(&first, 3).await;
    refused_with(&test.purchase(&third, 1).await, 0);
    // Units of a cancelled order no longer count.
    cancel(&test, &first, order).await;
    let order = order_of(&test.purchase(&third, 2).await);
    // Neither do expired ones.
    expire_hold(&test, order).await;
    let fourth = test.admit_again(&first, 3).await;
    order_of(&test.purchase(&fourth, 2).await);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_purchases_of_one_shopper_stay_within_the_limit_and_affect_no_other() {
    let test = TestCheckout::open().await;
    let sale = test.sale(200).await;
    test.change("UPDATE sales SET per_shopper_limit = 1 WHERE id = $1", sale.0).await;
    let checkouts = [test.checkout, test.one_more_checkout().await, test.one_more_checkout().await];
    let first = test.admit(sale).await;
    let mut turns = vec![first.clone()];
    for _ in 0..11 {
        turns.push(test.admit_again(&first, 1).await);
    }
    let mut others = Vec::new();
    for _ in 0..30 {
        others.push(test.admit(sale).await);
    }
    let test = &test;
    let purchase = |(nth, shopper): (usize, Shopper)| async move {
        test.purchase_at(checkouts[nth % checkouts.len()], &shopper, 1).await.expect("a response")
    };
    let greedy = join_all(turns.into_iter().enumerate().map(purchase));
    let honest = join_all(others.into_iter().enumerate().map(purchase));
    let (greedy, honest) = tokio::join!(greedy, honest);
    assert!(honest.iter().all(|answer| answer.status == 201), "{honest:#?}");
    let (bought, refused): (Vec<_>, Vec<_>) = greedy.iter().partition(|answer| answer.status == 201);
    assert_eq!(bought.len(), 1, "{greedy:#?}");
    // A request that collides with another has to be repeated, and then gets the reason.
    assert!(refused.iter().all(|answer| matches!(answer.status, 422 | 503)), "{refused:#?}");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_does_not_renew_a_hold_beyond_the_limit() {
    let test = TestCheckout::open().await;
    let sale = test.sale(20).await;
    test.change("UPDATE sales SET per_shopper_limit = 1 WHERE id = $1", sale.0).await;
    let (shopper, late) = test.hold(sale).await;
    expire_hold(&test, late).await;
    let again = test.admit_again(&shopper, 1).await;
    order_of(&test.purchase(&again, 1).await);
    // The shop reports that the expired one was paid for after all.
    let path = format!("/api/orders/{late}/confirm");
    let bearer = format!("Bearer {}", crate::test_checkout::MERCHANT_KEY);
    let confirmed = crate::test_checkout::call(
        test.checkout,
        "POST",
        &path,
        &[("authorization", &bearer)],
        r#"{"reference":"late"}"#,
    )
    .await;
    assert_eq!(confirmed.expect("a response").status, 409);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_enforces_the_limit() {
    let test = TestCheckout::open().await;
    let sale = test.sale(20).await;
    let (shopper, order) = test.hold(sale).await;
    let visitor: Vec<u8> = sqlx::query_scalar("SELECT visitor FROM holds WHERE id = $1")
        .bind(order)
        .fetch_one(&test.pool)
        .await
        .expect("a visitor");
    let other = test.admit_again(&shopper, 3).await;
    let refused = sqlx::query(
        "INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
         VALUES ($1, $1, $2, $3, 3, 1, 'EUR', now() + interval '5 minutes')",
    )
    .bind(other.claims.jti)
    .bind(sale.0)
    .bind(visitor)
    .execute(&test.pool)
    .await
    .expect_err("four of three");
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("shopper_allowances_within_limit"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn purchase_counts_are_deleted_with_the_orders() {
    let test = TestCheckout::open_with(|settings| settings.orders_kept_days = 30).await;
    let sale = test.sale(20).await;
    let (_, order) = test.hold(sale).await;
    let age = "UPDATE shopper_allowances SET changed_at = now() - interval '31 days' WHERE sale_id = $1";
    test.change(age, sale.0).await;
    test.one_more_checkout().await;
    // While the sale runs, the limit holds.
    eventually(|| async {
        let dated_anew = "SELECT changed_at > now() - interval '1 day' FROM shopper_allowances";
        let dated_anew: Option<bool> =
            sqlx::query_scalar(dated_anew).fetch_optional(&test.pool).await.expect("a purchase count");
        if dated_anew == Some(true) { Ok(()) } else { Err((dated_anew, &order)) }
    })
    .await;
    test.change("UPDATE sales SET status = 'closed' WHERE id = $1", sale.0).await;
    test.change(age, sale.0).await;
    test.one_more_checkout().await;
    eventually(|| async {
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM shopper_allowances").fetch_one(&test.pool).await.expect("a count");
        if kept == 0 { Ok(()) } else { Err((kept, &order)) }
    })
    .await;
}
