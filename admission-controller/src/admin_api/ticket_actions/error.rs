//! Why a ticket action is not requested, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{error::CommonError, problem_types};

/// Why a ticket action was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TicketActionError {
    #[error("there is no such ticket")]
    TicketNotFound,
    #[error("the ticket is not waiting")]
    NotWaiting,
    #[error("the line does not respond")]
    LineUnavailable,
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for TicketActionError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<TicketActionError> for Problem {
    fn from(error: TicketActionError) -> Self {
        match error {
            TicketActionError::TicketNotFound => Self::new(&problem_types::TICKET_NOT_FOUND)
                .detail("No ticket of this line has this number. The shopper's page shows the ticket number."),
            TicketActionError::NotWaiting => Self::new(&problem_types::NOT_WAITING).detail(
                "It has left the line, or its turn has come. A single token can't be revoked, only all unused tokens of the sale.",
            ),
            TicketActionError::LineUnavailable => {
                Self::unavailable("The line does not respond. Nothing was changed; try again.")
            }
            TicketActionError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(TicketActionError {
            TicketNotFound,
            NotWaiting,
            LineUnavailable,
            Common(CommonError::LaneNotFound),
        }))
    }
}
