//! What can go wrong, as sentences: what happened, to what, and what to do.

use std::{io, path::PathBuf};

/// Why a private server could not be started, stopped or used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program is not there.
    #[error("{program} is not installed. Install it: sudo apt-get install {package}")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program is there in a version that will not do.
    #[error("{program} {found} is too old: version {needed} or newer is needed. `make setup` says how to get it.")]
    TooOld {
        /// The program.
        program: &'static str,
        /// The version that is installed.
        found: String,
        /// The oldest version that will do.
        needed: u32,
    },
    /// Another process has claimed the folder.
    #[error("Another Fairline is running in {}. Stop it first, or use another folder.", folder.display())]
    InUse {
        /// The folder that was to be claimed.
        folder: PathBuf,
    },
    /// A server's folder is not one that this server can start from.
    #[error("{} cannot be used: {problem}. Start over with `make demo FRESH=1`, or remove that folder.", folder.display())]
    Unusable {
        /// The server's folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// As root: the user to run a server as is not there.
    #[error(
        "{program} is not run as root, and there is no user `{user}` to run it as. Reinstall its package: \
         sudo apt-get install --reinstall {package}"
    )]
    NoAccount {
        /// The program to be run.
        program: &'static str,
        /// The user that its package makes.
        user: &'static str,
        /// The package.
        package: &'static str,
    },
    /// The server ended while it was starting.
    #[error("{server} stopped while it was starting: {reason} (Its log: {})", log.display())]
    Stopped {
        /// Which server.
        server: &'static str,
        /// The last lines of its log.
        reason: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The server did not get ready in time, or did not end in time.
    #[error("{server} did not {what} within {limit_s} seconds. Its log: {}", log.display())]
    Late {
        /// Which server.
        server: &'static str,
        /// What it did not do.
        what: &'static str,
        /// How long it was waited for.
        limit_s: u64,
        /// Its log.
        log: PathBuf,
    },
    /// No port was free.
    #[error("No free port was found on 127.0.0.1 between {} and {}.", crate::port::PORTS.start, crate::port::PORTS.end)]
    NoPort,
    /// A program that was run to its end failed.
    #[error("`{program}` failed: {output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        output: String,
    },
    /// A file or a process could not be handled.
    #[error("Could not {action}: {source}")]
    Io {
        /// What was being done, and to what.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Says what was being done when an I/O error happened.
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, ServerError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, ServerError> {
        self.map_err(|error| ServerError::Io { action: action(), source: error.into() })
    }
}
