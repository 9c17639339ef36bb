//! A payment: from the wish to pay to an order, or to nothing having been taken.
//!
//! Every step is one call to the gateway, then one commit that says what is known now; what comes next follows from the
//! payment's state alone, whoever left it there. So a crash between any two lines loses nothing: the sweeper goes on
//! from the last commit, and the gateway gives the same answer to the same idempotency key.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, warn};

use crate::{
    Checkout,
    gateway::{Intent, NoAnswer, Standing},
    holder::{Asker, Holders},
    order::{Order, OrderId},
    problem::CheckoutError,
    state::{NextStep, OrderStatus, PaymentEvent},
    store::{Begun, GivenBack, Payment, StoreError},
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
    Senseless(Standing),
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
            OrderStatus::Held | OrderStatus::Promised => Err(CheckoutError::PaymentDeclined),
            OrderStatus::Lapsed | OrderStatus::Cancelled => Err(CheckoutError::HoldLapsed),
        }
    }

    /// Begins a payment, or goes on with the one under way. One that waits for its shopper, who means to pay with something else by
    /// now, makes way.
    async fn begin_and_stay(&self, order: OrderId, payment_method: &str) -> Result<(), CheckoutError> {
        let mut begun = self.store.begin_payment(order, payment_method).await?;
        if let Begun::Waits { payment, in_time: true } = &begun
            && payment.payment_method != payment_method
            && self.let_go(payment).await?
        {
            begun = self.store.begin_payment(order, payment_method).await?;
        }
        match begun {
            Begun::Payment(payment) | Begun::Waits { payment, .. } => self.stay_with(payment).await,
            Begun::NotNow => {}
            Begun::NoUnit => {
                metrics::counter!("checkout_turned_away_total").increment(1);
                return Err(CheckoutError::NoUnitNow);
            }
        }
        Ok(())
    }

    /// Gives an order back that has not been paid for. A payment that waits for the shopper, who does not want it any more, is let go.
    pub(crate) async fn give_back(&self, order: OrderId, asker: Asker) -> Result<Order, CheckoutError> {
        let checkout = self.clone();
        let given_back = self.shutdown.spawn(async move {
            match checkout.store.give_back(order, &asker).await? {
                Some(GivenBack::NotNow { waiting: Some(waiting), .. }) if checkout.let_go(&waiting).await? => {
                    checkout.store.give_back(order, &asker).await
                }
                answer => Ok(answer),
            }
        });
        match given_back.await?? {
            Some(GivenBack::Done(order)) => Ok(order),
            Some(GivenBack::NotNow { order, .. }) => Err(CheckoutError::NotGivenBack(Box::new(order))),
            None => Err(CheckoutError::UnknownOrder),
        }
    }

    /// Ends a payment that waits for its shopper. Not, when the gateway does not say that it has let go of it.
    async fn let_go(&self, waiting: &Payment) -> Result<bool, StoreError> {
        let Some(reference) = &waiting.reference else { return Ok(false) };
        match self.gateway.cancel(waiting.id, reference).await.map(|intent| intent.standing) {
            Ok(Standing::Cancelled | Standing::Declined | Standing::Unknown) => {
                let ended = self.store.end_unpaid(waiting, PaymentEvent::Void, None).await?;
                Ok(ended.state.next_step() == NextStep::Nothing)
            }
            Ok(_) => Ok(false),
            Err(reason) => {
                warn!(payment = %waiting.id, %reason, "a payment that nobody waits for any more could not be let go");
                Ok(false)
            }
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
                NextStep::Nothing => return Ok(()),
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
                        Stuck::NoAnswer(NoAnswer::Senseless(_) | NoAnswer::Repeats(_))
                        | Stuck::Senseless(_)
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
        let Intent { reference, standing, client_secret } = match &payment.reference {
            Some(reference) => self.gateway.look_up(reference).await?,
            None => self.gateway.authorise(payment).await?,
        };
        let event = match (standing, &reference) {
            // Some methods take the money at once; whether it can be kept is decided next.
            (Standing::Authorised | Standing::Captured, Some(_)) => PaymentEvent::Authorise,
            (Standing::NeedsAction, Some(reference)) if payment.age < ACTION_WITHIN => {
                self.store.note_reference(payment, reference, client_secret.as_deref()).await?;
                // From now on it is looked up: asking again would only repeat this answer.
                payment.reference = Some(reference.clone());
                return Err(Stuck::WaitsForShopper);
            }
            (Standing::NeedsAction, Some(reference)) => {
                match self.gateway.cancel(payment.id, reference).await?.standing {
                    Standing::Cancelled => PaymentEvent::Void,
                    // The shopper has just done it: the next look will tell.
                    _ => return Err(Stuck::WaitsForShopper),
                }
            }
            (Standing::Declined, _) => PaymentEvent::Decline,
            (Standing::Cancelled | Standing::Unknown, _) => PaymentEvent::Void,
            (senseless, _) => return Err(Stuck::Senseless(senseless)),
        };
        Ok(match event {
            PaymentEvent::Authorise => self.store.advance(payment, event, reference.as_deref()).await?,
            _ => self.store.end_unpaid(payment, event, reference.as_deref()).await?,
        })
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
                Ok(self.store.end_unpaid(payment, PaymentEvent::Void, None).await?)
            }
            senseless @ (Standing::NeedsAction | Standing::Authorised) => Err(Stuck::Senseless(senseless)),
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
            Err(NoAnswer::Senseless(why) | NoAnswer::Repeats(why)) => why,
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
            senseless => Err(Stuck::Senseless(senseless)),
        }
    }

    /// Goes on with payments that a crash, or a silent gateway, left half done, as many at once as there are places: one that
    /// ends makes room for more, whatever the others wait for. Gives how many there were, once no more wait.
    pub(crate) async fn finish_payments(&self, places: &Arc<Semaphore>, together: u32) -> Result<usize, StoreError> {
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
