//! Why a request of the merchant's systems is rejected, and the mapping to HTTP.

use fairline_server::Problem;
use serde_json::json;

use crate::{
    auth::error::AuthError, error::CommonError, orders::order::Order, problem_types, redemption::error::RedemptionError,
};

/// Why a request of the merchant was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MerchantApiError {
    #[error("the order can't be confirmed now")]
    NotConfirmed(Box<Order>),
    #[error("only {left_minor} of the order can be refunded")]
    NotRefundable { left_minor: i64 },
    #[error("a refund of the order has not ended")]
    RefundInProgress,
    #[error("the amount of a refund must be at least 1")]
    InvalidAmount,
    #[error("only {free} units are free")]
    TooFewFree { free: i32 },
    #[error("the reference belongs to another reservation")]
    OtherReservation,
    #[error("units are reserved for 1 to {most_s} seconds")]
    HeldForTooLong { most_s: i32 },
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Redemption(#[from] RedemptionError),
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for MerchantApiError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<MerchantApiError> for Problem {
    fn from(error: MerchantApiError) -> Self {
        match error {
            MerchantApiError::NotConfirmed(order) => Self::new(&problem_types::ORDER_NOT_CONFIRMED)
                .detail("It was paid another way, a payment is in progress, or its units are sold: see `order`. Refund the payment that you received.")
                .with("order", json!(order)),
            MerchantApiError::NotRefundable { left_minor } => Self::new(&problem_types::NOT_REFUNDABLE)
                .detail("It exceeds what is left of the payment (`left_minor`). Refund a smaller amount. An order that was paid outside Fairline is refunded there.")
                .with("left_minor", left_minor),
            MerchantApiError::RefundInProgress => Self::new(&problem_types::REFUND_IN_PROGRESS)
                .detail("Wait until it ends: `GET /api/orders/{id}` shows `refunded_minor`."),
            MerchantApiError::InvalidAmount => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail("The field `amount_minor` must be at least 1.")
                .with("field", "amount_minor"),
            MerchantApiError::TooFewFree { free } => Self::new(&problem_types::INSUFFICIENT_STOCK)
                .detail(format!("Units free at this moment: {free}."))
                .with("free", json!(free)),
            MerchantApiError::OtherReservation => Self::new(&problem_types::REFERENCE_REUSED)
                .detail("The reservation under this reference has another quantity. Use another reference."),
            MerchantApiError::HeldForTooLong { most_s } => Self::new(&fairline_server::problem_types::INVALID_BODY)
                .detail(format!("The field `held_for_s` must be from 1 to {most_s}."))
                .with("field", "held_for_s"),
            MerchantApiError::Auth(error) => error.into(),
            MerchantApiError::Redemption(error) => error.into(),
            MerchantApiError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(MerchantApiError {
            NotConfirmed(Box::new(Order::example())),
            NotRefundable { left_minor: 4900 },
            RefundInProgress,
            InvalidAmount,
            TooFewFree { free: 3 },
            OtherReservation,
            HeldForTooLong { most_s: 3600 },
            Auth(AuthError::NoSignIn),
            Redemption(RedemptionError::InvalidToken),
            Common(CommonError::OrderInProgress),
        }))
    }
}
