//! The errors that several features share, and their mapping to HTTP. Each feature has its own in
//! its `error.rs`, which wraps these.

use fairline_sale::Status;
use fairline_server::Problem;
use tracing::error;

use crate::{db::StoreError, problem_types};

/// Why a request was rejected or failed, for reasons that several features have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommonError {
    #[error("there is no such sale")]
    UnknownSale,
    #[error("there is no such lane")]
    UnknownLane,
    #[error("the sale is {}", status.as_str().replace('_', " "))]
    IllegalTransition { status: Status },
    #[error("the field `{field}` must {must}")]
    WrongField { field: &'static str, must: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks a field of a request.
pub(crate) fn check_field(field: &'static str, ok: bool, must: &'static str) -> Result<(), CommonError> {
    if ok { Ok(()) } else { Err(CommonError::WrongField { field, must }) }
}

impl From<CommonError> for Problem {
    fn from(error: CommonError) -> Self {
        match error {
            CommonError::UnknownSale => {
                Self::new(&problem_types::UNKNOWN_SALE).detail("Check the id; `GET /api/admin/sales` lists all sales.")
            }
            CommonError::UnknownLane => Self::new(&problem_types::UNKNOWN_LANE)
                .detail("Check the name; `GET /api/admin/sales/{id}` lists the lanes of a sale."),
            CommonError::IllegalTransition { status } => Self::new(&problem_types::ILLEGAL_TRANSITION)
                .detail(format!("The sale is {}.", status.as_str().replace('_', " "))),
            CommonError::WrongField { field, must } => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("The field `{field}` must {must}."))
                .with("field", field),
            CommonError::Store(StoreError::Refused(constraint)) => {
                Self::new(&fairline_server::problem_types::INVALID_BODY)
                    .detail(format!("The database rejected it (constraint {constraint}). Nothing was changed."))
            }
            CommonError::Store(error @ StoreError::Unavailable(_)) => {
                error!(detail = %format!("{error}."), "admin request failed");
                Self::unavailable("The database does not answer. Nothing was changed; try again.")
            }
            CommonError::Store(error @ StoreError::Corrupt(_)) => {
                error!(detail = %format!("{error}."), "admin request failed");
                Self::new(&fairline_server::problem_types::INTERNAL).detail("The error was logged.")
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Asserts the problem of an error, and that its detail is a sentence.
    pub(crate) fn assert_problem(error: impl Into<Problem>, status: u16, slug: &str) {
        let problem = error.into();
        assert_eq!((problem.status().as_u16(), problem.slug()), (status, slug));
        assert!(problem.detail_text().is_some_and(|detail| detail.ends_with('.')), "{slug}");
    }

    #[test]
    fn every_error_maps_to_its_problem() {
        for (error, status, slug) in [
            (CommonError::UnknownSale, 404, "unknown-sale"),
            (CommonError::UnknownLane, 404, "unknown-lane"),
            (CommonError::IllegalTransition { status: Status::Closed }, 409, "illegal-transition"),
            (CommonError::WrongField { field: "total", must: "be positive" }, 422, "invalid-body"),
            (StoreError::Refused("sales_slug_is_plain".to_owned()).into(), 422, "invalid-body"),
            (StoreError::from(sqlx::Error::PoolTimedOut).into(), 503, "unavailable"),
        ] {
            assert_problem(error, status, slug);
        }
    }
}
