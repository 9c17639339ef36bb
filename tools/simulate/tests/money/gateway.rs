//! A model of the payment gateway. Each call to it waits until the scheduler decides its fate, and
//! once more before it is answered. The process of a call can be paused before it sends it.
//!
//! - The same idempotency key gets the same answer, as from Stripe.
//! - A new intent is found by a search after a minute.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fairline_payment_gateway::{
    Balance, Charge, Gateway, GatewayError, GatewayResult, Intent, IntentStatus, PartialRefund, PartialRefundOutcome,
    PaymentId,
};
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

/// How long a search does not find a new intent, in s.
const FOUND_AFTER_S: u64 = 60;

/// How long after its process has read the payment an authorisation may be sent, in s.
const SENT_WITHIN_S: u64 = 2;

/// A call to the gateway.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Authorise { payment: Uuid, order: Uuid, method: String, amount: i64 },
    LookUp(Uuid),
    Find(Uuid),
    Capture(Uuid),
    Cancel(Uuid),
    Refund(Uuid),
    RefundPart { payment: Uuid, request: Uuid, amount: i64 },
    Balance(Uuid),
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Intent(Intent),
    Part(PartialRefundOutcome),
    Balance(Balance),
}

type Response = Result<Reply, GatewayError>;

/// A call whose caller waits.
pub(crate) struct Waiting {
    pub(crate) call: Call,
    /// Since when its process has been paused, right before it sends the call, and until when it
    /// may send it on a machine that is slow.
    paused: Option<(u64, Instant)>,
    /// What the gateway has answered; the answer has not arrived yet.
    executed: Option<Reply>,
    response: oneshot::Sender<Response>,
}

/// A payment at the gateway.
#[derive(Debug, Clone)]
pub(crate) struct ModelIntent {
    pub(crate) status: IntentStatus,
    pub(crate) amount: i64,
    /// By idempotency key.
    pub(crate) refunds: BTreeMap<String, i64>,
    made_at_s: u64,
}

impl ModelIntent {
    pub(crate) fn refunded(&self) -> i64 {
        self.refunds.values().sum()
    }
}

/// What the gateway reports by webhook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) payment: Uuid,
    pub(crate) moves_money_back: bool,
}

#[derive(Default)]
pub(crate) struct GatewayState {
    pub(crate) now_s: u64,
    pub(crate) intents: BTreeMap<Uuid, ModelIntent>,
    answers: HashMap<String, Reply>,
    pub(crate) waiting: Vec<Waiting>,
    /// The process of the next authorisation pauses before it sends it.
    pub(crate) pauses_next: bool,
    /// Calls that arrive later, or once more; their callers have gone on.
    pub(crate) late: Vec<Call>,
    /// Callers that died.
    dead: Vec<oneshot::Sender<Response>>,
    pub(crate) events: Vec<Event>,
    /// Authorisations that were begun and are not checked yet.
    pub(crate) begun: Vec<(Uuid, Uuid)>,
    /// Payments whose shopper was notified that nothing is charged, and orders that are reported
    /// gone.
    pub(crate) notified: BTreeSet<Uuid>,
    pub(crate) gone: BTreeSet<Uuid>,
    /// The first violation.
    pub(crate) broken: Option<String>,
    /// All calls, and how often one was lost, late, repeated or failed.
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    /// Payments at rest, by their state.
    pub(crate) ended: BTreeMap<String, u64>,
}

/// The reference of the intent of a payment.
pub(crate) fn reference(payment: Uuid) -> String {
    format!("pi_{payment}")
}

fn payment_of(reference: &str) -> Uuid {
    reference.trim_start_matches("pi_").parse().expect("a reference of the model")
}

fn intent(reply: Reply) -> Intent {
    match reply {
        Reply::Intent(intent) => intent,
        other => panic!("an intent was asked for: {other:?}"),
    }
}

fn unanswered() -> GatewayError {
    GatewayError::Unanswered("no response in time".to_owned())
}

impl GatewayState {
    pub(crate) fn breaks(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    /// Another story begins: processes of the last one are dead.
    pub(crate) fn begin(&mut self) {
        let (dead, waiting) = (std::mem::take(&mut self.dead), std::mem::take(&mut self.waiting));
        let waiting = waiting.into_iter().map(|waiting| waiting.response);
        let dead = dead.into_iter().chain(waiting).collect();
        let (now_s, calls, faults) = (self.now_s, self.calls, self.faults);
        *self = Self { dead, now_s, calls, faults, ended: std::mem::take(&mut self.ended), ..Self::default() };
    }

    fn arrives(&mut self, call: &Call) {
        self.calls += 1;
        let Call::Authorise { payment, order, .. } = call else { return };
        if self.gone.contains(order) || self.notified.contains(payment) {
            self.breaks(format!("begun too late: the authorisation of {payment} after its shopper was notified"));
        }
    }

    /// The tasks that wait, those of dead processes included.
    pub(crate) fn callers(&self) -> usize {
        self.waiting.len() + self.dead.len()
    }

    /// The first call that was sent.
    pub(crate) fn first_sent(&self) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.paused.is_none())
    }

    /// The process of a call continues, if it was paused: it sends the call, unless it is too late.
    pub(crate) fn resume(&mut self, at: usize) -> bool {
        let Some((since_s, send_by)) = self.waiting[at].paused.take() else { return false };
        self.faults += 1;
        let call = self.waiting[at].call.clone();
        if self.now_s - since_s < SENT_WITHIN_S && Instant::now() <= send_by {
            // The repetition of an answered call authorises nothing.
            let is_answered = matches!(&call, Call::Authorise { payment, .. } if self.intents.contains_key(payment));
            if !is_answered {
                self.arrives(&call);
            }
        } else {
            _ = self.waiting.remove(at).response.send(Err(GatewayError::TooLate));
        }
        true
    }

    /// Lets a call make one step: it is executed, or its answer arrives.
    pub(crate) fn advance(&mut self, at: usize) {
        if self.resume(at) {
            return;
        }
        match self.waiting[at].executed.take() {
            Some(reply) => _ = self.waiting.remove(at).response.send(Ok(reply)),
            None => self.waiting[at].executed = Some(self.execute(&self.waiting[at].call.clone())),
        }
    }

    /// The call arrives later, perhaps once more.
    pub(crate) fn delay(&mut self, call: Call) {
        self.faults += 1;
        self.late.push(call);
    }

    /// The caller gets an error; the call is executed first, later, or not.
    pub(crate) fn fail(&mut self, at: usize, error: Option<GatewayError>) {
        self.faults += 1;
        _ = self.waiting.remove(at).response.send(Err(error.unwrap_or_else(unanswered)));
    }

    /// The process of the caller dies.
    pub(crate) fn kill(&mut self, at: usize) {
        self.faults += 1;
        let Waiting { response, .. } = self.waiting.remove(at);
        self.dead.push(response);
    }

    fn intent(&self, payment: Uuid) -> Intent {
        let Some(intent) = self.intents.get(&payment) else {
            return Intent { reference: None, status: IntentStatus::Unknown, client_secret: None };
        };
        let is_refunded = intent.status == IntentStatus::Captured && intent.refunded() == intent.amount;
        let status = if is_refunded { IntentStatus::Refunded } else { intent.status };
        Intent { reference: Some(reference(payment)), status, client_secret: None }
    }

    /// Executes a call, or repeats the answer to its key.
    pub(crate) fn execute(&mut self, call: &Call) -> Reply {
        let key = match call {
            Call::Authorise { payment, .. } => format!("{payment}-authorise"),
            Call::Capture(payment) => format!("{payment}-capture"),
            Call::Cancel(payment) => format!("{payment}-cancel"),
            Call::Refund(payment) => format!("{payment}-refund"),
            Call::RefundPart { request, .. } => format!("{request}-refund"),
            Call::LookUp(payment) => return Reply::Intent(self.intent(*payment)),
            Call::Find(payment) => return Reply::Intent(self.find(*payment)),
            Call::Balance(payment) => {
                let refunded = self.intents.get(payment).map_or(0, ModelIntent::refunded);
                return Reply::Balance(Balance { refunded, ..Balance::default() });
            }
        };
        if let Some(answer) = self.answers.get(&key) {
            return answer.clone();
        }
        let (is_done, reply) = self.change(call, &key);
        if is_done {
            self.answers.insert(key, reply.clone());
        }
        reply
    }

    fn find(&self, payment: Uuid) -> Intent {
        let is_indexed = |intent: &&ModelIntent| intent.made_at_s + FOUND_AFTER_S <= self.now_s;
        let found = self.intents.get(&payment).filter(is_indexed);
        self.intent(if found.is_some() { payment } else { Uuid::nil() })
    }

    /// Whether something was changed, and the answer.
    fn change(&mut self, call: &Call, key: &str) -> (bool, Reply) {
        let (is_done, payment) = match call {
            Call::Authorise { payment, method, amount, .. } => {
                self.create(*payment, method, *amount);
                (true, *payment)
            }
            Call::Capture(payment) => {
                let is_done = self.turn(*payment, &[IntentStatus::Authorised], IntentStatus::Captured);
                if is_done && self.notified.contains(payment) {
                    self.breaks(format!("charged after notice: {payment} is captured"));
                }
                (is_done, *payment)
            }
            Call::Cancel(payment) => {
                let open = [IntentStatus::Authorised, IntentStatus::NeedsAction, IntentStatus::Declined];
                (self.turn(*payment, &open, IntentStatus::Cancelled), *payment)
            }
            Call::Refund(payment) => {
                let left = self.intents.get(payment).map_or(0, |intent| intent.amount - intent.refunded());
                (self.refund(*payment, key, left), *payment)
            }
            Call::RefundPart { payment, amount, .. } => {
                let is_done = self.refund(*payment, key, *amount);
                let refused = PartialRefundOutcome::Refused("more than is left".to_owned());
                return (is_done, Reply::Part(if is_done { PartialRefundOutcome::Made } else { refused }));
            }
            Call::LookUp(payment) | Call::Find(payment) | Call::Balance(payment) => (false, *payment),
        };
        (is_done, Reply::Intent(self.intent(payment)))
    }

    fn create(&mut self, payment: Uuid, method: &str, amount: i64) {
        let status = match method {
            "declined" => IntentStatus::Declined,
            "action" => IntentStatus::NeedsAction,
            "instant" => IntentStatus::Captured,
            _ => IntentStatus::Authorised,
        };
        let intent = ModelIntent { status, amount, refunds: BTreeMap::new(), made_at_s: self.now_s };
        self.intents.insert(payment, intent);
        if status != IntentStatus::Declined {
            self.events.push(Event { payment, moves_money_back: false });
        }
    }

    /// The intent moves on, if it is in one of these states.
    pub(crate) fn turn(&mut self, payment: Uuid, from: &[IntentStatus], to: IntentStatus) -> bool {
        let Some(intent) = self.intents.get_mut(&payment).filter(|intent| from.contains(&intent.status)) else {
            return false;
        };
        intent.status = to;
        if to != IntentStatus::Cancelled {
            self.events.push(Event { payment, moves_money_back: false });
        }
        true
    }

    fn refund(&mut self, payment: Uuid, key: &str, amount: i64) -> bool {
        let left = |intent: &ModelIntent| intent.amount - intent.refunded();
        let Some(intent) = self.intents.get_mut(&payment) else { return false };
        if intent.status != IntentStatus::Captured || amount <= 0 || amount > left(intent) {
            return false;
        }
        intent.refunds.insert(key.to_owned(), amount);
        self.events.push(Event { payment, moves_money_back: true });
        true
    }
}

#[derive(Clone, Default)]
pub(crate) struct ModelGateway(Arc<Mutex<GatewayState>>);

impl ModelGateway {
    pub(crate) fn state(&self) -> MutexGuard<'_, GatewayState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, call: Call) -> Response {
        self.call_after(None, call).await
    }

    /// Sends a call, after a pause of its process if there is one.
    async fn call_after(&self, paused: Option<(u64, Instant)>, call: Call) -> Response {
        let (response, answer) = oneshot::channel();
        {
            let mut state = self.state();
            if paused.is_none() {
                state.arrives(&call);
            }
            state.waiting.push(Waiting { call, paused, executed: None, response });
        }
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    fn ask(&self, call: Call) -> GatewayResult<'_> {
        Box::pin(async move { self.call(call).await.map(intent) })
    }
}

impl Gateway for ModelGateway {
    fn authorise<'a>(&'a self, charge: &'a Charge<'a>) -> GatewayResult<'a> {
        let (payment, method) = (charge.payment.0, charge.payment_method.to_owned());
        let call = Call::Authorise { payment, order: charge.order, method, amount: charge.amount_minor };
        let paused = {
            let mut state = self.state();
            let pauses = std::mem::take(&mut state.pauses_next);
            if !pauses {
                state.begun.push((payment, charge.order));
            }
            pauses.then_some((state.now_s, charge.send_by))
        };
        Box::pin(async move { self.call_after(paused, call).await.map(intent) })
    }

    fn look_up<'a>(&'a self, reference: &'a str) -> GatewayResult<'a> {
        self.ask(Call::LookUp(payment_of(reference)))
    }

    fn find<'a>(&'a self, payment: PaymentId) -> GatewayResult<'a> {
        self.ask(Call::Find(payment.0))
    }

    fn capture<'a>(&'a self, payment: PaymentId, _: &'a str) -> GatewayResult<'a> {
        self.ask(Call::Capture(payment.0))
    }

    fn cancel<'a>(&'a self, payment: PaymentId, _: &'a str) -> GatewayResult<'a> {
        self.ask(Call::Cancel(payment.0))
    }

    fn refund<'a>(&'a self, payment: PaymentId, _: &'a str) -> GatewayResult<'a> {
        self.ask(Call::Refund(payment.0))
    }

    fn refund_part<'a>(
        &'a self,
        part: &'a PartialRefund,
    ) -> Pin<Box<dyn Future<Output = Result<PartialRefundOutcome, GatewayError>> + Send + 'a>> {
        let call =
            Call::RefundPart { payment: payment_of(&part.reference), request: part.request, amount: part.amount };
        Box::pin(async move {
            match self.call(call).await? {
                Reply::Part(refund) => Ok(refund),
                other => panic!("a refund was asked for: {other:?}"),
            }
        })
    }

    fn balance<'a>(
        &'a self,
        reference: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Balance, GatewayError>> + Send + 'a>> {
        Box::pin(async move {
            match self.call(Call::Balance(payment_of(reference))).await? {
                Reply::Balance(balance) => Ok(balance),
                other => panic!("a balance was asked for: {other:?}"),
            }
        })
    }
}
