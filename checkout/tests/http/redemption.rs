//! Redemption: of concurrent uses of a token one succeeds, each unit is held once, and the
//! redemptions of a batch do not affect each other.

use tokio::io::AsyncWriteExt as _;

use crate::{
    purchase::GOOD,
    test_checkout::{StockCounts, TestCheckout, call, eventually},
};

/// Sessions that wait for a lock.
const LOCK_WAITS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_uses_of_one_token_at_two_checkouts_one_succeeds() {
    let test = TestCheckout::open().await;
    let sale = test.sale(100).await;
    let shopper = test.admit(sale).await;
    let checkouts = [test.checkout, test.one_more_checkout().await];

    let uses = (0..50).map(|n| test.purchase_at(checkouts[n % 2], &shopper, 1));
    let answers: Vec<_> =
        futures_util::future::join_all(uses).await.into_iter().map(|a| a.expect("a response")).collect();
    let created: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(created.len(), 1);
    let used = answers.iter().filter(|answer| (answer.status, answer.slug()) == (409, "token-used"));
    assert_eq!(used.filter(|answer| answer.body["order"] == created[0].body).count(), 49);
    assert_eq!(test.stock(sale).await, StockCounts { total: 100, promised: 0, held: 1, sold: 0 });
    test.stock_is_reconciled().await;
}

/// Negative control: to read first and then to write uses a token twice, and only the constraint
/// prevents it. The statement of checkout needs neither luck nor the constraint.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_guards_a_token_is_used_twice() {
    const LOOK: &str = "SELECT state = 'promised' FROM admissions WHERE id = $1";
    const WRITE: &str = "WITH used AS (UPDATE admissions SET state = 'redeemed' WHERE id = $1) \
        INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
        SELECT gen_random_uuid(), id, sale_id, visitor, 1, 1, 'EUR', now() FROM admissions WHERE id = $1";
    let test = TestCheckout::open().await;
    let sale = test.sale(10).await;

    for (constraint_is_there, holds) in [(true, 1), (false, 2)] {
        if !constraint_is_there {
            sqlx::query("ALTER TABLE holds DROP CONSTRAINT holds_one_per_admission")
                .execute(&test.pool)
                .await
                .expect("dropped");
        }
        let admission = test.admit(sale).await.claims.jti;
        // Both read before either writes.
        for _ in 0..2 {
            let promised: bool = sqlx::query_scalar(LOOK).bind(admission).fetch_one(&test.pool).await.expect("a look");
            assert!(promised);
        }
        for _ in 0..2 {
            let _ = sqlx::query(WRITE).bind(admission).execute(&test.pool).await;
        }
        let made: i64 = sqlx::query_scalar("SELECT count(*) FROM holds WHERE admission_id = $1")
            .bind(admission)
            .fetch_one(&test.pool)
            .await
            .expect("a count");
        assert_eq!(made, holds);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_unit_of_an_overbooked_sale_goes_to_one_shopper_and_no_other_is_charged() {
    let test = TestCheckout::open().await;
    let sale = test.sale(1).await;
    test.change("UPDATE stock SET overbook = 7 WHERE sale_id = $1", sale.0).await;
    let mut shoppers = Vec::new();
    for _ in 0..8 {
        shoppers.push(test.admit(sale).await);
    }
    let answers = futures_util::future::join_all(shoppers.iter().map(|shopper| test.purchase(shopper, 1))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| (answer.status, answer.slug()) == (409, "sold-out")).count(), 7);
    assert_eq!(test.stock(sale).await, StockCounts { total: 1, promised: 7, held: 1, sold: 0 });
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unit_of_a_sale_is_held_once() {
    let test = TestCheckout::open().await;
    let sale = test.sale(40).await;
    let checkouts = [test.checkout, test.one_more_checkout().await];
    let mut shoppers = Vec::new();
    for _ in 0..40 {
        shoppers.push(test.admit(sale).await);
    }
    let uses = (0..80).map(|n| test.purchase_at(checkouts[n % 2], &shoppers[n / 2], 1));
    let answers = futures_util::future::join_all(uses).await;
    assert_eq!(answers.iter().flatten().filter(|answer| answer.status == 201).count(), 40);
    assert_eq!(test.stock(sale).await, StockCounts { total: 40, promised: 0, held: 40, sold: 0 });
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_completes_when_its_client_disconnects() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let shopper = test.admit(sale).await;
    // The redemption waits for this lock.
    let mut lock = test.pool.begin().await.expect("a transaction");
    let locked = sqlx::query("SELECT FROM stock WHERE sale_id = $1 FOR UPDATE").bind(sale.0);
    locked.execute(&mut *lock).await.expect("locked");

    let mut client = tokio::net::TcpStream::connect(test.checkout).await.expect("a connection");
    let request = format!(
        "POST /api/flash-sales/{sale}/purchase HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {}\r\ncookie: {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{GOOD}",
        shopper.token,
        shopper.cookie,
        GOOD.len()
    );
    client.write_all(request.as_bytes()).await.expect("sent");
    eventually(|| async {
        let waiting: i64 = sqlx::query_scalar(LOCK_WAITS).fetch_one(&test.pool).await.expect("a count");
        if waiting == 1 { Ok(()) } else { Err(waiting) }
    })
    .await;
    drop(client);
    lock.commit().await.expect("committed");

    eventually(|| async {
        let stock = test.stock(sale).await;
        if stock.held == 1 { Ok(()) } else { Err(stock) }
    })
    .await;
    assert_eq!(test.purchase(&shopper, 1).await.slug(), "token-used");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redemptions_of_one_batch_have_separate_responses() {
    let test = TestCheckout::open().await;
    let (sale, other) = (test.sale(8).await, test.sale(2).await);
    let mut shoppers = Vec::new();
    for _ in 0..8 {
        shoppers.push(test.admit(sale).await);
    }
    let (held, held_too) = (test.admit(other).await, test.admit(other).await);
    let (replayed, greedy, late) = (&shoppers[0], &shoppers[1], &shoppers[2]);
    assert_eq!(test.purchase(replayed, 1).await.status, 201);
    sqlx::query("UPDATE admissions SET state = 'lapsed' WHERE id = $1")
        .bind(late.claims.jti)
        .execute(&test.pool)
        .await
        .expect("lapsed");
    sqlx::query("UPDATE stock SET promised = promised - 1 WHERE sale_id = $1")
        .bind(sale.0)
        .execute(&test.pool)
        .await
        .expect("cancelled");
    // Two batches block the batcher, so that all others collect behind them.
    let mut lock = test.pool.begin().await.expect("a transaction");
    let locked = sqlx::query("SELECT FROM stock WHERE sale_id = $1 FOR UPDATE").bind(other.0);
    locked.execute(&mut *lock).await.expect("locked");
    let batches_wait = async |count: i64| {
        eventually(|| async {
            let waiting: i64 = sqlx::query_scalar(LOCK_WAITS).fetch_one(&test.pool).await.expect("a count");
            if waiting == count { Ok(()) } else { Err(waiting) }
        })
        .await;
    };
    let answers = async {
        let first = test.purchase(&held, 1);
        let second = async {
            batches_wait(1).await;
            test.purchase(&held_too, 1).await
        };
        let others = async {
            batches_wait(2).await;
            let twice = [&shoppers[3], &shoppers[3], &shoppers[4], &shoppers[5], replayed, late];
            let all = twice.map(|shopper| test.purchase(shopper, 1));
            tokio::join!(futures_util::future::join_all(all), test.purchase(greedy, 4))
        };
        tokio::join!(first, second, others)
    };
    let release = async {
        eventually(|| async {
            let metrics = call(test.checkout, "GET", "/metrics", &[], "").await.expect("a response").body;
            let queued =
                metrics.as_str().expect("text").lines().find(|line| line.starts_with("checkout_redemptions_queued"));
            if queued == Some("checkout_redemptions_queued 7") { Ok(()) } else { Err(queued.map(str::to_owned)) }
        })
        .await;
        lock.commit().await.expect("committed");
    };
    let ((first, second, (answers, greedy)), ()) = tokio::join!(answers, release);
    assert_eq!((first.status, second.status), (201, 201));
    let mut slugs: Vec<String> = answers
        .iter()
        .map(|answer| if answer.status == 201 { "held".to_owned() } else { answer.slug().to_owned() })
        .collect();
    slugs[..2].sort();
    assert_eq!(slugs, ["held", "token-used", "held", "held", "token-used", "token-expired"]);
    assert_eq!(greedy.slug(), "quantity-over-limit");
    let transactions: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM holds WHERE sale_id = $1")
        .bind(sale.0)
        .fetch_one(&test.pool)
        .await
        .expect("a count");
    assert_eq!(transactions, 2, "the one that was replayed, and three together");
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_two_checkouts_over_many_sales_do_not_deadlock() {
    let test = TestCheckout::open().await;
    let second = test.one_more_checkout().await;
    let mut sales = Vec::new();
    for _ in 0..4 {
        sales.push(test.sale(60).await);
    }
    let mut shoppers = Vec::new();
    for at in 0..160 {
        shoppers.push(test.admit(sales[at * 7 % 4]).await);
    }
    let purchases = shoppers.iter().enumerate().map(|(at, shopper)| {
        let checkout = if at % 2 == 0 { test.checkout } else { second };
        test.purchase_at(checkout, shopper, 1)
    });
    for answer in futures_util::future::join_all(purchases).await {
        let answer = answer.expect("a response");
        assert_eq!(answer.status, 201, "{:?}", answer.body);
    }
    test.stock_is_reconciled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_admission_is_retried() {
    let test = TestCheckout::open().await;
    let sale = test.sale(5).await;
    let (shopper, other) = (test.admit(sale).await, test.admit(sale).await);
    let mut lock = test.pool.begin().await.expect("a transaction");
    let locked = sqlx::query("SELECT FROM admissions WHERE id = $1 FOR UPDATE").bind(shopper.claims.jti);
    locked.execute(&mut *lock).await.expect("locked");
    assert_eq!(test.purchase(&shopper, 1).await.slug(), "unavailable");
    assert_eq!(test.purchase(&other, 1).await.status, 201, "it delays no other shopper");
    lock.commit().await.expect("committed");
    assert_eq!(test.purchase(&shopper, 1).await.status, 201, "and costs nothing");
    test.stock_is_reconciled().await;
}
