//! A private Redis and a private Postgres, for the demo and for the tests.
//!
//! Both run under a folder that this process has claimed, listen on free ports of 127.0.0.1, and touch no server that
//! already runs. They end with this process, however it ends: each is started through `setpriv --pdeathsig`, so the
//! kernel stops it even after a SIGKILL of ours.
//!
//! As root, both run as the unprivileged users that their packages made (Postgres refuses root).
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
//! Tests use [`testing`], which starts both once and gives every test a database of its own.
//!
//! Everything here blocks, for a second or two at most when a server starts or stops; asynchronous callers that care
//! use `spawn_blocking`. Linux only: who still runs in a folder is read from `/proc`.

mod account;
mod error;
mod folder;
mod port;
mod postgres;
mod process;
mod program;
mod redis;
mod server;
pub mod testing;

pub use error::ServerError;
pub use folder::Folder;
pub use postgres::PrivatePostgres;
pub use program::{Versions, versions};
pub use redis::{Moment, PrivateRedis};

/// What a server's acknowledged writes outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// The machine losing power: Postgres syncs each commit to the disk, Redis syncs once a second.
    PowerLoss,
    /// The server being killed; the disk is left to the operating system. Several times faster: for tests.
    Kill,
}
