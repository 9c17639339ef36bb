//! The statements of loops cost the same, however many sales and rows there have been.
//!
//! The services run against the data of two years (`fixture.sql`). Postgres logs the plan and the
//! pages of each executed statement, so no list of statements can be out of date.

mod log;

use std::{
    collections::{BTreeMap, HashSet},
    env,
    fmt::Write as _,
    time::Duration,
};

use fairline_line::store::{JoinRequest, LineStore};
use fairline_private_servers::testing::{Servers, programs};
use fairline_sale::{SaleId, VisitorId};
use hyper::{Method, StatusCode};
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions, raw_sql};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::shop::{Opening, Shop};
use log::{Executed, Log, RoundTrip, nodes, rows};

/// Rows of each table that grows; `FAIRLINE_FIXTURE_ROWS=1000000` for a thorough run.
const ROWS: u32 = 50_000;
/// Rows of each table that retention finds due.
const DUE: u32 = 100;
/// The part of the rows that belongs to the open sale (`fixture.sql`): one in 50.
const OF_OPEN_SALE: u32 = 50;
/// Pages of 8 kB that any statement may read: a descent of three pages for each of some sixty
/// look-ups, and four for each row that its last execution has changed, whose index entries are
/// dead.
const PAGES: f64 = 200.0 + 4.0 * DUE as f64;
/// This many more for each row that it changes, returns or is passed: three in each of up to eight
/// indexes, and the row.
const PAGES_PER_ROW: f64 = 30.0;
/// Parts of statements that read rows of the open sale, and pages for each such row.
const COSTLY: [(&str, f64); 1] = [
    // A checkout that has started counts every order of the running sales once; they are scattered.
    ("AS is_accurate", 1.2),
];
/// Tables that do not grow with the number of sales.
const SMALL: [&str; 12] = [
    "api_tokens",
    "checkouts",
    "enrolments",
    "installation",
    "media",
    "operator_sessions",
    "operators",
    "product_images",
    "products",
    "revoked_keys",
    "variants",
    "webhooks",
];
/// Round trips in a transaction of a tick, on average. One in which nothing happens has eight:
/// BEGIN, the lock, the lines, the agenda, visits, the prior, the note and COMMIT; one that
/// publishes as many.
const TRIPS: usize = 10;
/// The same, at most: also limits, a query with its two look-ups, claims, lapses (two), turns that
/// ended (two), removals, an admission, the cursor, the record (two), the number and the stock.
const TRIPS_MAX: usize = 24;
const WITHIN: Duration = Duration::from_secs(240);
const POLL_EVERY: Duration = Duration::from_millis(250);

fn fixture_rows() -> u32 {
    env::var("FAIRLINE_FIXTURE_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS)
}

async fn database(servers: &mut Servers) -> PgPool {
    let pool =
        |url: String| async move { PgPoolOptions::new().max_connections(4).connect(&url).await.expect("a connection") };
    Log::settings(&pool(servers.postgres.url()).await).await;
    servers.postgres.restart().expect("Postgres starts again");
    let url = servers.postgres.create_database("shop").expect("a database");
    let migrated = Command::new(programs().join("fairline")).args(["migrate", "--postgres-url", &url]).status().await;
    assert!(migrated.expect("fairline runs").success());
    let pool = pool(url).await;
    let fixture = include_str!("fixture.sql").replace(":rows", &fixture_rows().to_string());
    let fixture = fixture.replace(":due", &DUE.to_string());
    raw_sql(sqlx::AssertSqlSafe(fixture)).execute(&pool).await.expect("the fixture");
    raw_sql("VACUUM ANALYZE").execute(&pool).await.expect("statistics");
    pool
}

/// Tables with at least a thousand rows; the test is incomplete if a table that grows is not
/// among them.
async fn grown(pool: &PgPool) -> HashSet<String> {
    let tables: Vec<(String, f32)> = sqlx::query_as(
        "SELECT relname::text, reltuples FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'",
    )
    .fetch_all(pool)
    .await
    .expect("tables");
    let small: Vec<&str> = tables
        .iter()
        .filter(|table| table.1 < 1000.0)
        .map(|table| table.0.as_str())
        .filter(|table| !SMALL.contains(table))
        .collect();
    assert!(small.is_empty(), "the fixture has no rows of {small:?}: fill them, or say that they don't grow");
    tables.into_iter().filter(|table| !SMALL.contains(&table.0.as_str())).map(|table| table.0).collect()
}

/// The pages that an execution read, and those that it was allowed to.
#[derive(Clone, Copy, Default)]
struct Cost {
    pages: f64,
    allowed: f64,
}

impl Cost {
    fn of(executed: &Executed) -> Self {
        let plan = &executed.plan;
        let number = |field: &str| plan[field].as_f64().unwrap_or(0.0);
        let changed: f64 = nodes(plan)
            .into_iter()
            .filter(|node| node["Node Type"] == "ModifyTable")
            .flat_map(|node| node["Plans"].as_array().into_iter().flatten())
            .map(rows)
            .sum();
        // What the caller passes, such as a batch of events: each is looked up.
        let passed: f64 = nodes(plan).into_iter().filter(|node| node["Node Type"] == "Function Scan").map(rows).sum();
        let costly = COSTLY.iter().find(|(part, _)| executed.text.contains(part)).map_or(0.0, |(_, pages)| *pages);
        Self {
            pages: number("Shared Hit Blocks") + number("Shared Read Blocks"),
            allowed: PAGES
                + costly * f64::from(fixture_rows() / OF_OPEN_SALE)
                + PAGES_PER_ROW * (changed + passed + rows(plan)),
        }
    }

    fn part(self) -> f64 {
        if self.allowed > 0.0 { self.pages / self.allowed } else { 0.0 }
    }
}

/// What is wrong with the execution of a statement.
fn fault(executed: &Executed, grown: &HashSet<String>) -> Option<String> {
    let scanned = nodes(&executed.plan).into_iter().find(|node| {
        node["Node Type"] == "Seq Scan"
            && node["Actual Loops"].as_f64().is_some_and(|loops| loops > 0.0)
            && node["Relation Name"].as_str().is_some_and(|table| grown.contains(table))
    });
    if let Some(node) = scanned {
        return Some(format!("it scans the table {}", node["Relation Name"]));
    }
    let cost = Cost::of(executed);
    (cost.pages > cost.allowed).then(|| format!("it reads {} pages, and may read {}", cost.pages, cost.allowed))
}

/// The costliest execution of each statement, those nearest to their bound first.
fn table_of(worst: &BTreeMap<&str, (usize, Cost)>) -> String {
    let mut table = String::from("pages, allowed, times, statement\n");
    let mut by_part: Vec<_> = worst.iter().collect();
    by_part.sort_by(|a, b| b.1.1.part().total_cmp(&a.1.1.part()));
    for (text, (times, Cost { pages, allowed })) in by_part {
        let _ = writeln!(table, "{pages:>6} {allowed:>6} {times:>6} {}", text.chars().take(110).collect::<String>());
    }
    table
}

/// Whether a statement is one of a service, in a shop of the test.
fn is_ours(program: &str) -> bool {
    ["checkout", "admission-controller"].iter().any(|name| program.starts_with(name))
}

/// Round trips in the transactions of a sale.
#[derive(Debug, Clone, Copy, Default)]
struct Trips {
    all: usize,
    transactions: usize,
    /// In one transaction.
    most: usize,
}

/// Round trips of each sale whose lock was taken.
fn by_sale(trips: &[RoundTrip], sales: &[(&'static str, Uuid)]) -> BTreeMap<&'static str, Trips> {
    let mut open: BTreeMap<u64, (usize, Option<&'static str>)> = BTreeMap::new();
    let mut counted = BTreeMap::<_, Trips>::new();
    for trip in trips.iter().filter(|trip| trip.program.starts_with("admission-controller")) {
        if trip.text.starts_with("BEGIN") {
            open.insert(trip.session, (0, None));
        }
        let Some((count, sale)) = open.get_mut(&trip.session) else { continue };
        *count += 1;
        if trip.text.contains("FOR UPDATE OF lines") {
            *sale = sales.iter().find(|(_, id)| trip.parameters.contains(&id.to_string())).map(|(name, _)| *name);
        }
        if trip.text.starts_with("COMMIT") || trip.text.starts_with("ROLLBACK") {
            let (count, sale) = open.remove(&trip.session).expect("it is open");
            if let Some(sale) = sale {
                let of_sale = counted.entry(sale).or_default();
                *of_sale = Trips {
                    all: of_sale.all + count,
                    transactions: of_sale.transactions + 1,
                    most: of_sale.most.max(count),
                };
            }
        }
    }
    counted
}

/// Only the rows that were due have been deleted or anonymised.
async fn forgotten(pool: &PgPool) {
    let count = async |what: &'static str| -> i64 {
        sqlx::query_scalar(what).fetch_one(pool).await.unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    for due in [
        "SELECT count(*) FROM payments WHERE created_at < now() - interval '366 days' AND payment_method <> ''",
        "SELECT count(*) FROM orders WHERE paid_at < now() - interval '366 days' AND visitor <> '\\x00000000000000000000000000000000'",
        "SELECT count(*) FROM holds WHERE created_at < now() - interval '366 days' AND (account_id IS NOT NULL OR visitor <> '\\x00000000000000000000000000000000')",
        "SELECT count(*) FROM admissions WHERE issued_at < now() - interval '366 days' AND visitor <> '\\x00000000000000000000000000000000'",
        "SELECT count(*) FROM ticket_actions WHERE at < now() - interval '366 days' AND visitor <> '\\x00000000000000000000000000000000'",
        "SELECT count(*) FROM allowances WHERE changed_at < now() - interval '366 days'",
        "SELECT count(*) FROM shopper_allowances WHERE changed_at < now() - interval '366 days'",
        "SELECT count(*) FROM sign_ins WHERE created_at < now() - interval '2 days'",
        "SELECT count(*) FROM refresh_tokens WHERE expires_at < now() - interval '30 minutes'",
        "SELECT count(*) FROM sessions WHERE NOT EXISTS (SELECT FROM refresh_tokens WHERE session_id = sessions.id)",
        "SELECT count(*) FROM deliveries JOIN webhooks ON id = webhook_id WHERE state = 'waiting' AND disabled_at IS NOT NULL",
        "SELECT count(*) FROM deliveries WHERE due_at < now() - interval '8 days'",
        "SELECT count(*) FROM notifications WHERE due_at < now() - interval '9 days'",
        "SELECT count(*) FROM gateway_events WHERE received_at < now() - interval '8 days'",
        "SELECT count(*) FROM reminders JOIN sales ON sales.id = line_id AND status = 'closed'",
        "SELECT count(*) FROM idempotency_keys WHERE started_at < now() - interval '2 days'",
        "SELECT count(*) FROM samples WHERE at < now() - interval '91 days'",
        "SELECT count(*) FROM sign_in_failures WHERE failed_at < now() - interval '90 minutes'",
        "SELECT count(*) FROM record_entries JOIN sales ON sales.id = line_id WHERE retention_state = 'deleted'",
        "SELECT count(*) FROM admissions JOIN sales ON sales.id = sale_id WHERE retention_state = 'deleted'",
    ] {
        assert_eq!(count(due).await, 0, "{due}");
    }
    for kept in [
        "SELECT count(*) FROM payments WHERE payment_method <> ''",
        "SELECT count(*) FROM sessions",
        "SELECT count(*) FROM reminders",
        "SELECT count(*) FROM record_entries JOIN sales ON sales.id = line_id WHERE rehearsal_of IS NULL",
        "SELECT count(*) FROM sales WHERE retention_state = 'deleted'",
        "SELECT count(*) FROM admissions JOIN sales ON sales.id = sale_id WHERE rehearsal_of IS NULL AND status = 'closed'",
    ] {
        assert!(count(kept).await > 10, "{kept}");
    }
    let shortened =
        sqlx::query("DELETE FROM record_entries WHERE line_id = (SELECT id FROM sales WHERE slug = 'sale-3')");
    let refused = shortened.execute(pool).await.expect_err("a record is kept");
    assert!(refused.to_string().contains("never changed"), "{refused}");
}

/// Opens three sales, one of which is busy, and one scheduled.
async fn open_sales(shop: &Shop) -> Vec<(&'static str, Uuid)> {
    let sale = |slug: &str, opens_at: &str| {
        json!({ "slug": slug, "name": slug, "description": "", "price_minor": 100, "currency": "EUR", "total": 100_000,
            "rate_cap_per_s": 200, "opens_at": opens_at })
    };
    let mut sales = Vec::new();
    for (slug, opens_at) in
        [("idle", "2020-01-01T00:00:00Z"), ("busy", "2020-01-01T00:00:00Z"), ("scheduled", "2999-01-01T00:00:00Z")]
    {
        // The disk still writes the fixture down.
        let by = Instant::now() + WITHIN;
        let (status, made) = loop {
            let answer = shop.admin(Method::POST, "/api/admin/sales", Some(sale(slug, opens_at))).await;
            if answer.0 != StatusCode::SERVICE_UNAVAILABLE || Instant::now() > by {
                break answer;
            }
            sleep(Duration::from_millis(200)).await;
        };
        assert_eq!(status, StatusCode::CREATED, "{made}\n{}", shop.logs());
        sales.push((slug, made["id"].as_str().and_then(|id| id.parse::<Uuid>().ok()).expect("an id")));
    }
    sales
}

/// Statements and round trips until every loop has run.
async fn until_every_loop_ran(log: &mut Log, shop: &Shop, deadline: Instant) -> (Vec<Executed>, Vec<RoundTrip>) {
    // The slowest loops go round in half a minute: until one has twice, every loop has.
    let (mut executed, mut trips) = (Vec::new(), Vec::new());
    let seldom = |executed: &[Executed]| executed.iter().filter(|one| one.text.contains("AS is_accurate")).count();
    while seldom(&executed) < 4 {
        assert!(Instant::now() < deadline, "only {} statements in time\n{}", executed.len(), shop.logs());
        sleep(POLL_EVERY).await;
        let (more, read) = log.read().await;
        executed.extend(more);
        trips.extend(read);
    }
    (executed, trips)
}

/// The control.
async fn a_scan_is_found(pool: &PgPool, log: &mut Log, grown: &HashSet<String>) {
    let control = "SELECT count(*) FROM orders WHERE quantity > 5";
    let options = pool.connect_options().as_ref().clone().application_name("checkout-control");
    let connection = PgPoolOptions::new().connect_with(options).await.expect("a connection");
    raw_sql(control).execute(&connection).await.expect("the control");
    // Postgres writes its log through another process, which lags behind a busy server.
    let deadline = Instant::now() + WITHIN;
    let executed = loop {
        let (executed, _) = log.read().await;
        if let Some(executed) = executed.into_iter().find(|one| one.text.contains(control)) {
            break executed;
        }
        assert!(Instant::now() < deadline, "the control is not in the log");
        sleep(POLL_EVERY).await;
    };
    assert!(fault(&executed, grown).is_some(), "a scan is found: {executed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_loop_reads_old_rows() {
    let mut servers = tokio::task::spawn_blocking(|| Servers::start().expect("servers")).await.expect("servers");
    let pool = database(&mut servers).await;
    let grown = grown(&pool).await;
    let mut log = Log::begin(pool.clone(), "shop").await;
    let redis = servers.redis.url();
    let mail = [
        "--smtp-url=smtp://127.0.0.1:9",
        "--mail-from=shop@example.org",
        "--sign-in-key=0123456789012345678901234567890123456789",
    ];
    let shop = Shop::start(servers, Opening { checkout: &mail, ..Opening::default() }).await;

    let sales = open_sales(&shop).await;
    let busy = SaleId(sales[1].1);
    let line = LineStore::connect(&redis).await.expect("Redis");
    let joining: Vec<JoinRequest> =
        (0..150_u128).map(|n| JoinRequest { visitor: VisitorId(n.to_be_bytes()), account: None }).collect();
    let deadline = Instant::now() + WITHIN;
    while let Err(error) = line.join(busy, [7; 8], &joining).await {
        assert!(Instant::now() < deadline, "the line of the busy sale is not there: {error}\n{}", shop.logs());
        sleep(POLL_EVERY).await;
    }
    let closed: Uuid =
        sqlx::query_scalar("SELECT id FROM sales WHERE slug = 'sale-3'").fetch_one(&pool).await.expect("a sale");
    let (_, report) = shop.admin(Method::GET, &format!("/api/admin/sales/{closed}/report"), None).await;
    assert!(report["funnel"]["admitted"].as_u64().is_some_and(|admitted| admitted > 0), "{report}");
    // Loops that every console keeps up.
    let consoles =
        [shop.console("/api/admin/live").await, shop.console(&format!("/api/admin/live?sale={}", sales[1].1)).await];

    let (executed, trips) = until_every_loop_ran(&mut log, &shop, deadline).await;
    drop(consoles);

    let mut faults: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut worst: BTreeMap<&str, (usize, Cost)> = BTreeMap::new();
    for one in executed.iter().filter(|one| is_ours(&one.program)) {
        let (cost, known) = (Cost::of(one), worst.entry(&one.text).or_default());
        *known = (known.0 + 1, if cost.part() >= known.1.part() { cost } else { known.1 });
        if let Some(fault) = fault(one, &grown) {
            let plan = serde_json::to_string_pretty(&one.plan).expect("JSON");
            faults.entry(one.text.clone()).or_insert_with(|| (0, format!("{}: {fault}\n{plan}", one.program))).0 += 1;
        }
    }
    let table = table_of(&worst);
    println!("{table}");
    let counted = by_sale(&trips, &sales);
    println!("{counted:?}");
    for (name, _) in &sales {
        let Trips { all, transactions, most } = counted.get(name).copied().unwrap_or_default();
        // A sale with nothing to do rests.
        assert!(
            all <= TRIPS * transactions && most <= TRIPS_MAX && (transactions > 10 || *name != "busy"),
            "{name}: {TRIPS} round trips a transaction are allowed, and {TRIPS_MAX} in one: {counted:?}"
        );
    }
    a_scan_is_found(&pool, &mut log, &grown).await;
    assert!(worst.len() > 60, "the loops ran: {table}");
    let costly: Vec<String> =
        faults.iter().map(|(text, (times, fault))| format!("{times} times\n{text}\n{fault}\n")).collect();
    assert!(
        costly.is_empty(),
        "{} statements exceed their bound. Give them an index; or a row in COSTLY, if they must read so much.\n{table}\n{}",
        costly.len(),
        costly.join("\n")
    );
    forgotten(&pool).await;
}
