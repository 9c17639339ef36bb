//! All that the line's store asks of Redis. The simulation answers in Redis's place.

use async_trait::async_trait;
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, FunctionInterface as _, SortedSetsInterface as _},
};
pub use fred::{
    error::{Error, ErrorKind},
    types::Value,
};

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
/// All sales, by the Unix time in ms until which they are listed.
const SALES: &str = "fairline:sales";

/// The interface to Redis.
#[async_trait]
pub trait Port: Send + Sync {
    /// Calls a function of the library.
    async fn call(&self, function: &str, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error>;
    /// Loads the library.
    async fn load(&self) -> Result<(), Error>;
    /// Checks that Redis answers, and accepts writes.
    async fn ping(&self) -> Result<(), Error>;
    /// Lists a sale until a time, and removes the sales whose time has passed.
    async fn list(&self, sale: String, until_ms: f64, now_ms: f64) -> Result<(), Error>;
    /// Up to `max` sales that are listed now, those with the latest end first.
    async fn listed(&self, now_ms: f64, max: u32) -> Result<Vec<String>, Error>;
    /// How many sales are listed without an end.
    async fn listed_open(&self) -> Result<u64, Error>;
}

#[async_trait]
impl Port for Client {
    async fn call(&self, function: &str, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        self.fcall(function, keys, args).await
    }

    async fn load(&self) -> Result<(), Error> {
        let _: Value = if self.is_clustered() {
            self.function_load_cluster(true, LIBRARY).await?
        } else {
            self.function_load(true, LIBRARY).await?
        };
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        fairline_redis::probe(self).await
    }

    async fn list(&self, sale: String, until_ms: f64, now_ms: f64) -> Result<(), Error> {
        let _: u64 = self.zadd(SALES, None, None, false, false, (until_ms, sale)).await?;
        let _: u64 = self.zremrangebyscore(SALES, f64::NEG_INFINITY, now_ms).await?;
        Ok(())
    }

    async fn listed(&self, now_ms: f64, max: u32) -> Result<Vec<String>, Error> {
        self.zrevrangebyscore(SALES, f64::INFINITY, now_ms, false, Some((0, max.into()))).await
    }

    async fn listed_open(&self) -> Result<u64, Error> {
        self.zcount(SALES, f64::INFINITY, f64::INFINITY).await
    }
}
