//! Why a caller is not authenticated or authorised, and the mapping to HTTP.

use fairline_server::Problem;
use tracing::error;

use crate::{error::CommonError, problem_types};

/// Why a caller was rejected, or did not sign in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminAuthError {
    #[error("the request has no credentials")]
    NoToken,
    #[error("the admin token is wrong")]
    InvalidToken,
    #[error("the session has ended")]
    NoSession,
    #[error("the name, the password or the code is wrong")]
    InvalidCredentials,
    #[error("too many attempts to sign in have failed")]
    TooManyAttempts { wait_s: u64 },
    #[error("too many operators sign in at the same time")]
    TooManySignIns,
    #[error("the request does not carry the session's CSRF token")]
    Csrf,
    #[error("the role {needed} is needed")]
    Role { needed: &'static str },
    #[error("an internal error occurred")]
    Failed,
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for AdminAuthError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<AdminAuthError> for Problem {
    fn from(error: AdminAuthError) -> Self {
        match error {
            AdminAuthError::NoToken => Self::new(&problem_types::MISSING_CREDENTIALS)
                .detail("Sign in, or send the header `Authorization: Bearer` with an API token."),
            AdminAuthError::InvalidToken => Self::new(&problem_types::INVALID_ADMIN_TOKEN)
                .detail("The token is neither the admin token of the controller nor a valid API token."),
            AdminAuthError::NoSession => {
                Self::new(&problem_types::INVALID_SESSION).detail("There is no session, or it has ended. Sign in.")
            }
            AdminAuthError::InvalidCredentials => Self::new(&problem_types::INVALID_CREDENTIALS)
                .detail("Check all three. Each code works once: if you have used it, wait for the next one."),
            AdminAuthError::TooManyAttempts { wait_s } => Self::new(&problem_types::TOO_MANY_SIGN_INS)
                .detail(format!("Try again in {wait_s} s."))
                .retry_after(wait_s),
            AdminAuthError::TooManySignIns => {
                Self::unavailable("Too many operators are signing in right now. Try again in a few seconds.")
            }
            AdminAuthError::Csrf => Self::new(&problem_types::INVALID_CSRF_TOKEN)
                .detail("Send the session's `csrf` as the header `x-csrf-token`. Nothing was changed."),
            AdminAuthError::Role { needed } => Self::new(&problem_types::INSUFFICIENT_ROLE)
                .detail(format!("This requires the role {needed}. Ask an owner for it. Nothing was changed.")),
            AdminAuthError::Failed => {
                error!(%error, "sign in failed");
                Self::new(&fairline_server::problem_types::INTERNAL)
                    .detail("The request failed and was logged. Try again.")
            }
            AdminAuthError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(AdminAuthError {
            NoToken,
            InvalidToken,
            NoSession,
            InvalidCredentials,
            TooManyAttempts { wait_s: 30 },
            TooManySignIns,
            Csrf,
            Role { needed: "owner" },
            Failed,
            Common(CommonError::InvalidField { field: "new", must: "have at least 12 characters, and at most 200 bytes" }),
        }))
    }
}
