//! A Redis Cluster of three, and a primary with a replica that Sentinel watches.

use std::{
    ffi::OsString,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpStream},
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::temporary_folder;
use crate::{
    Folder, PrivateRedis, ServerError, Survives, error::Doing as _, port::free_port, process::until, program::Program,
    server::Server,
};

/// Hash slots of a cluster.
const SLOTS: u16 = 16_384;
const MASTERS: u16 = 3;
/// How long servers take to agree with each other at most.
const AGREE_LIMIT: Duration = Duration::from_secs(30);
/// What clients of Sentinel ask for.
const SERVICE: &str = "line";

/// One Redis in a temporary folder of its own.
#[derive(Debug)]
struct Member {
    redis: PrivateRedis,
    _claim: Folder,
    _folder: TempDir,
}

impl Member {
    fn start(more: &[&str]) -> Result<Self, ServerError> {
        let (folder, claim) = temporary_folder()?;
        let redis = PrivateRedis::start_with(&claim, Survives::Kill, more.iter().map(OsString::from).collect())?;
        Ok(Self { redis, _claim: claim, _folder: folder })
    }
}

/// Has the Redis on a port do something, and gives the answer.
fn ask(port: u16, command: &str) -> Result<String, ServerError> {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        // Not QUIT, which Sentinel does not know: it answers and hangs up all the same.
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().doing(|| format!("say `{command}` to the Redis on port {port}"))
}

fn agree(what: &'static str, agreed: impl FnMut() -> bool) -> Result<(), ServerError> {
    if until(AGREE_LIMIT, agreed) {
        return Ok(());
    }
    let source = std::io::ErrorKind::TimedOut.into();
    Err(ServerError::Io { action: format!("wait for {what}"), source })
}

/// A Redis Cluster of three masters, each with a third of the slots.
#[derive(Debug)]
pub struct RedisCluster(Vec<Member>);

impl RedisCluster {
    /// Starts the three, and waits until each knows all.
    ///
    /// # Errors
    /// When one does not start, or they do not find together.
    pub fn start() -> Result<Self, ServerError> {
        let member = |_| {
            let bus = free_port()?.to_string();
            Member::start(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"])
                .map(|member| (member, bus))
        };
        let members = (0..MASTERS).map(member).collect::<Result<Vec<_>, _>>()?;
        let (first, first_bus) = (members[0].0.redis.port(), members[0].1.clone());
        for ((member, _), nth) in members.iter().zip(0..) {
            let (from, to) =
                (SLOTS / MASTERS * nth, if nth + 1 == MASTERS { SLOTS } else { SLOTS / MASTERS * (nth + 1) });
            ask(member.redis.port(), &format!("CLUSTER ADDSLOTSRANGE {from} {}", to - 1))?;
            ask(member.redis.port(), &format!("CLUSTER MEET 127.0.0.1 {first} {first_bus}"))?;
        }
        let cluster = Self(members.into_iter().map(|(member, _)| member).collect());
        cluster.settle()?;
        Ok(cluster)
    }

    /// Waits until every member finds the cluster complete.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn settle(&self) -> Result<(), ServerError> {
        agree("the cluster to be complete", || {
            self.0.iter().all(|member| {
                let info = ask(member.redis.port(), "CLUSTER INFO").unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{MASTERS}"))
            })
        })
    }

    /// Its address: `redis-cluster://127.0.0.1:PORT?node=127.0.0.1:PORT…`.
    #[must_use]
    pub fn url(&self) -> String {
        let ports: Vec<_> = self.0.iter().map(|member| member.redis.port()).collect();
        let others: Vec<_> = ports[1..].iter().map(|port| format!("node=127.0.0.1:{port}")).collect();
        format!("redis-cluster://127.0.0.1:{}?{}", ports[0], others.join("&"))
    }

    /// The masters.
    pub fn masters(&mut self) -> impl Iterator<Item = &mut PrivateRedis> {
        self.0.iter_mut().map(|member| &mut member.redis)
    }
}

/// A primary, a replica, and a Sentinel that makes the replica primary when the primary is gone.
#[derive(Debug)]
pub struct RedisSentinel {
    // Dropped first: it would make much of the others' end.
    sentinel: Server,
    port: u16,
    primary: Member,
    replica: Member,
    _claim: Folder,
    _folder: TempDir,
}

impl RedisSentinel {
    /// Starts the three, and waits until they know each other.
    ///
    /// # Errors
    /// When one does not start, or they do not find together.
    pub fn start() -> Result<Self, ServerError> {
        let primary = Member::start(&[])?;
        let primary_port = primary.redis.port();
        let replica = Member::start(&["--replicaof", "127.0.0.1", &primary_port.to_string()])?;
        agree("the replica to follow", || {
            ask(primary_port, "INFO replication").is_ok_and(|info| info.contains("state=online"))
        })?;

        let (folder, claim) = temporary_folder()?;
        let mut sentinel = Server::in_folder(&claim, "Sentinel", Signal::SIGTERM, Program::redis()?)?;
        let data = sentinel.data();
        let making = || format!("make the folder {}", data.display());
        fs::create_dir(&data).doing(making)?;
        // Sentinel writes what it learns into its settings.
        let settings = data.join("sentinel.conf");
        let watched = format!(
            "dir {}\nsentinel monitor {SERVICE} 127.0.0.1 {primary_port} 1\n\
             sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 3000\n",
            data.display()
        );
        fs::write(&settings, watched).doing(making)?;
        sentinel.account.give(&data)?;
        sentinel.account.give(&settings)?;
        let arguments = |port: u16| -> Vec<OsString> {
            let words = ["--sentinel", "--bind", "127.0.0.1", "--port", &port.to_string()].map(OsString::from);
            [settings.clone().into()].into_iter().chain(words).collect()
        };
        let knows_the_replica = |port, _| {
            ask(port, &format!("SENTINEL MASTER {SERVICE}"))
                .is_ok_and(|answer| answer.contains("num-slaves\r\n$1\r\n1"))
        };
        let port = sentinel.start_on_free_port(arguments, knows_the_replica)?;
        Ok(Self { sentinel, port, primary, replica, _claim: claim, _folder: folder })
    }

    /// Its address: `redis-sentinel://127.0.0.1:PORT?sentinelServiceName=line`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName={SERVICE}", self.port)
    }

    /// Kills the primary, as a crash would, and waits until the replica has taken over.
    ///
    /// # Errors
    /// When it does not.
    pub fn fail_over(&mut self) -> Result<(), ServerError> {
        debug_assert!(self.sentinel.is_running(), "somebody has to see it");
        self.primary.redis.kill()?;
        let heir = self.replica.redis.port();
        agree("the replica to take over", || ask(heir, "ROLE").is_ok_and(|role| role.contains("master")))
    }
}
