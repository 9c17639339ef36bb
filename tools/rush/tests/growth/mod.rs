//! The statements of loops cost the same, however many sales and rows there have been.
//!
//! The services run against the data of two years (`fixture.sql`), while sales of every shape take
//! place (`scenario.rs`). Postgres logs the plan and the pages of each executed statement; those of
//! loops in the source (`source.rs`) that did not run are printed, and each needs a reason.

mod cost;
mod log;
mod scenario;
mod source;

use std::{
    collections::{BTreeMap, HashSet},
    env,
    time::Duration,
};

use fairline_private_servers::testing::{Servers, programs};
use sqlx::{PgPool, postgres::PgPoolOptions, raw_sql};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::shop::{Opening, Shop};
use cost::{Costs, Grown, fault};
use log::{Executed, Log, RoundTrip};
use scenario::{MERCHANT_KEY, Named};
use source::Written;

/// Rows of each table that grows; `FAIRLINE_FIXTURE_ROWS=1000000` for a thorough run.
const ROWS: u32 = 50_000;
/// Rows of each table that retention finds due.
const DUE: u32 = 100;
/// The part of the rows that belongs to the open sale (`fixture.sql`): one in 50.
const OF_OPEN_SALE: u32 = 50;
/// Round trips in a transaction of a tick, on average. One in which nothing happens has eight:
/// BEGIN, the lock, the lines, the agenda, visits, the prior, the note and COMMIT; one that
/// publishes as many.
const TRIPS: usize = 10;
/// The same, at most: also limits, a query with its two look-ups, claims, lapses (two), turns that
/// ended (two), removals, an admission, the cursor, the record (two), the number and the stock.
const TRIPS_MAX: usize = 24;
/// The oldest sale of the fixture began 694 days ago.
const SALES_KEPT: &str = "--sales-kept-days=690";
const WITHIN: Duration = Duration::from_secs(240);
const POLL_EVERY: Duration = Duration::from_millis(250);

/// Parts of statements and of file names whose statements need not run, and why.
const NOT_RUN: [(&str, &str); 8] = [
    ("controller/postgres/restore/", "a command, for which all services stop"),
    ("crates/idempotency/", "requests with an Idempotency-Key, each by its primary key"),
    ("UPDATE rehearsals SET heartbeat_at", "a rehearsal, which sends its own crowd"),
    ("DELETE FROM checkouts WHERE id = $1", "a shutdown"),
    ("INSERT INTO reminders", "a request that needs a ticket's cookie"),
    ("push_subscriptions", "requests that need Web Push"),
    ("THEN kid END", "a proxy that asks before each request"),
    ("UPDATE payments SET state = $3, gateway_ref = $4", "a capture of a payment that has ended"),
];
/// How many of the others may not run: whether a payment is late, an order cancelled before it is
/// paid, or a hold expired depends on the crowd's moments.
const MISSED_MAX: usize = 18;

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
fn by_sale(trips: &[RoundTrip], sales: &[Named]) -> BTreeMap<&'static str, Trips> {
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

/// Statements and round trips until every loop has run; an error if they take too long.
async fn until_every_loop_ran(log: &mut Log) -> Result<(Vec<Executed>, Vec<RoundTrip>), String> {
    // The slowest loops go round in half a minute: until one has twice, every loop has.
    let (mut executed, mut trips) = (Vec::new(), Vec::new());
    let seldom = |executed: &[Executed]| executed.iter().filter(|one| one.text.contains("AS is_accurate")).count();
    let deadline = Instant::now() + WITHIN;
    while seldom(&executed) < 4 {
        if Instant::now() > deadline {
            return Err(format!("only {} statements in time", executed.len()));
        }
        sleep(POLL_EVERY).await;
        let (more, read) = log.read().await;
        executed.extend(more);
        trips.extend(read);
    }
    Ok((executed, trips))
}

/// Prints the statements that did not run. Returns those of loops that have no reason.
fn unexplained(executed: &[Executed]) -> String {
    let texts: HashSet<&str> = executed.iter().map(|one| one.text.as_str()).collect();
    let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
    let written = source::statements();
    let (mut of_loops, of_requests): (Vec<_>, Vec<_>) =
        source::that_did_not_run(&written, &texts).into_iter().partition(|one| one.is_of_a_loop());
    let all = written.iter().filter(|one| one.is_of_a_loop()).count();
    println!("{} of {all} statements of loops did not run:\n{}", of_loops.len(), source::list(&of_loops));
    println!(
        "{} of {} statements of requests did not run:\n{}",
        of_requests.len(),
        written.len() - all,
        source::list(&of_requests)
    );
    let is_explained =
        |one: &Written| NOT_RUN.iter().any(|(part, _)| one.file.contains(part) || one.text.contains(part));
    of_loops.retain(|one| !is_explained(one));
    source::list(&of_loops)
}

/// Statements that exceed each bound, and how the fault of each begins.
const CONTROLS: [(&str, &str); 3] = [
    ("SELECT count(*) FROM orders WHERE quantity > 5", "it scans the table"),
    // Without the sale, and with old statistics.
    ("SELECT count(*) FROM admissions WHERE state = 'promised' AND quantity > 5", "it visits"),
    // Without the sale, the first column of the key.
    ("SET LOCAL enable_seqscan = off; SELECT sale_id FROM outbox WHERE number = -1", "it walks the index"),
];

/// Runs each control and finds its fault.
async fn controls_are_found(pool: &PgPool, log: &mut Log, grown: &Grown) {
    let options = pool.connect_options().as_ref().clone().application_name("checkout-control");
    let connection = PgPoolOptions::new().connect_with(options).await.expect("a connection");
    for (control, begins) in CONTROLS {
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
        let found = fault(&executed, grown).unwrap_or_default();
        assert!(found.starts_with(begins), "{control}: {found}\n{executed:?}");
    }
}

fn assert_few_trips(trips: &[RoundTrip], sales: &[Named]) {
    let counted = by_sale(trips, sales);
    println!("{counted:?}");
    for (name, _) in sales {
        let Trips { all, transactions, most } = counted.get(name).copied().unwrap_or_default();
        // A sale with nothing to do rests.
        assert!(
            all <= TRIPS * transactions && most <= TRIPS_MAX && (transactions > 10 || *name != "busy"),
            "{name}: {TRIPS} round trips a transaction are allowed, and {TRIPS_MAX} in one: {counted:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_loop_reads_old_rows() {
    let mut servers = tokio::task::spawn_blocking(|| Servers::start().expect("servers")).await.expect("servers");
    let pool = database(&mut servers).await;
    let grown = Grown::read(&pool).await;
    raw_sql(include_str!("promised.sql")).execute(&pool).await.expect("promised admissions");
    let mut log = Log::begin(pool.clone(), "shop").await;
    let merchant_key = format!("--merchant-key={MERCHANT_KEY}");
    let sign_in_key = format!("--sign-in-key={MERCHANT_KEY}");
    let checkout = ["--smtp-url=smtp://127.0.0.1:9", "--mail-from=shop@example.org", &sign_in_key, &merchant_key];
    let images = tempfile::tempdir().expect("a folder");
    let media_url = format!("--media-url=file://{}", images.path().display());
    let controller = [media_url.as_str(), SALES_KEPT];
    let opening = Opening { checkout: &checkout, controller: &controller, ..Opening::default() };
    let mut shop = Shop::start(servers, opening).await;

    let sales = scenario::open_sales(&shop).await;
    let (ran, ()) = tokio::join!(until_every_loop_ran(&mut log), scenario::trade(&mut shop, &pool, &sales));
    let (mut executed, mut trips) = ran.unwrap_or_else(|error| panic!("{error}\n{}", shop.logs()));
    let (more, read) = log.read().await;
    executed.extend(more);
    trips.extend(read);

    let costs = Costs::of(executed.iter().filter(|one| is_ours(&one.program)), &grown);
    println!("{}", costs.table());
    assert_few_trips(&trips, &sales);
    controls_are_found(&pool, &mut log, &grown).await;
    let unexplained = unexplained(&executed);
    costs.assert_bounded();
    assert!(
        unexplained.lines().count() <= MISSED_MAX,
        "statements did not run: extend the scenario, or say in NOT_RUN why not\n{unexplained}"
    );
    forgotten(&pool).await;
}
