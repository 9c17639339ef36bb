//! Every call of the line's store to Redis. The simulation implements it without Redis.

use std::collections::HashMap;

use async_trait::async_trait;
use fairline_redis::{Preparing, Redis};
use fred::{
    clients::Client,
    interfaces::{FunctionInterface as _, SortedSetsInterface as _},
};
pub use fred::{
    error::{Error, ErrorKind},
    types::Value,
};
use futures_util::future::join_all;

/// The function library. Its files share their local names; `head.lua` comes first.
pub const LIBRARY: &str = concat!(
    include_str!("library/head.lua"),
    include_str!("library/names.lua"),
    include_str!("library/tickets.lua"),
    include_str!("library/presence.lua"),
    include_str!("library/upcoming.lua"),
    include_str!("library/publish.lua"),
    include_str!("library/register.lua"),
);
/// All sales, by rank. In a cluster there are several such lists, and a sale is in one that its own
/// primary stores.
///
/// The rank of an open sale is infinite, and that of a closed one the Unix time in ms until which
/// it is listed. Between them lie the scheduled ones, the next to open first: their rank is
/// [`SCHEDULED_RANK`] less the Unix time in ms of the opening.
const SALES: &str = "fairline:sales";
pub(crate) const SCHEDULED_RANK: f64 = 1e15;
/// The ranks of closed sales are lower, and all others higher.
const CLOSED_BELOW: f64 = SCHEDULED_RANK / 2.0;

/// The sales that are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Their ids, those with the highest rank first.
    pub sales: Vec<String>,
    /// Whether every list was read.
    pub is_complete: bool,
}

/// The interface to Redis.
#[async_trait]
pub trait LinePort: Send + Sync {
    /// Calls a function of the library.
    async fn call(&self, function: &str, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error>;
    /// Loads the library where this key is stored.
    async fn load(&self, key: &str) -> Result<(), Error>;
    /// Checks that Redis responds, and accepts writes.
    async fn ping(&self) -> Result<(), Error>;
    /// Lists a sale with a rank, and removes the closed sales whose time has passed.
    async fn list(&self, sale: String, rank: f64, now_ms: f64) -> Result<(), Error>;
    /// Up to `max` sales that are listed now.
    async fn listed(&self, now_ms: f64, max: u32) -> Result<Listed, Error>;
    /// How many of the listed sales are not closed.
    async fn listed_open(&self) -> Result<u64, Error>;
}

/// Loads the library into a server.
pub(crate) fn load_library(client: Client) -> Preparing {
    Box::pin(async move { client.function_load::<Value, _>(true, LIBRARY).await.map(drop) })
}

/// The key of the list that a sale belongs to.
fn list_of(redis: &Redis, sale: &str) -> String {
    redis.partition_beside(SALES, &format!("{{{sale}}}"))
}

/// Removes a sale from the lists that it was in before its slot moved.
async fn unlist_elsewhere(redis: Redis, sale: String) {
    let here = list_of(&redis, &sale);
    let others = redis.partitions(SALES).into_iter().filter(|list| *list != here);
    let remove = |list: String| {
        let (redis, sale) = (&redis, &sale);
        async move {
            let list = list.as_str();
            redis.run(list, |client| async move { client.zrem::<u64, _, _>(list, sale.as_str()).await }).await
        }
    };
    // A list that does not respond keeps the sale, which then seems to be open.
    join_all(others.map(remove)).await;
}

#[async_trait]
impl LinePort for Redis {
    async fn call(&self, function: &str, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        let call = |client: Client| {
            let (keys, args) = (keys.clone(), args.clone());
            async move { client.fcall(function, keys, args).await }
        };
        self.run(keys.first().map_or("", String::as_str), call).await
    }

    async fn load(&self, key: &str) -> Result<(), Error> {
        self.run(key, load_library).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.probe().await
    }

    async fn list(&self, sale: String, rank: f64, now_ms: f64) -> Result<(), Error> {
        let (list, member) = (list_of(self, &sale), sale.as_str());
        let list = list.as_str();
        let add = |client: Client| async move {
            client.zadd::<u64, _, _>(list, None, None, false, false, (rank, member)).await?;
            client.zremrangebyscore::<u64, _, _, _>(list, f64::NEG_INFINITY, now_ms).await
        };
        self.run(list, add).await?;
        if rank < CLOSED_BELOW {
            // Not awaited: other primaries do not delay this sale.
            tokio::spawn(unlist_elsewhere(self.clone(), sale));
        }
        Ok(())
    }

    async fn listed(&self, now_ms: f64, max: u32) -> Result<Listed, Error> {
        let read = |list: String| async move {
            let list = list.as_str();
            if !self.is_connected(list) {
                return Err(Error::new(ErrorKind::IO, "the primary of the list is not connected"));
            }
            let read = |client: Client| async move {
                let page = Some((0, max.into()));
                client.zrevrangebyscore::<Vec<(String, f64)>, _, _, _>(list, f64::INFINITY, now_ms, true, page).await
            };
            self.run(list, read).await
        };
        let lists = self.partitions(SALES);
        let read = join_all(lists.iter().cloned().map(read)).await;
        if let Some(Err(error)) = read.iter().find(|_| read.iter().all(Result::is_err)) {
            return Err(error.clone());
        }
        let is_complete = read.iter().all(Result::is_ok);
        // A sale whose slot has moved may still be in the list of its former primary.
        let mut ranks: HashMap<String, f64> = HashMap::new();
        for (list, sales) in lists.iter().zip(read) {
            for (sale, rank) in sales.unwrap_or_default() {
                if list_of(self, &sale) == *list {
                    ranks.insert(sale, rank);
                } else {
                    ranks.entry(sale).or_insert(rank);
                }
            }
        }
        let mut sales: Vec<_> = ranks.into_iter().collect();
        sales.sort_by(|one, other| other.1.total_cmp(&one.1));
        sales.truncate(max as usize);
        Ok(Listed { sales: sales.into_iter().map(|(sale, _)| sale).collect(), is_complete })
    }

    async fn listed_open(&self) -> Result<u64, Error> {
        let count = |list: String| async move {
            let list = list.as_str();
            self.run(list, |client| async move { client.zcount(list, CLOSED_BELOW, f64::INFINITY).await }).await
        };
        let counts: Vec<Result<u64, Error>> = join_all(self.partitions(SALES).into_iter().map(count)).await;
        Ok(counts.into_iter().flatten().sum())
    }
}
