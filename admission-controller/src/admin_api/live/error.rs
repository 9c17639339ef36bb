//! Why a console is not connected, and the mapping to HTTP.

use fairline_server::Problem;

use crate::problem_types;

/// Why a console receives no live updates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiveError {
    #[error("the request is not a WebSocket handshake: {why}")]
    NotAWebSocket { why: String },
    #[error("the page that sent the request belongs to another site")]
    OtherOrigin,
    #[error("too many consoles are connected")]
    TooManyConsoles,
}

impl From<LiveError> for Problem {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::NotAWebSocket { why } => Self::new(&problem_types::WEBSOCKET_REQUIRED).detail(format!("{why}.")),
            LiveError::OtherOrigin => Self::new(&problem_types::ORIGIN_NOT_ALLOWED)
                .detail("Only the console's own pages receive live updates. Open the console at its own address."),
            LiveError::TooManyConsoles => {
                Self::unavailable("Too many consoles are connected to this controller. Close one, or try again.")
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(LiveError {
            NotAWebSocket { why: "Request method must be `GET`".to_owned() },
            OtherOrigin,
            TooManyConsoles,
        }))
    }
}
