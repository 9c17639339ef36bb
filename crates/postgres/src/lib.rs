//! The only place that creates Postgres connections and pools.
//!
//! - Every call has a deadline: for a slot in the pool, for the connection, and for each statement,
//!   `BEGIN` and `COMMIT` included.
//! - A connection returns to its pool only from a known state: not in a statement or a transaction,
//!   not read-only, not suspect. Any other is closed, and uncommitted work is rolled back.
//! - A connection that was idle for a second is tested before use; one that turns out dead
//!   invalidates its generation.
//! - Each new connection is checked: it can write, and commits reach the disk. Through a pooler
//!   that shares sessions, settings go with each transaction, and nothing that outlives one is
//!   used.

mod connection;
mod error;
mod pool;
mod session;
mod shared;
mod word;

use std::time::Duration;

use clap::{Args, ValueEnum};
use fairline_server::StartError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub use self::{
    connection::PgConnection,
    error::StoreError,
    pool::{AcquiredConnection, PgPool, Transaction},
    session::migrate,
    word::Word,
};

/// Postgres settings, shared by all pools of a service.
#[derive(Debug, Clone, Copy, Args)]
pub struct PostgresSettings {
    /// Whether a pooler that shares sessions (PgBouncer with `pool_mode = transaction`) is in front
    /// of Postgres. `auto` detects it by startup parameters, which such a pooler rejects or
    /// ignores.
    #[arg(long, env = "FAIRLINE_POSTGRES_POOLER", value_enum, default_value_t)]
    pub postgres_pooler: Pooler,
    /// Whether to verify that commits reach the disk (`fsync = on`). `external`: the storage
    /// guarantees it in another way.
    #[arg(long, env = "FAIRLINE_POSTGRES_DURABILITY", value_enum, default_value_t)]
    pub postgres_durability: Durability,
    /// Statement timeout in milliseconds.
    #[arg(long, env = "FAIRLINE_POSTGRES_STATEMENT_MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub postgres_statement_ms: u64,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            postgres_pooler: Pooler::default(),
            postgres_durability: Durability::default(),
            postgres_statement_ms: 2000,
        }
    }
}

impl PostgresSettings {
    /// Creates a pool whose statements have the configured timeout; see [`PgPool::new`].
    ///
    /// # Errors
    /// When the URL is invalid.
    pub fn pool(&self, postgres_url: &str, name: &'static str, connections: u32) -> Result<PgPool, StartError> {
        let statement = Duration::from_millis(self.postgres_statement_ms);
        PgPool::new(postgres_url, self, PoolOptions::new(name, connections, statement))
    }
}

/// The pooler between a service and Postgres.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Pooler {
    /// Detected with the first connection.
    #[default]
    Auto,
    /// No pooler that shares sessions.
    None,
    /// A pooler that assigns a session to each transaction.
    Transaction,
}

/// What guarantees that a commit survives a power failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// Postgres itself; its settings are verified.
    #[default]
    Verify,
    /// The storage.
    External,
}

/// Options of one pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// The purpose, which Postgres shows as `application_name`.
    pub name: &'static str,
    /// Maximum number of connections.
    pub connections: u32,
    /// Statement timeout.
    pub statement: Duration,
    /// Connections that were idle for this long are closed.
    pub idle: Duration,
    /// Maximum age of a connection, so that changes of DNS or of the primary are followed.
    pub lifetime: Duration,
}

impl PoolOptions {
    /// Options of a pool that closes connections after a minute without use, and after ten minutes.
    #[must_use]
    pub const fn new(name: &'static str, connections: u32, statement: Duration) -> Self {
        Self { name, connections, statement, idle: Duration::from_secs(60), lifetime: Duration::from_secs(600) }
    }
}

/// Connects a tool, which has no deadlines for its statements.
///
/// # Errors
/// When Postgres can't be reached.
pub async fn connect_for_tool(postgres_url: &str, connections: u32) -> Result<sqlx::PgPool, sqlx::Error> {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(pool::ACQUIRE).connect(postgres_url).await
}

/// Parses a Postgres URL.
///
/// # Errors
/// When it is invalid.
pub fn address(postgres_url: &str) -> Result<PgConnectOptions, StartError> {
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| postgres_url.starts_with(scheme));
    let options: Option<PgConnectOptions> = postgres_url.parse().ok().filter(|_| is_postgres);
    // Omits the URL itself, which contains a password.
    options
        .ok_or_else(|| StartError::new("The Postgres URL is invalid: use postgres://user:password@host:port/database."))
}
