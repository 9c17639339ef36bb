//! The settings of the controller.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use fairline_postgres::PostgresSettings;
use fairline_server::{LogSettings, ProxySettings, Secret};

/// The default number of connections for ticks.
pub const TICK_CONNECTIONS: u32 = 12;
/// The default number of connections for the admin API.
pub const ADMIN_CONNECTIONS: u32 = 6;
/// The default number of connections for the key set and for readiness checks.
pub const KEY_CONNECTIONS: u32 = 2;

/// The admission controller: admits shoppers as fast as the stock allows, signs their tokens, and
/// serves the admin API.
#[derive(Debug, Clone, Parser)]
#[command(name = "admission-controller", version)]
pub struct Settings {
    /// Address to listen on.
    #[arg(long, env = "FAIRLINE_LISTEN", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// URL of the Redis that holds the lines.
    #[arg(long, env = "FAIRLINE_REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,
    /// Postgres URL: the database with all sales, orders and payments.
    #[arg(long, env = "FAIRLINE_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Secret,
    /// Connections to Postgres.
    #[command(flatten)]
    pub postgres: PostgresSettings,
    /// Maximum connections to Postgres for ticks, which is the maximum number of concurrent ticks.
    #[arg(long, env = "FAIRLINE_TICK_CONNECTIONS", default_value_t = TICK_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub tick_connections: u32,
    /// Maximum connections to Postgres for the admin API, reports and samples.
    #[arg(long, env = "FAIRLINE_ADMIN_CONNECTIONS", default_value_t = ADMIN_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub admin_connections: u32,
    /// Maximum connections to Postgres for the key set and for readiness checks.
    #[arg(long, env = "FAIRLINE_KEY_CONNECTIONS", default_value_t = KEY_CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub key_connections: u32,
    /// Signing keys of admission tokens: files with an Ed25519 key in PKCS#8 PEM (`fairline
    /// keys signing`), separated by commas. The first that is not revoked signs; the others are in
    /// the key set.
    #[arg(long = "signing-key-file", env = "FAIRLINE_SIGNING_KEY_FILE", value_delimiter = ',', required = true)]
    pub signing_key_files: Vec<PathBuf>,
    /// Admin token: the bearer token for setup and emergencies, with at least 16 characters.
    #[arg(long, env = "FAIRLINE_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Secret,
    /// Whether the console's cookie is sent only over TLS. Disable it only for tests on one
    /// machine.
    #[arg(long, env = "FAIRLINE_SECURE_COOKIES", default_value_t = true, action = clap::ArgAction::Set)]
    pub secure_cookies: bool,
    /// The `fairline` program, which sends the crowds of rehearsals. Without it, rehearsals are
    /// disabled. Do not set it if checkout takes real money, since the shoppers of a rehearsal pay.
    #[arg(long, env = "FAIRLINE_REHEARSAL_PROGRAM", requires = "rehearsal_url")]
    pub rehearsal_program: Option<PathBuf>,
    /// URL for the crowds of rehearsals, at which the waiting room, checkout and this controller
    /// are reached together.
    #[arg(long, env = "FAIRLINE_REHEARSAL_URL")]
    pub rehearsal_url: Option<String>,
    /// Where the images of products are stored: `file:///folder`, which all controllers must share,
    /// or `s3://bucket/prefix`, with the usual variables of S3 (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`). Without it, there are no uploads.
    #[arg(long, env = "FAIRLINE_MEDIA_URL")]
    pub media_url: Option<String>,
    /// Milliseconds between two ticks of a sale.
    #[arg(long, env = "FAIRLINE_TICK_MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(10..=1_000))]
    pub tick_ms: u64,
    /// Days after which the orders, visits, record and samples of a closed sale are deleted; by
    /// default they are kept. Those of a rehearsal are deleted after 90 days.
    #[arg(long, env = "FAIRLINE_SALES_KEPT_DAYS", value_parser = clap::value_parser!(u32).range(30..=36_500))]
    pub sales_kept_days: Option<u32>,
    /// Whether to migrate the database at start.
    #[arg(long, env = "FAIRLINE_MIGRATE", default_value_t = false, action = clap::ArgAction::Set)]
    pub migrate: bool,
    /// Proxies in front of the controller.
    #[command(flatten)]
    pub proxy: ProxySettings,
    /// Logging.
    #[command(flatten)]
    pub log: LogSettings,
}

impl Settings {
    pub(crate) fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms)
    }
}
