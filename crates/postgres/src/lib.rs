//! The one place where Postgres connections and their pools are made.
//!
//! - Every call has a deadline: for a place in the pool, for the connection, for each statement, `BEGIN` and `COMMIT` included.
//! - A connection goes back to its pool only from a known state: not in a statement, not in a transaction, not read-only, not
//!   suspect. Any other is closed, and what its caller did not commit is rolled back.
//! - A connection that was not used for a second is tested before it is used; one that turns out dead takes its generation along.
//! - Each connection is checked when it is made: it can write, and what it commits is on the disk. Through a pooler that shares
//!   sessions, settings go with each transaction, and nothing that outlives one is used.

mod connection;
mod pool;
mod session;

use std::time::Duration;

use clap::{Args, ValueEnum};
use fairline_service::StartError;
use sqlx::postgres::PgConnectOptions;

pub use self::{
    connection::PgConnection,
    pool::{Acquired, PgPool, Transaction},
    session::migrate,
};

/// How Postgres is reached, the same for all pools of a service.
#[derive(Debug, Clone, Copy, Args)]
pub struct PostgresSettings {
    /// Whether a pooler that shares sessions (PgBouncer with `pool_mode = transaction`) stands before Postgres. `auto` finds out
    /// from the startup parameters, which such a pooler refuses or ignores.
    #[arg(long, env = "FAIRLINE_POSTGRES_POOLER", value_enum, default_value_t)]
    pub postgres_pooler: Pooler,
    /// Whether to check that what Postgres commits is on the disk (`fsync = on`). `external`: the storage under it guarantees that
    /// in another way.
    #[arg(long, env = "FAIRLINE_POSTGRES_DURABILITY", value_enum, default_value_t)]
    pub postgres_durability: Durability,
    /// Milliseconds that a statement may take.
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

/// What stands between a service and Postgres.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Pooler {
    /// Found out with the first connection.
    #[default]
    Auto,
    /// Nothing that shares sessions.
    None,
    /// One that gives each transaction whichever session is free.
    Transaction,
}

/// Who guarantees that a commit survives a power cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// Postgres itself, which is asked.
    #[default]
    Verify,
    /// The storage.
    External,
}

/// One pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// What it is for, as Postgres shows it: the `application_name`.
    pub name: &'static str,
    /// Connections at most.
    pub connections: u32,
    /// How long a statement may take.
    pub statement: Duration,
}

/// Reads an address of Postgres.
///
/// # Errors
/// When it is not one.
pub fn address(postgres_url: &str) -> Result<PgConnectOptions, StartError> {
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| postgres_url.starts_with(scheme));
    let options: Option<PgConnectOptions> = postgres_url.parse().ok().filter(|_| is_postgres);
    // Without the address itself, which has a password in it.
    options.ok_or_else(|| {
        StartError::new("The Postgres address is not one: write postgres://user:password@host:port/database.")
    })
}
