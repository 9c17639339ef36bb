//! A private Redis.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{Folder, ServerError, Survives, error::Context as _, program::Program, server::Server};

const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Maximum length of a reply; a longer one is truncated.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A private Redis: append-only file on, no eviction, listens only on this machine. Stops when
/// dropped.
#[derive(Debug)]
pub struct PrivateRedis {
    server: Server,
    port: u16,
    survives: Survives,
    more: Vec<OsString>,
}

/// The persisted state of a Redis at a moment, for [`PrivateRedis::restart_as_of`].
#[derive(Debug, Clone)]
pub struct Moment {
    /// The append-only files with their lengths in bytes.
    lengths: BTreeMap<PathBuf, u64>,
}

impl PrivateRedis {
    /// Starts Redis in `folder`, with the data of its last run there, and waits until it responds.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(folder: &Folder, survives: Survives) -> Result<Self, ServerError> {
        Self::start_with(folder, survives, Vec::new())
    }

    /// Starts Redis with additional arguments.
    pub(crate) fn start_with(folder: &Folder, survives: Survives, more: Vec<OsString>) -> Result<Self, ServerError> {
        let mut server = Server::in_folder(folder, "Redis", Signal::SIGTERM, Program::redis()?)?;
        server.outlives_full_disks = survives == Survives::Kill;
        let data = server.data();
        if !data.is_dir() {
            let action = || format!("make the folder {}", data.display());
            fs::create_dir(&data).context(action)?;
            server.account.give(&data)?;
        }
        let port = server.start_on_free_port(|port| arguments(&data, port, survives, &more), answers)?;
        Ok(Self { server, port, survives, more })
    }

    /// Its URL: `redis://127.0.0.1:PORT`. It stays the same for the life of this value.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, for tests that pause it or take resources from it.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.server.processes()
    }

    /// Executes commands, one per line, and returns the raw replies.
    ///
    /// # Errors
    /// When it does not respond within a second.
    pub fn ask(&self, commands: &str) -> io::Result<String> {
        ask(self.port, commands)
    }

    /// The folder of its append-only file.
    #[must_use]
    pub fn append_only_folder(&self) -> PathBuf {
        self.server.data().join("appendonlydir")
    }

    /// Captures its persisted state: all that it has acknowledged, and perhaps a part of the
    /// current command. (With [`Survives::PowerLoss`] it may lag by a second or two while the disk
    /// is busy.)
    ///
    /// # Errors
    /// When its files can't be read.
    pub fn moment(&self) -> Result<Moment, ServerError> {
        let folder = self.append_only_folder();
        let length = |entry: io::Result<fs::DirEntry>| {
            let path = entry?.path();
            Ok((path.extension() == Some("aof".as_ref())).then_some((path.metadata()?.len(), path)))
        };
        let lengths = fs::read_dir(&folder)
            .and_then(|entries| entries.map(length).filter_map(Result::transpose).collect::<io::Result<Vec<_>>>())
            .context(|| format!("read {}", folder.display()))?;
        Ok(Moment { lengths: lengths.into_iter().map(|(length, path)| (path, length)).collect() })
    }

    /// Whether it runs; another process may have killed it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.server.is_running()
    }

    /// Kills it, like a crash.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.server.kill()
    }

    /// Stops it gracefully.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.server.stop()
    }

    /// Restarts it on the same port with the same data; stops it first if it runs.
    ///
    /// # Errors
    /// When it does not stop or does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        let arguments = arguments(&self.server.data(), self.port, self.survives, &self.more);
        self.server.start(arguments, |id| answers(self.port, id))
    }

    /// Kills it and restarts it on the same port without data: its append-only file is deleted.
    ///
    /// # Errors
    /// When it does not end, its files can't be deleted, or it does not start.
    pub fn restart_empty(&mut self) -> Result<(), ServerError> {
        self.kill()?;
        let folder = self.append_only_folder();
        fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
        self.restart()
    }

    /// Kills it and restarts it on the same port with an earlier state; later writes are lost, like
    /// those of the last second in a power failure.
    ///
    /// # Errors
    /// When it does not end, has rewritten its append-only file since that moment, or does not
    /// start.
    pub fn restart_as_of(&mut self, moment: &Moment) -> Result<(), ServerError> {
        self.kill()?;
        let now = self.moment()?.lengths;
        if !now.keys().eq(moment.lengths.keys()) || now.iter().any(|(file, length)| *length < moment.lengths[file]) {
            let source = io::Error::other("it has been rewritten since");
            let action = format!("cut the append-only file in {}", self.append_only_folder().display());
            return Err(ServerError::Io { action, source });
        }
        for (path, length) in &moment.lengths {
            // Redis discards a truncated command or transaction when it reads the file.
            let cut = File::options().write(true).open(path).and_then(|file| file.set_len(*length));
            cut.context(|| format!("cut {}", path.display()))?;
        }
        self.restart()
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

/// Sends commands to the server on a port, one per line, and returns the raw replies.
pub(crate) fn ask(port: u16, commands: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(format!("{commands}\r\n").as_bytes())?;
    // Sentinel does not support QUIT. After the end of input, both send their replies and close.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether the Redis of process `id` listens on the port and has loaded its data: another program
/// may have taken the port.
pub(crate) fn answers(port: u16, id: u32) -> bool {
    ask(port, "INFO").is_ok_and(|answer| {
        let has_line = |line: &str| answer.lines().any(|candidate| candidate == line);
        // Sentinel has nothing to load.
        has_line(&format!("process_id:{id}")) && !has_line("loading:1")
    })
}
