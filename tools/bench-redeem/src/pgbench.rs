//! Postgres's own benchmark programs: `pg_test_fsync` and `pgbench`.

use std::{fs, path::Path, process::Command};

use crate::{Failure, shop::BenchShop, size::RunSize};

/// A table for the baseline with a row for each unit, and shoppers for both baselines. Both insert
/// the same rows into `holds` as checkout, under the same constraints, but change no admission and
/// publish no event.
pub(crate) const TABLES: &str = "
    CREATE TABLE units (id bigint PRIMARY KEY, state text NOT NULL DEFAULT 'free');
    CREATE INDEX units_free ON units (id) WHERE state = 'free';
    CREATE SEQUENCE turn;
    INSERT INTO sales (id, slug, name, price_minor, currency, status, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opens_at)
        VALUES ('00000000-0000-0000-0000-00000000ba5e', 'baseline', 'A lamp', 4900, 'EUR', 'open', 10, 3600, 3600, 3600, now());
    INSERT INTO lines (id, sale_id) SELECT id, id FROM sales WHERE slug = 'baseline';
    INSERT INTO items (sale_id, item) SELECT id, 1 FROM sales WHERE slug = 'baseline';
    INSERT INTO stock (sale_id, item, total) SELECT id, 1, 0 FROM sales WHERE slug = 'baseline';
";
/// More units, and as many shoppers.
pub(crate) const MORE: &str = "
    WITH numbers AS (SELECT number FROM generate_series((SELECT count(*) FROM units) + 1, (SELECT count(*) FROM units) + $1) AS number),
    units AS (INSERT INTO units (id) SELECT number FROM numbers),
    stock AS (UPDATE stock SET total = total + $1, promised = promised + $1 WHERE sale_id = '00000000-0000-0000-0000-00000000ba5e' AND item = 1)
    INSERT INTO admissions (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, published_state, published_epoch,
        issued_at, claim_by, claimed_at, expires_at)
    SELECT lpad(to_hex(number), 32, '0')::uuid, sales.id, sales.id, 1, number, decode(md5(number::text), 'hex'), 1, 'none', 'promised', 1,
        now(), now() + interval '1 hour', now(), now() + interval '1 hour' FROM numbers, sales WHERE slug = 'baseline'";

const HOLD: &str = "INSERT INTO holds (id, admission_id, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
    SELECT id, id, '00000000-0000-0000-0000-00000000ba5e', decode(md5(id::text), 'hex'), 1, 4900, 'EUR', now() + interval '1 hour' \
    FROM (SELECT lpad(to_hex(nextval('turn')), 32, '0')::uuid AS id) AS next;\n";
const HOT_ROW: &str = "UPDATE stock SET promised = promised - 1, held = held + 1 \
    WHERE sale_id = '00000000-0000-0000-0000-00000000ba5e' AND item = 1;\n";
const FREE_ROW: &str = "SELECT id AS unit FROM units WHERE state = 'free' LIMIT 1 FOR UPDATE SKIP LOCKED \\gset\n\
    UPDATE units SET state = 'held' WHERE id = :unit;\n";

/// A common way to sell a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Baseline {
    /// Insert, and decrement one row that all transactions wait for.
    HotRow,
    /// Take one of many rows, skipping those that other transactions have locked.
    SkipLocked,
}

impl Baseline {
    /// Units sold per second.
    pub(crate) fn per_s(self, shop: &BenchShop, size: &RunSize, folder: &Path) -> Result<f64, Failure> {
        let script = match self {
            Self::HotRow => format!("BEGIN;\n{HOLD}{HOT_ROW}COMMIT;\n"),
            Self::SkipLocked => format!("BEGIN;\n{FREE_ROW}{HOLD}COMMIT;\n"),
        };
        let file = folder.join("baseline.sql");
        fs::write(&file, script)?;
        let mut pgbench = Command::new(shop.postgres.program("pgbench"));
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--jobs=1"]);
        pgbench.arg(format!("--client={}", size.baseline_clients)).arg(format!("--time={}", size.baseline.as_secs()));
        let printed = output(pgbench.arg("--file").arg(&file).arg(&shop.postgres_url))?;
        let per_s = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        per_s.ok_or_else(|| Failure::new(format!("pgbench does not say its rate: {printed}")))
    }
}

/// Microseconds to sync eight kilobytes to the disk, with Postgres's method on this system.
pub(crate) fn fsync_us(shop: &BenchShop, seconds: u32, folder: &Path) -> Result<f64, Failure> {
    let mut command = Command::new(shop.postgres.program("pg_test_fsync"));
    command.arg("-s").arg(seconds.to_string()).arg("-f").arg(folder.join("fsync"));
    let printed = output(&mut command)?;
    let line = printed.lines().map(str::trim).find(|line| line.starts_with("fdatasync") && line.ends_with("usecs/op"));
    let us = line.and_then(|line| line.split_whitespace().rev().nth(1)?.parse().ok());
    us.ok_or_else(|| Failure::new(format!("pg_test_fsync does not say how long it takes: {printed}")))
}

fn output(command: &mut Command) -> Result<String, Failure> {
    let done = command.output()?;
    if !done.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
