//! Who made an order is forgotten, on request and in time; what was sold is not.

use serde_json::json;
use uuid::Uuid;

use crate::shop::{Shop, Shopper, call, eventually};

async fn orders(shop: &Shop, shopper: &Shopper) -> usize {
    let answer =
        call(shop.checkout, "GET", "/api/orders", &[("cookie", &shopper.cookie)], "").await.expect("an answer");
    answer.body["orders"].as_array().expect("a list").len()
}

/// Rows that lead to a visitor, and payments of an order that say what was paid with.
async fn traces(shop: &Shop, shopper: &Shopper, order: Uuid) -> (i64, i64) {
    let visitor: fairline_sale::VisitorId = shopper.claims.sub.parse().expect("a visitor");
    let of_visitor = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM admissions WHERE visitor = $1) + (SELECT count(*) FROM holds WHERE visitor = $1) \
         + (SELECT count(*) FROM orders WHERE visitor = $1)",
    );
    let of_order = sqlx::query_scalar("SELECT count(*) FROM payments WHERE hold_id = $1 AND payment_method <> ''");
    (
        of_visitor.bind(&visitor.0[..]).fetch_one(&shop.pool).await.expect("a count"),
        of_order.bind(order).fetch_one(&shop.pool).await.expect("a count"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_forgotten_and_nobody_else() {
    let shop = Shop::open().await;
    let sale = shop.sale(5).await;
    let (shopper, order) = shop.hold(sale).await;
    let (other, others) = shop.hold(sale).await;
    assert_eq!(shop.pay(&other, others, "tok_visa").await.status, 200);
    let forget = async |cookie: &str| {
        let answer = call(shop.checkout, "DELETE", "/api/orders", &[("cookie", cookie)], "").await.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["forgotten"].clone()
    };
    assert_eq!(forget(&shopper.cookie).await, json!(0), "what has not ended is kept");
    assert_eq!(orders(&shop, &shopper).await, 1);
    assert_eq!(shop.pay(&shopper, order, "tok_visa").await.status, 200);
    assert_eq!(traces(&shop, &shopper, order).await, (3, 1));
    assert_eq!(forget("").await, json!(0));
    assert_eq!(forget(&shopper.cookie).await, json!(1));
    assert_eq!(traces(&shop, &shopper, order).await, (0, 0));
    assert_eq!((orders(&shop, &shopper).await, shop.order(&shopper, order).await.status), (0, 404));
    assert_eq!((orders(&shop, &other).await, traces(&shop, &other, others).await), (1, (3, 1)));
    assert_eq!(shop.stock(sale).await.sold, 2);
    shop.books_are_straight().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_time_orders_no_longer_lead_to_anybody() {
    let shop = Shop::open_with(|settings| settings.orders_kept_days = 30).await;
    let sale = shop.sale(5).await;
    let (old, order) = shop.hold(sale).await;
    let (young, kept) = shop.hold(sale).await;
    for (shopper, order) in [(&old, order), (&young, kept)] {
        assert_eq!(shop.pay(shopper, order, "tok_visa").await.status, 200);
    }
    for table in [
        "UPDATE admissions SET issued_at = now() - interval '31 days' WHERE id = (SELECT admission_id FROM holds WHERE id = $1)",
        "UPDATE holds SET created_at = now() - interval '31 days' WHERE id = $1",
        "UPDATE orders SET paid_at = now() - interval '31 days' WHERE id = $1",
        "UPDATE payments SET created_at = now() - interval '31 days' WHERE hold_id = $1",
    ] {
        shop.meddle(table, order).await;
    }
    // A process sweeps as soon as it starts.
    let _sweeps = shop.one_more_checkout().await;
    eventually(|| async {
        let left = traces(&shop, &old, order).await;
        if left == (0, 0) { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(traces(&shop, &young, kept).await, (3, 1));
    shop.books_are_straight().await;
}
