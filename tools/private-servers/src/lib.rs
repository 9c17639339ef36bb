//! A private Redis and a private Postgres, for the demo and for the tests.
//!
//! Both run under a folder that this process has claimed, listen on free ports of 127.0.0.1, and do
//! not affect servers that already run. They end with this process, however it ends: each is
//! started through `setpriv --pdeathsig`, so the kernel stops it even when this process is killed
//! with SIGKILL.
//!
//! As root, both run as the unprivileged users that their packages created (Postgres refuses root).
//!
//! ```no_run
//! # fn main() -> Result<(), fairline_private_servers::ServerError> {
//! use fairline_private_servers::{Folder, PrivatePostgres, PrivateRedis, Survives};
//!
//! let folder = Folder::claim(".fairline")?;
//! let mut redis = PrivateRedis::start(&folder, Survives::PowerLoss)?;
//! let postgres = PrivatePostgres::start(&folder, Survives::PowerLoss)?;
//! let database = postgres.create_database("shop")?;
//! redis.kill()?; // as a crash would
//! redis.restart()?; // the same port, the same data
//! # drop(database); Ok(())
//! # }
//! ```
//!
//! [`ServiceProcess`] runs a service beside them, likewise.
//!
//! Tests use [`testing`], which starts both once and gives every test its own database.
//!
//! All functions block, for up to a second or two when a server starts or stops; asynchronous
//! callers use `spawn_blocking`. Linux only: the processes that use a folder are read from `/proc`.

mod account;
mod error;
mod folder;
mod port;
mod postgres;
mod process;
mod program;
mod redis;
mod server;
mod service;
pub mod testing;

pub use error::ServerError;
pub use folder::Folder;
pub use postgres::PrivatePostgres;
pub use program::{Versions, versions};
pub use redis::{Moment, PrivateRedis};
pub use service::{ServiceProcess, address_of, spawn_service};

/// The failure that acknowledged writes survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// A power failure: Postgres syncs each commit to the disk, Redis syncs once a second.
    PowerLoss,
    /// A kill of the server; the operating system writes to the disk. Several times faster: for
    /// tests.
    Kill,
}
