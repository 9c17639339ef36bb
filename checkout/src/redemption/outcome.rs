//! A redemption and its outcomes.

use fairline_sale::{SaleId, VisitorId};
use fairline_telemetry::TraceContext;
use uuid::Uuid;

use crate::{accounts::account::AccountId, db::StoreError, orders::order::Order};

/// Why a token was not redeemed.
#[derive(Debug)]
pub(crate) enum NotRedeemed {
    /// No such admission exists, or the controller has signed its token with another key since.
    NoSuchAdmission,
    /// It was redeemed before, and state this order.
    Used(Box<Order>),
    /// It has expired, or the controller has revoked it.
    Expired,
    /// The sale is not open.
    SaleNotOpen,
    /// The quantity exceeds the promise.
    OverLimit {
        promised: i32,
    },
    /// The sale is for accounts only.
    NoAccount,
    /// The account may have `left` more units.
    OverAllowance {
        left: i32,
    },
    /// The shopper may have `left` more units.
    OverShopperLimit {
        left: i32,
    },
    /// The units are gone. Only a sale that overbooks can get here.
    SoldOut,
    /// Another transaction had locked it.
    Locked,
    /// Too many redemptions are waiting.
    Overloaded,
    Store(StoreError),
}

/// Whether a person would have exceeded a limit.
pub(crate) fn is_over_a_limit(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused(constraint)
        if constraint == "allowances_are_kept" || constraint == "shopper_allowances_are_kept")
}

impl From<StoreError> for NotRedeemed {
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
            error => Self::Store(error),
        }
    }
}

/// A redemption.
#[derive(Debug, Clone)]
pub(crate) struct Redemption {
    pub(crate) admission: Uuid,
    /// The key that signed the token. If it was revoked, the controller may have issued another
    /// token.
    pub(crate) kid: String,
    pub(crate) sale: SaleId,
    pub(crate) visitor: VisitorId,
    pub(crate) account: Option<AccountId>,
    pub(crate) quantity: i32,
    /// The trace of the redemption. Later events of the hold belong to it, too.
    pub(crate) trace: Option<TraceContext>,
}

/// What an admission was used for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AdmissionUse {
    Order {
        order: Box<Order>,
        /// Its token has not expired.
        in_time: bool,
    },
    /// Nothing, permanently: it expired or was revoked.
    Nothing,
    /// It can still be redeemed, with the token signed by this key.
    NotYet { kid: String },
}
