//! Why a lane is not added or changed, and the mapping to HTTP.

use fairline_server::Problem;

use super::rejected::LaneRejection;
use crate::{db::StoreError, error::CommonError, problem_types};

/// Why a request about a lane was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    #[error("the lane was rejected: {0:?}")]
    Rejected(LaneRejection),
    #[error("another lane of the sale has this name")]
    NameTaken,
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl From<StoreError> for LaneError {
    fn from(error: StoreError) -> Self {
        if error.is_refused_by("lines_lane_is_unique") { Self::NameTaken } else { Self::Common(error.into()) }
    }
}

impl From<LaneError> for Problem {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Rejected(rejected) => {
                let detail = match rejected {
                    LaneRejection::Unknown => return CommonError::LaneNotFound.into(),
                    LaneRejection::TooMany => "The sale has the maximum number of lanes.",
                    LaneRejection::Shares => {
                        "Together, the shares of a sale's lanes must not exceed 100 %. Reduce another lane's share first."
                    }
                    LaneRejection::Drawn => {
                        "All lines of a sale are drawn together when it opens. Add lanes before that."
                    }
                    LaneRejection::Closed => "The sale has ended.",
                };
                Self::new(&problem_types::LANE_REJECTED).detail(format!("{detail} Nothing was changed."))
            }
            LaneError::NameTaken => Self::new(&problem_types::LANE_TAKEN)
                .detail("Another lane of this sale has this name. Choose another.")
                .with("field", "name"),
            LaneError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;
    use crate::error::tests::refused;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        let rejected = every_variant!(LaneRejection { Unknown, TooMany, Shares, Drawn, Closed })
            .map(|(name, rejected)| (name, LaneError::Rejected(rejected)));
        problems(
            every_variant!(LaneError {
                Rejected(LaneRejection::Unknown),
                NameTaken,
                Common(CommonError::LaneNotFound),
            })
            .into_iter()
            .chain(rejected)
            .chain(["lines_lane_is_unique"].map(refused)),
        )
    }
}
