//! One service as a process: started, signalled, killed, with another clock.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use fairline_private_servers::testing::{libfaketime, programs};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::NAMES;

/// A service that was started once, and may be dead.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) arguments: Vec<String>,
    pub(crate) log: PathBuf,
    pub(crate) process: Child,
}

impl Service {
    /// Starts it. It dies with this thread.
    pub(crate) fn start(name: &'static str, arguments: &[&str], folder: &Path) -> Service {
        let address = address_of(name);
        let own = [format!("--listen={address}"), "--log=text".to_owned()];
        let arguments: Vec<String> =
            own.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned())).collect();
        let log = folder.join(format!("{name}.log"));
        let process = spawn(name, &arguments, &log, None);
        Service { name, address, arguments, log, process }
    }

    /// Restarts it with a clock that is some seconds ahead.
    pub(crate) fn start_again(&mut self, seconds_ahead: Option<i64>) {
        self.process = spawn(self.name, &self.arguments, &self.log, seconds_ahead);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // A process that has ended by itself is reported by `wait`.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), signal);
    }
}

/// Where a service listens: fixed ports, at an address of 127.0.0.0/8 that no other process uses.
pub(crate) fn address_of(name: &str) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let port = NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len());
    let port = 9_000 + u16::try_from(port).expect("there are few services");
    SocketAddr::from((Ipv4Addr::new(127, 200, high, low), port))
}

fn spawn(name: &str, arguments: &[String], log: &Path, seconds_ahead: Option<i64>) -> Child {
    let (binary, _) = name.rsplit_once('-').expect("names end in a number");
    let log = File::options().create(true).append(true).open(log).expect("the shop's folder can be written to");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(seconds) = seconds_ahead {
        // The library instead of its wrapper, which would be a parent process that gets the
        // signals. The monotonic clock stays real.
        let library = format!("LD_PRELOAD={}", libfaketime().display());
        command.args(["env", &library, &format!("FAKETIME={seconds:+}s"), "DONT_FAKE_MONOTONIC=1"]);
    }
    command.arg(programs().join(binary)).args(arguments);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
    command.spawn().expect("setpriv is part of util-linux")
}
