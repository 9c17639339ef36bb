//! Why an operator is not added, changed or enrolled, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{auth::error::AdminAuthError, db::StoreError, error::CommonError, problem_types};

/// Why a request about an operator was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    #[error("there is no such operator")]
    OperatorNotFound,
    #[error("another operator has this name")]
    NameTaken,
    #[error("there are {most} operators already")]
    TooManyOperators { most: i64 },
    #[error("the enrolment code is not valid")]
    InvalidEnrolmentCode,
    #[error(transparent)]
    Auth(#[from] AdminAuthError),
    #[error(transparent)]
    Common(#[from] CommonError),
}

/// A rejection in the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[response(status = 404, description = "There is no such operator.")]
pub(crate) struct OperatorNotFound;

impl From<StoreError> for OperatorError {
    fn from(error: StoreError) -> Self {
        if error.is_refused_by("operators_pkey") { Self::NameTaken } else { Self::Common(error.into()) }
    }
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::OperatorNotFound => Self::new(&problem_types::OPERATOR_NOT_FOUND)
                .detail("Check the name; `GET /api/admin/operators` lists the operators."),
            OperatorError::NameTaken => Self::new(&problem_types::NAME_TAKEN)
                .detail("Another operator has this name. Choose another.")
                .with("field", "name"),
            OperatorError::TooManyOperators { most } => Self::new(&problem_types::TOO_MANY_OPERATORS)
                .detail(format!("There are already {most}, which is the maximum. Remove an operator who has left.")),
            OperatorError::InvalidEnrolmentCode => Self::new(&problem_types::INVALID_ENROLMENT_CODE)
                .detail("It is wrong, was used before or has expired. Ask an owner for a new one."),
            OperatorError::Auth(error) => error.into(),
            OperatorError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;
    use crate::error::tests::refused;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        let constraints = ["operators_pkey", "operators_role_check"];
        problems(
            every_variant!(OperatorError {
                OperatorNotFound,
                NameTaken,
                TooManyOperators { most: 200 },
                InvalidEnrolmentCode,
                Auth(AdminAuthError::TooManySignIns),
                Common(CommonError::InvalidField { field: "reason", must: "have 1 to 500 characters" }),
            })
            .into_iter()
            .chain(constraints.map(refused)),
        )
    }
}
