//! Checkout's errors, and their only mapping to HTTP.

use axum::http::StatusCode;
use fairline_server::Problem;
use serde_json::json;
use tracing::{error, warn};

use crate::{db::StoreError, orders::order::Order, problem_types};

/// Why checkout rejected or failed a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutError {
    #[error("no admission token was given")]
    NoToken,
    #[error("the admission token is not genuine, or belongs to another holder")]
    BadToken,
    #[error("the admission token has expired")]
    TokenExpired,
    #[error("the visit is over")]
    VisitOver,
    #[error("the admission token is for another sale")]
    OtherSale,
    #[error("the admission token was used before")]
    TokenUsed(Box<Order>),
    #[error("the quantity exceeds the {promised} promised")]
    QuantityOverLimit { promised: i32 },
    #[error("the sale is not open")]
    SaleNotOpen,
    #[error("no unit is left")]
    SoldOut,
    #[error("every unit is sold or being paid for")]
    NoUnitNow,
    #[error("there is no such sale")]
    UnknownSale,
    #[error("there is no such order, or it belongs to another shopper")]
    UnknownOrder,
    #[error("the payment was declined")]
    PaymentDeclined,
    #[error("the gateway rejects the payment itself: {code}")]
    PaymentRejected { code: String },
    #[error("too many payments of the order have failed")]
    TooManyAttempts,
    #[error("the payment can't be withdrawn now")]
    NotWithdrawn(Box<Order>),
    #[error("only {left_minor} of the order can be refunded")]
    NotRefundable { left_minor: i64 },
    #[error("a refund of the order has not ended")]
    RefundUnderWay,
    #[error("the amount of a refund must be at least 1")]
    WrongAmount,
    #[error("the hold has expired")]
    HoldLapsed,
    #[error("the public keys of admission tokens have not been loaded yet")]
    NoKeys,
    #[error("the admission changed while it was read")]
    Locked,
    #[error("the request has no merchant key")]
    NoMerchantKey,
    #[error("the order can't be given back now")]
    NotGivenBack(Box<Order>),
    #[error("the order can't be confirmed now")]
    NotConfirmed(Box<Order>),
    #[error("the webhook is not signed by the payment gateway")]
    BadWebhook,
    #[error("there is no such payment")]
    UnknownPayment,
    #[error("only {free} units are free")]
    TooFewFree { free: i32 },
    #[error("the reference belongs to another reservation")]
    OtherReservation,
    #[error("units are reserved for 1 to {most_s} seconds")]
    HeldForTooLong { most_s: i32 },
    #[error("there is no such product")]
    UnknownProduct,
    #[error("the catalogue has not been read yet")]
    NoCatalogue,
    #[error("accounts are disabled")]
    NoSignIn,
    #[error("not signed in")]
    NotSignedIn,
    #[error("the sale is for accounts only")]
    NoAccount,
    #[error("the account may buy {left} more units")]
    OverAllowance { left: i32 },
    #[error("the shopper may buy {left} more units")]
    OverShopperLimit { left: i32 },
    #[error("a field of the sign-in is wrong")]
    BadSignIn { field: &'static str, wrong: &'static str },
    #[error("no channel is configured for `{field}`")]
    NoChannel { field: &'static str },
    #[error("too many codes were requested")]
    TooManyCodes,
    #[error("the code is wrong")]
    WrongCode,
    #[error("the issuer's token is not accepted: {0}")]
    BadIdToken(String),
    #[error("the issuer does not answer: {0}")]
    NoIssuer(String),
    #[error("the refresh token is not valid")]
    SignedOut,
    #[error("Web Push is not configured")]
    NoPush,
    #[error("a reminder can't be sent")]
    NoReminder,
    #[error("an order of the account is open")]
    OrderUnderWay,
    #[error("the request comes from another site's page")]
    ForeignOrigin,
    #[error("too many redemptions are waiting")]
    Overloaded,
    #[error("a task failed: {0}")]
    TaskFailed(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CheckoutError> for Problem {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::NoToken => Self::new(&problem_types::NO_TOKEN)
                .detail("Send the header `Authorization: Bearer <admission token>`. The waiting room gives a token to each admitted shopper."),
            CheckoutError::BadToken => Self::new(&problem_types::BAD_TOKEN)
                .detail("It is not genuine, or was issued to another shopper. Use it in the browser in which you waited."),
            CheckoutError::TokenExpired => Self::new(&problem_types::TOKEN_EXPIRED)
                .detail("Its units went to the next shopper in line. Nothing was charged. You can join the line again."),
            CheckoutError::VisitOver => Self::new(&problem_types::TOKEN_EXPIRED)
                .with_status(StatusCode::UNAUTHORIZED)
                .detail("Its visit is over. Join the line again to get a new token."),
            CheckoutError::OtherSale => Self::new(&problem_types::OTHER_SALE)
                .detail("Use it for the sale for which it was issued."),
            CheckoutError::TokenUsed(order) => Self::new(&problem_types::TOKEN_USED)
                .detail("A token is valid for one purchase. `order` contains the order that it became.")
                .with("order", json!(order)),
            CheckoutError::QuantityOverLimit { promised } => {
                Self::new(&problem_types::QUANTITY_OVER_LIMIT)
                    .detail(format!("This admission is valid for at most {promised} units. The token is still valid; choose a smaller quantity."))
                    .with("field", "quantity")
                    .with("limit", promised)
            }
            CheckoutError::SaleNotOpen => Self::new(&problem_types::SALE_NOT_OPEN)
                .detail("It has not opened yet, or has been closed. Nothing was charged."),
            CheckoutError::SoldOut => Self::new(&problem_types::SOLD_OUT)
                .detail("Every unit is held or paid for. Nothing was charged. A released unit goes to the next shopper in line."),
            CheckoutError::NoUnitNow => Self::new(&problem_types::NO_UNIT_NOW)
                .detail("Nothing was charged. Another shopper's payment may still fail: you can try again until your hold expires."),
            CheckoutError::UnknownSale => Self::new(&problem_types::UNKNOWN_SALE)
                .detail("Check the URL; `GET /api/flash-sales/active` lists the running and scheduled sales."),
            CheckoutError::UnknownOrder => Self::new(&problem_types::UNKNOWN_ORDER)
                .detail("The order does not exist or belongs to another shopper; `GET /api/orders` lists the orders of this browser."),
            CheckoutError::PaymentDeclined => {
                Self::new(&problem_types::PAYMENT_DECLINED)
                    .detail("Nothing was charged. You can try again, or use another payment method, until the hold expires.")
            }
            CheckoutError::PaymentRejected { code } => {
                Self::new(&problem_types::PAYMENT_REJECTED)
                    .detail("The payment company rejects it with any card. Nothing was charged. Please contact the shop.")
                    .with("code", code)
            }
            CheckoutError::TooManyAttempts => {
                Self::new(&problem_types::TOO_MANY_ATTEMPTS)
                    .detail("This order can't be paid any more. Nothing was charged. Cancel it, or wait until it expires; then you can join the line again.")
            }
            CheckoutError::NotWithdrawn(order) => {
                Self::new(&problem_types::NOT_WITHDRAWN)
                    .detail("The bank has approved it, so it is being completed or is complete: see `order`.")
                    .with("order", json!(order))
            }
            CheckoutError::NotRefundable { left_minor } => {
                Self::new(&problem_types::NOT_REFUNDABLE)
                    .detail("It exceeds what remains of the payment: see `left_minor`. An order that was paid for elsewhere is refunded there.")
                    .with("left_minor", left_minor)
            }
            CheckoutError::RefundUnderWay => {
                Self::new(&problem_types::REFUND_UNDER_WAY)
                    .detail("Wait until it ends: `GET /api/orders/{id}` shows `refunded_minor`.")
            }
            CheckoutError::WrongAmount => {
                Self::new(&fairline_server::problem_types::INVALID_BODY)
                    .detail("The field `amount_minor` must be at least 1.")
                    .with("field", "amount_minor")
            }
            CheckoutError::HoldLapsed => Self::new(&problem_types::HOLD_LAPSED)
                .detail("The units went to the next shopper in line. Nothing was charged. You can join the line again."),
            CheckoutError::NoKeys => {
                warn!("redeem token failed: admission token keys are not loaded yet");
                Self::unavailable("Checkout is still starting. Nothing was changed; try again.")
            }
            CheckoutError::Locked => Self::unavailable("Another request changed the admission at the same moment. Nothing was changed; try again."),
            CheckoutError::NoMerchantKey => Self::new(&problem_types::NO_MERCHANT_KEY)
                .detail("Send `Authorization: Bearer <key>` with the key that checkout was started with (FAIRLINE_MERCHANT_KEY)."),
            CheckoutError::NotGivenBack(order) => {
                Self::new(&problem_types::NOT_GIVEN_BACK)
                    .detail("It is paid for, a payment is in progress, or it has expired: see `order`.")
                    .with("order", json!(order))
            }
            CheckoutError::NotConfirmed(order) => {
                Self::new(&problem_types::NOT_CONFIRMED)
                    .detail("It was paid another way, a payment is in progress, or its units are sold: see `order`. Refund the payment that you received.")
                    .with("order", json!(order))
            }
            CheckoutError::BadWebhook => Self::new(&problem_types::BAD_WEBHOOK)
                .detail("It is not signed with FAIRLINE_WEBHOOK_SECRETS, its signature is too old, or it is not an event."),
            CheckoutError::UnknownPayment => Self::new(&problem_types::UNKNOWN_PAYMENT)
                .detail("No payment or order has this id, or it belongs to another shopper."),
            CheckoutError::TooFewFree { free } => Self::new(&problem_types::TOO_FEW_FREE)
                .detail(format!("Only {free} units are free at this moment."))
                .with("free", json!(free)),
            CheckoutError::OtherReservation => {
                Self::new(&problem_types::OTHER_RESERVATION)
                    .detail("The reservation under this reference has another quantity. Use another reference.")
            }
            CheckoutError::HeldForTooLong { most_s } => {
                Self::new(&fairline_server::problem_types::INVALID_BODY)
                    .detail(format!("The field `held_for_s` must be from 1 to {most_s}."))
                    .with("field", "held_for_s")
            }
            CheckoutError::UnknownProduct => Self::new(&problem_types::UNKNOWN_PRODUCT)
                .detail("Check the URL; `GET /products` lists the products."),
            CheckoutError::NoSignIn => Self::new(&problem_types::NO_SIGN_IN)
                .detail("Set FAIRLINE_SIGN_IN_KEY to enable them."),
            CheckoutError::NotSignedIn => Self::new(&problem_types::NOT_SIGNED_IN)
                .detail("Sign in with `POST /users/login`, and send the access token as `Authorization: Bearer` or `Fairline-Account`. It is valid for 15 minutes."),
            CheckoutError::NoAccount => Self::new(&problem_types::ACCOUNT_NEEDED)
                .detail("Sign in and try again. Your token is still valid."),
            CheckoutError::OverAllowance { left } => {
                Self::new(&problem_types::ACCOUNT_OVER_LIMIT)
                    .detail(format!("This account may buy {left} more units of this sale. The token is still valid."))
                    .with("field", "quantity")
                    .with("left", left)
            }
            CheckoutError::OverShopperLimit { left } => {
                let detail = if left == 0 {
                    "You have bought or hold the maximum number of units of this sale. Nothing was charged.".to_owned()
                } else {
                    format!("You may buy {left} more units of this sale. The token is still valid; choose a smaller quantity.")
                };
                Self::new(&problem_types::SHOPPER_OVER_LIMIT)
                    .detail(detail)
                    .with("field", "quantity")
                    .with("left", left)
            }
            CheckoutError::BadSignIn { field, wrong } => {
                Self::new(&fairline_server::problem_types::INVALID_BODY)
                    .detail(format!("The field `{field}` {wrong}."))
                    .with("field", field)
            }
            CheckoutError::NoChannel { field } => {
                Self::new(&problem_types::NO_CHANNEL)
                    .detail(format!("This installation can't sign in by `{field}`. Sign in another way."))
                    .with("field", field)
            }
            CheckoutError::TooManyCodes => Self::new(&problem_types::TOO_MANY_CODES)
                .detail("Use the newest code, or request a new one in an hour."),
            CheckoutError::WrongCode => Self::new(&problem_types::WRONG_CODE)
                .detail("It is wrong, was used before, or is older than 10 minutes. After five attempts, request a new code."),
            CheckoutError::BadIdToken(ref reason) => Self::new(&problem_types::BAD_ID_TOKEN)
                .detail(format!("The ID token was rejected: {reason}.")),
            CheckoutError::NoIssuer(ref reason) => {
                warn!(reason, "fetch issuer keys failed");
                Self::unavailable("The OpenID Connect issuer does not answer. Try again.")
            }
            CheckoutError::SignedOut => Self::new(&problem_types::SIGNED_OUT)
                .detail("The refresh token has expired, or was used twice, which ends its session. Sign in again."),
            CheckoutError::NoPush => Self::new(&problem_types::NO_PUSH)
                .detail("Set FAIRLINE_PUSH_PUBLIC_KEY, FAIRLINE_PUSH_KEY and FAIRLINE_PUSH_CONTACT to enable it."),
            CheckoutError::NoReminder => Self::new(&problem_types::NO_REMINDER)
                .detail("The account has no address for notifications, or a draw decides the order of this line. Keep the page open."),
            CheckoutError::OrderUnderWay => Self::new(&problem_types::ORDER_UNDER_WAY)
                .detail("Pay for it, cancel it, or wait until it expires; then try again. Nothing was erased."),
            CheckoutError::ForeignOrigin => Self::new(&problem_types::FOREIGN_ORIGIN)
                .detail("Only pages of this site (FAIRLINE_PUBLIC_ORIGINS), or of origins that the operator has allowed (FAIRLINE_ALLOWED_ORIGINS), may buy."),
            CheckoutError::NoCatalogue => Self::unavailable("The catalogue is not loaded yet. Try again."),
            CheckoutError::Overloaded => Self::unavailable("Checkout is overloaded. Nothing was changed; try again."),
            CheckoutError::Store(StoreError::Unavailable(error)) => {
                warn!(%error, "query database failed");
                Self::unavailable("The database does not answer. Nothing was changed; try again.")
            }
            CheckoutError::TaskFailed(_) | CheckoutError::Store(StoreError::Refused(_) | StoreError::Corrupt(_)) => {
                error!(%error, "handle request failed");
                Self::new(&fairline_server::problem_types::INTERNAL)
                    .detail("The error was logged. `GET /api/orders` shows the state of your orders.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fairline_sale::SaleId;
    use fairline_snapshots::{every_variant, problem_bodies};
    use insta::assert_snapshot;
    use time::OffsetDateTime;
    use tokio::task::JoinError;
    use uuid::Uuid;

    use super::*;
    use crate::{orders::order::OrderId, orders::state::OrderStatus, redemption::outcome::NotRedeemed};

    fn order() -> Order {
        Order {
            id: OrderId(Uuid::from_u128(1)),
            sale_id: SaleId(Uuid::from_u128(2)),
            status: OrderStatus::Held,
            quantity: 1,
            amount_minor: 100,
            currency: "EUR".to_owned(),
            refunded_minor: 0,
            dispute: None,
            hold_expires_at: OffsetDateTime::UNIX_EPOCH,
            paid_at: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            notice: None,
        }
    }

    /// An error of a task that has panicked.
    async fn panicked() -> JoinError {
        tokio::spawn(async { panic!("on purpose") }).await.expect_err("it panicked")
    }

    #[tokio::test]
    async fn every_error_has_its_problem() {
        let errors = every_variant!(CheckoutError {
            NoToken,
            BadToken,
            TokenExpired,
            VisitOver,
            OtherSale,
            TokenUsed(Box::new(order())),
            QuantityOverLimit { promised: 2 },
            SaleNotOpen,
            SoldOut,
            NoUnitNow,
            UnknownSale,
            UnknownOrder,
            PaymentDeclined,
            PaymentRejected { code: "currency_not_supported".to_owned() },
            TooManyAttempts,
            NotWithdrawn(Box::new(order())),
            NotRefundable { left_minor: 4900 },
            RefundUnderWay,
            WrongAmount,
            HoldLapsed,
            NoKeys,
            Locked,
            NoMerchantKey,
            NotGivenBack(Box::new(order())),
            NotConfirmed(Box::new(order())),
            BadWebhook,
            UnknownPayment,
            TooFewFree { free: 3 },
            OtherReservation,
            HeldForTooLong { most_s: 3600 },
            UnknownProduct,
            NoCatalogue,
            NoSignIn,
            NotSignedIn,
            NoAccount,
            OverAllowance { left: 3 },
            OverShopperLimit { left: 0 },
            OverShopperLimit { left: 3 },
            BadSignIn { field: "email", wrong: "is not an address" },
            NoChannel { field: "phone" },
            TooManyCodes,
            WrongCode,
            BadIdToken("it has expired".to_owned()),
            NoIssuer("timeout".to_owned()),
            SignedOut,
            NoPush,
            NoReminder,
            OrderUnderWay,
            ForeignOrigin,
            Overloaded,
            TaskFailed(panicked().await),
            Store(StoreError::Corrupt("a row".to_owned())),
        });
        let stores = every_variant!(StoreError {
            Refused("orders_one_per_payment".to_owned()),
            Corrupt("a row".to_owned()),
            Unavailable(Arc::new(sqlx::Error::PoolTimedOut)),
        })
        .map(|(name, error)| (name, CheckoutError::Store(error)));
        assert_snapshot!("problems", problem_bodies(problem_types::ALL, errors.into_iter().chain(stores)));
    }

    #[test]
    fn a_token_that_was_not_redeemed_has_the_problem_of_its_reason() {
        let refused = |constraint: &str| NotRedeemed::from(StoreError::Refused(constraint.to_owned()));
        for (reason, slug) in [
            (NotRedeemed::NoSuchAdmission, "bad-token"),
            (NotRedeemed::Used(Box::new(order())), "token-used"),
            (NotRedeemed::Expired, "token-expired"),
            (NotRedeemed::SaleNotOpen, "sale-not-open"),
            (NotRedeemed::OverLimit { promised: 2 }, "quantity-over-limit"),
            (NotRedeemed::NoAccount, "account-needed"),
            (NotRedeemed::OverAllowance { left: 1 }, "account-over-limit"),
            (NotRedeemed::OverShopperLimit { left: 1 }, "shopper-over-limit"),
            (refused("stock_is_never_oversold"), "sold-out"),
            (refused("stock_is_never_overpromised"), "sold-out"),
            (NotRedeemed::Locked, "unavailable"),
            (refused("allowances_are_kept"), "unavailable"),
            (NotRedeemed::Overloaded, "unavailable"),
            (refused("orders_one_per_payment"), "internal"),
        ] {
            assert_eq!(Problem::from(CheckoutError::from(reason)).slug(), slug);
        }
    }
}
