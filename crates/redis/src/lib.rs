//! The one place where a Redis client is made: none without a time limit, a bound and a way back.
//!
//! fred calls a link unresponsive when nothing came back since its *last* write, so one that is written to all the time never
//! is. A task beside each client therefore asks Redis twice a second, and connects anew where there is no answer.

use std::time::Duration;

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, ClusterInterface as _, KeysInterface as _, PubsubInterface as _},
    socket2::TcpKeepalive,
    types::{
        Builder, ConnectHandle, Expiration,
        config::{Config, ReconnectError, ReconnectPolicy, UnresponsiveConfig},
    },
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

/// How long a command may take before its caller is told that Redis is not there.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection may take, and each step of its greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long what was sent may go unacknowledged, or a peer take nothing, before the kernel ends the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a client asks whether its Redis is there.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Answers that may be missing in a row.
const MISSED_MAX: u32 = 2;
/// A client of a cluster is not made anew more often than this, nor less often than the other: it has links that are well.
const CLUSTER_ANEW: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));
/// Commands that wait for a connection at most; beyond them callers are refused at once.
const COMMANDS_WAITING_MAX: usize = 20_000;
/// Published messages that wait to be taken in at most; beyond them the oldest are lost, which subscribers notice.
const MESSAGES_WAITING_MAX: usize = 8192;
/// What is written to see whether Redis takes writes, and for how long it is kept.
const PROBE: (&str, i64) = ("fairline:probe", 60);
/// What a subscriber follows so that it can be asked.
const ALIVE: &str = "fairline:{alive}:alive";

/// A connected client.
///
/// # Errors
/// When the address is none, or nobody answers there.
pub async fn connect(url: &str) -> Result<Client, Error> {
    let client = build(Config::from_url(url)?)?;
    let running = client.init().await?;
    watch(client.clone(), Some(running), false);
    Ok(client)
}

/// A connected client that only hears what is published.
///
/// # Errors
/// When the address is none, or nobody answers there.
pub async fn connect_to_hear(url: &str) -> Result<Client, Error> {
    let client = build(Config::from_url(url)?)?;
    let running = client.init().await?;
    watch(client.clone(), Some(running), true);
    Ok(client)
}

/// A client that connects by itself as soon as somebody answers; until then commands fail. Has to be called from within a
/// runtime.
///
/// # Errors
/// When the address is none.
pub fn connect_in_time(url: &str) -> Result<Client, Error> {
    let client = build(Config::from_url(url)?)?;
    watch(client.clone(), None, false);
    Ok(client)
}

/// Whether Redis answers, and takes writes: it is a primary, has memory left, and as many replicas as it wants. Of a cluster, one
/// shard must not speak for all, so it is asked only whether it answers.
///
/// # Errors
/// When it does not.
pub async fn probe(client: &Client) -> Result<(), Error> {
    if client.is_clustered() {
        return client.ping(None).await;
    }
    client.set(PROBE.0, 1, Some(Expiration::EX(PROBE.1)), None, false).await
}

fn build(config: Config) -> Result<Client, Error> {
    Builder::from_config(config)
        .with_performance_config(|performance| {
            performance.default_command_timeout = COMMAND_TIMEOUT;
            performance.broadcast_channel_capacity = MESSAGES_WAITING_MAX;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_TIMEOUT;
            connection.internal_command_timeout = CONNECT_TIMEOUT;
            // Not all that we ask for is idempotent: a command whose reply was lost is the caller's to repeat.
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = COMMANDS_WAITING_MAX;
            connection.tcp.nodelay = Some(true);
            connection.tcp.user_timeout = Some(USER_TIMEOUT);
            connection.tcp.keepalive = Some(
                TcpKeepalive::new()
                    .with_time(Duration::from_secs(5))
                    .with_interval(Duration::from_secs(2))
                    .with_retries(3),
            );
            // What leads to a server that is no primary, or not yet, leads elsewhere next time.
            connection.reconnect_errors = vec![
                ReconnectError::ClusterDown,
                ReconnectError::Loading,
                ReconnectError::MasterDown,
                ReconnectError::ReadOnly,
            ];
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(COMMAND_TIMEOUT + Duration::from_secs(2)),
                interval: Duration::from_millis(500),
            };
        })
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 500, 2))
        .build()
}

/// Keeps the connections of a client working, for as long as the runtime runs. `connect` is only for a client whose task has ended:
/// fred mixes up the channels of two that run.
fn watch(client: Client, running: Option<ConnectHandle>, hears: bool) {
    tokio::spawn(async move {
        let mut running = running.unwrap_or_else(|| client.connect());
        let (mut missed, mut anew) = (0, None::<(Instant, Duration)>);
        let mut reconnecting: Option<JoinHandle<()>> = None;
        loop {
            sleep(if missed == 0 { ASK_EVERY } else { ASK_EVERY / 10 }).await;
            if running.is_finished() {
                // It could not connect, or was told to stop trying.
                running = client.connect();
                (missed, anew) = (0, None);
                continue;
            }
            let Err(error) = answers(&client, hears).await else {
                (missed, anew) = (0, None);
                continue;
            };
            missed += 1;
            let is_under_way = reconnecting.as_ref().is_some_and(|task| !task.is_finished());
            let is_soon = anew.is_some_and(|(last, pause)| last.elapsed() < pause);
            if missed < MISSED_MAX || is_under_way || is_soon {
                continue;
            }
            warn!(error = error.details(), "Redis does not answer; connecting anew");
            let pause = match anew {
                _ if !client.is_clustered() => CONNECT_TIMEOUT,
                Some((_, pause)) => (pause * 2).min(CLUSTER_ANEW.1),
                None => CLUSTER_ANEW.0,
            };
            (missed, anew) = (0, Some((Instant::now(), pause)));
            let client = client.clone();
            reconnecting = Some(tokio::spawn(async move {
                if client.force_reconnection().await.is_ok() {
                    info!("connected to Redis anew");
                }
            }));
        }
    });
}

/// Whether every server that this client is connected to answers, whatever it says.
async fn answers(client: &Client, hears: bool) -> Result<(), Error> {
    let asked = async {
        if hears {
            return client.ssubscribe(ALIVE).await;
        }
        match client.cached_cluster_state() {
            Some(cluster) => {
                for server in cluster.unique_primary_nodes() {
                    client.with_cluster_node(server).ping::<()>(None).await?;
                }
                Ok(())
            }
            None => client.ping::<()>(None).await,
        }
    };
    match timeout(COMMAND_TIMEOUT, asked).await {
        Ok(Err(error)) if is_silence(&error) => Err(error),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "there was no answer in time")),
    }
}

/// Whether this is no answer of Redis.
fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Backpressure)
}
