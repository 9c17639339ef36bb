//! The only place that creates Redis clients: each has timeouts, bounded queues and reconnection.
//!
//! fred considers a link unresponsive when no reply arrived since its *last* write, so a link with
//! constant writes never is. A task for each client therefore probes Redis twice a second and
//! reconnects when there is no reply.
//!
//! While fred reconnects to one master of a cluster, it serves no other: its task neither sends nor
//! accepts commands until every master that `CLUSTER SLOTS` lists is connected.
//!
//! ```no_run
//! use fred::interfaces::KeysInterface as _;
//!
//! # async fn write() -> Result<(), fred::error::Error> {
//! let client = fairline_redis::connect("redis://localhost").await?;
//! let count: u64 = client.incr("visits").await?;
//! # Ok(())
//! # }
//! ```

mod cache;

use std::time::Duration;

pub use cache::Cache;
use fairline_server::{report_alive, watch_connection};
use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, ClusterInterface as _, KeysInterface as _, PubsubInterface as _},
    socket2::TcpKeepalive,
    types::{
        Builder, ConnectHandle, Expiration,
        cluster::ClusterRouting,
        config::{Config, ReconnectError, ReconnectPolicy, Server, UnresponsiveConfig},
    },
};
use futures_util::{FutureExt as _, future::select_ok};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

/// Timeout of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout of a connection, and of each step of its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sent data may stay unacknowledged, or a peer accept no data, before the kernel ends the
/// connection.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a client probes its Redis.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Consecutive missed replies before a reconnection.
const MISSED_MAX: u32 = 2;
/// Shortest and longest interval between reconnections of a cluster client, which also has healthy
/// links.
const CLUSTER_PAUSE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));
/// Commands that wait for a connection, at most; further commands fail at once.
const COMMANDS_WAITING_MAX: usize = 20_000;
/// Published messages in the queue, at most. Beyond them the oldest are dropped, which subscribers
/// detect.
const MESSAGES_WAITING_MAX: usize = 8192;
/// The key with which the probe writes, and its lifetime in seconds.
const PROBE: (&str, i64) = ("fairline:probe", 60);
/// Keys among which each primary of a cluster has one, almost certainly.
const PROBE_KEYS: u32 = 1000;
/// The channel that a subscriber follows so that it can be probed.
const ALIVE: &str = "fairline:{alive}:alive";

/// Creates a connected client.
///
/// # Errors
/// When the URL is invalid, or no server answers there.
pub async fn connect(url: &str) -> Result<Client, Error> {
    let client = build(Config::from_url(url)?)?;
    let running = client.init().await?;
    watch(client.clone(), Some(running), false);
    Ok(client)
}

/// Creates a connected client that only subscribes.
///
/// # Errors
/// When the URL is invalid, or no server answers there.
pub async fn connect_subscriber(url: &str) -> Result<Client, Error> {
    let client = build(Config::from_url(url)?)?;
    let running = client.init().await?;
    watch(client.clone(), Some(running), true);
    Ok(client)
}

/// Creates a client that connects in the background; until then commands fail. Must be called
/// within a runtime.
///
/// # Errors
/// When the URL is invalid.
pub fn connect_in_time(url: &str) -> Result<Client, Error> {
    let client = build(Config::from_url(url)?)?;
    watch(client.clone(), None, false);
    Ok(client)
}

/// Checks that Redis answers and accepts writes: it is a primary, has free memory, and as many
/// replicas as it requires. Of a cluster, one primary suffices: the sales of each go on alone.
///
/// # Errors
/// When it does not.
pub async fn probe(client: &Client) -> Result<(), Error> {
    let keys = match client.cached_cluster_state() {
        Some(cluster) => {
            let primaries = cluster.unique_primary_nodes();
            primaries.iter().filter_map(|primary| probe_key(&cluster, primary)).collect()
        }
        None => vec![PROBE.0.to_owned()],
    };
    let write = |key| client.set(key, 1, Some(Expiration::EX(PROBE.1)), None, false);
    let writes: Vec<_> = keys.into_iter().map(|key| write(key).boxed()).collect();
    if writes.is_empty() {
        return Err(Error::new(ErrorKind::Cluster, "the cluster has no primary"));
    }
    let ((), _) = select_ok(writes).await?;
    Ok(())
}

/// A key that this primary stores.
fn probe_key(cluster: &ClusterRouting, primary: &Server) -> Option<String> {
    let is_stored = |key: &String| cluster.get_server(ClusterRouting::hash_key(key.as_bytes())) == Some(primary);
    (0..PROBE_KEYS).map(|n| format!("{}:{n}", PROBE.0)).find(is_stored)
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
            // Not all commands are idempotent: only the caller may repeat one whose reply was lost.
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
            // These errors come from a server that is not, or not yet, the primary: reconnecting
            // finds another.
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

/// Keeps a client connected for the life of the runtime. Calls `connect` only after the client's
/// task has ended: fred mixes up the channels of two running tasks.
fn watch(client: Client, running: Option<ConnectHandle>, subscribes: bool) {
    let watched = watch_connection("redis-probe");
    tokio::spawn(async move {
        let mut running = running.unwrap_or_else(|| client.connect());
        while watched.caught(probe_and_reconnect(&client, &mut running, subscribes)).await.is_none() {}
    });
}

async fn probe_and_reconnect(client: &Client, running: &mut ConnectHandle, subscribes: bool) {
    let (mut missed, mut anew) = (0, None::<(Instant, Duration)>);
    let mut reconnecting: Option<JoinHandle<()>> = None;
    loop {
        report_alive();
        sleep(if missed == 0 { PROBE_EVERY } else { PROBE_EVERY / 10 }).await;
        if running.is_finished() {
            // The task could not connect, or was stopped.
            *running = client.connect();
            (missed, anew) = (0, None);
            continue;
        }
        let Err(error) = answers(client, subscribes).await else {
            (missed, anew) = (0, None);
            continue;
        };
        missed += 1;
        let is_under_way = reconnecting.as_ref().is_some_and(|task| !task.is_finished());
        let is_soon = anew.is_some_and(|(last, pause)| last.elapsed() < pause);
        if missed < MISSED_MAX || is_under_way || is_soon {
            continue;
        }
        warn!(error = error.details(), "Redis probe failed; reconnecting");
        let pause = match anew {
            _ if !client.is_clustered() => CONNECT_TIMEOUT,
            Some((_, pause)) => (pause * 2).min(CLUSTER_PAUSE.1),
            None => CLUSTER_PAUSE.0,
        };
        (missed, anew) = (0, Some((Instant::now(), pause)));
        let client = client.clone();
        reconnecting = Some(tokio::spawn(async move {
            if client.force_reconnection().await.is_ok() {
                info!("reconnected to Redis");
            }
        }));
    }
}

/// Checks that every connected server replies, with any reply.
async fn answers(client: &Client, subscribes: bool) -> Result<(), Error> {
    let probe = async {
        if subscribes {
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
    match timeout(COMMAND_TIMEOUT, probe).await {
        Ok(Err(error)) if is_silence(&error) => Err(error),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "there was no answer in time")),
    }
}

/// Whether an error means that Redis sent no reply.
fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Backpressure)
}
