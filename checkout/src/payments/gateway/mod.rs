//! The port to the payment company.
//!
//! Every call may be made again: what changes something carries an idempotency key made of the payment's own id, so that a crash, a lost
//! answer or two processes at once charge nobody twice. Every answer says how the intent stands, also a refusal: whoever asks to
//! cancel what was captured already learns just that. [`stripe`] is the adapter, [`circuit_breaker`] what stands between it and everybody,
//! [`webhook`] what the company says by itself.

pub(crate) mod circuit_breaker;
pub(crate) mod store;
pub(crate) mod stripe;
pub(crate) mod webhook;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::{orders::order::PaymentId, payments::store::Payment};

/// How a payment stands at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The shopper has to prove who they are first.
    NeedsAction,
    /// The money is kept ready.
    Authorised,
    /// The money was taken.
    Captured,
    /// The gateway said no.
    Declined,
    /// The money was let go.
    Cancelled,
    /// The money was given back.
    Refunded,
    /// It has failed to begin it for good; or it is a sandbox that was started anew, and has forgotten it.
    Unknown,
}

/// A payment at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The gateway's own id; none where it would not even begin.
    pub(crate) reference: Option<String>,
    pub(crate) standing: Standing,
    /// What the shopper's page needs to prove who they are.
    pub(crate) client_secret: Option<String>,
}

/// Why there is no answer. Whether the call had an effect is not known, but where it was not even made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Nothing; asked again, it may answer.
    #[error("{0}")]
    Unanswered(String),
    /// It says that it has failed; asked again, it may do better.
    #[error("{0}")]
    Failed(String),
    /// It repeats a failure of before, and will all day.
    #[error("{0}")]
    CachedFailure(String),
    /// It can't say yet.
    #[error("{0}")]
    NotYet(String),
    /// Asked again, it would say the same.
    #[error("{0}")]
    Permanent(String),
    /// It refuses the payment itself, and would with any card: too small an amount, a currency or an account that it does not take.
    #[error("it refuses the payment as {code}: {message}")]
    Rejected { code: String, message: String },
    /// It has failed so often that it is left alone for a while.
    #[error("it is left alone for a while, having failed too often")]
    LeftAlone,
}

/// What is asked of a gateway.
pub(crate) type Answer<'a> = BoxFuture<'a, Result<Intent, NoAnswer>>;

/// What was given back of a captured payment, in the gateway's own minor unit, as the gateway counts it now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Refunded by anybody, or on its way.
    pub(crate) refunded: i64,
    /// Taken back by the bank, and not given back since.
    pub(crate) disputed: i64,
    /// How the newest dispute stands, in the gateway's word.
    pub(crate) dispute: Option<String>,
}

/// A part of a payment that is to go back.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Whose refund it is: the same one is made once.
    pub(crate) request: Uuid,
    pub(crate) reference: String,
    /// In the gateway's own minor unit.
    pub(crate) amount: i64,
}

/// What became of the wish to refund a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartRefund {
    /// The money is on its way.
    Made,
    /// It will not be made.
    Refused(String),
}

/// A payment company.
pub(crate) trait Gateway: Send + Sync {
    /// Asks it to keep the money ready.
    fn authorise<'a>(&'a self, payment: &'a Payment) -> Answer<'a>;
    /// Asks how a payment stands.
    fn look_up<'a>(&'a self, reference: &'a str) -> Answer<'a>;
    /// Looks for a payment whose reference is not known, without making one. It may take a minute to be found.
    fn find<'a>(&'a self, payment: PaymentId) -> Answer<'a>;
    /// Takes the money that is kept ready.
    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Lets the money go that is kept ready.
    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Gives back the money that was taken.
    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> Answer<'a>;
    /// Gives back a part of it, once for each request.
    fn refund_part<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<PartRefund, NoAnswer>>;
    /// Asks what of a captured payment was given back, by whomever.
    fn balance<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Balance, NoAnswer>>;
}
