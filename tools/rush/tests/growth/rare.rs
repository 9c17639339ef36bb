//! What seldom happens in a shop: a draw, a sale in yield mode with a lane, payments that a process
//! has left behind, and a Redis that loses everything.

use std::ops::Range;

use fairline_line::{
    store::{Joining, LineStore},
    ticket::Ticket,
};
use fairline_sale::{SaleId, VisitorId};
use hyper::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{LOOK_EVERY, WITHIN};
use crate::shop::Shop;

/// Parts of statements that are executed only then, or seldom: the test is incomplete without them.
pub const STATEMENTS: [&str; 4] = [
    // A draw.
    "SET drawn = $2",
    // The beginning of an epoch, and the turns that are published again.
    "UPDATE lines SET epoch = greatest",
    "state <> 'lapsed' AND ordinal < $2 ORDER BY ordinal DESC",
    "UPDATE lines SET republish_below",
];
const TICKETS: u128 = 60;
/// Shoppers who were paying when their checkout died.
const LEAVE_PAYMENTS_BEHIND: &str = "WITH used AS (UPDATE admissions SET state = 'redeemed' WHERE id IN ( \
        SELECT id FROM admissions WHERE sale_id = $1 AND state = 'promised' LIMIT 5) \
        AND state = 'promised' RETURNING id, sale_id, visitor, quantity), \
     held AS (INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
        SELECT gen_random_uuid(), id, sale_id, visitor, quantity, 4900, 'EUR', now() + interval '5 minutes' FROM used \
        RETURNING id, quantity), \
     left_behind AS (INSERT INTO payments (id, hold_id, payment_method, amount_minor, currency, updated_at) \
        SELECT gen_random_uuid(), id, 'tok_visa', 4900, 'EUR', now() - interval '1 minute' FROM held) \
     UPDATE stock SET promised = promised - units, held = held + units \
        FROM (SELECT sum(quantity)::integer AS units FROM held) AS moved WHERE sale_id = $1 AND units > 0";

/// Waits for a condition.
async fn until(shop: &Shop, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < WITHIN, "gave up waiting for {what}\n{}", shop.logs());
        sleep(LOOK_EVERY).await;
    }
}

/// Joins shoppers to a line as soon as it is published.
pub async fn join(shop: &Shop, line: &LineStore, to: SaleId, visitors: Range<u128>) -> Vec<Ticket> {
    let joining = visitors.map(|n| Joining { visitor: VisitorId(n.to_be_bytes()), account: None });
    let joining: Vec<Joining> = joining.collect();
    let mut tickets = Vec::new();
    until(shop, "the line to be published", async || match line.join(to, [7; 8], &joining).await {
        Ok(joined) => {
            tickets = joined;
            true
        }
        Err(_) => false,
    })
    .await;
    tickets
}

/// All of it, within some fifteen seconds.
pub async fn happen(shop: &mut Shop, line: &LineStore, pool: &PgPool) {
    let count = async |what: &'static str, sale: SaleId| -> i64 {
        let count = sqlx::query_scalar(what).bind(sale.0).fetch_one(pool).await;
        count.unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    let terms = json!({ "slug": "drawn", "total": 100, "mode": "yield", "risk": 0.01, "order": "draw" });
    shop.sale = shop.create_sale(terms).await;
    let sale = SaleId(shop.sale.parse::<Uuid>().expect("an id"));
    let path = format!("/api/admin/sales/{sale}/lanes");
    let (status, shown) = shop.admin(Method::POST, &path, Some(json!({ "name": "guests", "share": 0.3 }))).await;
    assert_eq!(status, StatusCode::CREATED, "{shown}");
    let lane = SaleId(shown["lanes"][0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"));
    let tickets = join(shop, line, sale, 0..TICKETS).await;
    let invited = join(shop, line, lane, TICKETS..2 * TICKETS).await;
    shop.open_sale().await;

    until(shop, "payments to leave behind", async || {
        let left = sqlx::query(LEAVE_PAYMENTS_BEHIND).bind(sale.0).execute(pool).await.expect("left behind");
        left.rows_affected() > 0
    })
    .await;
    let captured = "SELECT count(*) FROM payments JOIN holds ON holds.id = hold_id \
                    WHERE sale_id = $1 AND payments.state = 'captured'";
    until(shop, "them to be captured", async || count(captured, sale).await > 0).await;
    let missed = "SELECT count(*) FROM admissions WHERE sale_id = $1 AND state = 'lapsed' AND published_state = state";
    until(shop, "a turn to lapse", async || count(missed, sale).await > 0).await;

    lose_redis(shop, pool).await;
    for (to, tickets) in [(sale, &tickets), (lane, &invited)] {
        until(shop, "the tickets to be presented", async || line.resume(to, tickets).await.is_ok()).await;
    }
    let before = shop.count("admitted").await;
    join(shop, line, sale, 2 * TICKETS..3 * TICKETS).await;
    shop.until("admitted", before + 1).await;
}

/// Empties Redis, and waits until every line and its past turns are published again.
async fn lose_redis(shop: &mut Shop, pool: &PgPool) {
    let behind = async |epoch: i32| {
        let lines = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM lines JOIN sales ON sales.id = sale_id \
             WHERE status = 'open' AND (epoch < $1 OR republish_below IS NOT NULL)",
        );
        lines.bind(epoch).fetch_one(pool).await.expect("counted")
    };
    until(shop, "every line to be in Redis", async || behind(1).await == 0).await;
    shop.servers.redis.kill().expect("Redis runs");
    shop.servers.redis.restart_empty().expect("Redis starts again");
    until(shop, "every line and its past turns to be there again", async || behind(2).await == 0).await;
}
