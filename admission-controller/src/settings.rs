//! What an operator sets.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use fairline_postgres::PostgresSettings;
use fairline_server::{FrontSettings, LogSettings, Secret};

/// Ticks at once by default.
pub const TICK_CONNECTIONS: u32 = 12;
/// Connections of the admin API by default.
pub const ADMIN_CONNECTIONS: u32 = 6;

/// The admission controller: lets people in as the stock allows, signs their tokens, serves the admin API.
#[derive(Debug, Clone, Parser)]
#[command(name = "admission-controller", version)]
pub struct Settings {
    /// Where to listen.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// Redis, with the lines.
    #[arg(long, env = "FAIRLINE_REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,
    /// Postgres, with everything that money touches.
    #[arg(long, env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Secret,
    /// How Postgres is reached.
    #[command(flatten)]
    pub postgres: PostgresSettings,
    /// Connections to Postgres for ticks, at most: as many sales are ticked at once.
    #[arg(long, env = "FAIRLINE_TICK_CONNECTIONS", default_value_t = TICK_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub tick_connections: u32,
    /// Connections to Postgres for the admin API, reports and samples, at most.
    #[arg(long, env = "FAIRLINE_ADMIN_CONNECTIONS", default_value_t = ADMIN_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub admin_connections: u32,
    /// The private keys of admission tokens, comma-separated: files with an Ed25519 key in PKCS#8 PEM each (`fairline keys
    /// signing`). The first that is not revoked signs; the others are shown, too.
    #[arg(long = "signing-key-file", env = "FAIRLINE_SIGNING_KEY_FILE", value_delimiter = ',', required = true)]
    pub signing_key_files: Vec<PathBuf>,
    /// The bearer token of the admin API: at least 16 characters.
    #[arg(long, env = "FAIRLINE_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Secret,
    /// Whether the console's cookie is only sent over TLS. Turn it off for tests on one machine alone.
    #[arg(long, env = "FAIRLINE_SECURE_COOKIES", default_value_t = true, action = clap::ArgAction::Set)]
    pub secure_cookies: bool,
    /// The `fairline` program, which sends the crowds of rehearsals. None, if not given: then nobody rehearses. Not where
    /// checkout takes real money: a rehearsal's shoppers pay.
    #[arg(long, env = "FAIRLINE_REHEARSAL_PROGRAM", requires = "rehearsal_url")]
    pub rehearsal_program: Option<PathBuf>,
    /// Where rehearsals' crowds come in: the waiting room, the checkout and this controller behind one address.
    #[arg(long, env = "FAIRLINE_REHEARSAL_URL")]
    pub rehearsal_url: Option<String>,
    /// Milliseconds between two decisions for a sale.
    #[arg(long, env = "FAIRLINE_TICK_MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(10..=1_000))]
    pub tick_ms: u64,
    /// Days after which a closed sale's orders, visits, record and samples are deleted. Never, if not given. Those of a rehearsal
    /// are after 90 days.
    #[arg(long, env = "FAIRLINE_SALES_KEPT_DAYS", value_parser = clap::value_parser!(u32).range(30..=36_500))]
    pub sales_kept_days: Option<u32>,
    /// Bring the database's schema up to date at start.
    #[arg(long, env = "FAIRLINE_MIGRATE", default_value_t = false, action = clap::ArgAction::Set)]
    pub migrate: bool,
    /// What stands in front of it.
    #[command(flatten)]
    pub front: FrontSettings,
    /// How it logs.
    #[command(flatten)]
    pub log: LogSettings,
}

impl Settings {
    pub(crate) fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms)
    }
}
