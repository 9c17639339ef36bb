//! Why an admission token is not redeemed, and the mapping to HTTP.

use fairline_redemption::QueueFull;
use fairline_server::{Problem, ProblemType};
use serde_json::json;
use tracing::warn;

use crate::{
    db::StoreError, error::CommonError, orders::order::Order, problem_types, redemption::outcome::RedemptionRejection,
};

/// Why a token was not redeemed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedemptionError {
    #[error("the admission token is not genuine, or belongs to another holder")]
    InvalidToken,
    /// It has expired, or the controller has revoked it.
    #[error("the admission token has expired")]
    TokenExpired,
    #[error("the admission token is for another sale")]
    OtherSale,
    /// It was redeemed before, and became this order.
    #[error("the admission token was used before")]
    TokenUsed(Box<Order>),
    #[error("the quantity exceeds the {promised} promised")]
    QuantityOverLimit { promised: i32 },
    /// Only a sale that overbooks can get here.
    #[error("no unit is left")]
    SoldOut,
    #[error("the sale is for accounts only")]
    NoAccount,
    #[error("the account may buy {left} more units")]
    OverAllowance { left: i32, limit: i32 },
    #[error("the shopper may buy {left} more units")]
    OverShopperLimit { left: i32, limit: i32 },
    #[error("the public keys of admission tokens have not been loaded yet")]
    NoKeys,
    /// Another transaction had locked it.
    #[error("the admission changed while it was read")]
    Locked,
    #[error("too many redemptions are waiting")]
    Overloaded,
    #[error(transparent)]
    Common(#[from] CommonError),
}

/// Whether a person would have exceeded a limit.
pub(crate) fn is_over_a_limit(error: &StoreError) -> bool {
    ["allowances_within_limit", "shopper_allowances_within_limit"]
        .iter()
        .any(|constraint| error.is_refused_by(constraint))
}

impl From<StoreError> for RedemptionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(constraint)
                if constraint == "stock_is_never_oversold" || constraint == "stock_is_never_overpromised" =>
            {
                Self::SoldOut
            }
            // The same person bought something else at the same moment. A retry shows what that
            // left.
            error if is_over_a_limit(&error) => Self::Locked,
            error => Self::Common(error.into()),
        }
    }
}

impl From<RedemptionRejection> for RedemptionError {
    fn from(reason: RedemptionRejection) -> Self {
        match reason {
            RedemptionRejection::InvalidToken => Self::InvalidToken,
            RedemptionRejection::TokenExpired => Self::TokenExpired,
            RedemptionRejection::TokenUsed(order) => Self::TokenUsed(order),
            RedemptionRejection::SaleNotOpen => CommonError::SaleNotOpen.into(),
            RedemptionRejection::QuantityOverLimit { promised } => Self::QuantityOverLimit { promised },
            RedemptionRejection::NoAccount => Self::NoAccount,
            RedemptionRejection::OverAllowance { left, limit } => Self::OverAllowance { left, limit },
            RedemptionRejection::OverShopperLimit { left, limit } => Self::OverShopperLimit { left, limit },
            RedemptionRejection::Locked => Self::Locked,
            RedemptionRejection::Unread(error) => error.into(),
        }
    }
}

impl From<QueueFull> for RedemptionError {
    fn from(_: QueueFull) -> Self {
        Self::Overloaded
    }
}

impl RedemptionError {
    /// The outcome in metrics: the slug of its problem type.
    pub(crate) fn outcome(&self) -> &'static str {
        self.kind().slug
    }

    fn kind(&self) -> &'static ProblemType {
        match self {
            Self::InvalidToken => &problem_types::INVALID_ADMISSION_TOKEN,
            Self::TokenExpired => &problem_types::TOKEN_EXPIRED,
            Self::OtherSale => &problem_types::TOKEN_OF_OTHER_SALE,
            Self::TokenUsed(_) => &problem_types::TOKEN_USED,
            Self::QuantityOverLimit { .. } => &problem_types::QUANTITY_OVER_LIMIT,
            Self::SoldOut => &problem_types::SOLD_OUT,
            Self::NoAccount => &problem_types::ACCOUNT_REQUIRED,
            Self::OverAllowance { .. } => &problem_types::ACCOUNT_OVER_LIMIT,
            Self::OverShopperLimit { .. } => &problem_types::SHOPPER_OVER_LIMIT,
            Self::NoKeys | Self::Locked | Self::Overloaded => &fairline_server::problem_types::UNAVAILABLE,
            Self::Common(error) => error.kind(),
        }
    }
}

fn over_limit(left: i32, limit: i32) -> String {
    if left == 0 {
        format!("You have reached the limit of {limit} for this sale. Nothing was charged.")
    } else {
        format!(
            "You can buy {left} more: the limit of this sale is {limit}. Choose a smaller quantity; your turn is still valid."
        )
    }
}

impl From<RedemptionError> for Problem {
    fn from(error: RedemptionError) -> Self {
        let kind = error.kind();
        match error {
            RedemptionError::InvalidToken => Self::new(kind)
                .detail("It is not genuine, or belongs to another shopper. Continue in the browser in which you waited in line."),
            RedemptionError::TokenExpired => Self::new(kind)
                .detail("The turn went to the next shopper. Nothing was charged. You can join the line again."),
            RedemptionError::OtherSale => {
                Self::new(kind).detail("Go back to the sale in whose line you waited.")
            }
            RedemptionError::TokenUsed(order) => Self::new(kind)
                .detail("A token is valid for one purchase. `order` contains the order that it became.")
                .with("order", json!(order)),
            RedemptionError::QuantityOverLimit { promised } => Self::new(kind)
                .detail(format!("You can buy at most {promised} with this turn. Choose a smaller quantity; your turn is still valid."))
                .with("field", "quantity")
                .with("limit", promised),
            RedemptionError::SoldOut => Self::new(kind)
                .detail("Every unit is reserved or sold. Nothing was charged. A unit that becomes free goes to the next shopper in line."),
            RedemptionError::NoAccount => {
                Self::new(kind).detail("Sign in, and try again. Your turn is still valid.")
            }
            RedemptionError::OverAllowance { left, limit } => Self::new(kind)
                .detail(over_limit(left, limit))
                .with("field", "quantity")
                .with("left", left),
            RedemptionError::OverShopperLimit { left, limit } => Self::new(kind)
                .detail(over_limit(left, limit))
                .with("field", "quantity")
                .with("left", left),
            RedemptionError::NoKeys => {
                warn!("redeem token failed: admission token keys are not loaded yet");
                Self::unavailable("Checkout is still starting. Nothing was changed; try again.")
            }
            RedemptionError::Locked => Self::unavailable("Another request changed the admission at the same moment. Nothing was changed; try again."),
            RedemptionError::Overloaded => {
                Self::unavailable("Checkout is overloaded. Nothing was changed; try again.")
            }
            RedemptionError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        let refused = [
            "stock_is_never_oversold",
            "stock_is_never_overpromised",
            "allowances_within_limit",
            "shopper_allowances_within_limit",
            "orders_one_per_payment",
        ]
        .map(|name| (name, RedemptionError::from(StoreError::Refused(name.to_owned()))));
        problems(
            every_variant!(RedemptionError {
                InvalidToken,
                TokenExpired,
                OtherSale,
                TokenUsed(Box::new(Order::example())),
                QuantityOverLimit { promised: 2 },
                SoldOut,
                NoAccount,
                OverAllowance { left: 3, limit: 4 },
                OverShopperLimit { left: 0, limit: 2 },
                OverShopperLimit { left: 3, limit: 4 },
                NoKeys,
                Locked,
                Overloaded,
                Common(CommonError::SaleNotOpen),
            })
            .into_iter()
            .chain(refused),
        )
    }
}
