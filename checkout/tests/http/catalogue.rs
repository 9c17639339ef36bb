//! The catalogue: public, fresh, and cheap to read.

use fairline_private_servers::testing::Servers;
use fairline_server::Secret;
use fred::{interfaces::KeysInterface as _, types::Expiration};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::shop::{Answer, Shop, call, eventually};

async fn product(shop: &Shop, id: &str) -> Answer {
    call(shop.checkout, "GET", &format!("/products/{id}"), &[], "").await.expect("an answer")
}

async fn shows(shop: &Shop, id: &str, field: &str, value: Value) {
    eventually(|| async {
        let shown = product(shop, id).await.body;
        if shown[field] == value { Ok(()) } else { Err(shown) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_shows_what_is_left_and_has_a_tag_that_changes_with_it() {
    let shop = Shop::open().await;
    let sale = shop.sale(2).await;
    let id = sale.to_string();
    shows(&shop, &id, "remaining", json!(2)).await;
    let first = product(&shop, &id).await;
    assert_eq!(first.headers["cache-control"], "public, max-age=1, stale-while-revalidate=5");
    assert_eq!((&first.body["status"], &first.body["price_minor"]), (&json!("open"), &json!(1234)));
    let slug = first.body["slug"].as_str().expect("a slug");
    assert_eq!(product(&shop, slug).await.body, first.body);
    let tag = first.headers["etag"].to_str().expect("text").to_owned();
    let again = call(shop.checkout, "GET", &format!("/products/{id}"), &[("if-none-match", &tag)], "").await;
    let again = again.expect("an answer");
    assert_eq!((again.status, &again.body, &again.headers["etag"]), (304, &json!(""), &first.headers["etag"]));

    shop.hold(sale).await;
    shows(&shop, &id, "remaining", json!(1)).await;
    let (shopper, order) = shop.hold(sale).await;
    let (other, paid) = (shop.pay(&shopper, order, "tok_visa").await, shop.stock(sale).await);
    assert_eq!((other.status, paid.sold), (200, 1));
    shows(&shop, &id, "remaining", json!(0)).await;
    let changed = call(shop.checkout, "GET", &format!("/products/{id}"), &[("if-none-match", &tag)], "").await;
    assert_eq!(changed.expect("an answer").status, 200);

    // A rehearsal is not listed.
    let rehearsal = shop.sale(5).await;
    sqlx::query("UPDATE sales SET rehearsal_of = $2 WHERE id = $1")
        .bind(rehearsal.0)
        .bind(sale.0)
        .execute(&shop.pool)
        .await
        .expect("changed");
    eventually(|| async {
        let shown = product(&shop, &rehearsal.to_string()).await;
        if shown.status == 404 { Ok(()) } else { Err(shown.body) }
    })
    .await;
    let list = call(shop.checkout, "GET", "/products", &[], "").await.expect("an answer");
    assert_eq!(list.body["products"], json!([product(&shop, &id).await.body]));
    for unknown in [Uuid::new_v4().to_string(), "nothing".to_owned(), "%00".to_owned()] {
        let answer = product(&shop, &unknown).await;
        assert_eq!((answer.status, answer.slug()), (404, "unknown-product"), "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_processes_share_a_copy_which_is_warm_before_the_sale_and_an_event_replaces() {
    let shop = Shop::open().await;
    let second = shop.one_more_checkout().await;
    let sale = shop.sale(3).await;
    shop.meddle("UPDATE sales SET status = 'scheduled', opens_at = now() + interval '1 hour' WHERE id = $1", sale.0)
        .await;
    shows(&shop, &sale.to_string(), "status", json!("scheduled")).await;

    let installation: Uuid =
        sqlx::query_scalar("SELECT id FROM installation").fetch_one(&shop.pool).await.expect("an installation");
    let (key, redis) = (format!("fairline:products:{installation}"), redis(&shop).await);
    let copy = || async {
        let copy: Option<String> = redis.get(&key).await.expect("an answer");
        copy.and_then(|copy| serde_json::from_str::<Value>(&copy).ok()).ok_or("no copy")
    };
    let mut planted = eventually(copy).await;
    assert_eq!(planted["products"][0]["id"], json!(sale), "warm before anybody may come in");
    // A marked copy that does not expire: a process that shows it has read it from Redis.
    planted["products"][0]["name"] = json!("A copy");
    let on = async |address| {
        let path = format!("/products/{sale}");
        call(address, "GET", &path, &[], "").await.expect("an answer").body["name"].clone()
    };
    eventually(|| async {
        let kept: Result<(), _> = redis.set(&key, planted.to_string(), Some(Expiration::EX(600)), None, false).await;
        kept.expect("kept");
        let seen = [on(shop.checkout).await, on(second).await];
        if seen == [json!("A copy"), json!("A copy")] { Ok(()) } else { Err(seen) }
    })
    .await;

    shop.meddle("UPDATE sales SET status = 'open', opens_at = now() WHERE id = $1", sale.0).await;
    shop.hold(sale).await;
    eventually(|| async {
        let seen = [
            on(shop.checkout).await,
            on(second).await,
            copy().await.unwrap_or_default()["products"][0]["name"].clone(),
        ];
        if seen.iter().all(|name| *name == json!("The drop")) { Ok(()) } else { Err(seen) }
    })
    .await;
}

async fn redis(shop: &Shop) -> fred::clients::Client {
    fairline_redis::connect(shop.settings.redis_url.expose()).await.expect("a connection")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shops_on_one_redis_have_a_catalogue_each() {
    let (one, other) = (Shop::open().await, Shop::open().await);
    let (here, there) = (one.sale(1).await, other.sale(1).await);
    for (shop, sale) in [(&one, here), (&other, there)] {
        shows(shop, &sale.to_string(), "id", json!(sale)).await;
    }
    // By now each process has read or written the copy at least once, and will again.
    for (shop, sale, others) in [(&one, here, there), (&other, there, here)] {
        shop.admit(sale).await;
        shows(shop, &sale.to_string(), "remaining", json!(0)).await;
        assert_eq!(product(shop, &others.to_string()).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_catalogue_is_read_from_the_truth_and_without_that_it_stays_as_it_was() {
    let mut servers = spawn_blocking(|| Servers::start().expect("servers")).await.expect("no panic");
    let url = servers.postgres.create_database("shop").expect("a database");
    let redis_url = Secret::new(servers.redis.url());
    let shop = Shop::open_on(&url, |settings| settings.redis_url = redis_url).await;
    let sale = shop.sale(2).await;
    let id = sale.to_string();
    shows(&shop, &id, "remaining", json!(2)).await;

    servers = spawn_blocking(move || {
        servers.redis.kill().expect("killed");
        servers
    })
    .await
    .expect("no panic");
    shop.hold(sale).await;
    shows(&shop, &id, "remaining", json!(1)).await;

    shop.pool.close().await;
    let _servers = spawn_blocking(move || {
        servers.postgres.kill().expect("killed");
        servers
    })
    .await
    .expect("no panic");
    assert_eq!(call(shop.checkout, "GET", "/health/ready", &[], "").await.expect("an answer").status, 503);
    assert_eq!(product(&shop, &id).await.body["remaining"], json!(1));
}
