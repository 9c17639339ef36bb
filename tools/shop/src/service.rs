//! One service as a process: started, signalled, killed, with another clock.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Child,
};

use fairline_private_servers::{
    spawn_service,
    testing::{libfaketime, programs},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::NAMES;

/// A service that was started once, and may be dead.
#[derive(Debug)]
pub(crate) struct ShopService {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) arguments: Vec<String>,
    pub(crate) log: PathBuf,
    pub(crate) process: Child,
}

impl ShopService {
    /// Starts it. It dies with this thread.
    pub(crate) fn start(name: &'static str, arguments: &[&str], folder: &Path) -> ShopService {
        let address = address_of(name);
        let own = [format!("--listen={address}"), "--log=text".to_owned()];
        let arguments: Vec<String> =
            own.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned())).collect();
        let log = folder.join(format!("{name}.log"));
        let process = spawn(name, &arguments, &log, None);
        ShopService { name, address, arguments, log, process }
    }

    /// Restarts it with a clock that is some seconds ahead.
    pub(crate) fn start_again(&mut self, seconds_ahead: Option<i64>) {
        self.process = spawn(self.name, &self.arguments, &self.log, seconds_ahead);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // A process that has ended on its own is reported by `wait`.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), signal);
    }
}

/// Where a service listens.
pub(crate) fn address_of(name: &str) -> SocketAddr {
    let nth = NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len());
    fairline_private_servers::address_of(u16::try_from(nth).expect("there are few services"))
}

fn spawn(name: &str, arguments: &[String], log: &Path, seconds_ahead: Option<i64>) -> Child {
    let (binary, _) = name.rsplit_once('-').expect("names end in a number");
    let program = programs().join(binary);
    let child = match seconds_ahead {
        None => spawn_service(&program, arguments, log),
        Some(seconds) => {
            // The library instead of its wrapper, which would be a parent process that gets the
            // signals. The monotonic clock stays real.
            let library = format!("LD_PRELOAD={}", libfaketime().display());
            let clock = [library, format!("FAKETIME={seconds:+}s"), "DONT_FAKE_MONOTONIC=1".to_owned()];
            spawn_service("env".as_ref(), &[&clock[..], &[program.display().to_string()], arguments].concat(), log)
        }
    };
    child.expect("setpriv is part of util-linux, and the shop's folder can be written to")
}
