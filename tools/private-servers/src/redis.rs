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

use crate::{Folder, ServerError, Survives, error::Doing as _, program::Program, server::Server};

const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// A longer answer is cut.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A Redis of our own: append-only file on, nothing evicted, reachable from this machine alone. Stops when dropped.
#[derive(Debug)]
pub struct PrivateRedis {
    server: Server,
    port: u16,
    survives: Survives,
    more: Vec<OsString>,
}

/// What a Redis had on its disk at a moment, for [`PrivateRedis::restart_as_of`].
#[derive(Debug, Clone)]
pub struct Moment {
    /// The append-only files with their lengths in bytes.
    lengths: BTreeMap<PathBuf, u64>,
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
        server.outlives_full_disks = survives == Survives::Kill;
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

    /// Its process, for tests that stop it for a while or take something away from it.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.server.processes()
    }

    /// Has it carry out commands, one a line; gives the answers as it writes them.
    ///
    /// # Errors
    /// When it does not answer within a second.
    pub fn ask(&self, commands: &str) -> io::Result<String> {
        ask(self.port, commands)
    }

    /// The folder with its append-only file.
    #[must_use]
    pub fn append_only_folder(&self) -> PathBuf {
        self.server.data().join("appendonlydir")
    }

    /// Remembers what it has on its disk: all that it has acknowledged, and perhaps a part of what it does right now.
    /// (With [`Survives::PowerLoss`] it may be late by a second or two, while the disk is busy.)
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn moment(&self) -> Result<Moment, ServerError> {
        let folder = self.append_only_folder();
        let length = |entry: io::Result<fs::DirEntry>| {
            let path = entry?.path();
            Ok((path.extension() == Some("aof".as_ref())).then_some((path.metadata()?.len(), path)))
        };
        let lengths = fs::read_dir(&folder)
            .and_then(|entries| entries.map(length).filter_map(Result::transpose).collect::<io::Result<Vec<_>>>())
            .doing(|| format!("read {}", folder.display()))?;
        Ok(Moment { lengths: lengths.into_iter().map(|(length, path)| (path, length)).collect() })
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

    /// Kills it and starts it again on the same port with nothing: its append-only file is gone.
    ///
    /// # Errors
    /// When it does not end, its files cannot be removed, or it does not start.
    pub fn restart_empty(&mut self) -> Result<(), ServerError> {
        self.kill()?;
        let folder = self.append_only_folder();
        fs::remove_dir_all(&folder).doing(|| format!("remove {}", folder.display()))?;
        self.restart()
    }

    /// Kills it and starts it again on the same port with what it had at a moment; all that came later is lost, as the
    /// last second is when a machine loses power.
    ///
    /// # Errors
    /// When it does not end, it has rewritten its append-only file since that moment, or it does not start.
    pub fn restart_as_of(&mut self, moment: &Moment) -> Result<(), ServerError> {
        self.kill()?;
        let now = self.moment()?.lengths;
        if !now.keys().eq(moment.lengths.keys()) || now.iter().any(|(file, length)| *length < moment.lengths[file]) {
            let source = io::Error::other("it has been rewritten since");
            let action = format!("cut the append-only file in {}", self.append_only_folder().display());
            return Err(ServerError::Io { action, source });
        }
        for (path, length) in &moment.lengths {
            // A command or transaction that this cuts in two is left out by Redis when it reads the file.
            let cut = File::options().write(true).open(path).and_then(|file| file.set_len(*length));
            cut.doing(|| format!("cut {}", path.display()))?;
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

/// Has whatever listens on a port carry out commands, one a line; gives the answers.
pub(crate) fn ask(port: u16, commands: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(format!("{commands}\r\n").as_bytes())?;
    // Not QUIT, which Sentinel does not know: both answer what they have read, and then hang up.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether the Redis of process `id` listens on the port and has read its data: another program may be there.
pub(crate) fn answers(port: u16, id: u32) -> bool {
    ask(port, "INFO").is_ok_and(|answer| {
        let says = |line: &str| answer.lines().any(|said| said == line);
        // Sentinel has nothing to load.
        says(&format!("process_id:{id}")) && !says("loading:1")
    })
}
