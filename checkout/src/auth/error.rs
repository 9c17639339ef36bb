//! Why a caller is not authorised for a request, and the mapping to HTTP.

use fairline_server::Problem;

use crate::problem_types;

/// Why a caller was rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("no admission token was given")]
    NoToken,
    #[error("the request has no merchant key")]
    NoMerchantKey,
    #[error("accounts are disabled")]
    NoSignIn,
    #[error("not signed in")]
    NotSignedIn,
    #[error("the request comes from another site's page")]
    ForeignOrigin,
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::NoToken => Self::new(&problem_types::MISSING_ADMISSION_TOKEN)
                .detail("Send the header `Authorization: Bearer <admission token>`. The waiting room sends a token to each admitted shopper."),
            AuthError::NoMerchantKey => Self::new(&problem_types::INVALID_MERCHANT_KEY)
                .detail("Send `Authorization: Bearer <key>` with the key that checkout was started with (FAIRLINE_MERCHANT_KEY)."),
            AuthError::NoSignIn => {
                Self::new(&problem_types::ACCOUNTS_DISABLED).detail("Set FAIRLINE_SIGN_IN_KEY to enable them.")
            }
            AuthError::NotSignedIn => Self::new(&problem_types::NOT_SIGNED_IN)
                .detail("Sign in with `POST /users/login`, and send the access token as `Authorization: Bearer` or `Fairline-Account`. It is valid for 15 minutes."),
            AuthError::ForeignOrigin => Self::new(&problem_types::ORIGIN_NOT_ALLOWED)
                .detail("Only pages of this site (FAIRLINE_PUBLIC_ORIGINS), or of origins that the operator has allowed (FAIRLINE_ALLOWED_ORIGINS), may buy."),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(AuthError { NoToken, NoMerchantKey, NoSignIn, NotSignedIn, ForeignOrigin }))
    }
}
