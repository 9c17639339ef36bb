//! The one place where a Redis client is made: none without a time limit, a bound and a way back.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike as _,
    types::{
        Builder,
        config::{Config, ReconnectPolicy, UnresponsiveConfig},
    },
};

/// How long a command may take before its caller is told that Redis is not there.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// Commands that wait for a connection at most; beyond them callers are refused at once.
const COMMANDS_WAITING_MAX: usize = 20_000;
/// Published messages that wait to be taken in at most; beyond them the oldest are lost, which subscribers notice.
const MESSAGES_WAITING_MAX: usize = 8192;

/// A connected client.
///
/// # Errors
/// When the address is none, or nobody answers there.
pub async fn connect(url: &str) -> Result<Client, Error> {
    let client = build(Config::from_url(url)?)?;
    client.init().await?;
    Ok(client)
}

/// A client that connects by itself as soon as somebody answers; until then commands fail. Has to be called from within a
/// runtime.
///
/// # Errors
/// When the address is none.
pub fn connect_in_time(url: &str) -> Result<Client, Error> {
    let client = build(Config { fail_fast: false, ..Config::from_url(url)? })?;
    client.connect();
    Ok(client)
}

fn build(config: Config) -> Result<Client, Error> {
    Builder::from_config(config)
        .with_performance_config(|performance| {
            performance.default_command_timeout = COMMAND_TIMEOUT;
            performance.broadcast_channel_capacity = MESSAGES_WAITING_MAX;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            // Not all that we ask for is idempotent: a command whose reply was lost is the caller's to repeat.
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = COMMANDS_WAITING_MAX;
            connection.tcp.nodelay = Some(true);
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(COMMAND_TIMEOUT + Duration::from_secs(2)),
                interval: Duration::from_millis(500),
            };
        })
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 1000, 2))
        .build()
}
