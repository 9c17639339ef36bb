//! What a pool does when its links, its server or its callers fail.

use std::{path::Path, sync::Arc, time::Duration};

use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
use fairline_private_servers::testing::{self, Forwarding, LinkMode, Proxy};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _,
    migrate::{Migrate as _, Migrator},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

const STATEMENT: Duration = Duration::from_millis(500);
/// A deadline, a test of what was idle, and some room for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(15);

async fn database() -> String {
    spawn_blocking(testing::database_url).await.expect("a database")
}

fn options(connections: u32) -> PoolOptions {
    PoolOptions::new("test", connections, STATEMENT)
}

fn pool_with(url: &str, options: PoolOptions) -> PgPool {
    PgPool::new(url, &PostgresSettings::default(), options).expect("an address")
}

fn pool(url: &str, connections: u32) -> PgPool {
    pool_with(url, options(connections))
}

async fn proxied(connections: u32) -> (Arc<Proxy>, PgPool, String) {
    let url = database().await;
    let (proxy, through) = Proxy::before(&url).expect("a proxy");
    (Arc::new(proxy), pool(&through, connections), url)
}

async fn one(pool: &PgPool) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT $1").bind(1).fetch_one(pool).await
}

async fn fill(pool: &PgPool, connections: usize) {
    let mut taken = Vec::new();
    for _ in 0..connections {
        taken.push(pool.acquire().await.expect("a connection"));
    }
}

async fn until_back(pool: &PgPool, since: Instant) {
    let mut last = one(pool).await;
    while last.is_err() && since.elapsed() < BACK_WITHIN {
        last = one(pool).await;
    }
    assert!(last.is_ok(), "{last:?} after {:?}", since.elapsed());
    assert!(since.elapsed() < BACK_WITHIN, "it took {:?}", since.elapsed());
}

#[tokio::test]
async fn a_pool_recovers_at_once_from_silent_links() {
    let (proxy, pool, _) = proxied(8).await;
    fill(&pool, 8).await;
    let under_way = tokio::spawn({
        let pool = pool.clone();
        async move { sqlx::query("SELECT pg_sleep(0.2)").execute(&pool).await }
    });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    proxy.freeze_established();
    assert!(under_way.await.expect("no panic").is_err(), "the statement that was cut off has a deadline");
    until_back(&pool, begun).await;
    // None of its places was lost.
    fill(&pool, 8).await;
}

#[tokio::test]
async fn a_connection_whose_first_bytes_were_lost_is_opened_by_a_second_attempt() {
    let (proxy, pool, _) = proxied(1).await;
    proxy.set_new(Some(LinkMode::both(Forwarding::Never)));
    let begun = Instant::now();
    let mut opening = tokio::spawn(async move { one(&pool).await });
    while proxy.links() == 0 {
        tokio::task::yield_now().await;
    }
    // The control: the first attempt is stuck.
    assert!(timeout(Duration::from_millis(100), &mut opening).await.is_err());
    proxy.heal();
    let opened = timeout(BACK_WITHIN, opening).await.expect("it has a deadline").expect("no panic");
    assert_eq!(opened.ok(), Some(1), "after {:?}", begun.elapsed());
}

#[tokio::test]
async fn callers_that_give_up_on_a_silent_link_do_not_use_the_pool_up() {
    let (proxy, pool, _) = proxied(4).await;
    fill(&pool, 4).await;
    proxy.set_established(LinkMode::both(Forwarding::Never));
    proxy.set_new(Some(LinkMode::both(Forwarding::Never)));
    for _ in 0..16 {
        let _ = tokio::time::timeout(Duration::from_millis(20), one(&pool)).await;
    }
    proxy.heal();
    until_back(&pool, Instant::now()).await;
    fill(&pool, 4).await;
}

#[tokio::test]
async fn a_cancelled_transaction_leaves_nothing_behind() {
    let (_proxy, pool, url) = proxied(2).await;
    let mut owner = sqlx::PgConnection::connect(&url).await.expect("connected");
    owner.execute("CREATE TABLE made (id integer)").await.expect("made");
    for round in 0..80 {
        let cancelled = async {
            let mut transaction = pool.begin().await?;
            sqlx::query("INSERT INTO made VALUES ($1)").bind(round).execute(&mut *transaction).await?;
            sqlx::query("SELECT pg_sleep(0.01)").execute(&mut *transaction).await?;
            transaction.commit().await
        };
        let _ =
            tokio::time::timeout(Duration::from_micros(u64::try_from(round * 150).expect("positive")), cancelled).await;
        // A session that is within a transaction sees what it has not committed.
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM made").fetch_one(&pool).await.expect("counted");
        let committed: i64 =
            sqlx::query_scalar("SELECT count(*) FROM made").fetch_one(&mut owner).await.expect("counted");
        assert!(seen <= committed, "round {round}: a session sees {seen} rows, of which {committed} are committed");
    }
}

#[tokio::test]
async fn a_failed_statement_costs_the_transaction_and_not_the_connection() {
    let (_proxy, pool, _) = proxied(1).await;
    let pid =
        async || -> i32 { sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.expect("a session") };
    let before = pid().await;
    let mut transaction = pool.begin().await.expect("begun");
    assert!(sqlx::query("SELECT 1 / $1").bind(0).execute(&mut *transaction).await.is_err());
    drop(transaction);
    assert_eq!(pid().await, before);
}

#[tokio::test]
async fn a_slow_statement_is_ended_and_keeps_its_connection() {
    let (_proxy, pool, _) = proxied(1).await;
    let pid =
        async || -> i32 { sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.expect("a session") };
    let before = pid().await;
    let slow = sqlx::query("SELECT pg_sleep(60)").execute(&pool).await.expect_err("too slow");
    assert_eq!(slow.as_database_error().and_then(|error| error.code()).as_deref(), Some("57014"), "{slow}");
    assert_eq!(pid().await, before);
}

#[tokio::test]
async fn a_connection_that_is_too_old_is_replaced_before_its_next_use() {
    let url = database().await;
    for (lifetime, is_replaced) in [(Duration::from_millis(100), true), (Duration::from_secs(600), false)] {
        let pool = pool_with(&url, PoolOptions { lifetime, ..options(1) });
        // Postgres waits for longer than the short lifetime, while the connection is in use.
        let pid = async || -> i32 {
            let pid = sqlx::query_scalar("SELECT pg_backend_pid() FROM pg_sleep(0.2)");
            pid.fetch_one(&pool).await.expect("a session")
        };
        let (first, second) = (pid().await, pid().await);
        assert_eq!(first != second, is_replaced, "{lifetime:?}");
    }
}

#[tokio::test]
async fn unused_connections_that_are_idle_for_too_long_or_too_old_are_closed() {
    let url = database().await;
    let mut owner = sqlx::PgConnection::connect(&url).await.expect("connected");
    let mut open = async || -> i64 {
        let open = "SELECT count(*) FROM pg_stat_activity \
                    WHERE application_name = 'test' AND datname = current_database()";
        sqlx::query_scalar(open).fetch_one(&mut owner).await.expect("counted")
    };
    let short = Duration::from_millis(100);
    for options in [PoolOptions { idle: short, ..options(2) }, PoolOptions { lifetime: short, ..options(2) }] {
        let pool = pool_with(&url, options);
        let taken = [pool.acquire().await.expect("a connection"), pool.acquire().await.expect("a connection")];
        assert_eq!(open().await, 2, "those in use are open");
        drop(taken);
        let returned = Instant::now();
        while open().await > 0 {
            assert!(returned.elapsed() < BACK_WITHIN, "still open: {options:?}");
            tokio::task::yield_now().await;
        }
        // The pool closed them, not its end.
        drop(pool);
    }
}

#[tokio::test]
async fn connections_that_became_read_only_are_dropped_and_a_read_only_server_is_not_used() {
    let (_proxy, pool, url) = proxied(4).await;
    fill(&pool, 4).await;
    let mut owner = sqlx::PgConnection::connect(&url).await.expect("connected");
    owner.execute("CREATE TABLE made (id integer)").await.expect("made");
    let alter = async |owner: &mut sqlx::PgConnection, what: &str| {
        let name: String =
            sqlx::query_scalar("SELECT current_database()").fetch_one(&mut *owner).await.expect("a name");
        owner.execute(sqlx::raw_sql(AssertSqlSafe(format!("ALTER DATABASE {name} {what}")))).await.expect("altered");
    };
    alter(&mut owner, "SET default_transaction_read_only = on").await;
    owner
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test' AND datname = current_database()")
        .await
        .expect("ended");
    let insert = async || sqlx::query("INSERT INTO made VALUES (1)").execute(&pool).await;
    let begun = Instant::now();
    let mut last = insert().await;
    while !last.as_ref().is_err_and(|error| error.to_string().contains("read-only")) && begun.elapsed() < BACK_WITHIN {
        last = insert().await;
    }
    assert!(last.as_ref().is_err_and(|error| error.to_string().contains("read-only")), "{last:?}");
    assert!(pool.probe().await.is_err());
    alter(&mut owner, "RESET default_transaction_read_only").await;
    insert().await.expect("at once");
    pool.probe().await.expect("fit");

    // A session that turns read-only under its user is not used twice.
    let pid =
        async || -> i32 { sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.expect("a session") };
    sqlx::query("SET default_transaction_read_only = on").execute(&pool).await.expect("set");
    let before = pid().await;
    assert!(insert().await.is_err(), "the control");
    assert_ne!(pid().await, before);
    insert().await.expect("by another session");
}

#[tokio::test]
async fn commits_reach_the_disk_whatever_the_settings_of_the_database() {
    let url = database().await;
    let mut owner = sqlx::PgConnection::connect(&url).await.expect("connected");
    let hasty =
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$";
    owner.execute(hasty).await.expect("altered");
    let mut other = sqlx::PgConnection::connect(&url).await.expect("connected");
    let setting: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut other).await.expect("a setting");
    assert_eq!(setting, "off", "the control");
    let setting: String =
        sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&pool(&url, 1)).await.expect("a setting");
    assert_eq!(setting, "on");

    // The servers of tests have no fsync, and are configured to ignore it.
    pool(&url, 1).check().await.expect("vouched for");
    let vouched = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET fairline.durability = %L', current_database(), 'verify'); END $$";
    owner.execute(vouched).await.expect("altered");
    let refused = pool(&url, 1).check().await.expect_err("not durable");
    assert!(refused.to_string().contains("fsync"), "{refused}");
}

#[tokio::test]
async fn a_pool_starts_before_its_server() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    pool(&format!("postgres://user@{free}/nothing"), 1).check().await.expect("later");
    let unread = PgPool::new("redis://secret@here", &PostgresSettings::default(), options(1));
    let message = unread.expect_err("no address").to_string();
    assert!(!message.contains("secret"), "{message}");
}

#[tokio::test]
async fn a_schema_that_is_up_to_date_is_not_migrated() {
    let url = database().await;
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let migrator = Migrator::new(migrations).await.expect("the migrations");
    fairline_postgres::migrate(&url, &migrator).await.expect("migrated");
    // A migration would wait for its lock, without a deadline.
    let mut other = sqlx::PgConnection::connect(&url).await.expect("a connection");
    other.lock().await.expect("locked");
    fairline_postgres::migrate(&url, &migrator).await.expect("nothing to do");
    // The control: one that is pending does wait.
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 1").execute(&mut other).await.expect("forgotten");
    let pending = timeout(Duration::from_millis(500), fairline_postgres::migrate(&url, &migrator));
    assert!(pending.await.is_err());
}

#[tokio::test]
async fn a_migration_whose_link_falls_silent_fails() {
    let url = database().await;
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let migrator = Migrator::new(migrations).await.expect("the migrations");
    fairline_postgres::migrate(&url, &migrator).await.expect("migrated");
    let (proxy, through) = Proxy::before(&url).expect("a proxy");
    // The check of what has been applied waits for this lock when the link falls silent.
    let mut other = sqlx::PgConnection::connect(&url).await.expect("a connection");
    other.execute("BEGIN; LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let migrating = tokio::spawn(async move { fairline_postgres::migrate(&through, &migrator).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fairline-migrate' \
                 AND wait_event_type = 'Lock'";
    // A transaction sees the activity of its first look.
    let mut observer = sqlx::PgConnection::connect(&url).await.expect("a connection");
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut observer).await.expect("counted") == 0 {
        tokio::task::yield_now().await;
    }
    proxy.freeze_established();
    let migrated = timeout(BACK_WITHIN, migrating).await.expect("it has a deadline").expect("no panic");
    let error = migrated.expect_err("the link is silent").to_string();
    assert!(error.contains("no response in time"), "{error}");
}
