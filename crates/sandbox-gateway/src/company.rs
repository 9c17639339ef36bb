//! The company's books: intents, and the answers it has given. No I/O; the time is told.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

use uuid::Uuid;

/// Intents and answers that are remembered; the oldest go first.
const REMEMBERED_MAX: usize = 100_000;
/// How long a shopper of `tok_action` takes to prove who they are.
pub(crate) const ACTION_TAKES: Duration = Duration::from_secs(3);
/// How long the bank behind `tok_refund_late` and `tok_refund_fails` takes to say what becomes of a refund.
const REFUND_TAKES: Duration = Duration::from_secs(3);

/// How an intent behaves, by its payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    Declined,
    Slow,
    Timeout,
    Flaky,
    Broken,
    Action,
    NoAction,
    Uncapturable,
    RefundLate,
    RefundFails,
    TellsTwice,
    TellsLate,
    TellsShuffled,
}

impl Manner {
    /// Ours, and those of Stripe's own test tokens that say the same.
    fn of(payment_method: &str) -> Option<Self> {
        Some(match payment_method {
            "tok_visa" | "pm_card_visa" => Self::Good,
            "tok_declined" | "tok_chargeDeclined" | "pm_card_chargeDeclined" => Self::Declined,
            "tok_slow" => Self::Slow,
            "tok_timeout" => Self::Timeout,
            "tok_flaky" => Self::Flaky,
            "tok_broken" => Self::Broken,
            "tok_action" | "pm_card_authenticationRequired" => Self::Action,
            "tok_no_action" => Self::NoAction,
            "tok_uncapturable" => Self::Uncapturable,
            "tok_refund_late" => Self::RefundLate,
            "tok_refund_fails" => Self::RefundFails,
            "tok_tells_twice" => Self::TellsTwice,
            "tok_tells_late" => Self::TellsLate,
            "tok_tells_shuffled" => Self::TellsShuffled,
            _ => return None,
        })
    }
}

/// How the merchant is told of what becomes of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Once,
    Twice,
    Late,
    /// After what happens next.
    Shuffled,
}

/// What has become of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
    Declined,
    Refunded,
}

/// An intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) status: Status,
    /// In the currency's minor unit.
    pub(crate) amount: u64,
    pub(crate) currency: String,
}

#[derive(Debug)]
struct Kept {
    intent: Intent,
    manner: Manner,
    made_at: Instant,
    refunded_at: Option<Instant>,
    /// What whoever wanted the refund has written on it.
    refund_payment: Option<String>,
}

/// What has become of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refund {
    Pending,
    Succeeded,
    Failed,
}

/// A call that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Create {
        amount: u64,
        currency: String,
        payment_method: String,
    },
    Capture(String),
    Cancel(String),
    /// With the payment that is written on it.
    Refund(String, Option<String>),
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, now or when the same key came first.
    Done(Intent),
    /// The intent is in a state that does not allow it.
    NotNow(Intent),
    /// There is no such intent.
    Unknown,
    /// There is no such payment method.
    UnknownMethod,
    /// The bank does not give the money that it keeps ready.
    Uncapturable(Intent),
    /// The key was used before, for something else.
    KeyReused,
    /// A failure on purpose; nothing was done.
    Hiccup,
    /// A failure on purpose that the same key gets for ever; nothing was done.
    Broken,
}

/// When an outcome is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Now,
    Late,
    Never,
}

/// The books.
#[derive(Debug, Default)]
pub(crate) struct Company {
    intents: Bounded<String, Kept>,
    answers: Bounded<String, (Operation, Intent)>,
    hiccups: Bounded<String, ()>,
    broken: Bounded<String, ()>,
}

impl Company {
    /// Whether this key has had its answer.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.answers.get(key).is_some() || self.broken.get(key).is_some()
    }

    /// How the merchant is told of an intent.
    pub(crate) fn telling(&self, id: &str) -> Telling {
        match self.intents.get(id).map(|kept| kept.manner) {
            Some(Manner::TellsTwice) => Telling::Twice,
            Some(Manner::TellsLate) => Telling::Late,
            Some(Manner::TellsShuffled) => Telling::Shuffled,
            _ => Telling::Once,
        }
    }

    /// Does it, or repeats what was answered to the same key.
    pub(crate) fn perform(&mut self, key: &str, operation: Operation, now: Instant) -> (Outcome, Delivery) {
        if let Some((first, answer)) = self.answers.get(key) {
            let outcome = if *first == operation { Outcome::Done(answer.clone()) } else { Outcome::KeyReused };
            return (outcome, Delivery::Now);
        }
        let manner = match self.manner(&operation) {
            Ok(manner) => manner,
            Err(outcome) => return (outcome, Delivery::Now),
        };
        if manner == Manner::Broken {
            self.broken.insert(key.to_owned(), ());
            return (Outcome::Broken, Delivery::Now);
        }
        if let (Manner::Uncapturable, Operation::Capture(id)) = (manner, &operation)
            && let Some(intent) = self.find(id, now).filter(|intent| intent.status == Status::RequiresCapture)
        {
            return (Outcome::Uncapturable(intent), Delivery::Now);
        }
        let charges = matches!(operation, Operation::Create { .. } | Operation::Capture(_));
        if manner == Manner::Flaky && charges && self.hiccups.get(key).is_none() {
            self.hiccups.insert(key.to_owned(), ());
            return (Outcome::Hiccup, Delivery::Now);
        }
        let outcome = match &operation {
            Operation::Create { amount, currency, .. } => Outcome::Done(self.create(*amount, currency, manner, now)),
            Operation::Capture(id) => self.turn(id, Status::RequiresCapture, Status::Succeeded, now),
            Operation::Cancel(id) => match self.turn(id, Status::RequiresCapture, Status::Canceled, now) {
                Outcome::NotNow(_) => self.turn(id, Status::RequiresAction, Status::Canceled, now),
                outcome => outcome,
            },
            Operation::Refund(id, payment) => {
                let outcome = self.turn(id, Status::Succeeded, Status::Refunded, now);
                if let (Outcome::Done(_), Some(kept)) = (&outcome, self.intents.get_mut(id)) {
                    kept.refunded_at = Some(now);
                    kept.refund_payment.clone_from(payment);
                }
                outcome
            }
        };
        let delivery = match (manner, &operation) {
            (Manner::Timeout, _) if charges => Delivery::Never,
            (Manner::Slow, Operation::Create { .. }) => Delivery::Late,
            _ => Delivery::Now,
        };
        match outcome {
            Outcome::Done(intent) => {
                self.answers.insert(key.to_owned(), (operation, intent.clone()));
                (Outcome::Done(intent), delivery)
            }
            refused => (refused, Delivery::Now),
        }
    }

    /// An intent as it is now.
    pub(crate) fn find(&mut self, id: &str, now: Instant) -> Option<Intent> {
        let kept = self.intents.get_mut(id)?;
        let proves = kept.manner == Manner::Action && now.duration_since(kept.made_at) >= ACTION_TAKES;
        if kept.intent.status == Status::RequiresAction && proves {
            kept.intent.status = Status::RequiresCapture;
        }
        Some(kept.intent.clone())
    }

    /// What the refund of an intent was answered, and will be to the same key.
    pub(crate) fn refund_said(&self, id: &str) -> Refund {
        match self.intents.get(id).map(|kept| kept.manner) {
            Some(Manner::RefundLate | Manner::RefundFails) => Refund::Pending,
            _ => Refund::Succeeded,
        }
    }

    /// The payment that is written on the refund of an intent.
    pub(crate) fn refund_payment(&self, id: &str) -> Option<&str> {
        self.intents.get(id)?.refund_payment.as_deref()
    }

    /// The refund of an intent, as it is now.
    pub(crate) fn find_refund(&self, id: &str, now: Instant) -> Option<Refund> {
        let kept = self.intents.get(id)?;
        let is_known = now.duration_since(kept.refunded_at?) >= REFUND_TAKES;
        Some(match kept.manner {
            Manner::RefundLate | Manner::RefundFails if !is_known => Refund::Pending,
            Manner::RefundFails => Refund::Failed,
            _ => Refund::Succeeded,
        })
    }

    fn manner(&self, operation: &Operation) -> Result<Manner, Outcome> {
        match operation {
            Operation::Create { payment_method, .. } => Manner::of(payment_method).ok_or(Outcome::UnknownMethod),
            Operation::Capture(id) | Operation::Cancel(id) | Operation::Refund(id, _) => {
                self.intents.get(id).map(|kept| kept.manner).ok_or(Outcome::Unknown)
            }
        }
    }

    fn create(&mut self, amount: u64, currency: &str, manner: Manner, now: Instant) -> Intent {
        let status = match manner {
            Manner::Declined => Status::Declined,
            Manner::Action | Manner::NoAction => Status::RequiresAction,
            Manner::Good
            | Manner::Slow
            | Manner::Timeout
            | Manner::Flaky
            | Manner::Broken
            | Manner::Uncapturable
            | Manner::RefundLate
            | Manner::RefundFails
            | Manner::TellsTwice
            | Manner::TellsLate
            | Manner::TellsShuffled => Status::RequiresCapture,
        };
        // A name that no company gives, which moves money: whoever meets it knows that it may be forgotten.
        let id = format!("pi_sandbox_{}", Uuid::new_v4().simple());
        let intent = Intent { id, status, amount, currency: currency.to_owned() };
        self.intents.insert(
            intent.id.clone(),
            Kept { intent: intent.clone(), manner, made_at: now, refunded_at: None, refund_payment: None },
        );
        intent
    }

    fn turn(&mut self, id: &str, from: Status, to: Status, now: Instant) -> Outcome {
        let Some(intent) = self.find(id, now) else { return Outcome::Unknown };
        if intent.status != from {
            return Outcome::NotNow(intent);
        }
        match self.intents.get_mut(id) {
            Some(kept) => {
                kept.intent.status = to;
                Outcome::Done(kept.intent.clone())
            }
            None => Outcome::Unknown,
        }
    }
}

/// A map that forgets its oldest entries.
#[derive(Debug)]
struct Bounded<K, V> {
    entries: HashMap<K, V>,
    oldest_first: VecDeque<K>,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), oldest_first: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    fn insert(&mut self, key: K, value: V) {
        if self.oldest_first.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.oldest_first.push_back(key.clone());
        self.entries.insert(key, value);
    }

    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key)
    }

    fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(payment_method: &str) -> Operation {
        Operation::Create { amount: 100, currency: "eur".to_owned(), payment_method: payment_method.to_owned() }
    }

    fn done(outcome: Outcome) -> Intent {
        match outcome {
            Outcome::Done(intent) => intent,
            other => panic!("not done: {other:?}"),
        }
    }

    #[test]
    fn the_same_key_has_the_same_answer_and_another_call_with_it_is_refused() {
        let (mut company, now) = (Company::default(), Instant::now());
        let first = done(company.perform("k", create("tok_visa"), now).0);
        assert_eq!(done(company.perform("k", create("tok_visa"), now).0), first);
        assert_eq!(company.perform("k", create("tok_declined"), now).0, Outcome::KeyReused);
        assert_eq!(company.perform("k", Operation::Capture(first.id), now).0, Outcome::KeyReused);
    }

    #[test]
    fn money_moves_once_and_only_forwards() {
        let (mut company, now) = (Company::default(), Instant::now());
        let id = done(company.perform("1", create("tok_visa"), now).0).id;
        let status = |company: &mut Company, key: &str, operation: Operation| match company.perform(key, operation, now)
        {
            (Outcome::Done(intent), _) => (true, intent.status),
            (Outcome::NotNow(intent), _) => (false, intent.status),
            other => panic!("{other:?}"),
        };
        assert_eq!(status(&mut company, "2", Operation::Refund(id.clone(), None)), (false, Status::RequiresCapture));
        assert_eq!(status(&mut company, "3", Operation::Capture(id.clone())), (true, Status::Succeeded));
        assert_eq!(status(&mut company, "3", Operation::Capture(id.clone())), (true, Status::Succeeded));
        assert_eq!(status(&mut company, "4", Operation::Capture(id.clone())), (false, Status::Succeeded));
        assert_eq!(status(&mut company, "5", Operation::Cancel(id.clone())), (false, Status::Succeeded));
        assert_eq!(status(&mut company, "6", Operation::Refund(id.clone(), None)), (true, Status::Refunded));
        assert_eq!(status(&mut company, "7", Operation::Refund(id, None)), (false, Status::Refunded));
    }

    #[test]
    fn every_payment_method_misbehaves_as_told() {
        let (mut company, now) = (Company::default(), Instant::now());
        let mut call = |key: &str, method: &str| company.perform(key, create(method), now);
        assert_eq!(done(call("1", "tok_declined").0).status, Status::Declined);
        assert_eq!(call("2", "tok_slow").1, Delivery::Late);
        assert_eq!(call("2", "tok_slow").1, Delivery::Now);
        assert_eq!(call("3", "tok_timeout").1, Delivery::Never);
        assert_eq!(call("3", "tok_timeout").1, Delivery::Now);
        assert_eq!(call("4", "tok_flaky").0, Outcome::Hiccup);
        assert_eq!(done(call("4", "tok_flaky").0).status, Status::RequiresCapture);
        assert_eq!(call("5", "4242424242424242").0, Outcome::UnknownMethod);
        assert_eq!((call("8", "tok_broken").0, call("8", "tok_broken").0), (Outcome::Broken, Outcome::Broken));

        let intent = done(call("6", "tok_action").0);
        assert_eq!(intent.status, Status::RequiresAction);
        assert!(matches!(company.perform("7", Operation::Capture(intent.id.clone()), now).0, Outcome::NotNow(_)));
        let later = now + ACTION_TAKES;
        assert_eq!(company.find(&intent.id, later).map(|intent| intent.status), Some(Status::RequiresCapture));
        assert_eq!(done(company.perform("7", Operation::Capture(intent.id), later).0).status, Status::Succeeded);

        let id = done(company.perform("9", create("tok_no_action"), now).0).id;
        let status = |company: &mut Company| company.find(&id, later).map(|intent| intent.status);
        assert_eq!(status(&mut company), Some(Status::RequiresAction));
        assert_eq!(done(company.perform("10", Operation::Cancel(id.clone()), later).0).status, Status::Canceled);
    }

    #[test]
    fn a_refund_takes_its_time_where_it_is_told_to_and_may_fail_in_the_end() {
        let (mut company, now) = (Company::default(), Instant::now());
        for (method, said, later) in [
            ("tok_visa", Refund::Succeeded, Refund::Succeeded),
            ("tok_refund_late", Refund::Pending, Refund::Succeeded),
            ("tok_refund_fails", Refund::Pending, Refund::Failed),
        ] {
            let id = done(company.perform(&format!("{method}-1"), create(method), now).0).id;
            done(company.perform(&format!("{method}-2"), Operation::Capture(id.clone()), now).0);
            assert_eq!(company.find_refund(&id, now), None);
            done(company.perform(&format!("{method}-3"), Operation::Refund(id.clone(), None), now).0);
            assert_eq!((company.refund_said(&id), company.find_refund(&id, now)), (said, Some(said)));
            assert_eq!(company.find_refund(&id, now + REFUND_TAKES), Some(later));
        }
    }

    #[test]
    fn what_can_not_be_captured_can_be_let_go() {
        let (mut company, now) = (Company::default(), Instant::now());
        let id = done(company.perform("1", create("tok_uncapturable"), now).0).id;
        for key in ["2", "2", "3"] {
            let outcome = company.perform(key, Operation::Capture(id.clone()), now).0;
            assert!(
                matches!(outcome, Outcome::Uncapturable(Intent { status: Status::RequiresCapture, .. })),
                "{outcome:?}"
            );
        }
        assert_eq!(done(company.perform("4", Operation::Cancel(id), now).0).status, Status::Canceled);
    }

    #[test]
    fn the_books_have_a_last_page() {
        let mut books = Bounded::default();
        for n in 0..=REMEMBERED_MAX {
            books.insert(n, ());
        }
        assert_eq!((books.get(&0), books.get(&1), books.entries.len()), (None, Some(&()), REMEMBERED_MAX));
    }
}
