//! Why an order is not refunded or cancelled, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{error::CommonError, problem_types};

/// Why a request about an order was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("there is no such order")]
    OrderNotFound,
    #[error("only {left_minor} of the order can be refunded")]
    NotRefundable { left_minor: i64 },
    #[error("the order is paid, or has ended; a paid order can be refunded")]
    NotCancellable,
    #[error("another request for the order has not ended")]
    RequestInProgress,
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for OrderError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::OrderNotFound => Self::new(&problem_types::ORDER_NOT_FOUND)
                .detail("Check the id; `GET /api/admin/sales/{id}/orders` lists the orders of a sale."),
            OrderError::NotRefundable { left_minor } => Self::new(&problem_types::NOT_REFUNDABLE)
                .detail("It exceeds what is left of the payment (`left_minor`). Refund a smaller amount.")
                .with("left_minor", left_minor),
            OrderError::NotCancellable => Self::new(&problem_types::ORDER_NOT_CANCELLABLE)
                .detail("The order is paid for or has ended, and can't be cancelled; a paid order can be refunded."),
            OrderError::RequestInProgress => Self::new(&problem_types::ORDER_REQUEST_IN_PROGRESS)
                .detail("Wait until it ends: `request` of the order shows its state."),
            OrderError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(OrderError {
            OrderNotFound,
            NotRefundable { left_minor: 4900 },
            NotCancellable,
            RequestInProgress,
            Common(CommonError::SaleNotFound),
        }))
    }
}
