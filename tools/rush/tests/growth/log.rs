//! The statements of Postgres from its log, with the plan of each by `auto_explain`.

use serde_json::Value;
use sqlx::{PgPool, raw_sql};

/// One statement that was executed, with its plan.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The program that sent it.
    pub program: String,
    pub text: String,
    pub plan: Value,
}

/// One round trip of a program to Postgres.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    pub program: String,
    pub session: u64,
    pub text: String,
    /// The parameters, as the log writes them.
    pub parameters: String,
}

/// The log of a server of the test's own.
pub struct Log {
    pool: PgPool,
    offset: i64,
}

impl Log {
    /// Settings of a server before its restart: the file and the format of the log.
    pub async fn settings(pool: &PgPool) {
        for setting in [
            "log_destination = 'jsonlog'",
            "logging_collector = on",
            "log_rotation_size = 0",
            "log_rotation_age = 0",
            "log_filename = 'log'",
            "log_parameter_max_length = 100",
        ] {
            let set = raw_sql(sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {setting}")));
            set.execute(pool).await.expect("a setting");
        }
    }

    /// Logs the statements of new connections to a database.
    pub async fn begin(pool: PgPool, database: &str) -> Log {
        for setting in [
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_analyze = on",
            "auto_explain.log_buffers = on",
            "auto_explain.log_timing = off",
            "auto_explain.log_format = 'json'",
            "log_statement = 'all'",
            // Last, because connections opened in between would log in another format.
            "session_preload_libraries = 'auto_explain'",
        ] {
            let set = raw_sql(sqlx::AssertSqlSafe(format!("ALTER DATABASE {database} SET {setting}")));
            set.execute(&pool).await.expect("a setting");
        }
        let mut log = Log { pool, offset: 0 };
        log.read().await;
        log
    }

    /// What was done since the last time: plans, and round trips in their order.
    pub async fn read(&mut self) -> (Vec<Executed>, Vec<RoundTrip>) {
        let new: Vec<u8> = sqlx::query_scalar(
            "SELECT pg_read_binary_file(name, $1, 1 << 29) FROM (SELECT pg_current_logfile('jsonlog') AS name) AS log",
        )
        .bind(self.offset)
        .fetch_one(&self.pool)
        .await
        .expect("the log");
        // The last line may be being written.
        let whole = new.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.offset += i64::try_from(whole).expect("a log of less than an exabyte");
        let (mut executed, mut trips) = (Vec::new(), Vec::new());
        for line in String::from_utf8_lossy(&new[..whole]).lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let of = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            // A deadlock: locks are taken in one order.
            assert_ne!(of("state_code"), "40P01", "{line}");
            let (program, message) = (of("application_name"), of("message"));
            if let Some((_, plan)) = message.split_once("plan:\n") {
                let mut plan: Value = serde_json::from_str(plan).unwrap_or_else(|error| panic!("{error}: {plan}"));
                let text = plan["Query Text"].as_str().unwrap_or_default().to_owned();
                executed.push(Executed { program, text, plan: plan["Plan"].take() });
            } else if let Some(text) = message
                .strip_prefix("statement: ")
                .or(message.strip_prefix("execute ").and_then(|named| named.split_once(": ")).map(|named| named.1))
            {
                let session = line["pid"].as_u64().unwrap_or_default();
                trips.push(RoundTrip { program, session, text: text.to_owned(), parameters: of("detail") });
            }
        }
        (executed, trips)
    }
}

/// Every node of a plan, with its descendants.
pub fn nodes(plan: &Value) -> Vec<&Value> {
    let mut all = vec![plan];
    for child in plan["Plans"].as_array().into_iter().flatten() {
        all.extend(nodes(child));
    }
    all
}

/// How many rows a node returned, over all its loops.
pub fn rows(node: &Value) -> f64 {
    node["Actual Rows"].as_f64().unwrap_or(0.0) * node["Actual Loops"].as_f64().unwrap_or(0.0)
}
