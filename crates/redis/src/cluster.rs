//! A cluster: one client for each primary, and which slots each primary serves.
//!
//! The slots are read from any node that responds: at the start, every few seconds, and soon after
//! a redirection or a failed command. The nodes in the URL are queried while no known primary
//! responds.

use std::{
    collections::HashMap,
    future::{Future, pending},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use fairline_server::{report_alive, watch_connection};
use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, ClusterInterface as _},
    types::{
        ClusterHash, CustomCommand, Value,
        cluster::ClusterRouting,
        config::{Config, Server, ServerConfig},
    },
};
use futures_util::{
    StreamExt as _,
    future::{join, join_all, try_join},
    stream::FuturesUnordered,
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use crate::client::{COMMAND_TIMEOUT, InboxSender, Prepare, SubscriberEvent, connect_until, is_silence};

/// How long a start tries to reach a first primary.
const START_WITHIN: Duration = Duration::from_secs(3);
/// How often the slots are read, at least, and the pause between two readings.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
const REFRESH_PAUSE: Duration = Duration::from_millis(250);
/// Redirections that a command follows, within its deadline.
const REDIRECTIONS_MAX: u32 = 4;
/// Nodes, at most: the largest cluster that Redis recommends.
const NODES_MAX: usize = 1000;

/// A cluster.
pub(crate) struct Cluster {
    /// Credentials and TLS, for every node.
    config: Config,
    /// The nodes in the URL.
    seeds: Vec<Server>,
    prepare: Prepare,
    inbox: InboxSender,
    state: RwLock<State>,
    /// Wakes the next reading of the slots.
    stale: Notify,
}

struct State {
    slots: Arc<ClusterRouting>,
    nodes: HashMap<Server, ClusterNode>,
}

struct ClusterNode {
    client: Client,
    is_prepared: bool,
    /// Whether it is new, or was a primary in the last reading. A client ends after two readings
    /// without it, so that commands to a node that others do not list yet can end.
    is_primary: bool,
    /// Ends the client when dropped.
    _ends: oneshot::Sender<()>,
}

impl Cluster {
    /// The cluster behind a URL. Its slots are unknown until the first reading.
    pub(crate) fn new(config: Config, prepare: Prepare, inbox: InboxSender) -> Arc<Self> {
        let state = RwLock::new(State { slots: Arc::new(ClusterRouting::new()), nodes: HashMap::new() });
        Arc::new(Self { seeds: config.server.hosts(), config, prepare, inbox, state, stale: Notify::new() })
    }

    /// Reads the slots for the life of the runtime.
    pub(crate) fn keep_fresh(self: &Arc<Self>) {
        let cluster = self.clone();
        let watched = watch_connection("redis-slots");
        tokio::spawn(async move { while watched.caught(cluster.refresh_for_ever()).await.is_none() {} });
    }

    async fn refresh_for_ever(&self) {
        loop {
            report_alive();
            if let Err(error) = self.refresh().await {
                warn!(error = error.details(), "read slots of the cluster failed");
            }
            let wait = async {
                sleep(REFRESH_PAUSE).await;
                let _ = timeout(REFRESH_EVERY, self.stale.notified()).await;
            };
            let prepare = async {
                // Those that fail are prepared after a later reading.
                let _ = self.prepare().await;
                pending().await
            };
            tokio::select! {
                () = wait => {}
                () = prepare => {}
            }
        }
    }

    /// Waits until one primary is prepared; the others have had a second to be prepared, too.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let started = match self.refresh().await {
                Ok(()) => self.prepare().await,
                Err(error) => Err(error),
            };
            match started {
                Err(error) if begun.elapsed() > START_WITHIN => return Err(error),
                Err(_) => sleep(REFRESH_PAUSE).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Prepares the primaries that are not. Fails if no primary is prepared.
    async fn prepare(&self) -> Result<(), Error> {
        let primaries = self.read().slots.unique_primary_nodes();
        let prepared = join_all(primaries.iter().map(|primary| self.prepare_one(primary))).await;
        let is_any = prepared.iter().any(Result::is_ok);
        prepared.into_iter().find(|result| result.is_ok() == is_any).unwrap_or_else(|| Err(no_primary()))
    }

    async fn prepare_one(&self, primary: &Server) -> Result<(), Error> {
        let node = self.read().nodes.get(primary).map(|node| (node.client.clone(), node.is_prepared));
        let Some((client, false)) = node else { return Ok(()) };
        (self.prepare)(client).await?;
        if let Some(node) = self.write().nodes.get_mut(primary) {
            node.is_prepared = true;
        }
        Ok(())
    }

    /// Reads the slots once.
    async fn refresh(&self) -> Result<(), Error> {
        let slots = match self.ask().await {
            Ok(slots) => slots,
            Err(_) => {
                for seed in &self.seeds {
                    self.client_of(seed)?;
                }
                self.ask().await?
            }
        };
        self.adopt(slots)
    }

    /// The slots as a node lists them; preferably one that is in touch with most primaries.
    async fn ask(&self) -> Result<ClusterRouting, Error> {
        let nodes = self.read().nodes.iter().map(|(server, node)| (server.clone(), node.client.clone())).collect();
        let nodes: Vec<(Server, Client)> = nodes;
        let mut answers: FuturesUnordered<_> = nodes.into_iter().map(|(server, client)| ask(server, client)).collect();
        let mut second = Err(no_primary());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok((true, slots)) => return Ok(slots),
                Ok((false, slots)) => second = Ok(slots),
                Err(error) if second.is_err() => second = Err(error),
                Err(_) => {}
            }
        }
        second
    }

    fn adopt(&self, slots: ClusterRouting) -> Result<(), Error> {
        let mut state = self.write();
        let primaries = slots.unique_primary_nodes();
        for primary in &primaries {
            self.add(&mut state, primary)?;
        }
        state.nodes.retain(|server, node| {
            let is_primary = primaries.contains(server);
            std::mem::replace(&mut node.is_primary, is_primary) || is_primary
        });
        if state.slots.slots() != slots.slots() {
            info!(primaries = primaries.len(), "the cluster's slots have changed");
            state.slots = Arc::new(slots);
            if let Some(inbox) = &self.inbox {
                // Without a receiver there is no reader at the moment.
                let _ = inbox.send(SubscriberEvent::Anew);
            }
        }
        Ok(())
    }

    /// The client of a node, which is created if it is new.
    fn client_of(&self, server: &Server) -> Result<Client, Error> {
        self.add(&mut self.write(), server)
    }

    fn add(&self, state: &mut State, server: &Server) -> Result<Client, Error> {
        if let Some(node) = state.nodes.get(server) {
            return Ok(node.client.clone());
        }
        if state.nodes.len() >= NODES_MAX {
            return Err(Error::new(ErrorKind::Cluster, "the cluster has too many nodes"));
        }
        let config = Config { server: ServerConfig::Centralized { server: server.clone() }, ..self.config.clone() };
        let (ends, ended) = oneshot::channel::<()>();
        let client = connect_until(config, self.inbox.clone(), async { drop(ended.await) })?;
        let node = ClusterNode { client: client.clone(), is_prepared: false, is_primary: true, _ends: ends };
        state.nodes.insert(server.clone(), node);
        Ok(client)
    }

    /// The slots at the moment.
    pub(crate) fn slots(&self) -> Arc<ClusterRouting> {
        self.read().slots.clone()
    }

    /// The client of the primary that serves a slot.
    pub(crate) fn primary_of(&self, slot: u16) -> Result<Client, Error> {
        let state = self.read();
        let node = state.slots.get_server(slot).and_then(|server| state.nodes.get(server));
        node.map(|node| node.client.clone()).ok_or_else(no_primary)
    }

    /// Runs a command of a slot, following redirections within the deadline of one command.
    pub(crate) async fn run<T, F>(&self, slot: u16, command: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let late = || Error::new(ErrorKind::Timeout, "the primary did not respond in time");
        let answer = timeout(COMMAND_TIMEOUT, self.follow(slot, command)).await.unwrap_or_else(|_| Err(late()));
        answer.inspect_err(|error| {
            if is_silence(error) || error.is_cluster() {
                self.stale.notify_one();
            }
        })
    }

    async fn follow<T, F>(&self, slot: u16, command: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut client = self.primary_of(slot)?;
        let mut answer = command(client.clone()).await;
        for _ in 0..REDIRECTIONS_MAX {
            let Some(error) = answer.as_ref().err() else { break };
            let Some(server) = redirection(error, &client) else { break };
            let is_ask = error.is_ask();
            self.stale.notify_one();
            client = self.client_of(&server)?;
            answer = if is_ask {
                // Both are sent at once. Should another command of this connection come between
                // them, the next redirection leads here again.
                join(asking(&client), command(client.clone())).await.1
            } else {
                command(client.clone()).await
            };
        }
        answer
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_primary() -> Error {
    Error::new(ErrorKind::Cluster, "no known primary of the cluster serves this")
}

/// Whether a node is in touch with most primaries, and the slots as it lists them.
async fn ask(server: Server, client: Client) -> Result<(bool, ClusterRouting), Error> {
    let (info, slots) = try_join(client.cluster_info::<String>(), client.cluster_slots::<Value>()).await?;
    let slots = ClusterRouting::from_cluster_slots(slots, server.host)?;
    if slots.len() == 0 {
        return Err(no_primary());
    }
    Ok((info.contains("cluster_state:ok"), slots))
}

async fn asking(client: &Client) -> Result<Value, Error> {
    client.custom(CustomCommand::new_static("ASKING", ClusterHash::FirstKey, false), Vec::<Value>::new()).await
}

/// Where `MOVED slot host:port` or `ASK slot host:port` leads; without a host, to the same one.
fn redirection(error: &Error, from: &Client) -> Option<Server> {
    if !error.is_moved() && !error.is_ask() {
        return None;
    }
    let (host, port) = error.details().split_whitespace().nth(2)?.rsplit_once(':')?;
    let port = port.parse().ok()?;
    match host {
        "" => from.client_config().server.hosts().first().map(|server| Server::new(server.host.to_string(), port)),
        host => Some(Server::new(host, port)),
    }
}
