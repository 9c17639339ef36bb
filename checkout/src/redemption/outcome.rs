//! A redemption, why it fails, and what an admission was used for.

use fairline_sale::{SaleId, VisitorId};
use fairline_telemetry::TraceContext;
use uuid::Uuid;

use crate::{auth::account::AccountId, db::StoreError, orders::order::Order};

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

/// Why an admission is not redeemed.
#[derive(Debug)]
pub(crate) enum RedemptionRejection {
    /// The token belongs to another installation or holder, or its key is revoked.
    InvalidToken,
    /// It has expired, or the controller has revoked it.
    TokenExpired,
    TokenUsed(Box<Order>),
    SaleNotOpen,
    QuantityOverLimit {
        promised: i32,
    },
    NoAccount,
    OverAllowance {
        left: i32,
        limit: i32,
    },
    OverShopperLimit {
        left: i32,
        limit: i32,
    },
    /// Another transaction had locked it.
    Locked,
    /// The reason could not be read.
    Unread(StoreError),
}
