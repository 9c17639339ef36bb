//! Orders are anonymised on request and in time; what was sold stays.

use fairline_sale::SaleId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_checkout::{MERCHANT_KEY, Reply, Shopper, TestCheckout, call, eventually};

async fn orders(test: &TestCheckout, shopper: &Shopper) -> usize {
    let answer =
        call(test.checkout, "GET", "/api/orders", &[("cookie", &shopper.cookie)], "").await.expect("a response");
    answer.body["orders"].as_array().expect("a list").len()
}

/// Rows with a visitor's id, and payments of an order with a payment method.
async fn traces(test: &TestCheckout, shopper: &Shopper, order: Uuid) -> (i64, i64) {
    let visitor: fairline_sale::VisitorId = shopper.claims.sub.parse().expect("a visitor");
    let of_visitor = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM admissions WHERE visitor = $1) + (SELECT count(*) FROM holds WHERE visitor = $1) \
         + (SELECT count(*) FROM orders WHERE visitor = $1) + (SELECT count(*) FROM ticket_actions WHERE visitor = $1)",
    );
    let of_order = sqlx::query_scalar("SELECT count(*) FROM payments WHERE hold_id = $1 AND payment_method <> ''");
    (
        of_visitor.bind(&visitor.0[..]).fetch_one(&test.pool).await.expect("a count"),
        of_order.bind(order).fetch_one(&test.pool).await.expect("a count"),
    )
}

/// An operator has had a ticket served before all others.
async fn prefer(test: &TestCheckout, shopper: &Shopper) {
    test.change(
        "INSERT INTO ticket_actions (line_id, ordinal, kind, visitor, done) \
         SELECT line_id, ordinal, 'preferred', visitor, true FROM admissions WHERE id = $1",
        shopper.claims.jti,
    )
    .await;
}

/// The shop's own names of its reservations and payments.
async fn names(test: &TestCheckout) -> Vec<String> {
    sqlx::query_scalar("SELECT reserved_as FROM holds WHERE reserved_as IS NOT NULL UNION ALL SELECT paid_as FROM orders WHERE paid_as IS NOT NULL")
        .fetch_all(&test.pool)
        .await
        .expect("names")
}

/// A request of the shop, with its key.
async fn ask(test: &TestCheckout, method: &str, path: &str, body: Value) -> Reply {
    let key = format!("Bearer {MERCHANT_KEY}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(test.checkout, method, path, &[("authorization", &key)], &body).await.expect("a response")
}

/// Units that the shop has reserved and sold, under personal names.
async fn sold_by_merchant(test: &TestCheckout, sale: SaleId, who: &str) -> Uuid {
    let wish = json!({ "sale_id": sale, "quantity": 1, "reference": format!("for {who}") });
    let reserved = ask(test, "POST", "/inventory/reserve", wish).await;
    let id = reserved.body["id"].as_str().and_then(|id| id.parse().ok()).expect("an order");
    let paid = json!({ "reference": format!("invoice of {who}") });
    assert_eq!(ask(test, "POST", &format!("/api/orders/{id}/confirm"), paid).await.status, 200);
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchant_erases_an_order_or_an_account() {
    let test = TestCheckout::open().await;
    let sale = test.sale(9).await;
    let erase = async |id: Uuid| ask(&test, "DELETE", &format!("/api/orders/{id}"), Value::Null).await;
    let (shopper, order) = test.hold(sale).await;
    prefer(&test, &shopper).await;
    assert_eq!((erase(order).await.slug(), traces(&test, &shopper, order).await), ("order-in-progress", (3, 0)));
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 200);
    assert_eq!(traces(&test, &shopper, order).await, (4, 1));
    let mine = call(test.checkout, "DELETE", &format!("/api/orders/{order}"), &[("cookie", &shopper.cookie)], "").await;
    assert_eq!(mine.expect("a response").status, 401, "only the shop");
    assert_eq!(erase(order).await.body, json!({ "forgotten": 1 }));
    assert_eq!(traces(&test, &shopper, order).await, (0, 0));
    assert_eq!(erase(Uuid::new_v4()).await.status, 404);

    let (ada, bob) = (sold_by_merchant(&test, sale, "Ada").await, sold_by_merchant(&test, sale, "Bob").await);
    assert_eq!(erase(ada).await.status, 200);
    assert_eq!(names(&test).await.iter().filter(|name| name.contains("Ada")).count(), 0);
    assert_eq!(names(&test).await.iter().filter(|name| name.contains("Bob")).count(), 2, "of {bob}");

    let account = Uuid::new_v4();
    let known = sqlx::query("INSERT INTO accounts (id, address) VALUES ($1, 'eve@example.org')").bind(account);
    known.execute(&test.pool).await.expect("an account");
    let mut of_account = Vec::new();
    for _ in 0..2 {
        let (shopper, order) = test.hold(sale).await;
        let set = sqlx::query("UPDATE holds SET account_id = $2 WHERE id = $1").bind(order).bind(account);
        set.execute(&test.pool).await.expect("an account's hold");
        of_account.push((shopper, order));
    }
    let (shopper, order) = &of_account[0];
    assert_eq!(test.pay(shopper, *order, "tok_visa").await.status, 200);
    assert_eq!(erase(account).await.slug(), "order-in-progress", "the other one is");
    let (shopper, order) = &of_account[1];
    assert_eq!(test.pay(shopper, *order, "tok_visa").await.status, 200);
    assert_eq!(erase(account).await.body, json!({ "forgotten": 2 }));
    for (shopper, order) in &of_account {
        assert_eq!(traces(&test, shopper, *order).await, (0, 0));
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts").fetch_one(&test.pool).await.expect("a count");
    assert_eq!((left, erase(account).await.status), (0, 404));
    assert_eq!(test.stock(sale).await.sold, 5);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_requesting_shopper_is_anonymised() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, order) = test.hold(sale).await;
    let (other, others) = test.hold(sale).await;
    assert_eq!(test.pay(&other, others, "tok_visa").await.status, 200);
    let forget = async |cookie: &str| {
        let answer = call(test.checkout, "DELETE", "/api/orders", &[("cookie", cookie)], "").await.expect("a response");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["forgotten"].clone()
    };
    assert_eq!(forget(&shopper.cookie).await, json!(0), "what has not ended is kept");
    assert_eq!(orders(&test, &shopper).await, 1);
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 200);
    assert_eq!(traces(&test, &shopper, order).await, (3, 1));
    assert_eq!(forget("").await, json!(0));
    assert_eq!(forget(&shopper.cookie).await, json!(1));
    assert_eq!(traces(&test, &shopper, order).await, (0, 0));
    assert_eq!((orders(&test, &shopper).await, test.order(&shopper, order).await.status), (0, 404));
    assert_eq!((orders(&test, &other).await, traces(&test, &other, others).await), (1, (3, 1)));
    assert_eq!(test.stock(sale).await.sold, 2);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_orders_are_anonymised() {
    let test = TestCheckout::open_with(|settings| settings.orders_kept_days = 30).await;
    let sale = test.sale(5).await;
    let (old, order) = test.hold(sale).await;
    let (young, kept) = test.hold(sale).await;
    for (shopper, order) in [(&old, order), (&young, kept)] {
        assert_eq!(test.pay(shopper, order, "tok_visa").await.status, 200);
        prefer(&test, shopper).await;
    }
    let ada = sold_by_merchant(&test, sale, "Ada").await;
    sold_by_merchant(&test, sale, "Bob").await;
    for table in [
        "UPDATE holds SET created_at = now() - interval '31 days' WHERE id = $1",
        "UPDATE orders SET paid_at = now() - interval '31 days' WHERE id = $1",
    ] {
        test.change(table, ada).await;
    }
    for table in [
        "UPDATE admissions SET issued_at = now() - interval '31 days' WHERE id = (SELECT admission_id FROM holds WHERE id = $1)",
        "UPDATE holds SET created_at = now() - interval '31 days' WHERE id = $1",
        "UPDATE orders SET paid_at = now() - interval '31 days' WHERE id = $1",
        "UPDATE payments SET created_at = now() - interval '31 days' WHERE hold_id = $1",
        "UPDATE ticket_actions SET at = now() - interval '31 days' WHERE visitor = (SELECT visitor FROM admissions \
         WHERE id = (SELECT admission_id FROM holds WHERE id = $1))",
    ] {
        test.change(table, order).await;
    }
    // A process sweeps as soon as it starts.
    let _sweeps = test.one_more_checkout().await;
    eventually(|| async {
        let left = (traces(&test, &old, order).await, names(&test).await);
        if left.0 == (0, 0) && !left.1.iter().any(|name| name.contains("Ada")) { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(traces(&test, &young, kept).await, (4, 1));
    assert_eq!(names(&test).await.iter().filter(|name| name.contains("Bob")).count(), 2);
    test.stock_is_reconciled().await;
}
