//! The port to the payment gateway.
//!
//! - Every call may be repeated. A call that changes something carries an idempotency key derived
//!   from the payment's id, so a crash, a lost response or two processes at once never charge
//!   twice.
//! - Every answer contains the state of the intent, even a rejection: cancelling a captured payment
//!   reports that it is captured.
//! - [`stripe`] is the adapter, [`circuit_breaker`] guards it, and [`webhook`] receives the
//!   gateway's events.

pub(crate) mod circuit_breaker;
pub(crate) mod store;
pub(crate) mod stripe;
pub(crate) mod webhook;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::{orders::order::PaymentId, payments::store::Payment};

/// The state of a payment at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The shopper has to authenticate first.
    NeedsAction,
    /// The amount is authorised.
    Authorised,
    /// The money was captured.
    Captured,
    /// The gateway declined it.
    Declined,
    /// The authorisation was released.
    Cancelled,
    /// The money was refunded.
    Refunded,
    /// The gateway failed to create it for good; or a restarted sandbox has lost it.
    Unknown,
}

/// A payment at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The gateway's id; none if it did not create the payment.
    pub(crate) reference: Option<String>,
    pub(crate) standing: Standing,
    /// What the shopper's page needs to authenticate the shopper.
    pub(crate) client_secret: Option<String>,
}

/// Why there is no answer. Unless the call was not made, its effect is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// No response; a retry may succeed.
    #[error("{0}")]
    Unanswered(String),
    /// The gateway reports a failure; a retry may succeed.
    #[error("{0}")]
    Failed(String),
    /// The gateway replays an earlier failure, and keeps doing so.
    #[error("{0}")]
    CachedFailure(String),
    /// The gateway can't answer yet.
    #[error("{0}")]
    NotYet(String),
    /// A retry would give the same answer.
    #[error("{0}")]
    Permanent(String),
    /// The gateway rejects the payment with any card: the amount is too small, or it does not
    /// accept the currency or the account.
    #[error("it rejects the payment: {code}: {message}")]
    Rejected { code: String, message: String },
    /// The circuit is open.
    #[error("the circuit is open after repeated failures")]
    CircuitOpen,
}

/// The answer of a gateway call.
pub(crate) type Answer<'a> = BoxFuture<'a, Result<Intent, NoAnswer>>;

/// What was returned of a captured payment, in the gateway's minor unit, as of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Refunded by any party, or pending.
    pub(crate) refunded: i64,
    /// Withdrawn by the bank in a dispute, and not returned since.
    pub(crate) disputed: i64,
    /// The state of the newest dispute, in the gateway's word.
    pub(crate) dispute: Option<String>,
}

/// A partial refund.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The request of the refund. Each request is executed once.
    pub(crate) request: Uuid,
    pub(crate) reference: String,
    /// In the gateway's minor unit.
    pub(crate) amount: i64,
}

/// The outcome of a partial refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartRefund {
    /// The refund is made or pending.
    Made,
    /// The refund will not be made.
    Refused(String),
}

/// A payment gateway.
pub(crate) trait Gateway: Send + Sync {
    /// Authorises the amount.
    fn authorise<'a>(&'a self, payment: &'a Payment) -> Answer<'a>;
    /// Reads the state of a payment.
    fn look_up<'a>(&'a self, reference: &'a str) -> Answer<'a>;
    /// Searches for a payment without a known reference. Never creates one. A new payment may take
    /// a minute to appear.
    fn find<'a>(&'a self, payment: PaymentId) -> Answer<'a>;
    /// Captures the authorised money.
    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Releases the authorised money.
    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Refunds the captured money.
    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Refunds a part of it, once for each request.
    fn refund_part<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<PartRefund, NoAnswer>>;
    /// Reads the refunds and disputes of a captured payment, including those made by other parties.
    fn balance<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Balance, NoAnswer>>;
}
