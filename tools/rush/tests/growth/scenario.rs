//! What happens in the shop, so that every loop has something to do: sales of each shape, a crowd
//! that buys, operators, the merchant's systems, and a Redis that is restored and then emptied.

use std::time::Duration;

use fairline_line::store::{JoinRequest, LineStore};
use fairline_rush::{Report, RushError};
use fairline_sale::{SaleId, VisitorId};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::shop::{Shop, send};

/// The key of the merchant's systems.
pub const MERCHANT_KEY: &str = "0123456789012345678901234567890123456789";
const WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(250);
const PAST: &str = "2020-01-01T00:00:00Z";
const FUTURE: &str = "2999-01-01T00:00:00Z";
/// Shoppers of every model, with payments of every outcome.
const CROWD: [&str; 8] = [
    "--shoppers=120",
    "--mix=buy=40,buy-again=15,let-expire=15,leave=8,disconnect=5,reconnect=5,replay=5,forge=2,cancel=10",
    "--payments=visa=50,declined=15,slow=10,timeout=10,flaky=10,action=5",
    "--arrive-s=3",
    "--disconnected-s=4",
    "--think-ms=300",
    "--timeout-s=60",
    "--settle-s=1",
];

/// A sale of the scenario: its slug, and its id.
pub type Named = (&'static str, Uuid);

/// Opens the sales that have no crowd: an idle, a busy and a scheduled one, one in which almost
/// no shopper is admitted, and one that begins with a draw.
pub async fn open_sales(shop: &Shop) -> Vec<Named> {
    let mut sales = Vec::new();
    for (slug, settings) in [
        ("idle", json!({ "opens_at": PAST })),
        ("busy", json!({ "opens_at": PAST })),
        ("scheduled", json!({ "opens_at": FUTURE })),
        ("slow", json!({ "opens_at": PAST, "rate_cap_per_s": 0.01 })),
        ("draw", json!({ "opens_at": FUTURE, "order": "draw", "claim_window_s": 10 })),
    ] {
        sales.push((slug, create(shop, slug, settings).await));
    }
    sales
}

async fn create(shop: &Shop, slug: &str, settings: Value) -> Uuid {
    let mut sale = json!({ "slug": slug, "name": slug, "description": "", "price_minor": 100, "currency": "EUR", "total": 100_000,
        "rate_cap_per_s": 200 });
    for (field, value) in settings.as_object().expect("settings are an object") {
        sale[field] = value.clone();
    }
    // The disk still writes the fixture down.
    let by = Instant::now() + WITHIN;
    let (status, made) = loop {
        let answer = shop.admin(Method::POST, "/api/admin/sales", Some(sale.clone())).await;
        if answer.0 != StatusCode::SERVICE_UNAVAILABLE || Instant::now() > by {
            break answer;
        }
        sleep(POLL_EVERY).await;
    };
    assert_eq!(status, StatusCode::CREATED, "{made}\n{}", shop.logs());
    made["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

fn id_of(sales: &[Named], name: &str) -> Uuid {
    sales.iter().find(|(slug, _)| *slug == name).expect("a sale").1
}

/// Everything that happens, in some forty seconds.
pub async fn trade(shop: &mut Shop, pool: &PgPool, sales: &[Named]) {
    let (busy, slow, draw) = (id_of(sales, "busy"), id_of(sales, "slow"), id_of(sales, "draw"));
    for (sale, shoppers) in [(busy, 90), (slow, 40), (draw, 90)] {
        join(shop, sale, shoppers).await;
    }
    // Loops that every console keeps up.
    let consoles = [shop.console("/api/admin/live").await, shop.console(&format!("/api/admin/live?sale={busy}")).await];
    act_on_tickets(shop, pool, slow).await;
    order(shop, &format!("/api/admin/sales/{draw}/open"), Value::Null).await;
    let crowd = sell(shop, pool).await;
    order(shop, &format!("/api/admin/sales/{draw}/close"), Value::Null).await;
    use_merchant_api(shop, slow).await;
    use_account(shop).await;
    read_pages(shop, pool, busy).await;
    let report = crowd.await.expect("a rush does not panic").expect("the rush can be held");
    println!("{report}");
    assert!(report.sold > 10, "{report}\n{}", shop.logs());
    drop(consoles);
}

async fn join(shop: &Shop, sale: Uuid, shoppers: u128) {
    let line = LineStore::connect(&shop.servers.redis.url()).await.expect("Redis");
    let joining: Vec<JoinRequest> =
        (0..shoppers).map(|n| JoinRequest { visitor: VisitorId(n.to_be_bytes()), account: None }).collect();
    let deadline = Instant::now() + WITHIN;
    while let Err(error) = line.join(SaleId(sale), [7; 8], &joining).await {
        assert!(Instant::now() < deadline, "there is no line of {sale}: {error}\n{}", shop.logs());
        sleep(POLL_EVERY).await;
    }
}

/// A request of an operator, which succeeds.
async fn order(shop: &Shop, path: &str, body: Value) -> Value {
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = shop.admin(Method::POST, path, body).await;
    assert!(status.is_success(), "{path}: {status} {answer}\n{}", shop.logs());
    answer
}

/// A change of rows as services make it in situations that last longer than this test. Repeated
/// until it finds a row.
async fn change(shop: &Shop, pool: &PgPool, (sql, sale): (&'static str, Uuid)) {
    let deadline = Instant::now() + WITHIN;
    while sqlx::query(sql).bind(sale).execute(pool).await.expect(sql).rows_affected() == 0 {
        assert!(Instant::now() < deadline, "no row for {sql}\n{}", shop.logs());
        sleep(POLL_EVERY).await;
    }
}

/// Operators move tickets, revoke tokens and pause the sale; its turns were signed with an old key.
async fn act_on_tickets(shop: &Shop, pool: &PgPool, sale: Uuid) {
    let path = format!("/api/admin/sales/{sale}");
    let reminders = "INSERT INTO reminders (id, line_id, account_id, epoch, ordinal) \
         SELECT gen_random_uuid(), lines.id, md5('account' || n)::uuid, epoch, n FROM lines, generate_series(1, 40) AS n WHERE id = $1 AND epoch > 0";
    change(shop, pool, (reminders, sale)).await;
    let reason = json!({ "reason": "a test" });
    order(shop, &format!("{path}/tickets/30/remove"), reason.clone()).await;
    order(shop, &format!("{path}/tickets/20/prefer"), reason.clone()).await;
    order(shop, &format!("{path}/admit"), json!({ "count": 3 })).await;
    let old_key = "UPDATE admissions SET kid = 'replaced' WHERE id = (SELECT id FROM admissions \
         WHERE sale_id = $1 AND state = 'promised' LIMIT 1 FOR UPDATE SKIP LOCKED)";
    change(shop, pool, (old_key, sale)).await;
    order(shop, &format!("{path}/pause"), Value::Null).await;
    let (status, changed) = shop.admin(Method::PATCH, &path, Some(json!({ "total": 100_001 }))).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    order(shop, &format!("{path}/resume"), Value::Null).await;
    order(shop, &format!("{path}/revoke"), reason).await;
}

/// A crowd and invited guests buy in yield mode. Redis is restored from an older copy, and later
/// emptied. Orders are refunded and cancelled. Returns the crowd, which is still there.
async fn sell(shop: &mut Shop, pool: &PgPool) -> JoinHandle<Result<Report, RushError>> {
    let settings = json!({ "mode": "yield", "risk": 0.1, "total": 45, "rate_cap_per_s": 4, "token_ttl_s": 10, "claim_window_s": 4,
        "hold_s": 20, "per_shopper_limit": 1, "opens_at": PAST });
    let sale = create(shop, "yield", settings).await;
    shop.sale = sale.to_string();
    let guests = shop.invite(30).await;
    let guests: Vec<&str> = guests.iter().map(String::as_str).collect();
    let crowd = send(shop, &[&CROWD, guests.as_slice()].concat());

    shop.until("sold", 2).await;
    let copy = shop.servers.redis.moment().expect("Redis runs");
    let sold = shop.until("sold", 6).await;
    shop.servers.redis.restart_as_of(&copy).expect("Redis starts again");
    // Signed in, as far as the rows show.
    let with_account = "UPDATE holds SET account_id = md5('account1')::uuid WHERE id = ANY (ARRAY (SELECT id FROM holds \
         WHERE sale_id = $1 AND state IN ('promised', 'held') AND account_id IS NULL FOR UPDATE SKIP LOCKED))";
    change(shop, pool, (with_account, sale)).await;
    refund(shop, pool, sale).await;
    let sold = shop.until("sold", sold + 4).await;
    shop.servers.redis.restart_empty().expect("Redis starts again");
    shop.until("sold", sold + 2).await;
    change(shop, pool, (with_account, sale)).await;
    shop.cap(50.0).await;
    crowd
}

/// Operators refund half of an order and all of another one, the merchant's systems a third one.
async fn refund(shop: &Shop, pool: &PgPool, sale: Uuid) {
    let paid = "SELECT id, payment_id FROM orders WHERE sale_id = $1 ORDER BY paid_at LIMIT 3";
    let paid: Vec<(Uuid, Uuid)> = sqlx::query_as(paid).bind(sale).fetch_all(pool).await.expect("the query runs");
    let [(half, payment), (whole, _), (third, _)] = paid[..] else { panic!("{paid:?}") };
    for (refunded, amount_minor) in [(half, Some(50)), (whole, None)] {
        let path = format!("/api/admin/sales/{sale}/orders/{refunded}/refund");
        order(shop, &path, json!({ "amount_minor": amount_minor, "reason": "a test" })).await;
    }
    let path = format!("/api/orders/{third}/refund");
    ask(shop, MERCHANT_KEY, (Method::POST, &path), json!({ "reason": "a test" })).await;
    ask(shop, MERCHANT_KEY, (Method::GET, &format!("/payments/{payment}/status")), Value::Null).await;
}

/// A request to checkout, which succeeds.
async fn ask(shop: &Shop, key: &str, (method, path): (Method, &str), body: Value) -> Value {
    let answer = shop.ask_checkout(key, (method, path), (!body.is_null()).then_some(body)).await;
    let (status, answer) = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(status.is_success(), "{path}: {status} {answer}\n{}", shop.logs());
    answer
}

/// The merchant reserves units: it sells some of them in time, others late, and gives some back.
async fn use_merchant_api(shop: &Shop, sale: Uuid) {
    ask(shop, MERCHANT_KEY, (Method::GET, "/inventory/status"), Value::Null).await;
    for (reference, held_for_s) in [("sold", 60), ("late", 1), ("back", 60)] {
        let wanted = json!({ "sale_id": sale, "quantity": 1, "reference": reference, "held_for_s": held_for_s });
        let reserved = ask(shop, MERCHANT_KEY, (Method::POST, "/inventory/reserve"), wanted).await;
        let path = format!("/api/orders/{}", reserved["id"].as_str().expect("an id"));
        if reference == "back" {
            ask(shop, MERCHANT_KEY, (Method::POST, &format!("{path}/cancel")), Value::Null).await;
            continue;
        }
        let deadline = Instant::now() + WITHIN;
        let status = async || ask(shop, MERCHANT_KEY, (Method::GET, &path), Value::Null).await["status"].clone();
        while reference == "late" && status().await != "expired" {
            assert!(Instant::now() < deadline, "a reservation does not expire\n{}", shop.logs());
            sleep(POLL_EVERY).await;
        }
        let sold = json!({ "reference": reference });
        ask(shop, MERCHANT_KEY, (Method::POST, &format!("{path}/confirm")), sold).await;
        ask(shop, MERCHANT_KEY, (Method::DELETE, &path), Value::Null).await;
    }
}

/// A shopper of the fixture, still signed in, looks at its orders and deletes its account.
async fn use_account(shop: &Shop) {
    // The fixture's tokens are numbers.
    let signed_in = ask(shop, "", (Method::POST, "/users/login/refresh"), json!({ "refresh_token": "4244" })).await;
    let key = signed_in["access_token"].as_str().expect("a token");
    let orders = ask(shop, key, (Method::GET, "/api/orders"), Value::Null).await;
    assert!(orders.to_string().contains("paid"), "{orders}");
    for (method, path) in
        [(Method::GET, "/users/profile"), (Method::DELETE, "/api/orders"), (Method::DELETE, "/users/profile")]
    {
        ask(shop, key, (method, path), Value::Null).await;
    }
}

/// The pages of the console, of a running sale and of one that was closed long ago.
async fn read_pages(shop: &Shop, pool: &PgPool, running: Uuid) {
    let id = async |slug: &str| -> Uuid {
        let id = sqlx::query_scalar("SELECT id FROM sales WHERE slug = $1").bind(slug);
        id.fetch_one(pool).await.expect("a sale")
    };
    let (closed, old) = (id("sale-3").await, id("sale-9000").await);
    for page in [
        "sales".to_owned(),
        "sales?slug=sale-3".to_owned(),
        format!("sales?before={old}"),
        "audit".to_owned(),
        format!("audit?sale={closed}"),
        "products".to_owned(),
        "keys".to_owned(),
        "webhooks".to_owned(),
        "operators".to_owned(),
        format!("sales/{closed}"),
        format!("sales/{closed}/orders"),
        format!("sales/{closed}/orders?search=a1"),
        format!("sales/{closed}/rehearsals"),
        format!("sales/{closed}/samples"),
        format!("sales/{closed}/report.csv"),
        format!("sales/{}/orders", shop.sale),
        format!("sales/{}/report", shop.sale),
        format!("sales/{running}/report"),
    ] {
        let (status, answer) = shop.admin(Method::GET, &format!("/api/admin/{page}"), None).await;
        assert_eq!(status, StatusCode::OK, "{page}: {answer}");
    }
    let (_, report) = shop.admin(Method::GET, &format!("/api/admin/sales/{closed}/report"), None).await;
    assert!(report["funnel"]["admitted"].as_u64().is_some_and(|admitted| admitted > 0), "{report}");
}
