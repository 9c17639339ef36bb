//! The stores of the services: Redis alone, under Sentinel or as a cluster; Postgres alone or with
//! a standby.

use fairline_private_servers::{
    PrivatePostgres, PrivateRedis, ServerError,
    testing::{Own, PostgresPair, Proxy, RedisCluster, RedisSentinel},
};
use fairline_shop::Behind;

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
pub enum Redis {
    /// One server.
    Single(Box<Own<PrivateRedis>>),
    /// A primary and a replica.
    Sentinel(Box<RedisSentinel>),
    /// Three masters.
    Cluster(RedisCluster),
}

/// A running Postgres.
#[derive(Debug)]
pub enum Postgres {
    /// One server.
    Single(Box<Own<PrivatePostgres>>),
    /// A primary and a standby.
    Replicated(Box<PostgresPair>),
}

/// The servers of one shop.
#[derive(Debug)]
pub struct Topology {
    /// Redis.
    pub redis: Redis,
    /// Postgres.
    pub postgres: Postgres,
}

impl Topology {
    /// Starts them.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(redis: RedisKind, postgres: PostgresKind) -> Result<Self, ServerError> {
        let redis = match redis {
            RedisKind::Single => Redis::Single(Box::new(Own::redis()?)),
            RedisKind::Sentinel => Redis::Sentinel(Box::new(RedisSentinel::start_behind_proxies()?)),
            RedisKind::Cluster => Redis::Cluster(RedisCluster::start_behind_proxies()?),
        };
        let postgres = match postgres {
            PostgresKind::Single => Postgres::Single(Box::new(Own::postgres()?)),
            PostgresKind::Replicated => Postgres::Replicated(Box::new(PostgresPair::start()?)),
        };
        Ok(Self { redis, postgres })
    }

    /// One Redis that serves a line: the only one, the primary, or the nth master.
    pub fn redis(&mut self, nth: usize) -> &mut PrivateRedis {
        match &mut self.redis {
            Redis::Single(own) => &mut own.server,
            Redis::Sentinel(sentinel) => sentinel.primary(),
            Redis::Cluster(cluster) => cluster.masters().nth(nth).expect("a cluster has three masters"),
        }
    }

    /// The proxies in front of the servers of Redis, where services have no links of their own.
    pub fn doors(&self) -> Vec<&Proxy> {
        match &self.redis {
            Redis::Single(_) => Vec::new(),
            Redis::Sentinel(sentinel) => sentinel.doors().collect(),
            Redis::Cluster(cluster) => cluster.doors().collect(),
        }
    }

    /// The link of the standby to the Postgres that takes writes.
    pub fn replication(&self) -> Option<&Proxy> {
        match &self.postgres {
            Postgres::Single(_) => None,
            Postgres::Replicated(pair) => pair.replication(),
        }
    }

    /// The deadlocks in the log of Postgres.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn deadlocks(&self) -> Result<Vec<String>, ServerError> {
        match &self.postgres {
            Postgres::Single(own) => own.server.deadlocks(),
            Postgres::Replicated(pair) => pair.deadlocks(),
        }
    }

    /// The Postgres that takes writes.
    pub fn postgres(&mut self) -> &mut PrivatePostgres {
        match &mut self.postgres {
            Postgres::Single(own) => &mut own.server,
            Postgres::Replicated(pair) => pair.primary(),
        }
    }
}

impl Behind for Topology {
    fn redis_url(&self) -> String {
        match &self.redis {
            Redis::Single(own) => own.server.url(),
            Redis::Sentinel(sentinel) => sentinel.url(),
            Redis::Cluster(cluster) => cluster.url(),
        }
    }

    fn postgres_url(&mut self) -> String {
        self.postgres().create_database("shop").expect("a database can be made")
    }
}
