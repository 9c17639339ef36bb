//! Failures of calls to the line.

use fred::error::{Error, ErrorKind};

/// Why a call to the line failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Redis has no line of this sale: it is unknown, or Redis has lost it and the controller will
    /// publish it again.
    #[error("the line is not in Redis")]
    NotPublished,
    /// The controller has granted no more ordinals: it has not published for a while. An immediate
    /// retry is useless.
    #[error("no more ordinals are granted")]
    NoOrdinals,
    /// A later publication was made, so this one was rejected.
    #[error("a later publication of the line was made")]
    Late,
    /// Redis is down, slow, or out of reach.
    #[error("Redis does not respond: {0}")]
    Unavailable(String),
    /// Redis returned a reply that no function of the library returns.
    #[error("unexpected reply from Redis: {0}")]
    Unexpected(String),
}

impl From<Error> for LineError {
    fn from(error: Error) -> Self {
        match error.kind() {
            _ if error.details().starts_with("NOLINE") => Self::NotPublished,
            _ if error.details().starts_with("NOORDINAL") => Self::NoOrdinals,
            _ if error.details().starts_with("LATE") => Self::Late,
            ErrorKind::Parse | ErrorKind::InvalidArgument | ErrorKind::InvalidCommand => {
                Self::Unexpected(error.details().to_owned())
            }
            _ => Self::Unavailable(error.details().to_owned()),
        }
    }
}
