//! The roles of a checkout process: `serve` and `worker` work together, and neither does the work
//! of the other.

use checkout::ProcessRole;

use crate::test_checkout::{StockCounts, TestCheckout, call, eventually};

/// The number of the last event that was relayed.
async fn relayed(test: &TestCheckout) -> i64 {
    let number = sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM relays");
    number.fetch_one(&test.pool).await.expect("the relays")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_process_sells_and_relays_nothing_until_a_worker_joins() {
    let test = TestCheckout::open_with(|settings| settings.role = ProcessRole::Serve).await;
    let sale = test.sale(2).await;
    let (shopper, order) = test.hold(sale).await;
    assert_eq!(test.pay(&shopper, order, "tok_visa").await.status, 200);
    // Expiry belongs to sales: no worker is needed.
    let (_, idle) = test.hold(sale).await;
    test.change("UPDATE holds SET expires_at = now() WHERE id = $1", idle).await;
    eventually(|| async {
        let stock = test.stock(sale).await;
        let expired = StockCounts { total: 2, promised: 0, held: 0, sold: 1 };
        if stock == expired { Ok(()) } else { Err(stock) }
    })
    .await;
    assert_eq!(relayed(&test).await, 0, "several rounds of a relay have passed");

    test.one_more_as(ProcessRole::Worker).await;
    eventually(|| async {
        let number = relayed(&test).await;
        if number == 4 { Ok(()) } else { Err(number) }
    })
    .await;
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_serves_its_health_and_metrics_and_no_purchase() {
    let test = TestCheckout::open_with(|settings| settings.role = ProcessRole::Worker).await;
    let sale = test.sale(1).await;
    let shopper = test.admit(sale).await;
    assert_eq!(test.purchase(&shopper, 1).await.status, 404);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        let answer = call(test.checkout, "GET", path, &[], "").await.expect("a response");
        assert_eq!(answer.status, 200, "{path}");
    }
    let heartbeats: i64 =
        sqlx::query_scalar("SELECT count(*) FROM checkouts").fetch_one(&test.pool).await.expect("heartbeats");
    assert_eq!(heartbeats, 0, "controllers count only processes that serve");

    let serving = test.one_more_as(ProcessRole::Serve).await;
    assert_eq!(test.purchase_at(serving, &shopper, 1).await.expect("a response").status, 201);
    eventually(|| async {
        let number = relayed(&test).await;
        if number == 1 { Ok(()) } else { Err(number) }
    })
    .await;
    test.stock_is_reconciled().await;
}
