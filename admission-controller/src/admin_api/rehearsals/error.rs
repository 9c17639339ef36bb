//! Why a rehearsal does not begin or end, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{error::CommonError, problem_types};

/// Why a request about a rehearsal was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RehearsalError {
    #[error("this controller is not set up for rehearsals")]
    NoRehearsals,
    #[error("another rehearsal is running")]
    RehearsalRuns,
    #[error("no such rehearsal is running")]
    RehearsalNotFound,
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for RehearsalError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<RehearsalError> for Problem {
    fn from(error: RehearsalError) -> Self {
        match error {
            RehearsalError::NoRehearsals => Self::new(&problem_types::REHEARSALS_NOT_CONFIGURED).detail(
                "Start the controller with `--rehearsal-program` and `--rehearsal-url`; see docs/operations.md.",
            ),
            RehearsalError::RehearsalRuns => Self::new(&problem_types::REHEARSAL_IN_PROGRESS)
                .detail("One rehearsal can run at a time. Wait until it ends, or stop it."),
            RehearsalError::RehearsalNotFound => {
                Self::new(&problem_types::REHEARSAL_NOT_FOUND).detail("It has ended, or the id is wrong.")
            }
            RehearsalError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(RehearsalError {
            NoRehearsals,
            RehearsalRuns,
            RehearsalNotFound,
            Common(CommonError::SaleNotFound),
        }))
    }
}
