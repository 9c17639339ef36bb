//! Commands to the server that stores a key.

use std::{collections::HashMap, future::Future, sync::Arc};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, KeysInterface as _},
    types::{Expiration, cluster::ClusterRouting, config::Config},
};
use futures_util::{FutureExt as _, future::select_ok};

use crate::{
    client::{self, InboxSender, Prepare, Preparing},
    cluster::Cluster,
    partitions,
};

/// The key with which the probe writes, and its lifetime in seconds.
const PROBE: (&str, i64) = ("fairline:probe", 60);

/// A Redis: one server, the primary under Sentinel, or a cluster.
#[derive(Clone)]
pub struct Redis(Kind);

#[derive(Clone)]
enum Kind {
    One(Client),
    Cluster(Arc<Cluster>),
}

/// Connects. Of a cluster, one primary suffices.
///
/// # Errors
/// When the URL is invalid, or no server responds there.
pub async fn connect(url: &str) -> Result<Redis, Error> {
    connect_prepared(url, ping).await
}

/// Connects, and prepares every primary: of a cluster, those that do not respond yet as soon as
/// they do, and new ones. One primary suffices.
///
/// # Errors
/// When the URL is invalid, or no server responds there.
pub async fn connect_prepared(url: &str, prepare: Prepare) -> Result<Redis, Error> {
    Redis::connect(Config::from_url(url)?, prepare, None).await
}

/// Connects in the background; until then commands fail. Must be called within a runtime.
///
/// # Errors
/// When the URL is invalid.
pub fn connect_in_time(url: &str) -> Result<Redis, Error> {
    let config = Config::from_url(url)?;
    if !config.server.is_clustered() {
        return Ok(Redis(Kind::One(client::connect_until(config, None, std::future::pending())?)));
    }
    let cluster = Cluster::new(config, ping, None);
    cluster.keep_fresh();
    Ok(Redis(Kind::Cluster(cluster)))
}

fn ping(client: Client) -> Preparing {
    async move { client.ping::<()>(None).await }.boxed()
}

impl Redis {
    async fn connect(config: Config, prepare: Prepare, inbox: InboxSender) -> Result<Self, Error> {
        if !config.server.is_clustered() {
            let client = client::connect(config, inbox).await?;
            prepare(client.clone()).await?;
            return Ok(Self(Kind::One(client)));
        }
        let cluster = Cluster::new(config, prepare, inbox);
        cluster.start().await?;
        cluster.keep_fresh();
        Ok(Self(Kind::Cluster(cluster)))
    }

    /// Connects to subscribe only.
    pub(crate) async fn connect_subscriber(url: &str, inbox: InboxSender) -> Result<Self, Error> {
        Self::connect(Config::from_url(url)?, ping, inbox).await
    }

    /// Runs a command on the server that stores this key. Where a cluster redirects it, the command
    /// runs again elsewhere: a redirected one had no effect.
    ///
    /// # Errors
    /// When the command fails, or its deadline passes.
    pub async fn run<T, F>(&self, key: &str, command: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        match &self.0 {
            Kind::One(client) => command(client.clone()).await,
            Kind::Cluster(cluster) => cluster.run(ClusterRouting::hash_key(key.as_bytes()), command).await,
        }
    }

    /// The client of the server that stores this key at the moment.
    ///
    /// # Errors
    /// When no known primary of the cluster does.
    pub fn primary_of(&self, key: &str) -> Result<Client, Error> {
        match &self.0 {
            Kind::One(client) => Ok(client.clone()),
            Kind::Cluster(cluster) => cluster.primary_of(ClusterRouting::hash_key(key.as_bytes())),
        }
    }

    /// Whether a command for this key needn't wait for a new connection to a primary of a cluster.
    #[must_use]
    pub fn is_connected(&self, key: &str) -> bool {
        match &self.0 {
            Kind::One(_) => true,
            Kind::Cluster(_) => self.primary_of(key).is_ok_and(|client| client.is_connected()),
        }
    }

    /// The keys of a collection that each primary has a part of: one key, and in a cluster some for
    /// each primary.
    #[must_use]
    pub fn partitions(&self, prefix: &str) -> Vec<String> {
        match &self.0 {
            Kind::One(_) => vec![prefix.to_owned()],
            Kind::Cluster(_) => partitions::keys(prefix),
        }
    }

    /// The one of the [partitions](Self::partitions) for what belongs to `key`: almost always on
    /// the same primary.
    #[must_use]
    pub fn partition_beside(&self, prefix: &str, key: &str) -> String {
        match &self.0 {
            Kind::One(_) => prefix.to_owned(),
            Kind::Cluster(cluster) => {
                partitions::beside(prefix, ClusterRouting::hash_key(key.as_bytes()), &cluster.slots())
            }
        }
    }

    /// Checks that Redis responds and accepts writes: it is a primary, has free memory, and as many
    /// replicas as it requires. Of a cluster, one primary suffices: the sales of each continue
    /// alone.
    ///
    /// # Errors
    /// When it does not.
    pub async fn probe(&self) -> Result<(), Error> {
        let keys = match &self.0 {
            Kind::One(_) => vec![PROBE.0.to_owned()],
            Kind::Cluster(cluster) => one_for_each_primary(&cluster.slots()),
        };
        let write = |key: String| async move {
            let set = |client: Client| {
                let key = key.clone();
                async move { client.set(key, 1, Some(Expiration::EX(PROBE.1)), None, false).await }
            };
            self.run::<(), _>(&key, set).await
        };
        let writes: Vec<_> = keys.into_iter().map(|key| write(key).boxed()).collect();
        if writes.is_empty() {
            return Err(Error::new(ErrorKind::Cluster, "the cluster has no primary"));
        }
        let ((), _) = select_ok(writes).await?;
        Ok(())
    }
}

/// The keys of a probe, one for each primary.
fn one_for_each_primary(slots: &ClusterRouting) -> Vec<String> {
    let keys = partitions::keys(PROBE.0).into_iter();
    let stored = keys.filter_map(|key| Some((slots.get_server(ClusterRouting::hash_key(key.as_bytes()))?, key)));
    stored.collect::<HashMap<_, _>>().into_values().collect()
}
