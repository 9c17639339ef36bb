//! The payment state machine: from the request to pay to an order, or to nothing being charged.
//!
//! - Each step is one gateway call, then one commit with its result. The next step follows from the
//!   payment's state alone, whichever process left it there.
//! - A crash between two steps loses nothing: the sweeper continues from the last commit, and the
//!   gateway returns the same response for the same idempotency key.
//! - `refunds` returns money; `settlement` does the work that follows after a payment has ended.

use std::{sync::Arc, time::Duration};

use fairline_payment_gateway::{CircuitState, Gateway, GatewayError, Intent, IntentStatus};
use fairline_server::{Secret, Shutdown};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, warn};
use uuid::Uuid;

use crate::{
    auth::caller::{Caller, Callers, ShopperIdentity},
    db::StoreError,
    error::CommonError,
    orders::{
        order::{Order, OrderId},
        state::{NextStep, OrderStatus, PaymentEvent},
        store::OrderStore,
    },
    payments::{
        error::PaymentError,
        settlement::store::{Cancellation, UnpaidEnd, WithdrawnPayment},
        store::{BeginOutcome, Payment, PaymentStore, PaymentView},
    },
};

/// How long a shopper's request waits for the gateway. Then the payment is pending and continues in
/// the background.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long the process that began a payment drives it. Then the sweeper takes over.
const STAYED_WITH: Duration = Duration::from_secs(12);
/// Pauses between attempts double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the sweeper waits for free slots before it does its other work.
const PLACES_WITHIN: Duration = Duration::from_secs(1);
/// A shopper who has not authenticated for this long is not expected to.
const ACTION_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Payments that one sweep gives up, at most. It needs the database only.
const LATE_AT_ONCE: i64 = 200;

/// Shown to a shopper who pays while the gateway does not respond. `orders::expiry` defines how
/// long the order is kept.
const GATEWAY_DOWN: &str = "The payment provider is not responding. We keep your order for up to 15 minutes and complete the payment as soon as it is back. You will not be charged twice.";

/// Why a payment or a refund can't continue at the moment.
#[derive(Debug, thiserror::Error)]
pub(super) enum PaymentBlocked {
    #[error("the shopper has to authenticate")]
    WaitsForShopper,
    #[error("the gateway did not respond: {0}")]
    NoAnswer(#[from] GatewayError),
    #[error("the gateway reports an impossible state: {0:?}")]
    Permanent(IntentStatus),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A payment is withdrawn, but a process that read it before may still call the gateway for a time.
/// Until then, its end is not reported.
pub(crate) struct Unreported {
    order: Order,
    within: Duration,
}

/// The state of payments.
pub(crate) struct Payments {
    pub(crate) store: PaymentStore,
    pub(crate) orders: OrderStore,
    pub(crate) callers: Callers,
    pub(crate) gateway: Box<dyn Gateway>,
    pub(crate) circuit: CircuitState,
    /// The secrets that sign the gateway's webhooks.
    pub(crate) webhook_secrets: Vec<Secret>,
    pub(crate) shutdown: Shutdown,
}

impl Payments {
    /// Pays for an order and returns it. Pending is not a failure: the units are held until the
    /// outcome is known.
    pub(crate) async fn pay(
        self: &Arc<Self>,
        order: OrderId,
        shopper: &ShopperIdentity,
        payment_method: String,
    ) -> Result<Order, PaymentError> {
        self.order(order, shopper).await?;
        let (payments, started) = (self.clone(), Instant::now());
        // A separate task: it continues if the client disconnects or the gateway is slow.
        let payment = self.shutdown.spawn(async move { payments.begin_and_stay(order, &payment_method).await });
        if let Ok(ended) = timeout(ANSWER_WITHIN, payment).await {
            ended??;
        }
        let mut order = self.order(order, shopper).await?;
        if order.status == OrderStatus::PaymentPending && self.circuit.is_open() {
            order.notice = Some(GATEWAY_DOWN);
        }
        metrics::histogram!("checkout_payment_response_duration_seconds").record(started.elapsed().as_secs_f64());
        match order.status {
            OrderStatus::Paid | OrderStatus::PaymentPending | OrderStatus::Refunded => Ok(order),
            OrderStatus::Held | OrderStatus::Promised => Err(match self.store.rejection(order.id).await? {
                Some(code) => PaymentError::Rejected { code },
                None => PaymentError::Declined,
            }),
            OrderStatus::Expired | OrderStatus::Cancelled => Err(PaymentError::HoldExpired),
        }
    }

    async fn begin_and_stay(self: &Arc<Self>, order: OrderId, payment_method: &str) -> Result<(), PaymentError> {
        if let Some(payment) = self.begin(order, payment_method).await? {
            self.stay_with(payment).await;
        }
        Ok(())
    }

    /// Begins a payment, or returns the pending one. A pending payment that waits for the shopper
    /// is replaced if the shopper now chooses another payment method.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        order: OrderId,
        payment_method: &str,
    ) -> Result<Option<Payment>, PaymentError> {
        let mut begun = self.store.begin_payment(order, payment_method).await?;
        if let BeginOutcome::Waits { payment, in_time: true } = &begun
            && payment.payment_method != payment_method
        {
            let ended = self.store.end_unpaid(payment, UnpaidEnd::OPEN).await?;
            self.settle_soon(ended);
            begun = self.store.begin_payment(order, payment_method).await?;
        }
        match begun {
            BeginOutcome::Payment(payment) | BeginOutcome::Waits { payment, .. } => Ok(Some(payment)),
            BeginOutcome::NotNow => Ok(None),
            BeginOutcome::TooMany => Err(PaymentError::TooManyAttempts),
            BeginOutcome::NoUnit => {
                metrics::counter!("checkout_payments_without_unit_total").increment(1);
                Err(PaymentError::NoUnitNow)
            }
        }
    }

    /// Releases an order that is not paid. Its payment ends, unless it is known to be authorised.
    pub(crate) async fn cancel_order(self: &Arc<Self>, order: OrderId, caller: Caller) -> Result<Order, PaymentError> {
        let payments = self.clone();
        let cancelled = self.shutdown.spawn(async move {
            let Unreported { within, .. } = match payments.try_to_cancel(order, &caller).await? {
                Ok(order) => return Ok(order),
                Err(unreported) => unreported,
            };
            sleep(within).await;
            match payments.try_to_cancel(order, &caller).await {
                Ok(Ok(order)) => Ok(order),
                // The withdrawal of its payment was all that was left to do.
                Err(PaymentError::NotCancelled(order)) if order.status == OrderStatus::Expired => Ok(*order),
                Ok(Err(Unreported { order, .. })) => Err(PaymentError::NotCancelled(Box::new(order))),
                Err(error) => Err(error),
            }
        });
        cancelled.await?
    }

    /// Cancels an order, or withdraws its payment only, if that may not be reported yet.
    pub(crate) async fn try_to_cancel(
        self: &Arc<Self>,
        id: OrderId,
        caller: &Caller,
    ) -> Result<Result<Order, Unreported>, PaymentError> {
        match self.store.cancel_order(id, caller).await?.ok_or(CommonError::OrderNotFound)? {
            Cancellation::Done(order, withdrawn) => {
                self.record_withdrawal(withdrawn);
                Ok(Ok(order))
            }
            Cancellation::Unreported(order, withdrawn, within) => {
                self.record_withdrawal(withdrawn);
                Ok(Err(Unreported { order, within }))
            }
            Cancellation::NotNow(order) => Err(PaymentError::NotCancelled(Box::new(order))),
        }
    }

    /// Withdraws the pending payment of an order, which can then be paid another way while there is
    /// time. May be repeated.
    pub(crate) async fn withdraw(self: &Arc<Self>, order: OrderId, caller: Caller) -> Result<Order, PaymentError> {
        let payments = self.clone();
        let withdrawn = self.shutdown.spawn(async move {
            let Unreported { within, .. } = match payments.try_to_withdraw(order, &caller).await? {
                Ok(order) => return Ok(order),
                Err(unreported) => unreported,
            };
            sleep(within).await;
            let reported = payments.try_to_withdraw(order, &caller).await?;
            reported.map_err(|Unreported { order, .. }| PaymentError::NotWithdrawn(Box::new(order)))
        });
        withdrawn.await?
    }

    /// Withdraws the pending payment of an order, which may not be reported yet.
    pub(crate) async fn try_to_withdraw(
        self: &Arc<Self>,
        order: OrderId,
        caller: &Caller,
    ) -> Result<Result<Order, Unreported>, PaymentError> {
        let withdrawn = self.store.withdraw(order, caller).await?;
        let (order, withdrawn, within) = withdrawn.ok_or(CommonError::OrderNotFound)?;
        self.record_withdrawal(withdrawn);
        match (order.status, within) {
            (OrderStatus::PaymentPending, Some(within)) => Ok(Err(Unreported { order, within })),
            (OrderStatus::PaymentPending | OrderStatus::Paid | OrderStatus::Refunded, _) => {
                Err(PaymentError::NotWithdrawn(Box::new(order)))
            }
            _ => Ok(Ok(order)),
        }
    }

    async fn order(&self, order: OrderId, shopper: &ShopperIdentity) -> Result<Order, PaymentError> {
        Ok(self.orders.order(order, shopper).await?.ok_or(CommonError::OrderNotFound)?)
    }

    /// A payment, or the newest payment of an order, if the caller may see it.
    pub(crate) async fn payment_for(&self, id: Uuid, caller: &Caller) -> Result<PaymentView, PaymentError> {
        self.store.payment_for(id, caller).await?.ok_or(PaymentError::PaymentNotFound)
    }

    fn record_withdrawal(self: &Arc<Self>, WithdrawnPayment(payment): WithdrawnPayment) {
        if let Some(payment) = payment {
            metrics::counter!("checkout_payments_total", "outcome" => "withdrawn").increment(1);
            self.settle_soon(payment);
        }
    }

    /// Drives a payment until it ends, or for a while. Whether the shopper has authenticated, the
    /// gateway reports by webhook, or the sweeper reads: polling for hundreds of shoppers would
    /// overload the gateway.
    async fn stay_with(self: &Arc<Self>, mut payment: Payment) {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        while let Err(PendingReason::ForGateway) = self.drive(&mut payment).await {
            if started.elapsed() > STAYED_WITH || self.shutdown.is_triggered() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Drives a payment as far as possible now: to its end, or until it has to wait.
    pub(crate) async fn drive(self: &Arc<Self>, payment: &mut Payment) -> Result<(), PendingReason> {
        loop {
            let step = match payment.state.next_step() {
                NextStep::Authorise => self.authorise(payment).await,
                NextStep::SecureAndCapture => self.secure_and_capture(payment).await,
                NextStep::Refund => self.refund(payment).await,
                NextStep::Nothing => {
                    self.settle_soon(payment.clone());
                    return Ok(());
                }
            };
            match step {
                Ok(moved) => {
                    debug!(payment = %moved.id, from = payment.state.as_str(), to = moved.state.as_str(), "payment advanced");
                    if moved.state.next_step() == NextStep::Nothing {
                        metrics::counter!("checkout_payments_total", "outcome" => moved.state.as_str()).increment(1);
                    }
                    *payment = moved;
                }
                Err(stuck) => {
                    match &stuck {
                        PaymentBlocked::WaitsForShopper | PaymentBlocked::NoAnswer(GatewayError::CircuitOpen) => {
                            debug!(payment = %payment.id, reason = %stuck, "advance payment deferred; it will be retried")
                        }
                        PaymentBlocked::NoAnswer(
                            GatewayError::Unanswered(_)
                            | GatewayError::TooLate
                            | GatewayError::Failed(_)
                            | GatewayError::NotYet(_),
                        )
                        | PaymentBlocked::Store(StoreError::Unavailable(_)) => {
                            warn!(payment = %payment.id, reason = %stuck, "advance payment deferred; it will be retried");
                        }
                        PaymentBlocked::NoAnswer(
                            GatewayError::Permanent(_) | GatewayError::CachedFailure(_) | GatewayError::Rejected { .. },
                        )
                        | PaymentBlocked::Permanent(_)
                        | PaymentBlocked::Store(_) => {
                            error!(payment = %payment.id, reason = %stuck, "advance payment failed");
                        }
                    }
                    return Err(match stuck {
                        PaymentBlocked::WaitsForShopper => PendingReason::ForShopper,
                        _ => PendingReason::ForGateway,
                    });
                }
            }
        }
    }

    async fn authorise(&self, payment: &mut Payment) -> Result<Payment, PaymentBlocked> {
        // Before each attempt: the shopper may have withdrawn it since the last one.
        let Some(send_by) = self.store.permit_authorisation(payment).await? else {
            return Ok(self.store.end_unpaid(payment, UnpaidEnd::OPEN).await?);
        };
        let answer = match &payment.reference {
            Some(reference) => self.gateway.look_up(reference).await,
            None => self.gateway.authorise(&payment.charge(send_by)).await,
        };
        let Intent { reference, status, client_secret } = match answer {
            Err(GatewayError::Rejected { code, message }) => return self.reject(payment, &code, &message).await,
            answer => answer?,
        };
        let ended = UnpaidEnd { reference: reference.as_deref(), ..UnpaidEnd::by(PaymentEvent::Void) };
        let moved = match (status, &reference) {
            // Some methods capture immediately. The next step decides whether the money is kept.
            (IntentStatus::Authorised | IntentStatus::Captured, Some(reference)) => {
                self.store.advance(payment, PaymentEvent::Authorise, Some(reference)).await?
            }
            (IntentStatus::NeedsAction, Some(reference)) if payment.age < ACTION_WITHIN => {
                if !self.store.store_reference(payment, reference, client_secret.as_deref()).await? {
                    return Ok(self.store.left_open(payment.id, reference).await?);
                }
                // From now on it is looked up; repeating the call would replay this response.
                payment.reference = Some(reference.clone());
                return Err(PaymentBlocked::WaitsForShopper);
            }
            (IntentStatus::NeedsAction, Some(reference)) => {
                match self.gateway.cancel(payment.id, reference).await?.status {
                    IntentStatus::Cancelled => self.store.end_unpaid(payment, ended).await?,
                    // The shopper has just authenticated: the next lookup shows it.
                    _ => return Err(PaymentBlocked::WaitsForShopper),
                }
            }
            // Its client secret could confirm it again, unless it is cancelled.
            (IntentStatus::Declined, _) => {
                let ended = UnpaidEnd { by: PaymentEvent::Decline, is_open: reference.is_some(), ..ended };
                self.store.end_unpaid(payment, ended).await?
            }
            (IntentStatus::Cancelled, _) => self.store.end_unpaid(payment, ended).await?,
            (IntentStatus::Unknown, _) => self.store.end_unpaid(payment, UnpaidEnd { is_open: true, ..ended }).await?,
            (permanent, _) => return Err(PaymentBlocked::Permanent(permanent)),
        };
        match reference {
            // It ended while the gateway was called.
            Some(reference) if moved.has_ended_unpaid() && moved.reference.as_ref() != Some(&reference) => {
                Ok(self.store.left_open(moved.id, &reference).await?)
            }
            _ => Ok(moved),
        }
    }

    /// Ends a payment that the gateway rejects with any card. Only the operator can fix the cause.
    async fn reject(&self, payment: &Payment, code: &str, message: &str) -> Result<Payment, PaymentBlocked> {
        error!(payment = %payment.id, code, message, "authorise payment failed: the gateway rejects the request");
        metrics::counter!("checkout_gateway_rejections_total", "code" => code.to_owned()).increment(1);
        let ended = UnpaidEnd { rejected_as: Some(code), ..UnpaidEnd::by(PaymentEvent::Decline) };
        Ok(self.store.end_unpaid(payment, ended).await?)
    }

    async fn secure_and_capture(&self, payment: &Payment) -> Result<Payment, PaymentBlocked> {
        let reference = payment.authorised_reference()?;
        let answer = if self.store.secure_units(payment).await? {
            self.capture(payment, reference).await?
        } else {
            self.gateway.cancel(payment.id, reference).await?
        };
        match answer.status {
            // Even when it was to be released: an earlier attempt has captured it.
            IntentStatus::Captured => Ok(self.store.complete(payment).await?),
            IntentStatus::Cancelled | IntentStatus::Declined | IntentStatus::Refunded | IntentStatus::Unknown => {
                Ok(self.store.end_unpaid(payment, UnpaidEnd::by(PaymentEvent::Void)).await?)
            }
            permanent @ (IntentStatus::NeedsAction | IntentStatus::Authorised) => {
                Err(PaymentBlocked::Permanent(permanent))
            }
        }
    }

    /// Captures the money. If the gateway refuses, the state of the payment decides: an
    /// authorisation that remains is released, since the gateway would refuse again and the unit
    /// would be held forever.
    async fn capture(&self, payment: &Payment, reference: &str) -> Result<Intent, GatewayError> {
        let refused = match self.gateway.capture(payment.id, reference).await {
            Ok(Intent {
                status: status @ (IntentStatus::Authorised | IntentStatus::NeedsAction | IntentStatus::Declined),
                ..
            }) => {
                format!("capture returned status {status:?}")
            }
            Err(GatewayError::Permanent(why) | GatewayError::CachedFailure(why)) => why,
            answer => return answer,
        };
        let after = self.gateway.look_up(reference).await?;
        warn!(payment = %payment.id, reason = refused, status_after = ?after.status, "capture authorised payment failed");
        match after.status {
            IntentStatus::Authorised | IntentStatus::NeedsAction => self.gateway.cancel(payment.id, reference).await,
            _ => Ok(after),
        }
    }

    /// Resumes payments that a crash or a silent gateway interrupted, as many in parallel as there
    /// are slots. A payment that ends frees its slot. Returns the number of resumed payments.
    pub(crate) async fn finish_payments(
        self: &Arc<Self>,
        places: &Arc<Semaphore>,
        together: u32,
    ) -> Result<usize, StoreError> {
        // They need no gateway call, so they do not wait for it.
        for late in self.store.late_payments(LATE_AT_ONCE).await? {
            let ended = self.store.end_unpaid(&late, UnpaidEnd::OPEN).await?;
            if ended.has_ended_unpaid() {
                warn!(payment = %late.id, "payment given up: the time to authorise it is over");
                metrics::counter!("checkout_payments_total", "outcome" => "too_late").increment(1);
            }
        }
        self.do_requests(together.into()).await?;
        if !self.circuit.is_blocking() {
            for unsettled in self.store.adopt_to_settle(together.into()).await? {
                self.settle_soon(unsettled);
            }
        }
        let mut count = 0;
        loop {
            // All slots may be taken by payments that wait for the gateway: the next sweep tries
            // again.
            let Ok(Ok(mut free)) = timeout(PLACES_WITHIN, places.clone().acquire_many_owned(together)).await else {
                return Ok(count);
            };
            // Leave the slots to processes that reach the gateway.
            if self.circuit.is_blocking() || self.shutdown.is_triggered() {
                return Ok(count);
            }
            let left_behind = self.store.adopt_payments(together.into()).await?;
            let adopted = left_behind.len();
            count += adopted;
            for mut payment in left_behind {
                let (driver, place) = (self.clone(), free.split(1));
                self.shutdown.spawn(async move {
                    // A payment that still waits is taken over later.
                    let _ = driver.drive(&mut payment).await;
                    drop(place);
                });
            }
            if adopted < together as usize {
                return Ok(count);
            }
        }
    }
}

/// The payment has not ended; the reason was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PendingReason {
    /// The shopper has to authenticate.
    ForShopper,
    ForGateway,
}
