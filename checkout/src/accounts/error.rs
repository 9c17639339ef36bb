//! Why a request about an account is rejected, and the mapping to HTTP.

use fairline_server::Problem;
use tracing::warn;

use crate::{auth::error::AuthError, error::CommonError, problem_types};

/// Why a sign-in or another request about an account was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("a field of the sign-in is wrong")]
    InvalidSignIn { field: &'static str, wrong: &'static str },
    #[error("no channel is configured for `{field}`")]
    NoChannel { field: &'static str },
    #[error("too many codes were requested")]
    TooManyCodes,
    #[error("the code is wrong")]
    InvalidCode,
    #[error("the issuer's token is not accepted: {0}")]
    InvalidIdToken(String),
    #[error("the issuer does not respond: {0}")]
    NoIssuer(String),
    #[error("the refresh token is not valid")]
    SignedOut,
    #[error("Web Push is not configured")]
    NoPush,
    #[error("a reminder can't be sent")]
    NoReminder,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for AccountError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::InvalidSignIn { field, wrong } => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("The field `{field}` {wrong}."))
                .with("field", field),
            AccountError::NoChannel { field } => Self::new(&problem_types::SIGN_IN_CHANNEL_UNAVAILABLE)
                .detail(format!("This shop can't sign you in by `{field}`. Sign in another way."))
                .with("field", field),
            AccountError::TooManyCodes => Self::new(&problem_types::TOO_MANY_CODES)
                .detail("Use the newest code, or request a new one in an hour."),
            AccountError::InvalidCode => Self::new(&problem_types::INVALID_CODE).detail(
                "It is wrong, was used before, or is older than 10 minutes. After five attempts, request a new code.",
            ),
            AccountError::InvalidIdToken(reason) => {
                Self::new(&problem_types::INVALID_ID_TOKEN).detail(format!("The ID token was rejected: {reason}."))
            }
            AccountError::NoIssuer(reason) => {
                warn!(reason, "fetch issuer keys failed");
                Self::unavailable("The OpenID Connect issuer does not respond. Try again.")
            }
            AccountError::SignedOut => Self::new(&problem_types::SESSION_ENDED).detail(
                "The refresh token has expired, or was used twice, which ends its session. Sign in again.",
            ),
            AccountError::NoPush => Self::new(&problem_types::PUSH_NOT_CONFIGURED)
                .detail("Set FAIRLINE_PUSH_PUBLIC_KEY, FAIRLINE_PUSH_KEY and FAIRLINE_PUSH_CONTACT to enable it."),
            AccountError::NoReminder => Self::new(&problem_types::REMINDER_UNAVAILABLE).detail(
                "Your account has no address for notifications, or this line is decided by a draw. Keep the page open instead.",
            ),
            AccountError::Auth(error) => error.into(),
            AccountError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(AccountError {
            InvalidSignIn { field: "email", wrong: "is not an e-mail address" },
            NoChannel { field: "phone" },
            TooManyCodes,
            InvalidCode,
            InvalidIdToken("it has expired".to_owned()),
            NoIssuer("timeout".to_owned()),
            SignedOut,
            NoPush,
            NoReminder,
            Auth(AuthError::NoSignIn),
            Common(CommonError::OrderInProgress),
        }))
    }
}
