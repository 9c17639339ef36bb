//! What the line's store asks of Redis, and nothing else. The simulation answers in Redis's place.

use async_trait::async_trait;
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, FunctionInterface as _, SortedSetsInterface as _},
};
pub use fred::{
    error::{Error, ErrorKind},
    types::Value,
};

/// The function library.
pub const LIBRARY: &str = include_str!("line.lua");
/// All sales, by the moment (Unix time in ms) until which they are listed.
const SALES: &str = "fairline:sales";

/// The way to Redis.
#[async_trait]
pub trait Port: Send + Sync {
    /// Calls a function of the library.
    async fn call(&self, function: &str, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error>;
    /// Loads the library.
    async fn load(&self) -> Result<(), Error>;
    /// Asks whether Redis answers, and takes writes.
    async fn ping(&self) -> Result<(), Error>;
    /// Lists a sale until a moment, and drops the sales that were listed until before now.
    async fn list(&self, sale: String, until_ms: f64, now_ms: f64) -> Result<(), Error>;
    /// The sales that are listed now, `most` at most: those that are listed longest come first.
    async fn listed(&self, now_ms: f64, most: u32) -> Result<Vec<String>, Error>;
    /// How many sales are listed for ever.
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

    async fn listed(&self, now_ms: f64, most: u32) -> Result<Vec<String>, Error> {
        self.zrevrangebyscore(SALES, f64::INFINITY, now_ms, false, Some((0, most.into()))).await
    }

    async fn listed_open(&self) -> Result<u64, Error> {
        self.zcount(SALES, f64::INFINITY, f64::INFINITY).await
    }
}
