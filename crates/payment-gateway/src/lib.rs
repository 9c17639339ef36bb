//! The port to the payment gateway, its adapter for Stripe, and a circuit breaker.
//!
//! - Every call may be repeated. A call that changes something carries an idempotency key derived
//!   from the payment's id, so a crash, a lost response or two processes at once never charge
//!   twice.
//! - Every response contains the state of the intent, even a rejection: cancelling a captured
//!   payment reports that it is captured.
//! - [`Stripe`] is the adapter, [`ResilientGateway`] adds retries and a circuit breaker, and
//!   [`webhook`] verifies the gateway's events.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use fairline_payment_gateway::{Charge, Gateway as _, ResilientGateway, PaymentId, Stripe};
//! use fairline_server::Secret;
//! use tokio::time::Instant;
//! use uuid::Uuid;
//!
//! # async fn pay() -> Result<(), Box<dyn std::error::Error>> {
//! let stripe = Stripe::new("https://api.stripe.com", Secret::new("sk_test_…"))?;
//! let (gateway, _circuit) = ResilientGateway::new(stripe);
//! let charge = Charge {
//!     payment: PaymentId(Uuid::now_v7()),
//!     order: Uuid::now_v7(),
//!     payment_method: "pm_card_visa",
//!     amount_minor: 4900,
//!     currency: "EUR",
//!     send_by: Instant::now() + Duration::from_secs(2),
//! };
//! let intent = gateway.authorise(&charge).await?;
//! gateway.capture(charge.payment, &intent.reference.expect("a created payment")).await?;
//! # Ok(())
//! # }
//! ```

mod circuit_breaker;
mod stripe;
pub mod webhook;

use std::fmt;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use uuid::Uuid;

pub use circuit_breaker::{CircuitState, ResilientGateway};
pub use stripe::{GatewayCall, Stripe, read};

/// The id of a payment. An order may have several payments, of which at most one is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PaymentId(pub Uuid);

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A payment to authorise.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// Its id, from which the idempotency keys are derived.
    pub payment: PaymentId,
    /// The order that it pays for.
    pub order: Uuid,
    /// The gateway's token of the payment method.
    pub payment_method: &'a str,
    /// In the currency's minor unit.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// The request is not sent after this time, by the clock of this process.
    pub send_by: Instant,
}

/// The state of a payment at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentStatus {
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
    /// The gateway failed to create it permanently; or a restarted sandbox has lost it.
    Unknown,
}

/// A payment at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The gateway's id; none if it did not create the payment.
    pub reference: Option<String>,
    /// Its state.
    pub status: IntentStatus,
    /// What the shopper's page needs to authenticate the shopper.
    pub client_secret: Option<String>,
}

/// Why there is no response. Unless the call was not made, its effect is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// No response; a retry may succeed.
    #[error("{0}")]
    Unanswered(String),
    /// It was too late to send the request.
    #[error("it was too late to send the request")]
    TooLate,
    /// The gateway reports a failure; a retry may succeed.
    #[error("{0}")]
    Failed(String),
    /// The gateway replays an earlier failure, and keeps doing so.
    #[error("{0}")]
    CachedFailure(String),
    /// The gateway can't respond yet.
    #[error("{0}")]
    NotYet(String),
    /// A retry would fail in the same way.
    #[error("{0}")]
    Permanent(String),
    /// The gateway rejects the payment with any card: the amount is too small, or it does not
    /// accept the currency or the account.
    #[error("it rejects the payment: {code}: {message}")]
    Rejected {
        /// The gateway's code.
        code: String,
        /// Its explanation, for the operator.
        message: String,
    },
    /// The circuit is open.
    #[error("the circuit is open after repeated failures")]
    CircuitOpen,
}

/// The response to a gateway call.
pub type GatewayResult<'a> = BoxFuture<'a, Result<Intent, GatewayError>>;

/// What was returned of a captured payment, in the gateway's minor unit, as of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// Refunded by any party, or pending.
    pub refunded: i64,
    /// Withdrawn by the bank in a dispute, and not returned since.
    pub disputed: i64,
    /// The state of the newest dispute, in the gateway's word.
    pub dispute: Option<String>,
}

/// A partial refund.
#[derive(Debug, Clone)]
pub struct PartialRefund {
    /// The request of the refund. Each request is executed once.
    pub request: Uuid,
    /// The gateway's id of the payment.
    pub reference: String,
    /// In the gateway's minor unit.
    pub amount: i64,
}

/// The outcome of a partial refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartialRefundOutcome {
    /// The refund is made or pending.
    Made,
    /// The refund will not be made.
    Refused(String),
}

/// A payment gateway.
pub trait Gateway: Send + Sync {
    /// Authorises the amount. After `send_by` it fails with [`GatewayError::TooLate`], without
    /// effect.
    fn authorise<'a>(&'a self, charge: &'a Charge<'a>) -> GatewayResult<'a>;
    /// Reads the state of a payment.
    fn look_up<'a>(&'a self, reference: &'a str) -> GatewayResult<'a>;
    /// Searches for a payment without a known reference. Never creates one. A new payment may take
    /// a minute to appear.
    fn find<'a>(&'a self, payment: PaymentId) -> GatewayResult<'a>;
    /// Captures the authorised money.
    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a>;
    /// Releases the authorised money.
    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a>;
    /// Refunds the captured money.
    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a>;
    /// Refunds a part of it, once for each request.
    fn refund_part<'a>(&'a self, part: &'a PartialRefund) -> BoxFuture<'a, Result<PartialRefundOutcome, GatewayError>>;
    /// Reads the refunds and disputes of a captured payment, including those made by other parties.
    fn balance<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Balance, GatewayError>>;
}
