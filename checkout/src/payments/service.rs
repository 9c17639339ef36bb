//! A payment: from the wish to pay to an order, or to nothing having been taken.
//!
//! Every step is one call to the gateway, then one commit that says what is known now; what comes next follows from the
//! payment's state alone, whoever left it there. So a crash between any two lines loses nothing: the sweeper goes on
//! from the last commit, and the gateway gives the same answer to the same idempotency key. `settle` is what comes after the end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, warn};

use crate::{
    Checkout,
    auth::caller::{Caller, Holders},
    db::StoreError,
    error::CheckoutError,
    orders::{
        holds::store::GivenBack,
        order::{Order, OrderId},
        state::{NextStep, OrderStatus, PaymentEvent},
    },
    payments::{
        gateway::{Intent, NoAnswer, Standing},
        settlement::store::{Ended, Withdrawn},
        store::{Begun, Payment},
    },
};

/// How long a shopper's request waits for the gateway; then the payment is pending, and goes on by itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long the process that began a payment stays with it; then it is the sweeper's.
const STAYED_WITH: Duration = Duration::from_secs(12);
/// Pauses between two tries double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the sweeper waits for places for more payments, before it does the rest of its work.
const PLACES_WITHIN: Duration = Duration::from_secs(1);
/// A shopper who has not proved who they are for so long never will.
const ACTION_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Payments that are given up in one sweep, which asks nobody but the database.
const LATE_AT_ONCE: i64 = 200;

/// What a shopper is told who pays while the payment company does not answer. How long the order is kept, the store knows.
const GATEWAY_AWAY: &str = "The payment company does not answer at the moment. Your order is kept for up to a quarter of an hour, and paid as soon as it does; nothing is charged twice.";

/// Why a payment can't go on at this moment.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error("the shopper has to prove who they are")]
    WaitsForShopper,
    #[error("the gateway gave no answer: {0}")]
    NoAnswer(#[from] NoAnswer),
    #[error("the gateway says {0:?}, which can't be")]
    Permanent(Standing),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Checkout {
    /// Pays for an order; gives it as it stands then. Pending is no failure: the units are held until it is known.
    pub(crate) async fn pay(
        &self,
        order: OrderId,
        holders: &Holders,
        payment_method: String,
    ) -> Result<Order, CheckoutError> {
        self.order(order, holders).await?;
        let (checkout, started) = (self.clone(), Instant::now());
        // A task of its own: it goes on when the client hangs up, or when the gateway takes long.
        let payment = self.shutdown.spawn(async move { checkout.begin_and_stay(order, &payment_method).await });
        if let Ok(ended) = timeout(ANSWER_WITHIN, payment).await {
            ended??;
        }
        let mut order = self.order(order, holders).await?;
        if order.status == OrderStatus::PaymentPending && self.gateway_watch.is_away() {
            order.notice = Some(GATEWAY_AWAY);
        }
        metrics::histogram!("checkout_payment_answer_duration_seconds").record(started.elapsed().as_secs_f64());
        match order.status {
            OrderStatus::Paid | OrderStatus::PaymentPending | OrderStatus::Refunded => Ok(order),
            OrderStatus::Held | OrderStatus::Promised => Err(match self.store.rejection(order.id).await? {
                Some(code) => CheckoutError::PaymentRejected { code },
                None => CheckoutError::PaymentDeclined,
            }),
            OrderStatus::Lapsed | OrderStatus::Cancelled => Err(CheckoutError::HoldLapsed),
        }
    }

    /// Begins a payment, or goes on with the one under way. One that waits for its shopper, who means to pay with something else by
    /// now, makes way.
    async fn begin_and_stay(&self, order: OrderId, payment_method: &str) -> Result<(), CheckoutError> {
        let mut begun = self.store.begin_payment(order, payment_method).await?;
        if let Begun::Waits { payment, in_time: true } = &begun
            && payment.payment_method != payment_method
        {
            let ended = self.store.end_unpaid(payment, PaymentEvent::Void, Ended::OPEN).await?;
            self.settle_soon(ended);
            begun = self.store.begin_payment(order, payment_method).await?;
        }
        match begun {
            Begun::Payment(payment) | Begun::Waits { payment, .. } => self.stay_with(payment).await,
            Begun::NotNow => {}
            Begun::TooMany => return Err(CheckoutError::TooManyAttempts),
            Begun::NoUnit => {
                metrics::counter!("checkout_turned_away_total").increment(1);
                return Err(CheckoutError::NoUnitNow);
            }
        }
        Ok(())
    }

    /// Gives an order back that has not been paid for. A payment that is not known to be authorised ends with it.
    pub(crate) async fn give_back(&self, order: OrderId, asker: Caller) -> Result<Order, CheckoutError> {
        let checkout = self.clone();
        let given_back = self.shutdown.spawn(async move { checkout.store.give_back(order, &asker).await });
        match given_back.await?? {
            Some(GivenBack::Done(order, withdrawn)) => {
                self.note_withdrawal(withdrawn);
                Ok(order)
            }
            Some(GivenBack::NotNow(order)) => Err(CheckoutError::NotGivenBack(Box::new(order))),
            None => Err(CheckoutError::UnknownOrder),
        }
    }

    /// Withdraws the payment of an order that is under way: it can be paid otherwise, while there is time. May be repeated.
    pub(crate) async fn withdraw(&self, order: OrderId, asker: Caller) -> Result<Order, CheckoutError> {
        let checkout = self.clone();
        let withdrawn = self.shutdown.spawn(async move { checkout.store.withdraw(order, &asker).await });
        let (order, withdrawn) = withdrawn.await??.ok_or(CheckoutError::UnknownOrder)?;
        self.note_withdrawal(withdrawn);
        match order.status {
            OrderStatus::PaymentPending | OrderStatus::Paid | OrderStatus::Refunded => {
                Err(CheckoutError::NotWithdrawn(Box::new(order)))
            }
            _ => Ok(order),
        }
    }

    fn note_withdrawal(&self, Withdrawn(payment): Withdrawn) {
        if let Some(payment) = payment {
            metrics::counter!("checkout_payments_total", "outcome" => "withdrawn").increment(1);
            self.settle_soon(payment);
        }
    }

    /// Drives a payment until it has ended, or for a while. Whether its shopper has proved who they are, the gateway tells by itself,
    /// or is asked by the sweeper: hundreds of them would keep it busy with questions.
    async fn stay_with(&self, mut payment: Payment) {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        while let Err(WaitsStill::ForGateway) = self.drive(&mut payment).await {
            if started.elapsed() > STAYED_WITH || self.shutdown.is_triggered() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes a payment as far as it goes now: to its end, or to where something has to be waited for.
    pub(crate) async fn drive(&self, payment: &mut Payment) -> Result<(), WaitsStill> {
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
                    debug!(payment = %moved.id, from = payment.state.word(), to = moved.state.word(), "a payment moved on");
                    if moved.state.next_step() == NextStep::Nothing {
                        metrics::counter!("checkout_payments_total", "outcome" => moved.state.word()).increment(1);
                    }
                    *payment = moved;
                }
                Err(stuck) => {
                    match &stuck {
                        Stuck::WaitsForShopper | Stuck::NoAnswer(NoAnswer::LeftAlone) => {
                            debug!(payment = %payment.id, reason = %stuck, "a payment waits")
                        }
                        Stuck::NoAnswer(NoAnswer::Unanswered(_) | NoAnswer::Failed(_) | NoAnswer::NotYet(_))
                        | Stuck::Store(StoreError::Unavailable(_)) => {
                            warn!(payment = %payment.id, reason = %stuck, "a payment waits");
                        }
                        Stuck::NoAnswer(
                            NoAnswer::Permanent(_) | NoAnswer::CachedFailure(_) | NoAnswer::Rejected { .. },
                        )
                        | Stuck::Permanent(_)
                        | Stuck::Store(_) => {
                            error!(payment = %payment.id, reason = %stuck, "a payment is stuck");
                        }
                    }
                    return Err(match stuck {
                        Stuck::WaitsForShopper => WaitsStill::ForShopper,
                        _ => WaitsStill::ForGateway,
                    });
                }
            }
        }
    }

    async fn authorise(&self, payment: &mut Payment) -> Result<Payment, Stuck> {
        if self.store.is_late(payment).await? {
            return Ok(self.store.end_unpaid(payment, PaymentEvent::Void, Ended::OPEN).await?);
        }
        let answer = match &payment.reference {
            Some(reference) => self.gateway.look_up(reference).await,
            None => self.gateway.authorise(payment).await,
        };
        let Intent { reference, standing, client_secret } = match answer {
            Err(NoAnswer::Rejected { code, message }) => return self.reject(payment, &code, &message).await,
            answer => answer?,
        };
        let ended = Ended { reference: reference.as_deref(), ..Ended::default() };
        let moved = match (standing, &reference) {
            // Some methods take the money at once; whether it can be kept is decided next.
            (Standing::Authorised | Standing::Captured, Some(reference)) => {
                self.store.advance(payment, PaymentEvent::Authorise, Some(reference)).await?
            }
            (Standing::NeedsAction, Some(reference)) if payment.age < ACTION_WITHIN => {
                if !self.store.note_reference(payment, reference, client_secret.as_deref()).await? {
                    return Ok(self.store.left_open(payment.id, reference).await?);
                }
                // From now on it is looked up: asking again would only repeat this answer.
                payment.reference = Some(reference.clone());
                return Err(Stuck::WaitsForShopper);
            }
            (Standing::NeedsAction, Some(reference)) => {
                match self.gateway.cancel(payment.id, reference).await?.standing {
                    Standing::Cancelled => self.store.end_unpaid(payment, PaymentEvent::Void, ended).await?,
                    // The shopper has just done it: the next look will tell.
                    _ => return Err(Stuck::WaitsForShopper),
                }
            }
            // Its secret would let it be confirmed again, unless it is cancelled.
            (Standing::Declined, _) => {
                let ended = Ended { is_open: reference.is_some(), ..ended };
                self.store.end_unpaid(payment, PaymentEvent::Decline, ended).await?
            }
            (Standing::Cancelled, _) => self.store.end_unpaid(payment, PaymentEvent::Void, ended).await?,
            (Standing::Unknown, _) => self.store.end_unpaid(payment, PaymentEvent::Void, Ended::OPEN).await?,
            (permanent, _) => return Err(Stuck::Permanent(permanent)),
        };
        match reference {
            // It had ended while the gateway was asked.
            Some(reference) if moved.has_ended_unpaid() && moved.reference.as_ref() != Some(&reference) => {
                Ok(self.store.left_open(moved.id, &reference).await?)
            }
            _ => Ok(moved),
        }
    }

    /// Ends a payment that the gateway refuses whatever the card: nothing that the shopper could do, but the operator.
    async fn reject(&self, payment: &Payment, code: &str, message: &str) -> Result<Payment, Stuck> {
        error!(payment = %payment.id, code, message, "authorise payment failed: the gateway rejects the request");
        metrics::counter!("checkout_gateway_rejections_total", "code" => code.to_owned()).increment(1);
        let ended = Ended { rejected_as: Some(code), ..Ended::default() };
        Ok(self.store.end_unpaid(payment, PaymentEvent::Decline, ended).await?)
    }

    async fn secure_and_capture(&self, payment: &Payment) -> Result<Payment, Stuck> {
        let reference = payment.authorised_reference()?;
        let answer = if self.store.secure_units(payment).await? {
            self.capture(payment, reference).await?
        } else {
            self.gateway.cancel(payment.id, reference).await?
        };
        match answer.standing {
            // Also when it was to be let go: an earlier try has taken it.
            Standing::Captured => Ok(self.store.complete(payment).await?),
            Standing::Cancelled | Standing::Declined | Standing::Refunded | Standing::Unknown => {
                Ok(self.store.end_unpaid(payment, PaymentEvent::Void, Ended::default()).await?)
            }
            permanent @ (Standing::NeedsAction | Standing::Authorised) => Err(Stuck::Permanent(permanent)),
        }
    }

    /// Takes the money. Where the gateway will not, for whatever reason, how the payment stands says what follows: one that it keeps ready
    /// all the same is let go, since it would refuse again, and its unit would wait for ever.
    async fn capture(&self, payment: &Payment, reference: &str) -> Result<Intent, NoAnswer> {
        let refused = match self.gateway.capture(payment.id, reference).await {
            Ok(Intent {
                standing: standing @ (Standing::Authorised | Standing::NeedsAction | Standing::Declined),
                ..
            }) => {
                format!("it says {standing:?}")
            }
            Err(NoAnswer::Permanent(why) | NoAnswer::CachedFailure(why)) => why,
            answer => return answer,
        };
        let stands = self.gateway.look_up(reference).await?;
        warn!(payment = %payment.id, reason = refused, stands = ?stands.standing, "the gateway does not take an authorised payment");
        match stands.standing {
            Standing::Authorised | Standing::NeedsAction => self.gateway.cancel(payment.id, reference).await,
            _ => Ok(stands),
        }
    }

    async fn refund(&self, payment: &Payment) -> Result<Payment, Stuck> {
        match self.gateway.refund(payment.id, payment.authorised_reference()?).await?.standing {
            Standing::Refunded => Ok(self.store.refunded(payment).await?),
            permanent => Err(Stuck::Permanent(permanent)),
        }
    }

    /// Goes on with payments that a crash, or a silent gateway, left half done, as many at once as there are places: one that
    /// ends makes room for more, whatever the others wait for. Gives how many there were, once no more wait.
    pub(crate) async fn finish_payments(&self, places: &Arc<Semaphore>, together: u32) -> Result<usize, StoreError> {
        // The gateway is not asked for these, so they need not wait for it.
        for late in self.store.late_payments(LATE_AT_ONCE).await? {
            let ended = self.store.end_unpaid(&late, PaymentEvent::Void, Ended::OPEN).await?;
            if ended.has_ended_unpaid() {
                warn!(payment = %late.id, "payment given up: the time to authorise it is over");
                metrics::counter!("checkout_payments_total", "outcome" => "too_late").increment(1);
            }
        }
        self.do_requests(together.into()).await?;
        if !self.gateway_watch.is_left_alone() {
            for unsettled in self.store.adopt_to_settle(together.into()).await? {
                self.settle_soon(unsettled);
            }
        }
        let mut count = 0;
        loop {
            // Not while all are taken by payments that the gateway keeps waiting: the next sweep looks again.
            let Ok(Ok(mut free)) = timeout(PLACES_WITHIN, places.clone().acquire_many_owned(together)).await else {
                return Ok(count);
            };
            // Those whom the gateway answers may have them.
            if self.gateway_watch.is_left_alone() || self.shutdown.is_triggered() {
                return Ok(count);
            }
            let left_behind = self.store.adopt_payments(together.into()).await?;
            let adopted = left_behind.len();
            count += adopted;
            for mut payment in left_behind {
                let (checkout, place) = (self.clone(), free.split(1));
                self.shutdown.spawn(async move {
                    // What waits still is adopted again later.
                    let _ = checkout.drive(&mut payment).await;
                    drop(place);
                });
            }
            if adopted < together as usize {
                return Ok(count);
            }
        }
    }
}

/// The payment has not ended; why was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsStill {
    /// They have to prove who they are.
    ForShopper,
    ForGateway,
}
