//! The catalogue: what anybody may see, fresh, and cheap to ask for.

use fairline_private_servers::testing::Servers;
use fairline_service::Secret;
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

    // A rehearsal is for nobody to find.
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
