//! Why a payment is not taken or undone, and the mapping to HTTP.

use fairline_server::Problem;
use serde_json::json;

use crate::{error::CommonError, orders::order::Order, problem_types};

/// Why a request about a payment was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PaymentError {
    #[error("every unit is sold or being paid for")]
    NoUnitNow,
    #[error("the payment was declined")]
    Declined,
    #[error("the gateway rejects the payment itself: {code}")]
    Rejected { code: String },
    #[error("too many payments of the order have failed")]
    TooManyAttempts,
    #[error("the hold has expired")]
    HoldExpired,
    #[error("the payment can't be withdrawn now")]
    NotWithdrawn(Box<Order>),
    #[error("the order can't be cancelled now")]
    NotCancelled(Box<Order>),
    #[error("there is no such payment")]
    PaymentNotFound,
    #[error("the webhook is not signed by the payment gateway")]
    InvalidWebhook,
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for PaymentError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::NoUnitNow => Self::new(&problem_types::NO_UNIT_AVAILABLE)
                .detail("Nothing was charged. If another shopper's payment fails, a unit becomes free: try again until your time to pay is over."),
            PaymentError::Declined => Self::new(&problem_types::PAYMENT_DECLINED)
                .detail("Nothing was charged. Try again, or use another payment method, before your time to pay is over."),
            PaymentError::Rejected { code } => Self::new(&problem_types::PAYMENT_REJECTED)
                .detail("The payment provider rejects it with any card. Nothing was charged. Please contact the shop.")
                .with("code", code),
            PaymentError::TooManyAttempts => Self::new(&problem_types::TOO_MANY_ATTEMPTS)
                .detail("This order can't be paid any more. Nothing was charged. Cancel it, or wait until it expires; then you can join the line again."),
            PaymentError::HoldExpired => Self::new(&problem_types::HOLD_EXPIRED)
                .detail("Its units went to the next shopper in line. Nothing was charged. You can join the line again."),
            PaymentError::NotWithdrawn(order) => Self::new(&problem_types::PAYMENT_NOT_WITHDRAWN)
                .detail("The bank has approved it: it is complete, or will be in a moment. See `order`.")
                .with("order", json!(order)),
            PaymentError::NotCancelled(order) => Self::new(&problem_types::ORDER_NOT_CANCELLED)
                .detail("It is paid, a payment is in progress, or it has expired. Reload the page to see its status.")
                .with("order", json!(order)),
            PaymentError::PaymentNotFound => Self::new(&problem_types::PAYMENT_NOT_FOUND)
                .detail("No payment or order has this id, or it belongs to another shopper."),
            PaymentError::InvalidWebhook => Self::new(&problem_types::INVALID_WEBHOOK)
                .detail("It is not signed with FAIRLINE_WEBHOOK_SECRETS, its signature is too old, or it is not an event."),
            PaymentError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(PaymentError {
            NoUnitNow,
            Declined,
            Rejected { code: "amount_too_small".to_owned() },
            TooManyAttempts,
            HoldExpired,
            NotWithdrawn(Box::new(Order::example())),
            NotCancelled(Box::new(Order::example())),
            PaymentNotFound,
            InvalidWebhook,
            Common(CommonError::OrderNotFound),
        }))
    }
}
