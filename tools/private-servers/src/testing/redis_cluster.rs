//! A Redis Cluster with three masters; and a primary with a replica and a Sentinel.

use std::{
    ffi::OsString,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::{Proxy, temporary_folder};
use crate::{
    Folder, PrivateRedis, ServerError, Survives,
    error::Context as _,
    port::free_port,
    process::until,
    program::Program,
    redis::{answers, ask},
    server::Server,
};

/// Hash slots of a cluster.
const SLOTS: u16 = 16_384;
const MASTERS: u16 = 3;
/// Maximum time for servers to agree with each other.
const AGREE_LIMIT: Duration = Duration::from_secs(30);
/// The service name that clients request from Sentinel.
const SERVICE: &str = "line";

/// One Redis in its own temporary folder.
#[derive(Debug)]
struct RedisMember {
    redis: PrivateRedis,
    /// The proxy that clients connect to, if any.
    door: Option<Proxy>,
    _claim: Folder,
    _folder: TempDir,
}

impl RedisMember {
    /// Starts one with additional arguments. Behind a proxy, it announces the proxy's port to
    /// clients, through the options in `announce`.
    fn start(more: &[&str], door: Option<Proxy>, announce: &[&str]) -> Result<Self, ServerError> {
        let (folder, claim) = temporary_folder()?;
        let mut arguments: Vec<OsString> = more.iter().map(OsString::from).collect();
        if let Some(door) = &door {
            arguments.extend(announce.iter().map(OsString::from));
            arguments.push(door.address().port().to_string().into());
        }
        let redis = PrivateRedis::start_with(&claim, Survives::Kill, arguments)?;
        if let Some(door) = &door {
            door.lead_to(here(redis.port()));
        }
        Ok(Self { redis, door, _claim: claim, _folder: folder })
    }

    fn port(&self) -> u16 {
        self.redis.port()
    }

    /// The port that clients connect to.
    fn client_port(&self) -> u16 {
        self.door.as_ref().map_or(self.redis.port(), |door| door.address().port())
    }
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A proxy without a target, if one is needed.
fn door(is_behind_proxies: bool) -> Result<Option<Proxy>, ServerError> {
    let start = || Proxy::start(here(1)).context(|| "start a proxy".to_owned());
    is_behind_proxies.then(start).transpose()
}

/// Sends a command to a Redis, which must succeed.
fn command(port: u16, text: &str) -> Result<(), ServerError> {
    let action = || format!("send `{text}` to the Redis on port {port}");
    let answer = ask(port, text).context(action)?;
    if answer.starts_with('+') { Ok(()) } else { Err(io::Error::other(answer)).context(action) }
}

/// Waits until several servers agree; otherwise returns the last disagreement.
fn agree(what: &str, mut disagreement: impl FnMut() -> Option<String>) -> Result<(), ServerError> {
    let mut last = None;
    let agreed = until(AGREE_LIMIT, || {
        last = disagreement();
        last.is_none()
    });
    let last = last.unwrap_or_default();
    if agreed { Ok(()) } else { Err(io::Error::other(last)).context(|| format!("wait for {what}")) }
}

/// The reply of a Redis, unless it contains all of `parts`.
fn unless_reply_has(port: u16, command: &str, parts: &[&str]) -> Option<String> {
    match ask(port, command) {
        Ok(answer) if parts.iter().all(|part| answer.contains(part)) => None,
        Ok(answer) => Some(format!("port {port}: {answer}")),
        Err(error) => Some(format!("port {port}: {error}")),
    }
}

/// A Redis Cluster of three masters without replicas, each with a third of the slots. While one is
/// down, the others continue to serve theirs.
#[derive(Debug)]
pub struct RedisCluster(Vec<RedisMember>);

impl RedisCluster {
    /// Starts the three, and waits until each lists all, in two to three seconds.
    ///
    /// # Errors
    /// When one does not start, or they do not form a cluster.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_as(false)
    }

    /// The same, with a proxy in front of each master.
    ///
    /// # Errors
    /// When one does not start, or they do not form a cluster.
    pub fn start_behind_proxies() -> Result<Self, ServerError> {
        Self::start_as(true)
    }

    fn start_as(is_behind_proxies: bool) -> Result<Self, ServerError> {
        let member = |_| {
            let bus = free_port()?.to_string();
            let mut more = vec!["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1500"];
            more.extend(["--cluster-announce-ip", "127.0.0.1", "--cluster-require-full-coverage", "no"]);
            Ok((RedisMember::start(&more, door(is_behind_proxies)?, &["--cluster-announce-port"])?, bus))
        };
        let members = (0..MASTERS).map(member).collect::<Result<Vec<_>, ServerError>>()?;
        for ((member, _), nth) in members.iter().zip(0..) {
            let first = |nth| u32::from(SLOTS) * nth / u32::from(MASTERS);
            command(member.port(), &format!("CLUSTER ADDSLOTSRANGE {} {}", first(nth), first(nth + 1) - 1))?;
            for (other, bus) in members.iter().take(nth as usize) {
                command(member.port(), &format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port()))?;
            }
        }
        let cluster = Self(members.into_iter().map(|(member, _)| member).collect());
        cluster.settle()?;
        Ok(cluster)
    }

    /// Waits until every member considers the cluster complete. After a restart this takes two
    /// seconds, in which the restarted master replies CLUSTERDOWN.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn settle(&self) -> Result<(), ServerError> {
        let known = format!("cluster_known_nodes:{MASTERS}\r\n");
        let complete = ["cluster_state:ok\r\n", &format!("cluster_slots_ok:{SLOTS}\r\n"), &known];
        agree("the cluster to be complete", || {
            self.0.iter().find_map(|member| unless_reply_has(member.port(), "CLUSTER INFO", &complete))
        })
    }

    /// Its URL: `redis-cluster://127.0.0.1:PORT?node=127.0.0.1:PORT…`.
    #[must_use]
    pub fn url(&self) -> String {
        let ports: Vec<_> = self.0.iter().map(RedisMember::client_port).collect();
        let others: Vec<_> = ports[1..].iter().map(|port| format!("node=127.0.0.1:{port}")).collect();
        format!("redis-cluster://127.0.0.1:{}?{}", ports[0], others.join("&"))
    }

    /// The proxies in front of the masters.
    pub fn doors(&self) -> impl Iterator<Item = &Proxy> {
        self.0.iter().filter_map(|member| member.door.as_ref())
    }

    /// The masters, in the order of their slots.
    pub fn masters(&mut self) -> impl Iterator<Item = &mut PrivateRedis> {
        self.0.iter_mut().map(|member| &mut member.redis)
    }
}

/// A primary, a replica, and a Sentinel that promotes the replica when the primary fails.
#[derive(Debug)]
pub struct RedisSentinel {
    // Dropped first: otherwise it would react to the end of the others.
    _sentinel: Server,
    port: u16,
    primary: RedisMember,
    replica: RedisMember,
    _claim: Folder,
    _folder: TempDir,
}

impl RedisSentinel {
    /// Starts the three, and waits until they are connected to each other, in one to two seconds.
    ///
    /// # Errors
    /// When one does not start, or they do not connect.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_as(false)
    }

    /// The same, with a proxy in front of the primary and of the replica, which the servers use,
    /// too.
    ///
    /// # Errors
    /// When one does not start, or they do not connect.
    pub fn start_behind_proxies() -> Result<Self, ServerError> {
        Self::start_as(true)
    }

    fn start_as(is_behind_proxies: bool) -> Result<Self, ServerError> {
        // Do not wait for further replicas. A replica that writes its first append-only file would
        // reject a shutdown once and for all.
        let at_once = ["--repl-diskless-sync-delay", "0", "--shutdown-on-sigterm", "force"];
        let announce = ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port"];
        let primary = RedisMember::start(&at_once, door(is_behind_proxies)?, &announce)?;
        let primary_port = primary.client_port();
        let following = ["--replicaof", "127.0.0.1", &primary_port.to_string()];
        let replica =
            RedisMember::start(&[at_once.as_slice(), &following].concat(), door(is_behind_proxies)?, &announce)?;
        // Sentinel finds the replica in its first check, instead of ten seconds later.
        agree("the replica to follow", || unless_reply_has(primary.port(), "INFO replication", &["state=online"]))?;

        let (folder, claim) = temporary_folder()?;
        let mut sentinel = Server::in_folder(&claim, "Sentinel", Signal::SIGTERM, Program::redis()?)?;
        let data = sentinel.data();
        let making = || format!("make the folder {}", data.display());
        fs::create_dir(&data).context(making)?;
        // Sentinel rewrites its settings file.
        let settings = data.join("sentinel.conf");
        let watched = format!(
            "dir {}\nsentinel monitor {SERVICE} 127.0.0.1 {primary_port} 1\n\
             sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 2000\n",
            data.display()
        );
        fs::write(&settings, watched).context(making)?;
        sentinel.account.give(&data)?;
        sentinel.account.give(&settings)?;
        let arguments = |port: u16| -> Vec<OsString> {
            let words = ["--sentinel", "--bind", "127.0.0.1", "--port", &port.to_string()].map(OsString::from);
            [settings.clone().into()].into_iter().chain(words).collect()
        };
        let port = sentinel.start_on_free_port(arguments, answers)?;
        let mut servers = Self { _sentinel: sentinel, port, primary, replica, _claim: claim, _folder: folder };
        // Check more often than every ten seconds. A busy machine, which looks like a clock fault,
        // then delays Sentinel for one second instead of thirty.
        let pace = "SENTINEL DEBUG info-period 500 publish-period 250 tilt-period 1000";
        command(port, pace)?;
        servers.settle()?;
        Ok(servers)
    }

    /// Its URL: `redis-sentinel://127.0.0.1:PORT?sentinelServiceName=line`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName={SERVICE}", self.port)
    }

    /// The proxies of the current primary and replica.
    pub fn doors(&self) -> impl Iterator<Item = &Proxy> {
        [&self.primary, &self.replica].into_iter().filter_map(|member| member.door.as_ref())
    }

    /// The current primary. Killing it through this handle does not wait for a failover.
    pub fn primary(&mut self) -> &mut PrivateRedis {
        &mut self.primary.redis
    }

    /// Kills the primary, like a crash, and waits until the replica has taken over, two to four
    /// seconds later. Call it again only after [`restore`](Self::restore).
    ///
    /// # Errors
    /// When the replica does not take over.
    pub fn fail_over(&mut self) -> Result<(), ServerError> {
        self.recognise_primary();
        self.primary.redis.kill()?;
        self.take_over()
    }

    /// Pauses the primary, like a stalled machine, until the replica has taken over. It then
    /// resumes, and considers itself the primary for a moment. Waits until it is the replica.
    ///
    /// # Errors
    /// When the replica does not take over, or the old primary does not follow it.
    pub fn fail_over_from_stopped(&mut self) -> Result<(), ServerError> {
        self.recognise_primary();
        let stopped = self.primary.redis.processes();
        let signal = |signal| {
            for pid in &stopped {
                let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
            }
        };
        signal(Signal::SIGSTOP);
        let taken_over = self.take_over();
        signal(Signal::SIGCONT);
        taken_over?;
        self.settle()
    }

    fn take_over(&mut self) -> Result<(), ServerError> {
        let (heir, client_port) = (self.replica.port(), self.replica.client_port());
        agree("the replica to take over", || {
            unless_reply_has(heir, "ROLE", &["master"]).or_else(|| {
                let address = format!("\r\n{client_port}\r\n");
                unless_reply_has(self.port, &format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}"), &[&address])
            })
        })?;
        std::mem::swap(&mut self.primary, &mut self.replica);
        Ok(())
    }

    /// Restarts the primary that [`fail_over`](Self::fail_over) killed, and waits until it is the
    /// replica. For a moment it still considers itself a primary.
    ///
    /// # Errors
    /// When it does not start, or does not follow.
    pub fn restore(&mut self) -> Result<(), ServerError> {
        self.replica.redis.restart()?;
        self.settle()
    }

    /// Sentinel may have exchanged the two, since a fault or a busy machine kept the primary silent
    /// for a second.
    fn recognise_primary(&mut self) {
        let exchanged = format!("\r\n{}\r\n", self.replica.client_port());
        let leader = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}");
        if unless_reply_has(self.port, &leader, &[&exchanged]).is_none() {
            std::mem::swap(&mut self.primary, &mut self.replica);
        }
    }

    /// Waits until the replica follows, and Sentinel lists it.
    fn settle(&mut self) -> Result<(), ServerError> {
        agree("Sentinel to know the replica", || {
            self.recognise_primary();
            let follows = format!("master_port:{}\r\nmaster_link_status:up", self.primary.client_port());
            let known = format!("\r\n127.0.0.1:{}\r\n", self.replica.client_port());
            unless_reply_has(self.replica.port(), "INFO replication", &[&follows]).or_else(|| {
                let looked = [&known, "master-link-status\r\n$2\r\nok", "flags\r\n$5\r\nslave\r\n"];
                unless_reply_has(self.port, &format!("SENTINEL REPLICAS {SERVICE}"), &looked)
            })
        })
    }
}
