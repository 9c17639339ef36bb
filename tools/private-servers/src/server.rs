//! Common parts of the two servers: a folder, a log, and a process that is started, awaited,
//! stopped and killed.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Folder, ServerError,
    account::ServerUser,
    error::Context as _,
    port::free_port,
    process::{Process, stop_all_in, until, working_in},
    program::Program,
};

/// Crash recovery replays the log, which is fast for the amount of data in a demo.
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Another program can take a free port before the server listens on it.
const PORT_ATTEMPTS: u32 = 5;
const LOG_LINES_SHOWN: usize = 3;

#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    /// The signal for a fast, graceful stop.
    stop_signal: Signal,
    pub(crate) program: Program,
    pub(crate) account: ServerUser,
    home: PathBuf,
    process: Option<Process>,
    /// Whether a file-size limit makes its writes fail, like a full disk, instead of ending it.
    pub(crate) outlives_full_disks: bool,
}

impl Server {
    /// Finds the server's folder, and stops what an earlier run left behind there.
    pub(crate) fn in_folder(
        folder: &Folder,
        name: &'static str,
        stop_signal: Signal,
        program: Program,
    ) -> Result<Self, ServerError> {
        let account = ServerUser::of(&program)?;
        let home = folder.home(&program, &account)?;
        stop_all_in(&home.join("data"), program.name, stop_signal, STOP_LIMIT)?;
        // The log has all starts of this server, and none of an earlier run.
        let _ = fs::remove_file(home.join("log"));
        Ok(Self { name, stop_signal, program, account, home, process: None, outlives_full_disks: false })
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.has_ended())
    }

    /// Its process id, and those of its children.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let Some(process) = self.process.as_ref().filter(|process| !process.has_ended()) else { return Vec::new() };
        let first = process.pid();
        let made = working_in(&self.data(), self.program.name).into_iter().map(|pid| pid.as_raw().cast_unsigned());
        [first].into_iter().chain(made.filter(|pid| *pid != first)).collect()
    }

    pub(crate) fn unusable(&self, problem: String) -> ServerError {
        ServerError::Unusable { folder: self.home.clone(), problem }
    }

    /// Starts the server on a free port, and returns the port.
    pub(crate) fn start_on_free_port(
        &mut self,
        arguments: impl Fn(u16) -> Vec<OsString>,
        is_ready: impl Fn(u16, u32) -> bool,
    ) -> Result<u16, ServerError> {
        let mut attempts = 0;
        loop {
            let port = free_port()?;
            attempts += 1;
            match self.start(arguments(port), |id| is_ready(port, id)) {
                Ok(()) => return Ok(port),
                Err(ServerError::Stopped { reason, .. })
                    if reason.contains("Address already in use") && attempts < PORT_ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts the server and waits until `is_ready` reports that the server with that process id is
    /// ready.
    pub(crate) fn start(
        &mut self,
        arguments: Vec<OsString>,
        is_ready: impl Fn(u32) -> bool,
    ) -> Result<(), ServerError> {
        let log = self.log();
        let opening = || format!("open {}", log.display());
        let output = File::options().create(true).append(true).open(&log).context(opening)?;
        // The option of `setpriv` omits `SIG`.
        let death_signal = self.stop_signal.as_str().trim_start_matches("SIG");
        let mut command = if self.outlives_full_disks {
            let mut command = self.account.command(Path::new("/usr/bin/env"), Some(death_signal));
            command.arg("--ignore-signal=XFSZ").arg(&self.program.path);
            command
        } else {
            self.account.command(&self.program.path, Some(death_signal))
        };
        command.args(arguments).current_dir(&self.home);
        command.stdout(output.try_clone().context(opening)?).stderr(output);
        let process = self.process.insert(Process::start(command)?);
        let settled = until(READY_LIMIT, || process.has_ended() || is_ready(process.pid()));
        if process.has_ended() {
            let output = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<_> = output.lines().filter(|line| !line.trim().is_empty()).collect();
            let reason = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join(" ");
            return Err(ServerError::Stopped { server: self.name, reason, log });
        }
        if !settled {
            let limit_s = READY_LIMIT.as_secs();
            return Err(ServerError::Late { server: self.name, what: "get ready", limit_s, log });
        }
        Ok(())
    }

    /// Stops the server gracefully, and by force if that takes too long.
    pub(crate) fn stop(&mut self) -> Result<(), ServerError> {
        match &self.process {
            // Another process has killed it, and its children may still run.
            Some(process) if process.has_ended() => self.kill(),
            Some(process) => {
                process.signal(self.stop_signal)?;
                if process.wait(STOP_LIMIT) {
                    self.process = None;
                    return Ok(());
                }
                self.kill()
            }
            None => Ok(()),
        }
    }

    /// Kills the server and all its children, like a crash.
    pub(crate) fn kill(&mut self) -> Result<(), ServerError> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.signal(Signal::SIGKILL)?;
        stop_all_in(&self.data(), self.program.name, Signal::SIGKILL, STOP_LIMIT)?;
        if process.wait(STOP_LIMIT) {
            return Ok(());
        }
        let log = self.log();
        Err(ServerError::Late { server: self.name, what: "end", limit_s: STOP_LIMIT.as_secs(), log })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error}");
        }
    }
}
