//! Why a signing key is not revoked, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{error::CommonError, problem_types};

/// Why a request about a signing key was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("there is no such key")]
    UnknownKey,
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for KeyError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::UnknownKey => Self::new(&problem_types::UNKNOWN_KEY)
                .detail("Check the key's name; `GET /api/admin/keys` lists the keys of this controller."),
            KeyError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::tests::assert_problem;

    #[test]
    fn every_error_maps_to_its_problem() {
        assert_problem(KeyError::UnknownKey, 404, "unknown-key");
    }
}
