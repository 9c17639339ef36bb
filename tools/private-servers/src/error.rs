//! Errors as sentences: what happened, to what, and what to do.

use std::{io, ops::Range, path::PathBuf};

/// Why a private server could not be started, stopped or used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program is not installed.
    #[error("{program} is not installed. Install it: sudo apt-get install {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// The installed version of a program is too old.
    #[error(
        "{program} {found} is too old: version {needed} or newer is needed. `make setup` installs it or prints how to."
    )]
    TooOld {
        /// The program.
        program: &'static str,
        /// The version that is installed.
        found: String,
        /// The oldest supported version.
        needed: u32,
    },
    /// Another process has claimed the folder.
    #[error("Another Fairline is running in {}. Stop it first, or use another folder.", folder.display())]
    InUse {
        /// The folder that was to be claimed.
        folder: PathBuf,
    },
    /// A server can't start from its folder.
    #[error("{} cannot be used: {problem}. Start over with `make demo FRESH=1`, or remove that folder.", folder.display())]
    Unusable {
        /// The server's folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// As root: the user for the server does not exist.
    #[error(
        "{program} is not run as root, and there is no user `{user}` to run it as. Reinstall its package: \
         sudo apt-get install --reinstall {package}"
    )]
    NoAccount {
        /// The program to run.
        program: &'static str,
        /// The user that its package creates.
        user: &'static str,
        /// The package.
        package: &'static str,
    },
    /// The server ended during startup.
    #[error("{server} stopped while it was starting: {reason} (Its log: {})", log.display())]
    Stopped {
        /// The server.
        server: &'static str,
        /// The last lines of its log.
        reason: String,
        /// The complete log.
        log: PathBuf,
    },
    /// The server did not start or stop in time.
    #[error("{server} did not {what} within {limit_s} seconds. Its log: {}", log.display())]
    Late {
        /// The server.
        server: &'static str,
        /// What it did not do.
        what: &'static str,
        /// The time limit.
        limit_s: u64,
        /// Its log.
        log: PathBuf,
    },
    /// No port was free.
    #[error("No free port was found on 127.0.0.1 between {} and {}.", ports.start, ports.end)]
    NoPort {
        /// The range that was searched.
        ports: Range<u16>,
    },
    /// A program failed.
    #[error("`{program}` failed: {output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// Its output.
        output: String,
    },
    /// An operation on a file or a process failed.
    #[error("Could not {action}: {source}")]
    Io {
        /// The operation and its object.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Adds the failed operation to an I/O error.
pub(crate) trait Context<T> {
    fn context(self, action: impl FnOnce() -> String) -> Result<T, ServerError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, action: impl FnOnce() -> String) -> Result<T, ServerError> {
        self.map_err(|error| ServerError::Io { action: action(), source: error.into() })
    }
}
