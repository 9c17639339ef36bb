//! The limit per shopper: it holds across turns, lanes and checkouts.

use futures_util::future::join_all;
use uuid::Uuid;

use crate::shop::{Admission, Answer, Shop, Shopper, eventually};

fn order_of(answer: &Answer) -> Uuid {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

fn refused_with(answer: &Answer, left: i32) {
    assert_eq!((answer.status, answer.slug()), (422, "shopper-over-limit"), "{answer:?}");
    assert_eq!((&answer.body["left"], &answer.body["field"]), (&left.into(), &"quantity".into()), "{answer:?}");
}

/// Lets a hold expire, and waits until its units are back.
async fn lapses(shop: &Shop, order: Uuid) {
    shop.meddle("UPDATE holds SET expires_at = now() WHERE id = $1", order).await;
    eventually(|| async {
        let state: String = sqlx::query_scalar("SELECT state FROM holds WHERE id = $1")
            .bind(order)
            .fetch_one(&shop.pool)
            .await
            .expect("a hold");
        if state == "lapsed" { Ok(()) } else { Err(state) }
    })
    .await;
}

async fn gives_back(shop: &Shop, shopper: &Shopper, order: Uuid) {
    let path = format!("/api/orders/{order}/cancel");
    let answer = crate::shop::call(shop.checkout, "POST", &path, &[("cookie", &shopper.cookie)], "").await;
    assert_eq!(answer.expect("an answer").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_has_bought_the_limit_buys_no_more_by_another_turn() {
    let shop = Shop::open().await;
    let sale = shop.sale(20).await;
    shop.meddle("UPDATE sales SET per_shopper_limit = 1 WHERE id = $1", sale.0).await;
    let (first, order) = shop.hold(sale).await;
    assert_eq!(shop.pay(&first, order, "tok_visa").await.status, 200);
    let again = shop.admit_again(&first, 1).await;
    refused_with(&shop.purchase(&again, 1).await, 0);
    // Another shopper is not affected.
    shop.hold(sale).await;
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_leaves_of_the_limit_another_turn_may_buy() {
    let shop = Shop::open().await;
    // Three to a shopper.
    let sale = shop.sale(20).await;
    let first = shop.admit_as(sale, Admission { quantity: 3, ..Admission::default() }).await;
    let order = order_of(&shop.purchase(&first, 2).await);
    let second = shop.admit_again(&first, 3).await;
    refused_with(&shop.purchase(&second, 2).await, 1);
    order_of(&shop.purchase(&second, 1).await);
    let third = shop.admit_again(&first, 3).await;
    refused_with(&shop.purchase(&third, 1).await, 0);
    // Units that were given back no longer count.
    gives_back(&shop, &first, order).await;
    let order = order_of(&shop.purchase(&third, 2).await);
    // Neither do expired ones.
    lapses(&shop, order).await;
    let fourth = shop.admit_again(&first, 3).await;
    order_of(&shop.purchase(&fourth, 2).await);
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shopper_at_several_checkouts_at_once_gets_the_limit_and_no_other_shopper_suffers() {
    let shop = Shop::open().await;
    let sale = shop.sale(200).await;
    shop.meddle("UPDATE sales SET per_shopper_limit = 1 WHERE id = $1", sale.0).await;
    let checkouts = [shop.checkout, shop.one_more_checkout().await, shop.one_more_checkout().await];
    let first = shop.admit(sale).await;
    let mut turns = vec![first.clone()];
    for _ in 0..11 {
        turns.push(shop.admit_again(&first, 1).await);
    }
    let mut others = Vec::new();
    for _ in 0..30 {
        others.push(shop.admit(sale).await);
    }
    let shop = &shop;
    let purchase = |(nth, shopper): (usize, Shopper)| async move {
        shop.purchase_at(checkouts[nth % checkouts.len()], &shopper, 1).await.expect("an answer")
    };
    let greedy = join_all(turns.into_iter().enumerate().map(purchase));
    let honest = join_all(others.into_iter().enumerate().map(purchase));
    let (greedy, honest) = tokio::join!(greedy, honest);
    assert!(honest.iter().all(|answer| answer.status == 201), "{honest:#?}");
    let (bought, refused): (Vec<_>, Vec<_>) = greedy.iter().partition(|answer| answer.status == 201);
    assert_eq!(bought.len(), 1, "{greedy:#?}");
    // A request that collides with another is asked to try again, and then learns why.
    assert!(refused.iter().all(|answer| matches!(answer.status, 422 | 503)), "{refused:#?}");
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_does_not_renew_what_the_limit_has_gone_to() {
    let shop = Shop::open().await;
    let sale = shop.sale(20).await;
    shop.meddle("UPDATE sales SET per_shopper_limit = 1 WHERE id = $1", sale.0).await;
    let (shopper, late) = shop.hold(sale).await;
    lapses(&shop, late).await;
    let again = shop.admit_again(&shopper, 1).await;
    order_of(&shop.purchase(&again, 1).await);
    // The shop reports that the expired one was paid for after all.
    let path = format!("/api/orders/{late}/confirm");
    let bearer = format!("Bearer {}", crate::shop::SHOP_KEY);
    let confirmed =
        crate::shop::call(shop.checkout, "POST", &path, &[("authorization", &bearer)], r#"{"reference":"late"}"#).await;
    assert_eq!(confirmed.expect("an answer").status, 409);
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_the_limit_whatever_checkout_asks_for() {
    let shop = Shop::open().await;
    let sale = shop.sale(20).await;
    let (shopper, order) = shop.hold(sale).await;
    let visitor: Vec<u8> = sqlx::query_scalar("SELECT visitor FROM holds WHERE id = $1")
        .bind(order)
        .fetch_one(&shop.pool)
        .await
        .expect("a visitor");
    let other = shop.admit_again(&shopper, 3).await;
    let refused = sqlx::query(
        "INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
         VALUES ($1, $1, $2, $3, 3, 1, 'EUR', now() + interval '5 minutes')",
    )
    .bind(other.claims.jti)
    .bind(sale.0)
    .bind(visitor)
    .execute(&shop.pool)
    .await
    .expect_err("four of three");
    let constraint = refused.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("shopper_allowances_are_kept"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_of_shoppers_is_forgotten_with_their_orders() {
    let shop = Shop::open_with(|settings| settings.orders_kept_days = 30).await;
    let sale = shop.sale(20).await;
    let (_, order) = shop.hold(sale).await;
    shop.meddle("UPDATE shopper_allowances SET changed_at = now() - interval '31 days' WHERE sale_id = $1", sale.0)
        .await;
    shop.one_more_checkout().await;
    eventually(|| async {
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM shopper_allowances").fetch_one(&shop.pool).await.expect("a count");
        if kept == 0 { Ok(()) } else { Err((kept, order)) }
    })
    .await;
}
