//! The stores of the services: Redis alone, under Sentinel or as a cluster; Postgres alone or with
//! a standby.

use fairline_private_servers::{
    PrivatePostgres, PrivateRedis, ServerError,
    testing::{OwnServer, PostgresPair, Proxy, RedisCluster, RedisSentinel},
};
use fairline_shop::Backends;

/// Which Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisKind {
    /// One server.
    Single,
    /// A primary and a replica, watched by Sentinel.
    Sentinel,
    /// Three masters.
    Cluster,
}

/// Which Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresKind {
    /// One server.
    Single,
    /// A primary and a synchronous standby.
    Replicated,
}

/// A running Redis.
#[derive(Debug)]
pub enum RedisServers {
    /// One server.
    Single(Box<OwnServer<PrivateRedis>>),
    /// A primary and a replica.
    Sentinel(Box<RedisSentinel>),
    /// Three masters.
    Cluster(RedisCluster),
}

/// A running Postgres.
#[derive(Debug)]
pub enum PostgresServers {
    /// One server.
    Single(Box<OwnServer<PrivatePostgres>>),
    /// A primary and a standby.
    Replicated(Box<PostgresPair>),
}

/// The servers of one shop.
#[derive(Debug)]
pub struct Topology {
    /// Redis.
    pub redis: RedisServers,
    /// Postgres.
    pub postgres: PostgresServers,
}

impl Topology {
    /// Starts them.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(redis: RedisKind, postgres: PostgresKind) -> Result<Self, ServerError> {
        let redis = match redis {
            RedisKind::Single => RedisServers::Single(Box::new(OwnServer::redis()?)),
            RedisKind::Sentinel => RedisServers::Sentinel(Box::new(RedisSentinel::start_behind_proxies()?)),
            RedisKind::Cluster => RedisServers::Cluster(RedisCluster::start_behind_proxies()?),
        };
        let postgres = match postgres {
            PostgresKind::Single => PostgresServers::Single(Box::new(OwnServer::postgres()?)),
            PostgresKind::Replicated => PostgresServers::Replicated(Box::new(PostgresPair::start()?)),
        };
        Ok(Self { redis, postgres })
    }

    /// One Redis that serves a line: the only one, the primary, or the nth master.
    pub fn redis(&mut self, nth: usize) -> &mut PrivateRedis {
        match &mut self.redis {
            RedisServers::Single(own) => &mut own.server,
            RedisServers::Sentinel(sentinel) => sentinel.primary(),
            RedisServers::Cluster(cluster) => cluster.masters().nth(nth).expect("a cluster has three masters"),
        }
    }

    /// The proxies in front of the servers of Redis, where services have no links of their own.
    pub fn doors(&self) -> Vec<&Proxy> {
        match &self.redis {
            RedisServers::Single(_) => Vec::new(),
            RedisServers::Sentinel(sentinel) => sentinel.doors().collect(),
            RedisServers::Cluster(cluster) => cluster.doors().collect(),
        }
    }

    /// The link of the standby to the Postgres that takes writes.
    pub fn replication(&self) -> Option<&Proxy> {
        match &self.postgres {
            PostgresServers::Single(_) => None,
            PostgresServers::Replicated(pair) => pair.replication(),
        }
    }

    /// The deadlocks in the log of Postgres.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn deadlocks(&self) -> Result<Vec<String>, ServerError> {
        match &self.postgres {
            PostgresServers::Single(own) => own.server.deadlocks(),
            PostgresServers::Replicated(pair) => pair.deadlocks(),
        }
    }

    /// The Postgres that takes writes.
    pub fn postgres(&mut self) -> &mut PrivatePostgres {
        match &mut self.postgres {
            PostgresServers::Single(own) => &mut own.server,
            PostgresServers::Replicated(pair) => pair.primary(),
        }
    }
}

impl Backends for Topology {
    fn redis_url(&self) -> String {
        match &self.redis {
            RedisServers::Single(own) => own.server.url(),
            RedisServers::Sentinel(sentinel) => sentinel.url(),
            RedisServers::Cluster(cluster) => cluster.url(),
        }
    }

    fn postgres_url(&mut self) -> String {
        self.postgres().create_database("shop").expect("a database can be made")
    }
}
