//! Pools: independent work does not wait for each other, silent connections are replaced, and
//! poolers work.

use std::time::Duration;

use fairline_private_servers::testing::{PgBouncer, Proxy, database_url};
use fairline_server::Secret;
use tokio::{task::spawn_blocking, time::Instant};

use crate::test_checkout::{TestCheckout, call, eventually};

const CARD: &str = "tok_visa";
/// The deadline of a statement, and a new connection.
const BACK_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn blocked_payments_delay_neither_redemptions_nor_the_heartbeat() {
    let test = TestCheckout::open_with(|settings| settings.postgres.postgres_statement_ms = 20_000).await;
    let sale = test.sale(50).await;
    let (payer, order) = test.hold(sale).await;
    let mut lock = test.pool.begin().await.expect("a transaction");
    sqlx::query("SELECT FROM holds WHERE id = $1 FOR UPDATE").bind(order).execute(&mut *lock).await.expect("locked");
    let path = format!("/api/orders/{order}/payment");
    let body = format!(r#"{{"payment_method":"{CARD}"}}"#);
    for _ in 0..60 {
        let (checkout, path, body, cookie) = (test.checkout, path.clone(), body.clone(), payer.cookie.clone());
        tokio::spawn(async move { call(checkout, "POST", &path, &[("cookie", &cookie)], &body).await });
    }
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually(|| async {
        let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&test.pool).await.expect("a count");
        if waiting >= i64::from(checkout::PAYMENT_CONNECTIONS) { Ok(()) } else { Err(waiting) }
    })
    .await;
    for nth in 0..10 {
        let begun = Instant::now();
        let shopper = test.admit(sale).await;
        let answer = test.purchase(&shopper, 1).await;
        assert_eq!(answer.status, 201, "purchase {nth} after {:?}: {answer:?}", begun.elapsed());
    }
    let is_recent = "SELECT max(heartbeat_at) > clock_timestamp() - interval '3 s' FROM checkouts";
    let is_alive: bool = sqlx::query_scalar(is_recent).fetch_one(&test.pool).await.expect("a checkout");
    assert!(is_alive, "the controllers see this checkout's heartbeat");
    let ready = call(test.checkout, "GET", "/health/ready", &[], "").await.expect("a response");
    assert_eq!(ready.status, 200, "{ready:?}");
    lock.rollback().await.expect("let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_continue_when_established_connections_go_silent() {
    let url = spawn_blocking(database_url).await.expect("a database");
    let (proxy, through) = Proxy::before(&url).expect("a proxy");
    let test = TestCheckout::open_on(&url, |settings| settings.postgres_url = Secret::new(&through)).await;
    let sale = test.sale(50).await;
    for round in 0..2 {
        let (_, before) = test.hold(sale).await;
        proxy.freeze_established();
        let begun = Instant::now();
        let mut last = None;
        let mut order = None;
        while order.is_none() && begun.elapsed() < BACK_WITHIN {
            let shopper = test.admit(sale).await;
            let answer = test.purchase(&shopper, 1).await;
            order = answer.body["id"].as_str().map(str::to_owned).filter(|_| answer.status == 201);
            last = Some(answer);
        }
        assert!(order.is_some(), "round {round}: none after {:?} since {before}: {last:?}", begun.elapsed());
        println!("purchases flow after {:?}", begun.elapsed());
        eventually(|| async {
            let ready = call(test.checkout, "GET", "/health/ready", &[], "").await.expect("a response");
            if ready.status == 200 { Ok(()) } else { Err(ready) }
        })
        .await;
    }
}

async fn twenty_purchases_through(settings: &'static str) {
    let url = spawn_blocking(database_url).await.expect("a database");
    let direct = url.clone();
    let pooler = spawn_blocking(move || PgBouncer::start(&direct, settings)).await.expect("a pooler");
    let through = pooler.url().to_owned();
    let test = TestCheckout::open_on(&url, |settings| settings.postgres_url = Secret::new(&through)).await;
    let sale = test.sale(50).await;
    let mut shoppers = Vec::new();
    for _ in 0..20 {
        shoppers.push(test.admit(sale).await);
    }
    let bought = shoppers.iter().map(|shopper| async {
        let answer = test.purchase(shopper, 1).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let order = answer.body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let paid = test.pay(shopper, order, CARD).await;
        assert!(paid.status < 300, "{paid:?}");
        test.order_becomes(shopper, order, "paid").await;
    });
    futures_util::future::join_all(bought).await;
    assert_eq!(test.stock(sale).await.sold, 20);
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_work_through_a_pooler_that_refuses_startup_parameters() {
    twenty_purchases_through("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_work_through_a_pooler_that_ignores_startup_parameters() {
    twenty_purchases_through("ignore_startup_parameters = extra_float_digits, options, statement_timeout").await;
}
