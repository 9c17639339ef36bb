//! The errors that several features share, and their mapping to HTTP. Each feature has its own in
//! its `error.rs`, which wraps these.

use fairline_server::Problem;
use tokio::task::JoinError;
use tracing::{error, warn};

use crate::{db::StoreError, problem_types};

/// Why a request was rejected or failed, for reasons that several features have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommonError {
    #[error("there is no such sale")]
    UnknownSale,
    #[error("the sale is not open")]
    SaleNotOpen,
    #[error("there is no such order, or it belongs to another shopper")]
    UnknownOrder,
    #[error("an order of the account is open")]
    OrderUnderWay,
    #[error("a task failed: {0}")]
    TaskFailed(#[from] JoinError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CommonError> for Problem {
    fn from(error: CommonError) -> Self {
        match error {
            CommonError::UnknownSale => Self::new(&problem_types::UNKNOWN_SALE)
                .detail("Check the URL; `GET /api/flash-sales/active` lists the running and scheduled sales."),
            CommonError::SaleNotOpen => Self::new(&problem_types::SALE_NOT_OPEN)
                .detail("It has not opened yet, or it has been closed. Nothing was charged."),
            CommonError::UnknownOrder => Self::new(&problem_types::UNKNOWN_ORDER)
                .detail("The order does not exist or belongs to another shopper; `GET /api/orders` lists the orders of this browser."),
            CommonError::OrderUnderWay => Self::new(&problem_types::ORDER_UNDER_WAY)
                .detail("Pay for it, cancel it, or wait until it expires; then try again. Nothing was erased."),
            CommonError::Store(StoreError::Unavailable(error)) => {
                warn!(%error, "query database failed");
                Self::unavailable("The database does not answer. Nothing was changed; try again.")
            }
            CommonError::TaskFailed(_) | CommonError::Store(StoreError::Refused(_) | StoreError::Corrupt(_)) => {
                error!(%error, "handle request failed");
                Self::new(&fairline_server::problem_types::INTERNAL)
                    .detail("The error was logged. `GET /api/orders` shows the state of your orders.")
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
        assert!(problem.detail_text().is_some_and(|detail| detail.ends_with(['.', '`'])), "{slug}");
    }

    #[tokio::test]
    async fn every_error_maps_to_its_problem() {
        let store = |error: StoreError| CommonError::Store(error);
        let panicked = tokio::spawn(async { panic!("on purpose") }).await.expect_err("it panicked");
        for (error, status, slug) in [
            (CommonError::UnknownSale, 404, "unknown-sale"),
            (CommonError::SaleNotOpen, 409, "sale-not-open"),
            (CommonError::UnknownOrder, 404, "unknown-order"),
            (CommonError::OrderUnderWay, 409, "order-under-way"),
            (store(StoreError::Refused("orders_one_per_payment".to_owned())), 500, "internal"),
            (store(StoreError::Corrupt("a row".to_owned())), 500, "internal"),
            (panicked.into(), 500, "internal"),
            (store(sqlx::Error::PoolTimedOut.into()), 503, "unavailable"),
        ] {
            assert_problem(error, status, slug);
        }
    }
}
