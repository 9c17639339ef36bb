//! The errors that several features share, and their mapping to HTTP. Each feature has its own in
//! its `error.rs`, which wraps these.

use fairline_server::{Problem, ProblemType};
use tokio::task::JoinError;
use tracing::{error, warn};

use crate::{db::StoreError, problem_types};

/// Why a request was rejected or failed, for reasons that several features have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommonError {
    #[error("there is no such sale")]
    SaleNotFound,
    #[error("the sale is not open")]
    SaleNotOpen,
    #[error("there is no such order, or it belongs to another shopper")]
    OrderNotFound,
    #[error("an order of the account is open")]
    OrderInProgress,
    #[error("a task failed: {0}")]
    TaskFailed(#[from] JoinError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A rejection in the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[response(status = 404, description = "There is no such order, or it belongs to another shopper.")]
pub(crate) struct OrderNotFound;

impl CommonError {
    /// The type of its problem.
    pub(crate) fn kind(&self) -> &'static ProblemType {
        match self {
            Self::SaleNotFound => &problem_types::SALE_NOT_FOUND,
            Self::SaleNotOpen => &problem_types::SALE_NOT_OPEN,
            Self::OrderNotFound => &problem_types::ORDER_NOT_FOUND,
            Self::OrderInProgress => &problem_types::ORDER_IN_PROGRESS,
            Self::Store(StoreError::Unavailable(_)) => &fairline_server::problem_types::UNAVAILABLE,
            Self::TaskFailed(_) | Self::Store(StoreError::Refused(_) | StoreError::Corrupt(_)) => {
                &fairline_server::problem_types::INTERNAL
            }
        }
    }
}

impl From<CommonError> for Problem {
    fn from(error: CommonError) -> Self {
        let kind = error.kind();
        match error {
            CommonError::SaleNotFound => Self::new(kind)
                .detail("Check the URL; `GET /api/flash-sales/active` lists the running and scheduled sales."),
            CommonError::SaleNotOpen => Self::new(kind)
                .detail("It has not opened yet, or it has been closed. Nothing was charged."),
            CommonError::OrderNotFound => Self::new(kind)
                .detail("The order does not exist or belongs to another shopper; `GET /api/orders` lists the orders of this browser."),
            CommonError::OrderInProgress => Self::new(kind)
                .detail("Pay for it, cancel it, or wait until it expires; then try again. Nothing was erased."),
            CommonError::Store(StoreError::Unavailable(error)) => {
                warn!(%error, "query database failed");
                Self::unavailable("The database does not respond. Nothing was changed; try again.")
            }
            CommonError::TaskFailed(_) | CommonError::Store(StoreError::Refused(_) | StoreError::Corrupt(_)) => {
                error!(%error, "handle request failed");
                Self::new(kind)
                    .detail("The error was logged. `GET /api/orders` shows the state of your orders.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fairline_snapshots::{NamedProblem, every_variant, problem_bodies, problems};
    use insta::assert_snapshot;

    use super::*;
    use crate::{accounts, auth, forward_auth, merchant_api, payments, redemption, sales};

    /// An error of a task that has panicked.
    async fn panicked() -> JoinError {
        tokio::spawn(async { panic!("on purpose") }).await.expect_err("it panicked")
    }

    async fn examples() -> Vec<NamedProblem> {
        let stores = every_variant!(StoreError {
            Refused("orders_one_per_payment".to_owned()),
            Corrupt("a row".to_owned()),
            Unavailable(Arc::new(sqlx::Error::PoolTimedOut)),
        })
        .map(|(name, error)| (name, CommonError::Store(error)));
        let errors = every_variant!(CommonError {
            SaleNotFound,
            SaleNotOpen,
            OrderNotFound,
            OrderInProgress,
            TaskFailed(panicked().await),
            Store(StoreError::Corrupt("a row".to_owned())),
        });
        problems(errors.into_iter().chain(stores))
    }

    #[tokio::test]
    async fn every_error_has_its_problem() {
        let features = [
            examples().await,
            accounts::error::tests::examples(),
            auth::error::tests::examples(),
            sales::error::tests::examples(),
            forward_auth::error::tests::examples(),
            merchant_api::error::tests::examples(),
            payments::error::tests::examples(),
            redemption::error::tests::examples(),
        ];
        assert_snapshot!("problems", problem_bodies(problem_types::ALL, features.into_iter().flatten()));
    }
}
