//! Servers for tests: each test has its own database, and all tests share a Redis.
//!
//! `with-private-servers COMMAND` runs a test run with one pair of servers, and passes their URLs
//! in [`POSTGRES_URL`] and [`REDIS_URL`]. If these are not set, the first test of a process that
//! needs the servers starts a pair, which ends with the process: `cargo test` and `cargo nextest
//! run` work without setup, somewhat more slowly.
//!
//! Redis is shared and never flushed: the keys of a test belong to its own sales, whose ids are
//! random.
//!
//! Tests that kill or empty a server start their own [`Servers`], [`RedisCluster`] or
//! [`RedisSentinel`].

mod authority;
mod pgbouncer;
mod postgres_pair;
mod programs;
mod proxy;
mod redis_cluster;

use std::{
    env, fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use nix::unistd::Uid;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    Folder, PrivatePostgres, PrivateRedis, ServerError, Survives,
    error::Context as _,
    postgres::{ConnectionParameters, create_database},
    program::Program,
};

pub use authority::Authority;
pub use pgbouncer::PgBouncer;
pub use postgres_pair::PostgresPair;
pub use programs::{libfaketime, programs};
pub use proxy::{Forwarding, LinkMode, Proxy};
pub use redis_cluster::{RedisCluster, RedisSentinel};

/// The variable with the URL of the test run's Postgres.
pub const POSTGRES_URL: &str = "FAIRLINE_TEST_POSTGRES_URL";
/// The variable with the URL of the test run's Redis.
pub const REDIS_URL: &str = "FAIRLINE_TEST_REDIS_URL";

const FOLDER_PREFIX: &str = "fairline-test-";
/// A younger folder may be about to be claimed by its owner.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// The URL of a new, empty database for the caller.
///
/// It is dropped with the servers: dropping it earlier would wait for connections that a stopped
/// runtime can no longer finish.
///
/// # Panics
/// When Postgres is not available.
#[must_use]
pub fn database_url() -> String {
    let servers = shared();
    let name = format!("test_{}", Uuid::new_v4().simple());
    create_database(&servers.program, &servers.postgres, &name).unwrap_or_else(|error| panic!("{error}"))
}

/// The URL of a Redis that the caller shares with other tests.
///
/// # Panics
/// When Redis is not available.
#[must_use]
pub fn redis_url() -> String {
    shared().redis_url.clone()
}

#[derive(Debug)]
struct Shared {
    program: Program,
    postgres: ConnectionParameters,
    redis_url: String,
    _own: Option<Servers>,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| Shared::find().unwrap_or_else(|error| panic!("{error}")))
}

impl Shared {
    fn find() -> Result<Self, ServerError> {
        let (own, postgres_url, redis_url) = match (env::var(POSTGRES_URL), env::var(REDIS_URL)) {
            (Ok(postgres_url), Ok(redis_url)) => (None, postgres_url, redis_url),
            _ => {
                let servers = Servers::start()?;
                let (postgres_url, redis_url) = (servers.postgres.url(), servers.redis.url());
                (Some(servers), postgres_url, redis_url)
            }
        };
        let postgres = postgres_url.parse().unwrap_or_else(|problem| panic!("{POSTGRES_URL}: {problem}"));
        Ok(Self { program: Program::postgres()?, postgres, redis_url, _own: own })
    }
}

/// A Redis and a Postgres in a temporary folder, which is deleted on drop.
#[derive(Debug)]
pub struct Servers {
    /// The Redis.
    pub redis: PrivateRedis,
    /// The Postgres.
    pub postgres: PrivatePostgres,
    // Dropped after the servers, in this order.
    _claim: Folder,
    _folder: TempDir,
}

impl Servers {
    /// Starts both, and deletes what killed test runs have left.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start() -> Result<Self, ServerError> {
        let (folder, claim) = temporary_folder()?;
        let redis = PrivateRedis::start(&claim, Survives::Kill)?;
        let postgres = PrivatePostgres::start(&claim, Survives::Kill)?;
        Ok(Self { redis, postgres, _claim: claim, _folder: folder })
    }
}

/// A server in its own temporary folder.
#[derive(Debug)]
pub struct OwnServer<T> {
    /// The server.
    pub server: T,
    // Dropped after the server, in this order.
    _claim: Folder,
    _folder: TempDir,
}

impl<T> OwnServer<T> {
    fn with(start: impl FnOnce(&Folder) -> Result<T, ServerError>) -> Result<Self, ServerError> {
        let (folder, claim) = temporary_folder()?;
        let server = start(&claim)?;
        Ok(Self { server, _claim: claim, _folder: folder })
    }
}

impl OwnServer<PrivatePostgres> {
    /// Starts a Postgres.
    ///
    /// # Errors
    /// When it does not start.
    pub fn postgres() -> Result<Self, ServerError> {
        Self::with(|folder| PrivatePostgres::start(folder, Survives::Kill))
    }
}

impl OwnServer<PrivateRedis> {
    /// Starts a Redis.
    ///
    /// # Errors
    /// When it does not start.
    pub fn redis() -> Result<Self, ServerError> {
        Self::with(|folder| PrivateRedis::start(folder, Survives::Kill))
    }
}

/// Creates and claims the folder of one test run; deletes what killed test runs have left.
fn temporary_folder() -> Result<(TempDir, Folder), ServerError> {
    sweep(&env::temp_dir());
    let making = || "make a temporary folder".to_owned();
    let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir().context(making)?;
    // As root, the servers run as other users, who need to traverse it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).context(making)?;
    let claim = Folder::claim(folder.path())?;
    Ok((folder, claim))
}

/// Deletes the folders of killed test runs.
fn sweep(folders: &Path) {
    for entry in fs::read_dir(folders).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX)
            && entry.metadata().is_ok_and(|metadata| {
                metadata.is_dir()
                    && metadata.uid() == Uid::effective().as_raw()
                    && metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > SETTLED_AFTER))
            });
        // A running test holds its claim.
        if is_ours && Folder::claim(entry.path()).is_ok_and(|folder| folder.clear().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
