//! `fairline keys` and `fairline migrate`, as an operator calls them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
    time::{Duration, Instant},
};

use fairline_admission_token::SigningKey;
use fairline_private_servers::testing::{self, Authority, Servers};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::spawn_blocking;

fn fairline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairline")).args(arguments).output().expect("fairline runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn key_files_are_private_and_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("signing.pem");
    let make = || fairline(&["keys", "signing", "--out", file.to_str().expect("a name")]);

    assert!(make().status.success());
    let pem = fs::read_to_string(&file).expect("a key");
    SigningKey::from_pem(&pem).expect("a signing key");
    assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);

    let again = make();
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).starts_with("✗ Could not write "), "{}", text(&again.stderr));
    assert_eq!(fs::read_to_string(&file).expect("the key"), pem);
}

#[test]
fn a_key_is_printed_without_a_file() {
    let key = text(&fairline(&["keys", "ticket"]).stdout);
    assert_eq!(key.trim().len(), 64);
    assert!(key.trim().chars().all(|digit| digit.is_ascii_hexdigit()), "{key}");
    assert_ne!(text(&fairline(&["keys", "ticket"]).stdout), key);
    let json: Value = serde_json::from_slice(&fairline(&["keys", "ticket", "--json"]).stdout).expect("JSON");
    assert_eq!(json["key"].as_str().map(str::len), Some(64));
    let refused = fairline(&["--json", "keys", "code", "not base32!"]);
    let error: Value = serde_json::from_slice(&refused.stderr).expect("JSON");
    assert!(
        refused.status.code() == Some(2)
            && error["error"].as_str().is_some_and(|error| error.contains("secret is invalid"))
    );
}

#[tokio::test]
async fn a_database_is_brought_up_to_date_once() {
    let postgres_url = testing::database_url();
    for _ in 0..2 {
        let migrated = fairline(&["migrate", "--postgres-url", &postgres_url]);
        assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    }
    let mut connection = PgConnection::connect(&postgres_url).await.expect("a connection");
    let sales: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sales").fetch_one(&mut connection).await.expect("a count");
    assert_eq!(sales, 0);
}

#[tokio::test]
async fn a_database_of_an_unreleased_version_is_rejected_with_what_to_do() {
    let postgres_url = testing::database_url();
    assert!(fairline(&["migrate", "--postgres-url", &postgres_url]).status.success());
    let mut connection = PgConnection::connect(&postgres_url).await.expect("a connection");
    let changed = sqlx::query("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1");
    changed.execute(&mut connection).await.expect("changed");
    let rejected = fairline(&["migrate", "--postgres-url", &postgres_url]);
    assert_eq!(rejected.status.code(), Some(2));
    let message = text(&rejected.stderr);
    assert!(message.contains("migration 1 differs") && message.contains("make demo FRESH=1"), "{message}");
}

/// Has a Postgres of our own speak TLS, with files that are its own.
async fn speak_tls(postgres_url: &str, authority: &Authority) {
    let mut connection = PgConnection::connect(postgres_url).await.expect("a connection");
    for (name, file) in [("server.pem", authority.certificate()), ("server.key", authority.key())] {
        let pem = fs::read_to_string(file).expect("a file");
        let lines = format!("SELECT regexp_split_to_table('{pem}', E'\\n')");
        let written = format!("COPY ({lines}) TO PROGRAM 'cat > {name}'");
        sqlx::raw_sql(AssertSqlSafe(written)).execute(&mut connection).await.expect("written");
    }
    for setting in ["ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'", "ssl = on"] {
        let set = format!("ALTER SYSTEM SET {setting}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await.expect("set");
    }
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut connection).await.expect("reloaded");
}

#[tokio::test]
async fn postgres_is_verified_by_its_certificate_over_tls() {
    let servers = spawn_blocking(|| Servers::start().expect("a Postgres of its own")).await.expect("no panic");
    let (authority, stranger) = (Authority::new(), Authority::new());
    let address = servers.postgres.create_database("tls").expect("a database");
    let believing =
        |authority: &Authority| format!("{address}?sslmode=verify-full&sslrootcert={}", authority.root().display());
    let plain = fairline(&["migrate", "--postgres-url", &believing(&authority)]);
    assert!(!plain.status.success(), "a client with TLS rejects a plain connection");
    speak_tls(&address, &authority).await;

    let started = Instant::now();
    while !fairline(&["migrate", "--postgres-url", &believing(&authority)]).status.success() {
        assert!(started.elapsed() < Duration::from_secs(30), "Postgres never spoke TLS");
    }
    let refused = fairline(&["migrate", "--postgres-url", &believing(&stranger)]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("certificate"), "{}", text(&refused.stderr));
}

#[test]
fn a_missing_or_unreachable_database_is_reported() {
    let missing = fairline(&["migrate", "--postgres-url", ""]);
    assert_eq!(missing.status.code(), Some(2));
    let unreachable = fairline(&["migrate", "--postgres-url", "postgres://unknown@127.0.0.1:1/none"]);
    assert_eq!(unreachable.status.code(), Some(2));
    assert!(
        text(&unreachable.stderr).starts_with("✗ The database could not be migrated"),
        "{}",
        text(&unreachable.stderr)
    );
}

#[tokio::test]
async fn a_restored_database_begins_new_epochs_above_all_granted_ordinals() {
    let (postgres_url, redis_url) = (testing::database_url(), testing::redis_url());
    assert!(fairline(&["migrate", "--postgres-url", &postgres_url]).status.success());
    let mut database = PgConnection::connect(&postgres_url).await.expect("a database");
    let sale = "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, \
                opens_at, status) VALUES (gen_random_uuid(), 'a', 'A', 1, 'EUR', 1, 1, 1, 1, now(), 'open') RETURNING id) \
                INSERT INTO lines (id, sale_id, epoch, granted) SELECT id, id, 3, 200 FROM sale";
    sqlx::query(sale).execute(&mut database).await.expect("a sale");
    let restore = |more: &[&str]| {
        let arguments = ["restore", "--postgres-url", &postgres_url, "--redis-url", &redis_url];
        fairline(&arguments.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let refused = restore(&["--margin", "16777216"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("give a smaller --margin"), "{}", text(&refused.stderr));
    let raised = restore(&["--json"]);
    let raised: Value = serde_json::from_slice(&raised.stdout).expect("JSON");
    assert_eq!((&raised["lines"][0]["epoch"], &raised["lines"][0]["above"]), (&1003.into(), &1_000_200.into()));
    assert!(text(&restore(&["--margin", "50"]).stderr).contains("1 line begins a new epoch"));
    let stored: (i32, i64) =
        sqlx::query_as("SELECT epoch, granted FROM lines").fetch_one(&mut database).await.expect("read");
    assert_eq!(stored, (2003, 1_000_250));
}
