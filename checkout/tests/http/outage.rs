//! Outages: Postgres goes down and comes back.

use std::time::Duration;

use fairline_private_servers::testing::Servers;
use tokio::{task::spawn_blocking, time::Instant};

use crate::test_checkout::{TestCheckout, call, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_requests_get_503_and_nothing_is_lost() {
    let mut servers = spawn_blocking(|| Servers::start().expect("servers")).await.expect("no panic");
    let url = servers.postgres.create_database("shop").expect("a database");
    let test = TestCheckout::open_on(&url, |_| {}).await;
    let sale = test.sale(2).await;
    let shopper = test.admit(sale).await;
    let (payer, order) = test.hold(sale).await;
    test.pool.close().await;
    let ready = || async { call(test.checkout, "GET", "/health/ready", &[], "").await.expect("a response").status };
    assert_eq!(ready().await, 200);

    servers = spawn_blocking(move || {
        servers.postgres.kill().expect("killed");
        servers
    })
    .await
    .expect("no panic");
    let asked = Instant::now();
    for answer in
        [test.purchase(&shopper, 1).await, test.order(&payer, order).await, test.pay(&payer, order, "tok_visa").await]
    {
        assert_eq!((answer.status, answer.slug()), (503, "unavailable"), "{answer:?}");
        assert_eq!(answer.headers["retry-after"], "2");
    }
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    assert_eq!(ready().await, 503);

    let servers = spawn_blocking(move || {
        servers.postgres.restart().expect("restarted");
        servers
    })
    .await
    .expect("no panic");
    let answer = eventually(|| async {
        let answer = test.purchase(&shopper, 1).await;
        if answer.status == 503 { Err(answer) } else { Ok(answer) }
    })
    .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    // Payments have their own connections, which reconnect automatically.
    let answer = eventually(|| async {
        let answer = test.pay(&payer, order, "tok_visa").await;
        if answer.status == 503 { Err(answer) } else { Ok(answer) }
    })
    .await;
    assert_eq!(answer.body["status"], "paid", "{answer:?}");
    assert_eq!(ready().await, 200);
    drop(servers);
}
