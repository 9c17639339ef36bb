//! Why a proxy's shopper is rejected, and the mapping to HTTP.

use axum::http::StatusCode;
use fairline_server::Problem;

use crate::{auth::error::AuthError, error::CommonError, problem_types, redemption::error::RedemptionError};

/// Why a shopper was not admitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardAuthError {
    #[error("no admission token was given")]
    NoToken,
    #[error("the visit is over")]
    VisitOver,
    #[error(transparent)]
    Redemption(#[from] RedemptionError),
}

impl ForwardAuthError {
    /// Whether the token could not be checked.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Redemption(RedemptionError::NoKeys | RedemptionError::Common(CommonError::Store(_))))
    }
}

impl From<ForwardAuthError> for Problem {
    fn from(error: ForwardAuthError) -> Self {
        match error {
            ForwardAuthError::NoToken => AuthError::NoToken.into(),
            // Proxies distinguish two rejections only: 401 and 403.
            ForwardAuthError::VisitOver => Self::new(&problem_types::TOKEN_EXPIRED)
                .with_status(StatusCode::UNAUTHORIZED)
                .detail("The turn of this token is over. Join the line again to get a new one."),
            ForwardAuthError::Redemption(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(ForwardAuthError {
            NoToken,
            VisitOver,
            Redemption(RedemptionError::InvalidToken),
            Redemption(RedemptionError::OtherSale),
        }))
    }
}
