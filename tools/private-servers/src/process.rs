//! A server's process: start, supervision and stop; and processes that an earlier run left behind.

use std::{
    ffi::OsStr,
    fs, io,
    path::Path,
    process::{Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use crate::{ServerError, error::Context as _};

/// Polling interval of conditions.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    exit: Arc<Exit>,
}

#[derive(Debug, Default)]
struct Exit {
    status: Mutex<Option<ExitStatus>>,
    happened: Condvar,
}

impl Process {
    /// Starts a server in its own process group, so that Ctrl-C reaches only this process. Its
    /// thread must live as long as the server: Linux sends the signal of `--pdeathsig` when the
    /// *thread* that started the process ends.
    pub(crate) fn start(mut command: Command) -> Result<Self, ServerError> {
        use std::os::unix::process::CommandExt as _;
        let action = format!("start {}", command.get_program().display());
        let exit = Arc::<Exit>::default();
        let (report, started) = mpsc::sync_channel(1);
        let keeper = {
            let exit = exit.clone();
            move || match command.process_group(0).stdin(Stdio::null()).spawn() {
                Ok(mut child) => {
                    let id = child.id();
                    // The caller waits for the id; if the caller has failed, there is no receiver.
                    let _ = report.send(Ok(id));
                    let _ = waitid(Id::Pid(pid(id)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
                    // Up to here the process id belonged to this process, ended or not; from here
                    // on it may be reused.
                    let mut status = exit.lock();
                    *status = Some(child.wait().unwrap_or_default());
                    exit.happened.notify_all();
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                }
            }
        };
        thread::Builder::new().name("server-keeper".to_owned()).spawn(keeper).context(|| action.clone())?;
        let id = started.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())).context(|| action)?;
        Ok(Self { pid: pid(id), exit })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.exit.lock().is_some()
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ServerError> {
        let status = self.exit.lock();
        if status.is_some() { Ok(()) } else { send(self.pid, signal) }
    }

    /// Waits up to `limit` until the process has ended; returns whether it has.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let waited = self.exit.happened.wait_timeout_while(self.exit.lock(), limit, |status| status.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_some()
    }
}

impl Exit {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

fn send(pid: Pid, signal: Signal) -> Result<(), ServerError> {
    match kill(pid, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).context(|| format!("send {signal} to process {pid}")),
    }
}

/// Polls a condition for up to `limit`; returns whether it holds.
pub(crate) fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        #[expect(clippy::disallowed_methods, reason = "this crate blocks, and says so")]
        thread::sleep(POLL_EVERY);
    }
}

/// The processes named `name` that work in `folder`: a server's own, and Postgres's children.
/// Zombies do not count.
pub(crate) fn working_in(folder: &Path, name: &str) -> Vec<Pid> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| {
            let at = |file: &str| process.path().join(file);
            fs::read_link(at("cwd")).is_ok_and(|cwd| cwd == folder)
                && fs::read_to_string(at("comm")).is_ok_and(|comm| comm.trim_end() == name)
        })
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// Stops all processes in `folder`: first with `signal`, then with SIGKILL if they run on after
/// `patience`.
pub(crate) fn stop_all_in(folder: &Path, name: &str, signal: Signal, patience: Duration) -> Result<(), ServerError> {
    for (signal, patience) in [(signal, patience), (Signal::SIGKILL, Duration::from_secs(10))] {
        for pid in working_in(folder, name) {
            send(pid, signal)?;
        }
        if until(patience, || working_in(folder, name).is_empty()) {
            return Ok(());
        }
    }
    let action = format!("stop the {name} that still runs in {}", folder.display());
    Err(ServerError::Io { action, source: io::ErrorKind::TimedOut.into() })
}

/// Starts `program` with other privileges, if any have to change.
pub(crate) fn setpriv(privileges: &[String], program: &Path) -> Command {
    if privileges.is_empty() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(privileges).arg("--").arg(program);
    command
}

/// Runs a program to completion.
pub(crate) fn output_of(command: &mut Command, name: &'static str) -> Result<Output, ServerError> {
    command.stdin(Stdio::null()).output().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if command.get_program() == OsStr::new("setpriv") => {
            ServerError::Missing { program: "setpriv", package: "util-linux" }
        }
        _ => ServerError::Io { action: format!("run {name}"), source },
    })
}
