//! A private Redis.

use std::{
    ffi::OsString,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{Folder, ServerError, Survives, error::Doing as _, program::Program, server::Server};

const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// A Redis of our own: append-only file on, nothing evicted, reachable from this machine alone. Stops when dropped.
#[derive(Debug)]
pub struct PrivateRedis {
    server: Server,
    port: u16,
    survives: Survives,
    more: Vec<OsString>,
}

impl PrivateRedis {
    /// Starts it in `folder`, with the data of its last run there, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(folder: &Folder, survives: Survives) -> Result<Self, ServerError> {
        Self::start_with(folder, survives, Vec::new())
    }

    /// Starts it with further arguments.
    pub(crate) fn start_with(folder: &Folder, survives: Survives, more: Vec<OsString>) -> Result<Self, ServerError> {
        let mut server = Server::in_folder(folder, "Redis", Signal::SIGTERM, Program::redis()?)?;
        let data = server.data();
        if !data.is_dir() {
            let action = || format!("make the folder {}", data.display());
            fs::create_dir(&data).doing(action)?;
            server.account.give(&data)?;
        }
        let port = server.start_on_free_port(|port| arguments(&data, port, survives, &more), answers)?;
        Ok(Self { server, port, survives, more })
    }

    /// Its address: `redis://127.0.0.1:PORT`. The same for as long as this lives.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its append-only file.
    #[must_use]
    pub fn append_only_folder(&self) -> PathBuf {
        self.server.data().join("appendonlydir")
    }

    /// Whether it runs: it may have been killed by somebody else.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.server.is_running()
    }

    /// Kills it, as a crash would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.server.kill()
    }

    /// Stops it in an orderly way.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.server.stop()
    }

    /// Starts it again on the same port with the same data, after stopping it if it still runs.
    ///
    /// # Errors
    /// When it does not stop or does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        let arguments = arguments(&self.server.data(), self.port, self.survives, &self.more);
        self.server.start(arguments, |id| answers(self.port, id))
    }
}

fn arguments(data: &Path, port: u16, survives: Survives, more: &[OsString]) -> Vec<OsString> {
    let port = port.to_string();
    let sync = match survives {
        Survives::PowerLoss => "everysec",
        Survives::Kill => "no",
    };
    let words = ["--bind", "127.0.0.1", "--port", &port, "--daemonize", "no", "--maxmemory-policy", "noeviction"];
    let keeping = ["--save", "", "--appendonly", "yes", "--appendfsync", sync, "--dir"];
    words.iter().chain(&keeping).map(OsString::from).chain([data.into()]).chain(more.iter().cloned()).collect()
}

/// Whether the Redis of process `id` listens on the port and has read its data: another program may be there.
fn answers(port: u16, id: u32) -> bool {
    let asked = || -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(b"INFO\r\nQUIT\r\n")?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| {
        let says = |line: &str| answer.lines().any(|said| said == line);
        says(&format!("process_id:{id}")) && says("loading:0")
    })
}
