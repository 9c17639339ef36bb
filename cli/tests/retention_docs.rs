//! docs/operations.md lists how long every table and every key in Redis is kept.

use std::fs;

use fairline_private_servers::testing::database_url;
use sqlx::PgPool;

const DOCS: &str = "../docs/operations.md";

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_every_key_has_a_documented_end() {
    let url = tokio::task::spawn_blocking(database_url).await.expect("a database");
    let migrate =
        tokio::process::Command::new(env!("CARGO_BIN_EXE_fairline")).args(["migrate", "--postgres-url", &url]).status();
    assert!(migrate.await.expect("fairline runs").success());
    let pool = PgPool::connect(&url).await.expect("a connection");
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .expect("tables");
    let docs = fs::read_to_string(DOCS).expect("the docs");
    let (_, section) = docs.split_once("## What grows").expect("the section");
    let section = section.split("\n## ").next().expect("a section");
    // The first column of its tables.
    let named: String = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let store = fs::read_to_string("../crates/line/src/store/mod.rs").expect("the line's store");
    let (_, keys) =
        store.split_once("const KEYS").and_then(|(_, rest)| rest.split_once("= [")).expect("the keys of a line");
    let keys = keys.split(']').next().expect("an array").split('"').skip(1).step_by(2);
    let keys: Vec<String> = keys.map(|key| format!("fairline:{{sale}}:{key}")).collect();
    assert!(tables.len() > 30 && keys.len() > 13, "{tables:?}, {keys:?}");
    let missing: Vec<&String> =
        tables.iter().chain(&keys).filter(|name| !named.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md does not say how long these are kept: {missing:?}");
    assert!(!named.contains("`no_such_table`"), "the control");
}
