//! Errors of a command.

use fairline_private_servers::ServerError;
use fairline_server::StartError;

/// Why a command failed, and what to do about it. `main` prints it and exits with 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl CommandError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self::Start(StartError::new(sentence))
    }
}
