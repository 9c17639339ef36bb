//! `make bench-recovery`: how long a line of a large sale takes to admit again after Redis has lost
//! everything, and what a repeated join costs. Starts a Redis and a Postgres of its own; writes its
//! figures into `target/bench/promises.json`.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use fairline_admission_token::SigningKey;
use fairline_figures::{
    bench::{self, Failure},
    table::{
        Measured,
        Reach::{self, AtMost},
        Results,
    },
};
use fairline_line::{
    store::{JoinRequest, LineError, LineStore},
    ticket::Ticket,
};
use fairline_postgres::connect_for_tool;
use fairline_private_servers::{ServiceProcess, address_of, testing::Servers};
use fairline_sale::{SaleId, VisitorId};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::spawn_blocking,
    time::sleep,
};

/// The figures and their targets.
const FIGURES: [(&str, Reach); 2] = [("redis_lost_recovery_s", AtMost(10.0)), ("repeated_join_us", AtMost(50.0))];
const TOKEN: &str = "a-token-for-the-bench";
/// The time limit of a measurement.
const PATIENCE: Duration = Duration::from_secs(180);
/// One holds a lock, another sends requests.
const CONNECTIONS: u32 = 2;
/// Batches of joins in the stream, before one is repeated, and repetitions.
const BATCHES: u64 = 20_000;
const REPEATED: u64 = 2_000;
/// Calls of one line that a node has under way, at most.
const AT_ONCE: usize = 8;

#[derive(Debug, Parser)]
struct Arguments {
    /// Admissions that were published before the loss.
    #[arg(long, default_value_t = 1_000_000)]
    admissions: i64,
    /// Shoppers who wait.
    #[arg(long, default_value_t = 100_000)]
    waiting: u64,
    /// Where to write the figures, beside others.
    #[arg(long, default_value = fairline_figures::PROMISES)]
    json: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    bench::exit_code(measure(&Arguments::parse()).await)
}

/// Returns whether the figures reach their targets.
async fn measure(arguments: &Arguments) -> Result<bool, Failure> {
    let mut servers = spawn_blocking(|| Servers::start().expect("servers of its own")).await?;
    let postgres_url = servers.postgres.create_database("recovery").expect("a database");
    let line = LineStore::connect(&servers.redis.url()).await.expect("a Redis");
    let folder = tempfile::tempdir()?;
    let address = address_of(1);
    // In the main thread, with which the controller ends.
    let _controller = start_controller(address, &servers.redis.url(), &postgres_url, folder.path())?;
    let pool = connect_for_tool(&postgres_url, CONNECTIONS).await.expect("a Postgres");

    let total = arguments.admissions + 1;
    let sale = create_sale(address, total).await?;
    until("the line to be published", async || line.revision(sale).await.is_ok()).await;
    eprintln!("… {BATCHES} batches of one, then {REPEATED} that come again");
    let repeated_join_us = repeated_join(&line, sale, &pool, servers.redis.port()).await;

    eprintln!("… {} admissions, {} shoppers who wait", arguments.admissions, arguments.waiting);
    let tickets = join(&line, sale, arguments.waiting).await;
    let first = i64::try_from(tickets.last().expect("some").ordinal).expect("small") + 1;
    sell_all_but_one(&pool, sale, first, arguments.admissions).await;

    servers = spawn_blocking(move || {
        servers.redis.kill().expect("killed");
        servers
    })
    .await?;
    sqlx::query("UPDATE sales SET status = 'open' WHERE id = $1").bind(sale.0).execute(&pool).await.expect("opened");
    let lost = Instant::now();
    let _servers = spawn_blocking(move || {
        servers.redis.restart_empty().expect("restarted");
        servers
    })
    .await?;
    until("a new epoch", async || line.revision(sale).await.is_ok()).await;
    let begun_s = lost.elapsed().as_secs_f64();
    for tickets in tickets.chunks(1000) {
        while line.resume(sale, tickets).await.is_err() {
            assert!(lost.elapsed() < PATIENCE, "the tickets could not be shown");
        }
    }
    let shown_s = lost.elapsed().as_secs_f64();
    until("admissions", async || admitted(&pool).await > arguments.admissions).await;
    let recovered_s = lost.elapsed().as_secs_f64();
    until("all turns to be published again", async || {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM lines WHERE republish_below IS NOT NULL")
            .fetch_one(&pool)
            .await
            .expect("counted");
        open == 0
    })
    .await;
    eprintln!(
        "the epoch began after {begun_s:.2} s, all tickets were presented after {shown_s:.2} s, all turns were published again after {:.2} s",
        lost.elapsed().as_secs_f64()
    );
    let mut results = Results::of(&FIGURES);
    results.measured = [("redis_lost_recovery_s", recovered_s), ("repeated_join_us", repeated_join_us)]
        .map(|(key, value)| Measured::plain(key, value, String::new()))
        .into();
    println!("{}", results.to_table());
    bench::merge(&results, &arguments.json)?;
    Ok(results.are_reached())
}

fn start_controller(
    address: SocketAddr,
    redis_url: &str,
    postgres_url: &str,
    folder: &Path,
) -> io::Result<ServiceProcess> {
    let key = folder.join("signing.pem");
    fs::write(&key, SigningKey::generate().to_pem())?;
    let settings = [
        format!("--listen={address}"),
        format!("--redis-url={}", redis_url),
        format!("--postgres-url={postgres_url}"),
        format!("--signing-key-file={}", key.display()),
        format!("--admin-token={TOKEN}"),
        "--migrate=true".to_owned(),
        "--log-level=error".to_owned(),
    ];
    let program = env::current_exe()?.with_file_name("admission-controller");
    ServiceProcess::start("admission-controller", &program, &settings, folder)?.listens(address)
}

/// Sells everything but one unit, which no shopper gets before the loss: an admission for each
/// ordinal from `first`.
async fn sell_all_but_one(pool: &PgPool, sale: SaleId, first: i64, admissions: i64) {
    sqlx::query(
        "INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, state, published_state, \
         recorded_state, published_epoch, issued_at, claim_by, claimed_at, expires_at) \
         SELECT gen_random_uuid(), $1, $1, 1, n, decode(repeat('01', 16), 'hex'), 1, '', 'redeemed', 'redeemed', 'redeemed', 1, \
         at, at, at, at FROM generate_series($2, $2 + $3 - 1) AS n, (SELECT now() - interval '1 day' AS at) AS yesterday",
    )
    .bind(sale.0)
    .bind(first)
    .bind(admissions)
    .execute(pool)
    .await
    .expect("inserted");
    let granted = "UPDATE lines SET granted = greatest(granted, $2) WHERE id = $1";
    sqlx::query(granted).bind(sale.0).bind(first + admissions).execute(pool).await.expect("granted");
    sqlx::query("ANALYZE admissions").execute(pool).await.expect("analysed");
    sqlx::query("UPDATE stock SET total = $2, sold = $2 - 1, promised = 0, held = 0 WHERE sale_id = $1 AND item = 1")
        .bind(sale.0)
        .bind(i32::try_from(admissions + 1).expect("small"))
        .execute(pool)
        .await
        .expect("sold");
}

/// A scheduled sale, which admits no shopper before its opening.
async fn create_sale(address: SocketAddr, total: i64) -> io::Result<SaleId> {
    let sale = json!({
        "slug": "recovery", "name": "Recovery", "price_minor": 100, "currency": "EUR", "total": total,
        "rate_cap_per_s": 100.0, "opens_at": "2999-01-01T00:00:00Z",
    });
    let mut stream = TcpStream::connect(address).await?;
    let body = sale.to_string();
    let request = format!(
        "POST /api/admin/sales HTTP/1.0\r\nhost: here\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let created = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
    let id = created.and_then(|created| created["id"].as_str()?.parse().ok());
    id.ok_or_else(|| io::Error::other(answer))
}

fn joining() -> JoinRequest {
    JoinRequest { visitor: VisitorId(*uuid::Uuid::new_v4().as_bytes()), account: None }
}

fn batch() -> [u8; 8] {
    let id = uuid::Uuid::new_v4();
    id.as_bytes()[8..].try_into().expect("eight bytes")
}

async fn join(line: &LineStore, sale: SaleId, count: u64) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    while (tickets.len() as u64) < count {
        let some: Vec<_> = (0..(count - tickets.len() as u64).min(1000)).map(|_| joining()).collect();
        match line.join(sale, batch(), &some).await {
            Ok(joined) => tickets.extend(joined),
            // The controller grants more with its next tick.
            Err(LineError::NoOrdinals) => sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    }
    tickets
}

/// Microseconds of Redis's main thread for a repeated join, with up to `at_once` calls under way.
/// Every other one had succeeded without its response being received.
async fn repeated_joins(line: &LineStore, sale: SaleId, redis: u16, at_once: usize) -> f64 {
    let ids: Vec<_> = (0..REPEATED).map(|_| batch()).collect();
    for &id in ids.iter().step_by(2) {
        line.join(sale, id, &[joining()]).await.expect("joined");
    }
    let before = main_thread_us(redis).await.expect("asked");
    let joins = stream::iter(ids).map(|id| async move { line.join(sale, id, &[joining()]).await });
    joins.buffer_unordered(at_once).for_each(async |joined| drop(joined.expect("joined"))).await;
    let after = main_thread_us(redis).await.expect("asked");
    (after - before) / REPEATED as f64
}

/// The cost of a repeated join with many batches in the stream: as a node sends them, and one after
/// the other.
async fn repeated_join(line: &LineStore, sale: SaleId, pool: &PgPool, redis: u16) -> f64 {
    // Beside the ticks, which pause.
    let mut lock = pool.begin().await.expect("begun");
    for _ in 0..BATCHES / 1000 {
        let some = [joining()];
        let joins = (0..1000).map(|_| line.join(sale, batch(), &some));
        for joined in futures_util::future::join_all(joins).await {
            joined.expect("joined");
        }
    }
    sqlx::query("SELECT FROM lines FOR UPDATE").execute(&mut *lock).await.expect("locked");
    sleep(Duration::from_millis(500)).await;
    let as_a_node = repeated_joins(line, sale, redis, AT_ONCE).await;
    let one_by_one = repeated_joins(line, sale, redis, 1).await;
    println!("a repeated join: {as_a_node:.0} us with {AT_ONCE} under way, {one_by_one:.0} us one by one");
    lock.rollback().await.expect("rolled back");
    as_a_node
}

async fn main_thread_us(redis: u16) -> io::Result<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", redis)).await?;
    stream.write_all(b"INFO cpu\r\nQUIT\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let of = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let seconds = of("used_cpu_sys_main_thread:").zip(of("used_cpu_user_main_thread:"));
    seconds.map(|(system, user)| (system + user) * 1e6).ok_or_else(|| io::Error::other(answer.clone()))
}

async fn admitted(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM admissions").fetch_one(pool).await.expect("counted")
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "gave up waiting for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
