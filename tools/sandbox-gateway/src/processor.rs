//! The payment gateway's state: intents, and the responses it has given. No I/O; time is passed in.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::bounded::Bounded;

/// How long a shopper with `tok_action` takes to authenticate.
pub(crate) const ACTION_TAKES: Duration = Duration::from_secs(3);
/// How long the bank behind `tok_refund_late` and `tok_refund_fails` takes to decide on a refund.
pub(crate) const REFUND_TAKES: Duration = Duration::from_secs(3);

/// The behaviour of an intent, by its payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IntentBehaviour {
    Good,
    Declined,
    Slow,
    Timeout,
    Flaky,
    FlakyLate,
    Broken,
    Action,
    NoAction,
    Uncapturable,
    RefundLate,
    RefundFails,
    WebhooksTwice,
    WebhooksLate,
    WebhooksShuffled,
    Disputed,
    DisputedEarly,
}

impl IntentBehaviour {
    /// Accepts our tokens, and Stripe's own test tokens with the same behaviour.
    fn of(payment_method: &str) -> Option<Self> {
        Some(match payment_method {
            "tok_visa" | "pm_card_visa" => Self::Good,
            "tok_declined" | "tok_chargeDeclined" | "pm_card_chargeDeclined" => Self::Declined,
            "tok_slow" => Self::Slow,
            "tok_timeout" => Self::Timeout,
            "tok_flaky" => Self::Flaky,
            "tok_flaky_late" => Self::FlakyLate,
            "tok_broken" => Self::Broken,
            "tok_action" | "pm_card_authenticationRequired" => Self::Action,
            "tok_no_action" => Self::NoAction,
            "tok_uncapturable" => Self::Uncapturable,
            "tok_refund_late" => Self::RefundLate,
            "tok_refund_fails" => Self::RefundFails,
            "tok_webhooks_twice" => Self::WebhooksTwice,
            "tok_webhooks_late" => Self::WebhooksLate,
            "tok_webhooks_shuffled" => Self::WebhooksShuffled,
            "tok_createDispute" | "pm_card_createDispute" => Self::Disputed,
            "tok_dispute_early" => Self::DisputedEarly,
            _ => return None,
        })
    }
}

/// How webhooks about an intent are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebhookSchedule {
    Once,
    Twice,
    Late,
    /// After the webhook of the next event.
    Shuffled,
}

/// The status of an intent. Refunds belong to its charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntentState {
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
    Declined,
}

/// An intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) status: IntentState,
    /// In the currency's minor unit.
    pub(crate) amount: u64,
    pub(crate) currency: String,
    /// The merchant's metadata.
    pub(crate) payment: Option<String>,
    /// Refunded, or being refunded.
    pub(crate) refunded: u64,
    pub(crate) dispute: Option<Dispute>,
}

impl Intent {
    pub(crate) fn is_refunded(&self) -> bool {
        self.refunded >= self.amount
    }
}

#[derive(Debug)]
struct StoredIntent {
    intent: Intent,
    profile: IntentBehaviour,
    made_at: Instant,
    captured_at: Option<Instant>,
    refunds: Vec<Refund>,
}

/// An intent, with its ages since creation and capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChargeState {
    pub(crate) intent: Intent,
    pub(crate) made_ago: Duration,
    pub(crate) captured_ago: Option<Duration>,
}

/// A refund, in full or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) amount: u64,
    /// The caller's metadata.
    pub(crate) payment: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) status: Refunded,
    key: String,
    made_at: Instant,
}

/// The status of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refunded {
    Pending,
    Succeeded,
    Failed,
}

/// A dispute: the bank has taken the money back on its customer's complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) status: Disputed,
}

/// The status of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disputed {
    NeedsResponse,
    Won,
    Lost,
}

/// A modifying call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GatewayOperation {
    Create {
        amount: u64,
        currency: String,
        payment_method: String,
        payment: Option<String>,
    },
    Capture(String),
    Cancel(String),
    /// In full or in part, with metadata.
    Refund {
        intent: String,
        amount: Option<u64>,
        payment: Option<String>,
        request: Option<String>,
    },
}

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CreationOutcome {
    /// Done, now or when the same key was first used.
    Done(Intent),
    /// The intent's status does not allow it.
    NotNow(Intent),
    /// The intent does not exist.
    Unknown,
    /// The payment method does not exist.
    UnknownMethod,
    /// The amount is below the processor's minimum.
    TooSmall,
    /// The refund exceeds what is left.
    TooMuch,
    /// The bank does not release the authorised money.
    Uncapturable(Intent),
    /// The key was used before, for another call.
    KeyReused,
    /// A deliberate failure; nothing was done.
    Hiccup,
    /// A deliberate failure that repeats for the same key; nothing was done.
    Broken,
}

/// When a result is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultDelivery {
    Now,
    Late,
    Never,
}

/// The state of the processor.
#[derive(Debug, Default)]
pub(crate) struct Processor {
    intents: Bounded<String, StoredIntent>,
    answers: Bounded<String, (GatewayOperation, Intent)>,
    hiccups: Bounded<String, ()>,
    broken: Bounded<String, ()>,
}

impl Processor {
    /// Whether this key has had its response.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.answers.get(key).is_some() || self.broken.get(key).is_some()
    }

    /// How webhooks about an intent are sent.
    pub(crate) fn schedule(&self, id: &str) -> WebhookSchedule {
        match self.intents.get(id).map(|kept| kept.profile) {
            Some(IntentBehaviour::WebhooksTwice) => WebhookSchedule::Twice,
            Some(IntentBehaviour::WebhooksLate) => WebhookSchedule::Late,
            Some(IntentBehaviour::WebhooksShuffled) => WebhookSchedule::Shuffled,
            _ => WebhookSchedule::Once,
        }
    }

    /// Executes a call, or repeats the response to the same key.
    pub(crate) fn perform(
        &mut self,
        key: &str,
        operation: GatewayOperation,
        now: Instant,
    ) -> (CreationOutcome, ResultDelivery) {
        if let Some((first, answer)) = self.answers.get(key) {
            let outcome =
                if *first == operation { CreationOutcome::Done(answer.clone()) } else { CreationOutcome::KeyReused };
            return (outcome, ResultDelivery::Now);
        }
        let Some(profile) = self.profile(&operation) else {
            let is_new = matches!(operation, GatewayOperation::Create { .. });
            return (
                if is_new { CreationOutcome::UnknownMethod } else { CreationOutcome::Unknown },
                ResultDelivery::Now,
            );
        };
        if profile == IntentBehaviour::Broken {
            self.broken.insert(key.to_owned(), ());
            return (CreationOutcome::Broken, ResultDelivery::Now);
        }
        if let (IntentBehaviour::Uncapturable, GatewayOperation::Capture(id)) = (profile, &operation)
            && let Some(intent) = self.find(id, now).filter(|intent| intent.status == IntentState::RequiresCapture)
        {
            return (CreationOutcome::Uncapturable(intent), ResultDelivery::Now);
        }
        let charges = matches!(operation, GatewayOperation::Create { .. } | GatewayOperation::Capture(_));
        if matches!(profile, IntentBehaviour::Flaky | IntentBehaviour::FlakyLate)
            && charges
            && self.hiccups.get(key).is_none()
        {
            self.hiccups.insert(key.to_owned(), ());
            let delivery =
                if profile == IntentBehaviour::FlakyLate { ResultDelivery::Late } else { ResultDelivery::Now };
            return (CreationOutcome::Hiccup, delivery);
        }
        let outcome = match &operation {
            GatewayOperation::Create { amount, currency, .. } if *amount < minimum(currency) => {
                CreationOutcome::TooSmall
            }
            GatewayOperation::Create { amount, currency, payment, .. } => {
                CreationOutcome::Done(self.create((*amount, currency), payment.clone(), profile, now))
            }
            GatewayOperation::Capture(id) => self.capture(id, profile, now),
            GatewayOperation::Cancel(id) => {
                let open = [IntentState::RequiresCapture, IntentState::RequiresAction, IntentState::Declined];
                self.turn(id, &open, IntentState::Canceled, now)
            }
            GatewayOperation::Refund { intent, amount, payment, request } => {
                let refund = Refund {
                    id: format!("re_{}", Uuid::new_v4().simple()),
                    amount: 0,
                    payment: payment.clone(),
                    request: request.clone(),
                    status: match profile {
                        IntentBehaviour::RefundLate | IntentBehaviour::RefundFails => Refunded::Pending,
                        _ => Refunded::Succeeded,
                    },
                    key: key.to_owned(),
                    made_at: now,
                };
                self.refund(intent, *amount, refund, now)
            }
        };
        let delivery = match (profile, &operation) {
            (IntentBehaviour::Timeout, _) if charges => ResultDelivery::Never,
            (IntentBehaviour::Slow, GatewayOperation::Create { .. })
            | (IntentBehaviour::DisputedEarly, GatewayOperation::Capture(_)) => ResultDelivery::Late,
            _ => ResultDelivery::Now,
        };
        match outcome {
            CreationOutcome::Done(intent) => {
                self.answers.insert(key.to_owned(), (operation, intent.clone()));
                (CreationOutcome::Done(intent), delivery)
            }
            refused => (refused, ResultDelivery::Now),
        }
    }

    /// The current state of an intent.
    pub(crate) fn find(&mut self, id: &str, now: Instant) -> Option<Intent> {
        let kept = self.intents.get_mut(id)?;
        let proves = kept.profile == IntentBehaviour::Action && now.duration_since(kept.made_at) >= ACTION_TAKES;
        if kept.intent.status == IntentState::RequiresAction && proves {
            kept.intent.status = IntentState::RequiresCapture;
        }
        for refund in &mut kept.refunds {
            if refund.status == Refunded::Pending && now.duration_since(refund.made_at) >= REFUND_TAKES {
                refund.status =
                    if kept.profile == IntentBehaviour::RefundFails { Refunded::Failed } else { Refunded::Succeeded };
            }
        }
        let counted = kept.refunds.iter().filter(|refund| refund.status != Refunded::Failed);
        kept.intent.refunded = counted.map(|refund| refund.amount).sum();
        Some(kept.intent.clone())
    }

    /// The intents with this payment id in their metadata.
    pub(crate) fn search(&self, payment: &str) -> Vec<Intent> {
        let kept = self.intents.entries.values().map(|kept| &kept.intent);
        kept.filter(|intent| intent.payment.as_deref() == Some(payment)).cloned().collect()
    }

    /// All intents, with their times.
    pub(crate) fn charges(&mut self, now: Instant) -> Vec<ChargeState> {
        let ids: Vec<String> = self.intents.entries.keys().cloned().collect();
        for id in &ids {
            self.find(id, now);
        }
        let charge = |kept: &StoredIntent| ChargeState {
            intent: kept.intent.clone(),
            made_ago: now.duration_since(kept.made_at),
            captured_ago: kept.captured_at.map(|at| now.duration_since(at)),
        };
        self.intents.entries.values().map(charge).collect()
    }

    /// The refund that was, and will be, returned for this key.
    pub(crate) fn refund_response(&self, id: &str, key: &str) -> Option<Refund> {
        let kept = self.intents.get(id)?;
        let mut refund = kept.refunds.iter().find(|refund| refund.key == key)?.clone();
        if matches!(kept.profile, IntentBehaviour::RefundLate | IntentBehaviour::RefundFails) {
            refund.status = Refunded::Pending;
        }
        Some(refund)
    }

    /// The current refunds of an intent, the newest first.
    pub(crate) fn refunds(&mut self, id: &str, now: Instant) -> Vec<Refund> {
        self.find(id, now);
        self.intents.get(id).map(|kept| kept.refunds.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Ends a dispute and returns its intent.
    pub(crate) fn end_dispute(&mut self, id: &str, status: Disputed) -> Option<Intent> {
        let kept = self.intents.get_mut(&id.replacen("dp_", "pi_", 1))?;
        let dispute = kept.intent.dispute.as_mut().filter(|dispute| dispute.status == Disputed::NeedsResponse)?;
        dispute.status = status;
        Some(kept.intent.clone())
    }

    fn profile(&self, operation: &GatewayOperation) -> Option<IntentBehaviour> {
        match operation {
            GatewayOperation::Create { payment_method, .. } => IntentBehaviour::of(payment_method),
            GatewayOperation::Capture(id)
            | GatewayOperation::Cancel(id)
            | GatewayOperation::Refund { intent: id, .. } => self.intents.get(id).map(|kept| kept.profile),
        }
    }

    fn create(
        &mut self,
        (amount, currency): (u64, &str),
        payment: Option<String>,
        profile: IntentBehaviour,
        now: Instant,
    ) -> Intent {
        let status = match profile {
            IntentBehaviour::Declined => IntentState::Declined,
            IntentBehaviour::Action | IntentBehaviour::NoAction => IntentState::RequiresAction,
            IntentBehaviour::Good
            | IntentBehaviour::Slow
            | IntentBehaviour::Timeout
            | IntentBehaviour::Flaky
            | IntentBehaviour::FlakyLate
            | IntentBehaviour::Broken
            | IntentBehaviour::Uncapturable
            | IntentBehaviour::RefundLate
            | IntentBehaviour::RefundFails
            | IntentBehaviour::WebhooksTwice
            | IntentBehaviour::WebhooksLate
            | IntentBehaviour::WebhooksShuffled
            | IntentBehaviour::Disputed
            | IntentBehaviour::DisputedEarly => IntentState::RequiresCapture,
        };
        // An id that no real processor issues and that moves no money, so that stray ones can be
        // recognised and discarded.
        let id = format!("pi_sandbox_{}", Uuid::new_v4().simple());
        let currency = currency.to_owned();
        let intent = Intent { id, status, amount, currency, payment, refunded: 0, dispute: None };
        let kept =
            StoredIntent { intent: intent.clone(), profile, made_at: now, captured_at: None, refunds: Vec::new() };
        self.intents.insert(intent.id.clone(), kept);
        intent
    }

    fn capture(&mut self, id: &str, profile: IntentBehaviour, now: Instant) -> CreationOutcome {
        match self.turn(id, &[IntentState::RequiresCapture], IntentState::Succeeded, now) {
            CreationOutcome::Done(_)
                if matches!(profile, IntentBehaviour::Disputed | IntentBehaviour::DisputedEarly) =>
            {
                let dispute = Dispute { id: id.replacen("pi_", "dp_", 1), status: Disputed::NeedsResponse };
                let Some(kept) = self.intents.get_mut(id) else { return CreationOutcome::Unknown };
                kept.intent.dispute = Some(dispute);
                CreationOutcome::Done(kept.intent.clone())
            }
            outcome => outcome,
        }
    }

    fn refund(&mut self, id: &str, amount: Option<u64>, refund: Refund, now: Instant) -> CreationOutcome {
        let Some(intent) = self.find(id, now) else { return CreationOutcome::Unknown };
        let left = intent.amount.saturating_sub(intent.refunded);
        if intent.status != IntentState::Succeeded || left == 0 {
            return CreationOutcome::NotNow(intent);
        }
        let amount = amount.unwrap_or(left);
        if amount == 0 || amount > left {
            return CreationOutcome::TooMuch;
        }
        if let Some(kept) = self.intents.get_mut(id) {
            kept.refunds.push(Refund { amount, ..refund });
        }
        self.find(id, now).map_or(CreationOutcome::Unknown, CreationOutcome::Done)
    }

    fn turn(&mut self, id: &str, from: &[IntentState], to: IntentState, now: Instant) -> CreationOutcome {
        let Some(intent) = self.find(id, now) else { return CreationOutcome::Unknown };
        if !from.contains(&intent.status) {
            return CreationOutcome::NotNow(intent);
        }
        match self.intents.get_mut(id) {
            Some(kept) => {
                kept.intent.status = to;
                if to == IntentState::Succeeded {
                    kept.captured_at = Some(now);
                }
                CreationOutcome::Done(kept.intent.clone())
            }
            None => CreationOutcome::Unknown,
        }
    }
}

/// The processor's minimum amount in a currency, in its own minor unit.
fn minimum(currency: &str) -> u64 {
    match currency {
        "eur" | "usd" | "jpy" => 50,
        "gbp" => 30,
        "huf" => 17_500,
        _ => 1,
    }
}
