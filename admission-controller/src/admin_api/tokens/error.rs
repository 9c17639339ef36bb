//! Why an API token is not created or revoked, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{db::StoreError, error::CommonError, problem_types};

/// Why a request about an API token was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiTokenError {
    #[error("there is no such token")]
    TokenNotFound,
    #[error("another token has this name")]
    NameTaken,
    #[error("there are {most} tokens already")]
    TooManyTokens { most: i64 },
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl From<StoreError> for ApiTokenError {
    fn from(error: StoreError) -> Self {
        if error.is_refused_by("api_tokens_pkey") { Self::NameTaken } else { Self::Common(error.into()) }
    }
}

impl From<ApiTokenError> for Problem {
    fn from(error: ApiTokenError) -> Self {
        match error {
            ApiTokenError::TokenNotFound => Self::new(&problem_types::TOKEN_NOT_FOUND)
                .detail("Check the name; `GET /api/admin/tokens` lists the tokens."),
            ApiTokenError::NameTaken => Self::new(&problem_types::NAME_TAKEN)
                .detail("Another token has this name. Choose another, or revoke that token first.")
                .with("field", "name"),
            ApiTokenError::TooManyTokens { most } => Self::new(&problem_types::TOO_MANY_TOKENS)
                .detail(format!("There are already {most}, which is the maximum. Revoke a token that is not used.")),
            ApiTokenError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;
    use crate::error::tests::refused;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        let constraints = ["api_tokens_pkey", "api_tokens_role_check"];
        problems(
            every_variant!(ApiTokenError {
                TokenNotFound,
                NameTaken,
                TooManyTokens { most: 200 },
                Common(CommonError::InvalidField { field: "lasts_days", must: "be between 1 and 3650" }),
            })
            .into_iter()
            .chain(constraints.map(refused)),
        )
    }
}
