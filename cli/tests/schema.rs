//! `schema.sql` is the schema that the migrations create, so that a review shows the effect of a
//! migration.

use std::{fs, process::Command};

use fairline_private_servers::testing::Servers;

const SNAPSHOT: &str = "tests/schema.sql";

#[test]
fn schema_sql_is_up_to_date() {
    let servers = Servers::start().expect("a Postgres of its own");
    let url = servers.postgres.create_database("schema").expect("a database");
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_fairline"));
    assert!(migrate.args(["migrate", "--postgres-url", &url]).status().expect("fairline runs").success());
    let mut dump = Command::new(servers.postgres.program("pg_dump"));
    let dump = dump.args(["--schema-only", "--no-owner", "--exclude-table=_sqlx_migrations", &url]).output();
    let dump = dump.expect("pg_dump runs");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let schema = normalised(&String::from_utf8(dump.stdout).expect("UTF-8"));
    assert!(schema.matches("CREATE TABLE").count() > 30, "{schema}");
    if std::env::var_os("FAIRLINE_REGENERATE").is_some() {
        fs::write(SNAPSHOT, &schema).expect("written");
    }
    let snapshot = fs::read_to_string(SNAPSHOT).unwrap_or_default();
    assert!(schema == snapshot, "cli/{SNAPSHOT} is stale: `make generate` renews it\n{schema}");
}

/// A dump without comments and session settings, which depend on the version of pg_dump. The
/// columns and constraints of a table are sorted: their order has no meaning, and a migration can
/// append columns only.
fn normalised(dump: &str) -> String {
    let is_noise = |line: &&str| ["--", "SET ", "SELECT pg_catalog", "\\"].iter().any(|noise| line.starts_with(noise));
    let mut schema = String::new();
    let mut table: Option<Vec<&str>> = None;
    for line in dump.lines().filter(|line| !line.is_empty() && !is_noise(line)) {
        match &mut table {
            Some(columns) if line.starts_with("    ") => columns.push(line.trim_end_matches(',')),
            Some(columns) => {
                columns.sort_unstable();
                schema += &format!("{}\n{line}\n", columns.join(",\n"));
                table = None;
            }
            None => {
                schema += &format!("{line}\n");
                table = (line.starts_with("CREATE ") && line.contains(" TABLE ")).then(Vec::new);
            }
        }
    }
    schema
}

#[test]
fn columns_are_sorted_and_noise_is_dropped() {
    let dump = "--\n-- PostgreSQL\n\n\\restrict x\nSET a = 1;\nCREATE TABLE public.t (\n    b integer,\n    a integer DEFAULT 1\n)\n\
                WITH (fillfactor='50');\n\nCREATE INDEX i ON t;\n";
    let sorted = "CREATE TABLE public.t (\n    a integer DEFAULT 1,\n    b integer\n)\nWITH (fillfactor='50');\nCREATE INDEX i ON t;\n";
    assert_eq!(normalised(dump), sorted);
}
