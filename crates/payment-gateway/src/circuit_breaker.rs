//! Retries and a circuit breaker in front of a gateway.
//!
//! - A call without a response is retried after 100, 400 and 800 ms, ± 50 %. An authorisation is
//!   not: before each attempt its caller has to check that the payment still waits for it.
//! - After five such failures in a row the circuit opens for a second: no request waits for the
//!   gateway, and the gateway can recover. The time doubles whenever it opens again, up to 30 s.
//! - Then calls pass again, and the first response decides. A replayed failure concerns one
//!   payment, and does not count. Source: M. Nygard, "Release It!", 2007, chapter 5.

use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backon::Retryable as _;
use failsafe::{Config, Instrument, StateMachine, failure_policy};
use futures_util::future::BoxFuture;
use rand::RngExt as _;
use tracing::{info, warn};

use crate::{Balance, Charge, Gateway, GatewayError, GatewayResult, PartialRefund, PartialRefundOutcome, PaymentId};

const FAILURES_MAX: u32 = 5;
const OPEN_FIRST: Duration = Duration::from_secs(1);
const OPEN_MAX: Duration = Duration::from_secs(30);
const PAUSES_MS: [f64; 3] = [100.0, 400.0, 800.0];

type Doubling = iter::Successors<Duration, fn(&Duration) -> Option<Duration>>;
type Breaker = StateMachine<failure_policy::ConsecutiveFailures<Doubling>, OpenFlag>;

fn doubling(first: Duration) -> Doubling {
    iter::successors(Some(first), |open_for| Some((*open_for * 2).min(OPEN_MAX)))
}

/// Whether the circuit is open, with a log line and a metric at each change.
#[derive(Debug, Clone, Default)]
struct OpenFlag(Arc<AtomicBool>);

impl OpenFlag {
    fn set(&self, is_open: bool) {
        self.0.store(is_open, Ordering::Relaxed);
        metrics::gauge!("checkout_gateway_circuit_open").set(if is_open { 1.0 } else { 0.0 });
    }
}

impl Instrument for OpenFlag {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        warn!("payment gateway circuit opened: {FAILURES_MAX} failures in a row");
        self.set(true);
    }

    fn on_half_open(&self) {
        info!("payment gateway circuit half-open");
    }

    fn on_closed(&self) {
        info!("payment gateway circuit closed");
        self.set(false);
    }
}

/// The state of the circuit.
#[derive(Debug, Clone)]
pub struct CircuitState {
    breaker: Breaker,
    open: OpenFlag,
}

impl CircuitState {
    /// Whether the gateway is considered down.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.0.load(Ordering::Relaxed)
    }

    /// Whether calls are blocked now.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        !self.breaker.is_call_permitted()
    }
}

/// A gateway behind a circuit breaker.
pub struct ResilientGateway<G> {
    gateway: G,
    breaker: Breaker,
}

impl<G: Gateway> ResilientGateway<G> {
    /// Guards a gateway. The second value shows the state of the circuit.
    #[must_use]
    pub fn new(gateway: G) -> (Self, CircuitState) {
        Self::open_for(gateway, OPEN_FIRST)
    }

    fn open_for(gateway: G, first: Duration) -> (Self, CircuitState) {
        let open = OpenFlag::default();
        let policy = failure_policy::consecutive_failures(FAILURES_MAX, doubling(first));
        let breaker = Config::new().failure_policy(policy).instrument(open.clone()).build();
        (Self { gateway, breaker: breaker.clone() }, CircuitState { breaker, open })
    }

    /// One attempt, unless the circuit is open.
    async fn attempt<T, F>(&self, call: impl FnOnce() -> F) -> Result<T, GatewayError>
    where
        F: Future<Output = Result<T, GatewayError>>,
    {
        if !self.breaker.is_call_permitted() {
            return Err(GatewayError::CircuitOpen);
        }
        let answer = call().await;
        match &answer {
            Err(GatewayError::Unanswered(_) | GatewayError::Failed(_)) => self.breaker.on_error(),
            // It concerns one payment only, and must not block the others.
            Err(GatewayError::CachedFailure(_) | GatewayError::TooLate) => {}
            // Any other response, even an invalid one, shows that the gateway is up.
            _ => self.breaker.on_success(),
        }
        answer
    }

    fn retried<'a, T: Send + 'a>(
        &'a self,
        call: impl Fn() -> BoxFuture<'a, Result<T, GatewayError>> + Send + Sync + 'a,
    ) -> BoxFuture<'a, Result<T, GatewayError>> {
        Box::pin(async move {
            let pauses = PAUSES_MS.map(|ms| Duration::from_secs_f64(ms / 1000.0 * (0.5 + rand::rng().random::<f64>())));
            (|| self.attempt(&call))
                .retry(pauses.into_iter())
                .when(|error| {
                    matches!(error, GatewayError::Unanswered(_) | GatewayError::Failed(_) | GatewayError::NotYet(_))
                })
                .notify(|_, _| metrics::counter!("checkout_gateway_retries_total").increment(1))
                .await
        })
    }
}

impl<G: Gateway> Gateway for ResilientGateway<G> {
    fn authorise<'a>(&'a self, charge: &'a Charge<'a>) -> GatewayResult<'a> {
        Box::pin(self.attempt(|| self.gateway.authorise(charge)))
    }

    fn look_up<'a>(&'a self, reference: &'a str) -> GatewayResult<'a> {
        self.retried(move || self.gateway.look_up(reference))
    }

    fn find<'a>(&'a self, payment: PaymentId) -> GatewayResult<'a> {
        self.retried(move || self.gateway.find(payment))
    }

    fn capture<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a> {
        self.retried(move || self.gateway.capture(payment, reference))
    }

    fn cancel<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a> {
        self.retried(move || self.gateway.cancel(payment, reference))
    }

    fn refund<'a>(&'a self, payment: PaymentId, reference: &'a str) -> GatewayResult<'a> {
        self.retried(move || self.gateway.refund(payment, reference))
    }

    fn refund_part<'a>(&'a self, part: &'a PartialRefund) -> BoxFuture<'a, Result<PartialRefundOutcome, GatewayError>> {
        self.retried(move || self.gateway.refund_part(part))
    }

    fn balance<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Balance, GatewayError>> {
        self.retried(move || self.gateway.balance(reference))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::{Intent, IntentStatus};

    /// A gateway that returns the scripted responses, the last first, and then none.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<Vec<Result<Intent, GatewayError>>>,
        asked: Mutex<u32>,
    }

    impl Scripted {
        fn answer(&self) -> GatewayResult<'_> {
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            Box::pin(async { answer.unwrap_or(Err(GatewayError::Unanswered("silence".to_owned()))) })
        }
    }

    impl Gateway for Scripted {
        fn authorise<'a>(&'a self, _: &'a Charge<'a>) -> GatewayResult<'a> {
            self.answer()
        }
        fn look_up<'a>(&'a self, _: &'a str) -> GatewayResult<'a> {
            self.answer()
        }
        fn find<'a>(&'a self, _: PaymentId) -> GatewayResult<'a> {
            self.answer()
        }
        fn capture<'a>(&'a self, _: PaymentId, _: &'a str) -> GatewayResult<'a> {
            self.answer()
        }
        fn cancel<'a>(&'a self, _: PaymentId, _: &'a str) -> GatewayResult<'a> {
            self.answer()
        }
        fn refund<'a>(&'a self, _: PaymentId, _: &'a str) -> GatewayResult<'a> {
            self.answer()
        }
        fn refund_part<'a>(
            &'a self,
            _: &'a PartialRefund,
        ) -> BoxFuture<'a, Result<PartialRefundOutcome, GatewayError>> {
            Box::pin(async { self.answer().await.map(|_| PartialRefundOutcome::Made) })
        }
        fn balance<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Balance, GatewayError>> {
            Box::pin(async { self.answer().await.map(|_| Balance::default()) })
        }
    }

    fn captured() -> Result<Intent, GatewayError> {
        Ok(Intent { reference: Some("pi_1".to_owned()), status: IntentStatus::Captured, client_secret: None })
    }

    fn asked(resilient: &ResilientGateway<Scripted>) -> u32 {
        *resilient.gateway.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_is_made_four_times_and_an_authorisation_or_a_rejected_call_once() {
        let (resilient, _) = ResilientGateway::new(Scripted::default());
        assert!(matches!(resilient.look_up("pi_1").await, Err(GatewayError::Unanswered(_))));
        assert_eq!(asked(&resilient), 4);

        let (resilient, _) = ResilientGateway::new(Scripted::default());
        let silence = || Err(GatewayError::Unanswered("silence".to_owned()));
        *resilient.gateway.answers.lock().expect("no panic") = vec![captured(), silence(), silence()];
        assert_eq!(resilient.look_up("pi_1").await, captured());
        assert_eq!(asked(&resilient), 3);

        let (resilient, _) = ResilientGateway::new(Scripted::default());
        let charge = Charge {
            payment: PaymentId(uuid::Uuid::nil()),
            order: uuid::Uuid::nil(),
            payment_method: "tok_visa",
            amount_minor: 1,
            currency: "eur",
            send_by: tokio::time::Instant::now(),
        };
        assert!(matches!(resilient.authorise(&charge).await, Err(GatewayError::Unanswered(_))));
        assert_eq!(asked(&resilient), 1, "the caller decides whether it is authorised again");

        let (resilient, _) = ResilientGateway::new(Scripted::default());
        let permanent = Err(GatewayError::Permanent("what?".to_owned()));
        *resilient.gateway.answers.lock().expect("no panic") = vec![permanent.clone()];
        assert_eq!(resilient.look_up("pi_1").await, permanent);
        assert_eq!(asked(&resilient), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_five_failures_the_circuit_opens_and_then_tries_again() {
        // The breaker uses the clock of the machine.
        let (resilient, circuit) = ResilientGateway::open_for(Scripted::default(), Duration::from_millis(50));
        assert!(resilient.look_up("pi_1").await.is_err() && !circuit.is_open());
        assert_eq!(resilient.look_up("pi_1").await, Err(GatewayError::CircuitOpen));
        assert!(circuit.is_open());
        assert_eq!(
            (resilient.capture(PaymentId(uuid::Uuid::nil()), "pi_1").await, asked(&resilient)),
            (Err(GatewayError::CircuitOpen), 5)
        );

        // The first trial call still fails; the next one succeeds.
        let until_tried = async || {
            let before = asked(&resilient);
            loop {
                let answer = resilient.look_up("pi_1").await;
                if asked(&resilient) > before {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(until_tried().await, Err(GatewayError::CircuitOpen), "tried once, and open again");
        assert_eq!((asked(&resilient), circuit.is_open()), (6, true));
        resilient.gateway.answers.lock().expect("no panic").push(captured());
        assert_eq!(until_tried().await, captured());
        assert!(!circuit.is_open());
    }

    #[test]
    fn the_circuit_opens_for_longer_each_time_up_to_half_a_minute() {
        let seconds: Vec<u64> = doubling(OPEN_FIRST).take(7).map(|open_for| open_for.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_trial_opens_the_circuit_again_and_a_payment_that_always_fails_blocks_no_other() {
        let (resilient, circuit) = ResilientGateway::open_for(Scripted::default(), Duration::from_millis(50));
        let failed = || Err(GatewayError::Failed("503".to_owned()));
        let repeats = || Err(GatewayError::CachedFailure("500, as before".to_owned()));
        let after_the_pause = async || {
            loop {
                let before = asked(&resilient);
                let answer = resilient.look_up("pi_1").await;
                if asked(&resilient) > before {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        *resilient.gateway.answers.lock().expect("no panic") = vec![failed(); 5];
        assert!(resilient.look_up("pi_1").await.is_err());
        assert_eq!(resilient.look_up("pi_1").await, Err(GatewayError::CircuitOpen), "failures count as silence does");

        // It reports its failure to every call: one attempt each time.
        *resilient.gateway.answers.lock().expect("no panic") = vec![failed(); 2];
        for tried in [6, 7] {
            assert_eq!(after_the_pause().await, Err(GatewayError::CircuitOpen), "tried once, and open again");
            assert_eq!((asked(&resilient), circuit.is_open()), (tried, true));
        }

        // It replays its response about one payment, and accepts another.
        *resilient.gateway.answers.lock().expect("no panic") = vec![captured(), repeats()];
        assert_eq!(after_the_pause().await, repeats());
        assert!(circuit.is_open(), "not decided yet");
        assert_eq!(resilient.look_up("pi_1").await, captured());
        assert!(!circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replayed_failure_is_not_retried_and_does_not_count() {
        let (resilient, circuit) = ResilientGateway::new(Scripted::default());
        let repeats = Err(GatewayError::CachedFailure("500, as before".to_owned()));
        *resilient.gateway.answers.lock().expect("no panic") = vec![repeats.clone(); 8];
        for tried in 1..=8 {
            assert_eq!(resilient.look_up("pi_1").await, repeats);
            assert_eq!(asked(&resilient), tried);
        }
        assert!(!circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_not_ready_to_answer_is_up() {
        let (resilient, circuit) = ResilientGateway::new(Scripted::default());
        let not_yet = Err(GatewayError::NotYet("it is being processed".to_owned()));
        *resilient.gateway.answers.lock().expect("no panic") = vec![not_yet.clone(); 8];
        for _ in 0..2 {
            assert_eq!(resilient.look_up("pi_1").await, not_yet);
        }
        assert!(!circuit.is_open());
    }
}
