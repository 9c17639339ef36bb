//! A client of one server, or of the primary under Sentinel.
//!
//! fred considers a link unresponsive when no reply arrived since its *last* write, so a link with
//! constant writes never is. A task for each client therefore probes Redis twice a second and
//! reconnects when there is no reply.

use std::{
    future::{Future, pending},
    time::Duration,
};

use fairline_server::{REPORT_EVERY, report_alive, watch_connection};
use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, EventInterface as _},
    socket2::TcpKeepalive,
    types::{
        Builder, ConnectHandle, Message, RespVersion,
        config::{Config, ReconnectError, ReconnectPolicy, Server, UnresponsiveConfig},
    },
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::broadcast::{Receiver, Sender, error::RecvError},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

/// Timeout of a command.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout of a connection, and of each step of its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long sent data may stay unacknowledged, or a peer accept no data, before the kernel ends the
/// connection.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a client probes its Redis.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Consecutive missed replies before a reconnection.
const MISSED_MAX: u32 = 2;
/// Commands that wait for a connection, at most; further commands fail immediately.
const COMMANDS_WAITING_MAX: usize = 20_000;
/// Published messages in the queue, at most. Beyond them the oldest are dropped, which subscribers
/// detect.
pub(crate) const MESSAGES_WAITING_MAX: usize = 8192;

/// Prepares a primary before it is used. It may run again at any time.
pub type Prepare = fn(Client) -> Preparing;
/// A preparation in progress.
pub type Preparing = BoxFuture<'static, Result<(), Error>>;

/// What a subscriber receives.
#[derive(Debug, Clone)]
pub enum SubscriberEvent {
    /// A published message.
    Message(Message),
    /// A connection is new, or channels have moved to another server. Messages may have been lost,
    /// and the caller has to subscribe to every channel again.
    Anew,
}

/// Where a subscriber's messages go; `None` for a client of commands.
pub(crate) type InboxSender = Option<Sender<SubscriberEvent>>;

/// Creates a client that is connected for the life of the runtime.
pub(crate) async fn connect(config: Config, inbox: InboxSender) -> Result<Client, Error> {
    let client = build(config, &inbox)?;
    let running = client.init().await?;
    forward(&client, inbox);
    watch(client.clone(), Some(running), pending());
    Ok(client)
}

/// Creates a client that connects in the background, until `ended`.
pub(crate) fn connect_until(
    config: Config,
    inbox: InboxSender,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<Client, Error> {
    let client = build(config, &inbox)?;
    forward(&client, inbox);
    watch(client.clone(), None, ended);
    Ok(client)
}

fn build(mut config: Config, inbox: &InboxSender) -> Result<Client, Error> {
    if inbox.is_some() {
        // With RESP2 a connection with subscriptions accepts no other commands.
        config.version = RespVersion::RESP3;
    }
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

/// Passes on what a subscriber receives, for as long as its client exists.
fn forward(client: &Client, inbox: InboxSender) {
    let Some(inbox) = inbox else { return };
    let (mut messages, mut connections) = (client.message_rx(), client.reconnect_rx());
    let watched = watch_connection("redis-messages");
    tokio::spawn(
        async move { while watched.caught(pass_on(&mut messages, &mut connections, &inbox)).await.is_none() {} },
    );
}

async fn pass_on(
    messages: &mut Receiver<Message>,
    connections: &mut Receiver<Server>,
    inbox: &Sender<SubscriberEvent>,
) {
    loop {
        report_alive();
        let received = tokio::select! {
            biased;
            connection = connections.recv() => connection.map(|_| SubscriberEvent::Anew),
            message = messages.recv() => message.map(SubscriberEvent::Message),
            () = sleep(REPORT_EVERY) => continue,
        };
        let received = match received {
            Ok(received) => received,
            Err(RecvError::Lagged(_)) => SubscriberEvent::Anew,
            Err(RecvError::Closed) => return,
        };
        // Without a receiver there is no reader at the moment.
        let _ = inbox.send(received);
    }
}

/// Keeps a client connected until `ended`. Calls `connect` only after the client's task has ended:
/// fred mixes up the channels of two running tasks.
fn watch(client: Client, running: Option<ConnectHandle>, ended: impl Future<Output = ()> + Send + 'static) {
    let watched = watch_connection("redis-probe");
    tokio::spawn(async move {
        let mut running = running.unwrap_or_else(|| client.connect());
        let kept = async { while watched.caught(probe_and_reconnect(&client, &mut running)).await.is_none() {} };
        tokio::select! {
            () = kept => {}
            () = ended => {}
        }
        running.abort();
    });
}

async fn probe_and_reconnect(client: &Client, running: &mut ConnectHandle) {
    let (mut missed, mut last) = (0, None::<Instant>);
    let mut reconnecting: Option<JoinHandle<()>> = None;
    loop {
        report_alive();
        sleep(if missed == 0 { PROBE_EVERY } else { PROBE_EVERY / 10 }).await;
        if running.is_finished() {
            // The task could not connect, or was stopped.
            *running = client.connect();
            (missed, last) = (0, None);
            continue;
        }
        let Err(error) = answers(client).await else {
            (missed, last) = (0, None);
            continue;
        };
        missed += 1;
        let is_under_way = reconnecting.as_ref().is_some_and(|task| !task.is_finished());
        let is_soon = last.is_some_and(|last| last.elapsed() < CONNECT_TIMEOUT);
        if missed < MISSED_MAX || is_under_way || is_soon {
            continue;
        }
        warn!(error = error.details(), "Redis probe failed; reconnecting");
        (missed, last) = (0, Some(Instant::now()));
        let client = client.clone();
        reconnecting = Some(tokio::spawn(async move {
            if client.force_reconnection().await.is_ok() {
                info!("reconnected to Redis");
            }
        }));
    }
}

/// Checks that the server replies, with any reply.
async fn answers(client: &Client) -> Result<(), Error> {
    match timeout(COMMAND_TIMEOUT, client.ping::<()>(None)).await {
        Ok(Err(error)) if is_silence(&error) => Err(error),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "no response in time")),
    }
}

/// Whether an error means that Redis sent no reply.
pub(crate) fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Backpressure)
}
