//! The only place that creates Redis clients: each has timeouts, bounded queues and reconnection.
//!
//! - [`Redis`] runs commands on the server that stores a key: the only server, the primary under
//!   Sentinel, or the primary of the key's hash slot in a cluster.
//! - [`Subscriber`] receives what is published to channels, each on the server of its slot.
//! - A cluster has a client for each primary, not fred's client for clusters: while that one
//!   reconnects to one primary, it serves no other.
//!
//! ```no_run
//! use fred::interfaces::KeysInterface as _;
//!
//! # async fn write() -> Result<(), fred::error::Error> {
//! let redis = fairline_redis::connect("redis://localhost").await?;
//! let count = |client: fred::clients::Client| async move { client.incr("visits").await };
//! let visits: u64 = redis.run("visits", count).await?;
//! # Ok(())
//! # }
//! ```

mod cache;
mod client;
mod cluster;
mod partitions;
mod redis;
mod subscriber;

pub use cache::Cache;
pub use client::{Prepare, Preparing, SubscriberEvent};
pub use redis::{Redis, connect, connect_in_time, connect_prepared};
pub use subscriber::Subscriber;
