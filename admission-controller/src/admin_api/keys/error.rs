//! Why a signing key is not revoked, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{error::CommonError, problem_types};

/// Why a request about a signing key was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("there is no such key")]
    KeyNotFound,
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
            KeyError::KeyNotFound => Self::new(&problem_types::KEY_NOT_FOUND)
                .detail("Check the key's name; `GET /api/admin/keys` lists the keys of this controller."),
            KeyError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(KeyError {
            KeyNotFound,
            Common(CommonError::SaleNotFound),
        }))
    }
}
