//! What an execution of a statement read, and what it was allowed to read.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
};

use serde_json::Value;
use sqlx::PgPool;

use super::{
    DUE, OF_OPEN_SALE, fixture_rows,
    log::{Executed, nodes, rows},
};

/// Pages of 8 kB that any statement may read: a descent of three pages for each of some sixty
/// look-ups, and four for each row that its last execution has changed, whose index entries are
/// dead.
const PAGES: f64 = 200.0 + 4.0 * DUE as f64;
/// This many more for each row that it changes, returns or is passed: three in each of up to eight
/// indexes, and the row.
const PAGES_PER_ROW: f64 = 30.0;
/// Rows that one node of a plan may visit with an index, and more for each row as above. An index
/// has a hundred rows in a page, so a walk over thousands is within the bound on pages.
const VISITED: f64 = 2_000.0;
const VISITED_PER_ROW: f64 = 4.0;
/// Parts of statements that read rows of the open sale, with pages and visited rows for each such
/// row.
const COSTLY: [(&str, f64, f64); 1] = [
    // A checkout that has started counts every order of the running sales once; they are scattered.
    ("AS is_accurate", 1.2, 1.0),
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

/// The tables that grow, and the first column of each of their indexes.
pub struct Grown {
    tables: HashSet<String>,
    first_columns: HashMap<String, String>,
}

impl Grown {
    /// Fails if a table that grows has less than a thousand rows: the test would be incomplete.
    pub async fn read(pool: &PgPool) -> Grown {
        let tables: Vec<(String, f32)> = sqlx::query_as(
            "SELECT relname::text, reltuples FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'",
        )
        .fetch_all(pool)
        .await
        .expect("tables");
        let is_small = |table: &&(String, f32)| SMALL.contains(&table.0.as_str());
        let short: Vec<_> = tables.iter().filter(|table| table.1 < 1000.0 && !is_small(table)).collect();
        assert!(short.is_empty(), "the fixture has no rows of {short:?}: fill them, or say that they don't grow");
        let indexes: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT indexrelid::regclass::text, indrelid::regclass::text, pg_get_indexdef(indexrelid, 1, true) FROM pg_index \
             WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
        )
        .fetch_all(pool)
        .await
        .expect("indexes");
        let tables: HashSet<String> =
            tables.iter().filter(|table| !is_small(table)).map(|table| table.0.clone()).collect();
        let of_grown = indexes.into_iter().filter(|(_, table, _)| tables.contains(table));
        let first_columns = of_grown.map(|(index, _, column)| (index, column)).collect();
        Grown { tables, first_columns }
    }

    /// Whether a node reads every row of a table.
    fn is_scan(&self, node: &Value) -> bool {
        node["Node Type"] == "Seq Scan"
            && node["Relation Name"].as_str().is_some_and(|table| self.tables.contains(table))
    }

    /// Whether a node has a condition, but none on the first column of its index, so that it reads
    /// all entries.
    fn is_walk(&self, node: &Value) -> bool {
        let (Some(index), Some(condition)) = (node["Index Name"].as_str(), node["Index Cond"].as_str()) else {
            return false;
        };
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let names = |column: &String| condition.split(|character| !is_part(character)).any(|word| word == column);
        self.first_columns.get(index).is_some_and(|column| !names(column))
    }
}

/// What an execution read, and was allowed to.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pages: f64,
    pages_allowed: f64,
    /// Rows that the node of an index visited that visited the most.
    visited: f64,
    visited_allowed: f64,
}

impl Cost {
    fn of(executed: &Executed) -> Self {
        let plan = &executed.plan;
        let nodes = nodes(plan);
        let of_type = |kind: &'static str| nodes.iter().filter(move |node| node["Node Type"] == kind);
        let changed: f64 =
            of_type("ModifyTable").flat_map(|node| node["Plans"].as_array().into_iter().flatten()).map(rows).sum();
        // What the caller passes, such as a batch of events: each is looked up.
        let passed: f64 = of_type("Function Scan").map(|node| rows(node)).sum();
        let concerned = changed + passed + rows(plan);
        let costly = COSTLY.iter().find(|(part, ..)| executed.text.contains(part));
        let (_, costly_pages, costly_visited) = costly.copied().unwrap_or_default();
        let of_open_sale = f64::from(fixture_rows() / OF_OPEN_SALE);
        Self {
            pages: number(plan, "Shared Hit Blocks") + number(plan, "Shared Read Blocks"),
            pages_allowed: PAGES + costly_pages * of_open_sale + PAGES_PER_ROW * concerned,
            visited: nodes.iter().map(|node| visited(node)).fold(0.0, f64::max),
            visited_allowed: VISITED + costly_visited * of_open_sale + VISITED_PER_ROW * concerned,
        }
    }

    fn part(self) -> f64 {
        let part = |read: f64, allowed: f64| if allowed > 0.0 { read / allowed } else { 0.0 };
        part(self.pages, self.pages_allowed).max(part(self.visited, self.visited_allowed))
    }
}

fn number(node: &Value, field: &str) -> f64 {
    node[field].as_f64().unwrap_or(0.0)
}

/// Rows that a node found in an index, over all its loops: also those that its filter removed.
fn visited(node: &Value) -> f64 {
    if node["Index Name"].is_null() {
        return 0.0;
    }
    let removed = number(node, "Rows Removed by Filter") + number(node, "Rows Removed by Index Recheck");
    rows(node) + removed * number(node, "Actual Loops")
}

/// What is wrong with the execution of a statement.
pub fn fault(executed: &Executed, grown: &Grown) -> Option<String> {
    let ran = || nodes(&executed.plan).into_iter().filter(|node| number(node, "Actual Loops") > 0.0);
    if let Some(node) = ran().find(|node| grown.is_scan(node)) {
        return Some(format!("it scans the table {}", node["Relation Name"]));
    }
    if let Some(node) = ran().find(|node| grown.is_walk(node)) {
        return Some(format!("it walks the index {}", node["Index Name"]));
    }
    let Cost { pages, pages_allowed, visited, visited_allowed } = Cost::of(executed);
    if visited > visited_allowed {
        return Some(format!("it visits {visited} rows of an index, and may visit {visited_allowed}"));
    }
    (pages > pages_allowed).then(|| format!("it reads {pages} pages, and may read {pages_allowed}"))
}

/// What the statements cost.
pub struct Costs<'a> {
    /// The costliest execution of each statement, and how often it ran.
    worst: BTreeMap<&'a str, (usize, Cost)>,
    /// Of each statement that exceeds its bound: how often it did, and how.
    faults: BTreeMap<&'a str, (usize, String)>,
}

impl<'a> Costs<'a> {
    pub fn of(executed: impl Iterator<Item = &'a Executed>, grown: &Grown) -> Self {
        let mut costs = Costs { worst: BTreeMap::new(), faults: BTreeMap::new() };
        for one in executed {
            let (cost, known) = (Cost::of(one), costs.worst.entry(&one.text).or_default());
            *known = (known.0 + 1, if cost.part() >= known.1.part() { cost } else { known.1 });
            if let Some(fault) = fault(one, grown) {
                let plan = serde_json::to_string_pretty(&one.plan).expect("JSON");
                let described = || (0, format!("{}: {fault}\n{plan}", one.program));
                costs.faults.entry(&one.text).or_insert_with(described).0 += 1;
            }
        }
        costs
    }

    /// The costliest execution of each statement, those nearest to their bound first.
    pub fn table(&self) -> String {
        let mut table = String::from("pages, allowed, visited, allowed, times, statement\n");
        let mut by_part: Vec<_> = self.worst.iter().collect();
        by_part.sort_by(|a, b| b.1.1.part().total_cmp(&a.1.1.part()));
        for (text, (times, Cost { pages, pages_allowed, visited, visited_allowed })) in by_part {
            let text: String = text.chars().take(110).collect();
            let _ =
                writeln!(table, "{pages:>6} {pages_allowed:>6} {visited:>6} {visited_allowed:>6} {times:>6} {text}");
        }
        table
    }

    pub fn assert_bounded(&self) {
        let costly: Vec<String> =
            self.faults.iter().map(|(text, (times, fault))| format!("{times} times\n{text}\n{fault}\n")).collect();
        assert!(
            costly.is_empty(),
            "{} statements exceed their bound. Give them an index; or a row in COSTLY, if they must read so much.\n{}\n{}",
            costly.len(),
            self.table(),
            costly.join("\n")
        );
    }
}
