//! The list of sales: public, fresh, and cheap to read.

use fairline_private_servers::testing::Servers;
use fairline_server::Secret;
use fred::{interfaces::KeysInterface as _, types::Expiration};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::test_checkout::{Reply, TestCheckout, call, eventually};

async fn listed_sale(test: &TestCheckout, id: &str) -> Reply {
    call(test.checkout, "GET", &format!("/products/{id}"), &[], "").await.expect("a response")
}

async fn shows(test: &TestCheckout, id: &str, field: &str, value: Value) {
    eventually(|| async {
        let shown = listed_sale(test, id).await.body;
        if shown[field] == value { Ok(()) } else { Err(shown) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_shows_its_stock_and_its_tag_changes_with_it() {
    let test = TestCheckout::open().await;
    let sale = test.sale(2).await;
    let id = sale.to_string();
    shows(&test, &id, "remaining", json!(2)).await;
    let first = listed_sale(&test, &id).await;
    assert_eq!(first.headers["cache-control"], "public, max-age=1, stale-while-revalidate=5");
    assert_eq!((&first.body["status"], &first.body["price_minor"]), (&json!("open"), &json!(1234)));
    let slug = first.body["slug"].as_str().expect("a slug");
    assert_eq!(listed_sale(&test, slug).await.body, first.body);
    let tag = first.headers["etag"].to_str().expect("text").to_owned();
    let again = call(test.checkout, "GET", &format!("/products/{id}"), &[("if-none-match", &tag)], "").await;
    let again = again.expect("a response");
    assert_eq!((again.status, &again.body, &again.headers["etag"]), (304, &json!(""), &first.headers["etag"]));

    test.hold(sale).await;
    shows(&test, &id, "remaining", json!(1)).await;
    let (shopper, order) = test.hold(sale).await;
    let (other, paid) = (test.pay(&shopper, order, "tok_visa").await, test.stock(sale).await);
    assert_eq!((other.status, paid.sold), (200, 1));
    shows(&test, &id, "remaining", json!(0)).await;
    let changed = call(test.checkout, "GET", &format!("/products/{id}"), &[("if-none-match", &tag)], "").await;
    assert_eq!(changed.expect("a response").status, 200);

    // A rehearsal is not listed.
    let rehearsal = test.sale(5).await;
    sqlx::query("UPDATE sales SET rehearsal_of = $2 WHERE id = $1")
        .bind(rehearsal.0)
        .bind(sale.0)
        .execute(&test.pool)
        .await
        .expect("changed");
    eventually(|| async {
        let shown = listed_sale(&test, &rehearsal.to_string()).await;
        if shown.status == 404 { Ok(()) } else { Err(shown.body) }
    })
    .await;
    let list = call(test.checkout, "GET", "/products", &[], "").await.expect("a response");
    assert_eq!(list.body["products"], json!([listed_sale(&test, &id).await.body]));
    for unknown in [Uuid::new_v4().to_string(), "nothing".to_owned(), "%00".to_owned()] {
        let answer = listed_sale(&test, &unknown).await;
        assert_eq!((answer.status, answer.slug()), (404, "sale-not-found"), "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_processes_share_a_warm_copy_that_events_refresh() {
    let test = TestCheckout::open().await;
    let second = test.one_more_checkout().await;
    let sale = test.sale(3).await;
    test.change("UPDATE sales SET status = 'scheduled', opens_at = now() + interval '1 hour' WHERE id = $1", sale.0)
        .await;
    shows(&test, &sale.to_string(), "status", json!("scheduled")).await;

    let installation: Uuid =
        sqlx::query_scalar("SELECT id FROM installation").fetch_one(&test.pool).await.expect("an installation");
    let (key, redis) = (format!("fairline:sale-list:{installation}"), redis(&test).await);
    let copy = || async {
        let copy: Option<String> = redis.get(&key).await.expect("a response");
        copy.and_then(|copy| serde_json::from_str::<Value>(&copy).ok()).ok_or("no copy")
    };
    let mut planted = eventually(copy).await;
    assert_eq!(planted["products"][0]["id"], json!(sale), "warm before anybody may come in");
    // A marked copy that does not expire: a process that shows it has read it from Redis.
    planted["products"][0]["name"] = json!("A copy");
    let on = async |address| {
        let path = format!("/products/{sale}");
        call(address, "GET", &path, &[], "").await.expect("a response").body["name"].clone()
    };
    eventually(|| async {
        let kept: Result<(), _> = redis.set(&key, planted.to_string(), Some(Expiration::EX(600)), None, false).await;
        kept.expect("kept");
        let seen = [on(test.checkout).await, on(second).await];
        if seen == [json!("A copy"), json!("A copy")] { Ok(()) } else { Err(seen) }
    })
    .await;

    test.change("UPDATE sales SET status = 'open', opens_at = now() WHERE id = $1", sale.0).await;
    test.hold(sale).await;
    eventually(|| async {
        let seen = [
            on(test.checkout).await,
            on(second).await,
            copy().await.unwrap_or_default()["products"][0]["name"].clone(),
        ];
        if seen.iter().all(|name| *name == json!("The drop")) { Ok(()) } else { Err(seen) }
    })
    .await;
}

async fn redis(test: &TestCheckout) -> fred::clients::Client {
    let redis = fairline_redis::connect(test.settings.redis_url.expose()).await.expect("a connection");
    redis.primary_of("").expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_on_one_redis_have_separate_lists() {
    let (one, other) = (TestCheckout::open().await, TestCheckout::open().await);
    let (here, there) = (one.sale(1).await, other.sale(1).await);
    for (test, sale) in [(&one, here), (&other, there)] {
        shows(test, &sale.to_string(), "id", json!(sale)).await;
    }
    // By now each process has read or written the copy at least once, and will again.
    for (test, sale, others) in [(&one, here, there), (&other, there, here)] {
        test.admit(sale).await;
        shows(test, &sale.to_string(), "remaining", json!(0)).await;
        assert_eq!(listed_sale(test, &others.to_string()).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_list_comes_from_postgres_and_without_postgres_it_stays() {
    let mut servers = spawn_blocking(|| Servers::start().expect("servers")).await.expect("no panic");
    let url = servers.postgres.create_database("shop").expect("a database");
    let redis_url = Secret::new(servers.redis.url());
    let test = TestCheckout::open_on(&url, |settings| settings.redis_url = redis_url).await;
    let sale = test.sale(2).await;
    let id = sale.to_string();
    shows(&test, &id, "remaining", json!(2)).await;

    servers = spawn_blocking(move || {
        servers.redis.kill().expect("killed");
        servers
    })
    .await
    .expect("no panic");
    test.hold(sale).await;
    shows(&test, &id, "remaining", json!(1)).await;
    assert_eq!(call(test.checkout, "GET", "/health/ready", &[], "").await.expect("a response").status, 200);

    test.pool.close().await;
    let _servers = spawn_blocking(move || {
        servers.postgres.kill().expect("killed");
        servers
    })
    .await
    .expect("no panic");
    assert_eq!(call(test.checkout, "GET", "/health/ready", &[], "").await.expect("a response").status, 503);
    assert_eq!(listed_sale(&test, &id).await.body["remaining"], json!(1));
}
