//! The faults, each with a function that begins it and one that ends it.

mod link_fault;

use std::{fmt, fs, net::SocketAddr, process::Command};

use fairline_private_servers::{Moment, ServerError};
use fairline_shop::{ONLOOKER, Shop};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub use link_fault::LinkFault;

use link_fault::mend;

use crate::topology::{PostgresServers, RedisServers, Topology};

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of a service, which is started again at the end.
    Kill(&'static str),
    /// SIGSTOP of a service.
    Stop(&'static str),
    /// SIGTERM of a service, which is started again at the end.
    Roll(&'static str),
    /// A service can open no more files.
    Files(&'static str),
    /// A service restarts with a clock that is some seconds ahead, and at the end with the right
    /// one.
    Skew(&'static str, i64),
    /// One link is broken.
    Link {
        /// The client.
        from: &'static str,
        /// The server.
        to: &'static str,
        /// How.
        how: LinkFault,
    },
    /// All links of services to `redis` or `postgres` are broken.
    Links {
        /// To which.
        to: &'static str,
        /// How.
        how: LinkFault,
    },
    /// The links of all, or of one service, to one server of a Redis with several are broken.
    Door {
        /// Which server.
        nth: usize,
        /// Which service.
        from: Option<&'static str>,
        /// How.
        how: LinkFault,
    },
    /// The link of the standby to its primary is broken: commits wait.
    Replication {
        /// How.
        how: LinkFault,
    },
    /// SIGKILL of a Redis, which comes back with its data.
    RedisKill(usize),
    /// SIGSTOP of a Redis.
    RedisStop(usize),
    /// Redis comes back empty.
    RedisEmptied(usize),
    /// Redis comes back as it was at the beginning of the fault.
    RedisOlder(usize),
    /// Redis can't write to its disk.
    RedisDiskFull(usize),
    /// Redis has no memory left.
    RedisOutOfMemory(usize),
    /// Redis takes no writes.
    RedisReadOnly,
    /// The primary is killed and the replica takes over, this many times.
    RedisFailOver(u32),
    /// The primary is paused until the replica has taken over, and then continues as if it were
    /// still the primary.
    RedisTwoPrimaries,
    /// SIGKILL of Postgres with all its sessions.
    PostgresKill,
    /// SIGSTOP of Postgres with all its sessions.
    PostgresStop,
    /// Postgres can't write to its disk.
    PostgresDiskFull,
    /// Postgres takes no writes.
    PostgresReadOnly,
    /// The primary is killed, the standby promoted.
    PostgresFailOver,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Skew(service, seconds) => write!(f, "{} of {service} by {seconds} s", self.kind()),
            Fault::Kill(of) | Fault::Stop(of) | Fault::Roll(of) | Fault::Files(of) => {
                write!(f, "{} of {of}", self.kind())
            }
            Fault::Link { from, to, how } => write!(f, "link {from} to {to} {}", how.name()),
            Fault::Links { to, how } => write!(f, "all links to {to} {}", how.name()),
            Fault::Door { nth, from: Some(from), how } => write!(f, "link {from} to redis {nth} {}", how.name()),
            Fault::Door { nth, from: None, how } => write!(f, "all links to redis {nth} {}", how.name()),
            Fault::RedisKill(nth)
            | Fault::RedisStop(nth)
            | Fault::RedisEmptied(nth)
            | Fault::RedisOlder(nth)
            | Fault::RedisDiskFull(nth)
            | Fault::RedisOutOfMemory(nth) => write!(f, "{} ({nth})", self.kind()),
            Fault::RedisFailOver(times) => write!(f, "{} ({times} times)", self.kind()),
            _ => f.write_str(&self.kind()),
        }
    }
}

impl Fault {
    /// Its name in the report.
    #[must_use]
    pub fn kind(&self) -> String {
        let service = |of: &str| of.rsplit_once('-').map_or(of, |(kind, _)| kind).to_owned();
        match self {
            Fault::Kill(_) => "kill".to_owned(),
            Fault::Stop(_) => "stop".to_owned(),
            Fault::Roll(_) => "orderly restart".to_owned(),
            Fault::Files(_) => "files exhausted".to_owned(),
            Fault::Skew(..) => "clock skew".to_owned(),
            Fault::Link { from, to, how } => format!("link {} to {} {}", service(from), service(to), how.name()),
            Fault::Links { to, how } => format!("links to {to} {}", how.name()),
            Fault::Door { from: Some(from), how, .. } => {
                format!("link {} to a redis of several {}", service(from), how.name())
            }
            Fault::Door { from: None, how, .. } => format!("links to a redis of several {}", how.name()),
            Fault::Replication { how } => format!("link standby to postgres {}", how.name()),
            Fault::RedisKill(_) => "redis killed".to_owned(),
            Fault::RedisStop(_) => "redis stopped".to_owned(),
            Fault::RedisEmptied(_) => "redis emptied".to_owned(),
            Fault::RedisOlder(_) => "redis from an older copy".to_owned(),
            Fault::RedisDiskFull(_) => "redis disk full".to_owned(),
            Fault::RedisOutOfMemory(_) => "redis out of memory".to_owned(),
            Fault::RedisReadOnly => "redis read-only".to_owned(),
            Fault::RedisFailOver(_) => "redis fail-over".to_owned(),
            Fault::RedisTwoPrimaries => "redis with two primaries".to_owned(),
            Fault::PostgresKill => "postgres killed".to_owned(),
            Fault::PostgresStop => "postgres stopped".to_owned(),
            Fault::PostgresDiskFull => "postgres disk full".to_owned(),
            Fault::PostgresReadOnly => "postgres read-only".to_owned(),
            Fault::PostgresFailOver => "postgres fail-over".to_owned(),
        }
    }

    /// Whether servers have to agree on a new primary, which takes the time that they are
    /// configured for.
    #[must_use]
    pub fn is_fail_over(&self) -> bool {
        matches!(self, Fault::RedisFailOver(_) | Fault::RedisTwoPrimaries | Fault::PostgresFailOver)
    }

    /// How it breaks a link, if it does.
    #[must_use]
    pub fn how(&self) -> Option<LinkFault> {
        match self {
            Fault::Link { how, .. }
            | Fault::Links { how, .. }
            | Fault::Door { how, .. }
            | Fault::Replication { how } => Some(*how),
            _ => None,
        }
    }

    /// The service that it keeps down until its end.
    #[must_use]
    pub fn keeps_down(&self) -> Option<&'static str> {
        match self {
            Fault::Kill(service) | Fault::Roll(service) => Some(*service),
            _ => None,
        }
    }

    /// Whether a service may fail to start meanwhile: a server or a link is broken.
    #[must_use]
    pub fn may_fail_a_start(&self) -> bool {
        !matches!(self, Fault::Kill(_) | Fault::Stop(_) | Fault::Roll(_) | Fault::Files(_) | Fault::Skew(..))
    }

    /// What it affects: concurrent faults have different subjects.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Fault::Kill(of) | Fault::Stop(of) | Fault::Roll(of) | Fault::Files(of) | Fault::Skew(of, _) => {
                (*of).to_owned()
            }
            Fault::Link { from, to, .. } => format!("{from} to {to}"),
            Fault::Links { to, .. } => format!("links to {to}"),
            Fault::Door { nth, from: Some(_), .. } => format!("link to redis {nth}"),
            Fault::Replication { .. } => "standby to postgres".to_owned(),
            Fault::PostgresKill
            | Fault::PostgresStop
            | Fault::PostgresDiskFull
            | Fault::PostgresReadOnly
            | Fault::PostgresFailOver => "postgres".to_owned(),
            _ => "redis".to_owned(),
        }
    }
}

/// State from the beginning of a fault that its end needs.
#[derive(Debug, Default)]
pub struct FaultBeginning {
    moment: Option<Moment>,
}

fn send(pids: &[u32], signal: Signal) {
    for pid in pids {
        // One may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
    }
}

/// Sets the soft limit of processes.
fn limit(pids: &[u32], what: &str, soft: &str) {
    for pid in pids {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid.to_string(), &format!("--{what}={soft}:")]);
        // One may have ended meanwhile.
        let _ = prlimit.output();
    }
}

fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(64, |files| files.count())
}

/// The hard limit, which services raise their own to.
fn files_max(pid: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(4)).unwrap_or("1024").to_owned()
}

/// Begins a fault.
///
/// # Errors
/// When the fault can't be applied to a server.
pub fn begin(fault: &Fault, shop: &mut Shop<Topology>) -> Result<FaultBeginning, ServerError> {
    let mut begun = FaultBeginning::default();
    match fault {
        Fault::Kill(service) => shop.kill(service),
        Fault::Stop(service) => shop.signal(service, Signal::SIGSTOP),
        Fault::Roll(service) => shop.signal(service, Signal::SIGTERM),
        Fault::Files(service) => {
            let pid = shop.process(service);
            limit(&[pid], "nofile", &open_files(pid).to_string());
        }
        Fault::Skew(service, seconds) => {
            shop.kill(service);
            shop.start_ahead(service, *seconds);
        }
        Fault::Link { from, to, how } => how.begin(shop.link(from, to)),
        Fault::Links { to, how } => {
            for link in shop.links().iter().filter(|link| link.to == *to && link.from != ONLOOKER) {
                how.begin(&link.proxy);
            }
        }
        Fault::Door { nth, from, how } => {
            if let Some(door) = shop.servers.doors().get(*nth) {
                door.aim_at(from.map(|service| shop.process(service)));
                how.begin(door);
            }
        }
        Fault::Replication { how } => {
            if let Some(link) = shop.servers.replication() {
                how.begin(link);
            }
        }
        Fault::RedisKill(nth) | Fault::RedisEmptied(nth) => shop.servers.redis(*nth).kill()?,
        Fault::RedisStop(nth) => send(&shop.servers.redis(*nth).processes(), Signal::SIGSTOP),
        Fault::RedisOlder(nth) => begun.moment = shop.servers.redis(*nth).moment().ok(),
        Fault::RedisDiskFull(nth) => {
            let redis = shop.servers.redis(*nth);
            let files = fs::read_dir(redis.append_only_folder()).into_iter().flatten().flatten();
            let largest = files.filter_map(|file| Some(file.metadata().ok()?.len())).max().unwrap_or(0);
            limit(&redis.processes(), "fsize", &largest.to_string());
        }
        Fault::RedisOutOfMemory(nth) => drop(shop.servers.redis(*nth).ask("CONFIG SET maxmemory 1")),
        Fault::RedisReadOnly => drop(shop.servers.redis(0).ask("REPLICAOF 127.0.0.1 1")),
        Fault::RedisFailOver(times) => {
            if let RedisServers::Sentinel(sentinel) = &mut shop.servers.redis {
                for time in 0..*times {
                    if time > 0 {
                        sentinel.restore()?;
                    }
                    sentinel.fail_over()?;
                }
            }
        }
        Fault::RedisTwoPrimaries => {
            if let RedisServers::Sentinel(sentinel) = &mut shop.servers.redis {
                sentinel.fail_over_from_stopped()?;
            }
        }
        Fault::PostgresKill => shop.servers.postgres().kill()?,
        Fault::PostgresStop => {
            let postgres = shop.servers.postgres();
            // The first makes no more of them once it stands still.
            send(&postgres.processes()[..1], Signal::SIGSTOP);
            send(&postgres.processes(), Signal::SIGSTOP);
        }
        Fault::PostgresDiskFull => limit(&shop.servers.postgres().processes(), "fsize", "8192"),
        Fault::PostgresReadOnly => set_read_only(shop, "on")?,
        Fault::PostgresFailOver => {
            if let PostgresServers::Replicated(pair) = &mut shop.servers.postgres {
                pair.fail_over()?;
                let primary = SocketAddr::from(([127, 0, 0, 1], pair.primary().port()));
                for link in shop.links().iter().filter(|link| link.to == "postgres") {
                    link.proxy.lead_to(primary);
                }
            }
        }
    }
    Ok(begun)
}

fn set_read_only(shop: &mut Shop<Topology>, to: &str) -> Result<(), ServerError> {
    let set = format!("ALTER SYSTEM SET default_transaction_read_only = {to}; SELECT pg_reload_conf()");
    shop.servers.postgres().run(&set)
}

/// Ends a fault.
///
/// # Errors
/// When a server does not come back.
pub fn end(fault: &Fault, begun: &FaultBeginning, shop: &mut Shop<Topology>) -> Result<(), ServerError> {
    match fault {
        Fault::Kill(service) => shop.start_again(service),
        Fault::Stop(service) => shop.signal(service, Signal::SIGCONT),
        Fault::Roll(service) | Fault::Skew(service, _) => {
            if shop.ended(service).is_none() {
                shop.kill(service);
            }
            shop.start_again(service);
        }
        Fault::Files(service) => {
            let pid = shop.process(service);
            limit(&[pid], "nofile", &files_max(pid));
        }
        Fault::Link { from, to, .. } => mend(shop.link(from, to)),
        Fault::Links { to, .. } => {
            for link in shop.links().iter().filter(|link| link.to == *to && link.from != ONLOOKER) {
                mend(&link.proxy);
            }
        }
        Fault::Door { nth, .. } => {
            if let Some(door) = shop.servers.doors().get(*nth) {
                mend(door);
            }
        }
        Fault::Replication { .. } => {
            if let Some(link) = shop.servers.replication() {
                mend(link);
            }
        }
        Fault::RedisKill(nth) => shop.servers.redis(*nth).restart()?,
        Fault::RedisStop(nth) => send(&shop.servers.redis(*nth).processes(), Signal::SIGCONT),
        Fault::RedisEmptied(nth) => shop.servers.redis(*nth).restart_empty()?,
        Fault::RedisOlder(nth) => {
            let redis = shop.servers.redis(*nth);
            let set_back = begun.moment.as_ref().map(|moment| redis.restart_as_of(moment));
            // It has rewritten its file meanwhile: then it has lost nothing.
            if !matches!(set_back, Some(Ok(()))) {
                redis.restart()?;
            }
        }
        Fault::RedisDiskFull(nth) => {
            let redis = shop.servers.redis(*nth);
            limit(&redis.processes(), "fsize", "unlimited");
            if !redis.is_running() {
                redis.restart()?;
            }
        }
        Fault::RedisOutOfMemory(nth) => drop(shop.servers.redis(*nth).ask("CONFIG SET maxmemory 0")),
        Fault::RedisReadOnly => drop(shop.servers.redis(0).ask("REPLICAOF NO ONE")),
        Fault::RedisFailOver(_) => {
            if let RedisServers::Sentinel(sentinel) = &mut shop.servers.redis {
                sentinel.restore()?;
            }
        }
        Fault::RedisTwoPrimaries => {}
        Fault::PostgresKill => shop.servers.postgres().restart()?,
        Fault::PostgresStop => send(&shop.servers.postgres().processes(), Signal::SIGCONT),
        Fault::PostgresDiskFull => {
            let postgres = shop.servers.postgres();
            limit(&postgres.processes(), "fsize", "unlimited");
            if !postgres.is_running() {
                postgres.restart()?;
            }
        }
        Fault::PostgresReadOnly => set_read_only(shop, "off")?,
        Fault::PostgresFailOver => {
            if let PostgresServers::Replicated(pair) = &mut shop.servers.postgres {
                pair.add_standby()?;
            }
        }
    }
    Ok(())
}
