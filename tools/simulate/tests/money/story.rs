//! The story of a seed: shoppers, sweeps, time, and the fate of each call to the gateway.

use std::time::{Duration, Instant};

use checkout::testing::{DirectEvent, OrderStatus};
use fairline_payment_gateway::{GatewayError, IntentStatus, PaymentId};
use fairline_sale::SaleId;
use fairline_simulate::rng::Rng;
use uuid::Uuid;

use crate::{
    gateway::{Event, reference},
    shop::{AMOUNT_MINOR, Shop},
};

const STEPS: usize = 160;
/// A task that neither ends nor calls the gateway for this long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(30);
/// No call is answered after this time, and none arrives later than the second one, in s.
const ANSWERED_WITHIN_S: u64 = 5;
const ARRIVES_WITHIN_S: u64 = 30;
/// How much time passes at once, in s: around the limits of checkout's decisions.
const PASSES_S: [u64; 7] = [2, 4, 11, 31, 65, 130, 400];
/// Once no fault happens any more: longer than any pause of the sweeps.
const AT_REST_S: [u64; 9] = [11, 11, 65, 130, 1000, 4000, 4000, 4000, 4000];

/// What may happen to a call, as [`Story::decide`] numbers it, and how often it simply continues.
const FATE_NAMES: [&str; 10] = [
    "executed, without an answer",
    "executed, without an answer",
    "lost",
    "fails",
    "arrives later",
    "arrives later",
    "arrives twice",
    "its process dies",
    "executed, and its process dies",
    "arrives later, and its process dies",
];
const FATES: u64 = 24;

pub(crate) struct Story<'a> {
    shop: &'a Shop,
    rng: Rng,
    sale: SaleId,
    orders: Vec<Uuid>,
    has_webhooks: bool,
    events: usize,
    steps: Vec<String>,
}

/// A violation, and the steps before it.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) why: String,
    pub(crate) steps: Vec<String>,
}

/// Runs the story of a seed. Gives the first violation.
pub(crate) async fn run(shop: &Shop, seed: u64) -> Option<Broken> {
    let mut rng = Rng::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x1405_7b7e_f767_814f);
    let (is_yield, has_webhooks) = (rng.once_in(3), !rng.once_in(3));
    let (sale, orders) = shop.sale(is_yield).await;
    shop.gateway.state().begin();
    let mut story = Story { shop, rng, sale, orders, has_webhooks, events: 0, steps: Vec::new() };
    for _ in 0..STEPS {
        story.step().await;
        story.check().await;
        if story.is_broken() {
            break;
        }
    }
    if !story.is_broken() {
        story.come_to_rest().await;
    }
    let why = shop.gateway.state().broken.take()?;
    Some(Broken { why, steps: story.steps })
}

impl Story<'_> {
    fn is_broken(&self) -> bool {
        self.shop.gateway.state().broken.is_some()
    }

    /// Waits until every task has ended or waits for the gateway, and checks what holds then.
    async fn check(&self) {
        let began = Instant::now();
        while self.shop.payments.tasks() != self.shop.gateway.state().callers() {
            assert!(began.elapsed() < HANGS_AFTER, "a task neither ends nor calls the gateway");
            tokio::task::yield_now().await;
        }
        // Tasks that call at the same time have no order.
        self.shop.gateway.state().waiting.sort_by_key(|waiting| format!("{:?}", waiting.call));
        self.shop.check(self.sale).await;
    }

    fn note(&mut self, step: String) {
        self.steps.push(step);
    }

    async fn step(&mut self) {
        let order = self.orders[self.rng.index(self.orders.len())];
        let calls = self.shop.gateway.state().waiting.len();
        match self.rng.below(100) {
            0..60 if calls > 0 => self.decide(calls),
            60..70 => {
                let methods = ["good", "good", "good", "declined", "action", "instant"];
                let method = methods[self.rng.index(methods.len())];
                self.note(format!("order {order} is paid by a card that is {method}"));
                self.shop.payments.pay(order, method);
            }
            70..75 => self.look(order).await,
            75..78 => {
                let keeps_order = !self.rng.once_in(3);
                if let Some(status) = self.shop.payments.give_up(order, keeps_order).await {
                    self.is_notified(order, status).await;
                }
            }
            78..84 => self.sweep().await,
            84..88 => {
                let seconds = PASSES_S[self.rng.index(PASSES_S.len())];
                self.pass(seconds).await;
            }
            88 => self.shop.promise(self.sale).await,
            89 if self.rng.once_in(4) => {
                self.note("the sale closes".to_owned());
                self.shop.close(self.sale).await;
            }
            90..92 => self.approve(),
            92..95 => self.report().await,
            95..97 => {
                let part = (!self.rng.once_in(2)).then_some(AMOUNT_MINOR / 3);
                self.shop.payments.request_refund(order, part).await.expect("a request");
            }
            97 => {
                self.note("the next authorisation pauses before it is sent".to_owned());
                self.shop.gateway.state().pauses_next = true;
            }
            _ => self.arrive(),
        }
    }

    /// Decides the fate of a call.
    fn decide(&mut self, calls: usize) {
        let (at, mut state) = (self.rng.index(calls), self.shop.gateway.state());
        let paused = state.waiting[at].call.clone();
        if state.resume(at) {
            self.steps.push(format!("{paused:?}: its process continues"));
            return;
        }
        let (call, fate) = (state.waiting[at].call.clone(), self.rng.below(FATES));
        self.steps.push(format!("{call:?}: {}", FATE_NAMES.get(fate as usize).unwrap_or(&"continues")));
        match fate {
            // Executed, and the answer is lost: the gateway charges and falls silent.
            0 | 1 => {
                state.execute(&call);
                state.fail(at, None);
            }
            // Lost, or failed.
            2 => state.fail(at, None),
            3 => state.fail(at, Some(GatewayError::Failed("503".to_owned()))),
            // Executed after its caller has given up.
            4 | 5 => {
                state.late.push(call);
                state.fail(at, None);
            }
            // Arrives twice.
            6 => state.delay(call),
            // The process dies before the call is executed, and after.
            7 => state.kill(at),
            8 => {
                state.execute(&call);
                state.kill(at);
            }
            9 => {
                state.late.push(call);
                state.kill(at);
            }
            _ => state.advance(at),
        }
    }

    /// A call whose caller is gone arrives.
    fn arrive(&mut self) {
        let mut state = self.shop.gateway.state();
        if !state.late.is_empty() {
            let at = self.rng.index(state.late.len());
            let call = state.late.remove(at);
            self.steps.push(format!("{call:?}: arrives"));
            state.execute(&call);
        }
    }

    /// Time passes. No call is under way for longer than its deadline.
    async fn pass(&mut self, seconds: u64) {
        loop {
            let sent = self.shop.gateway.state().first_sent();
            let Some(at) = sent.filter(|_| seconds >= ANSWERED_WITHIN_S) else { break };
            let is_executed = self.rng.once_in(2);
            {
                let mut state = self.shop.gateway.state();
                let call = state.waiting[at].call.clone();
                self.steps.push(format!("{call:?}: no response in time, executed: {is_executed}"));
                if is_executed {
                    state.execute(&call);
                }
                state.fail(at, None);
            }
            self.check().await;
        }
        while seconds >= ARRIVES_WITHIN_S && !self.shop.gateway.state().late.is_empty() {
            self.arrive();
        }
        self.note(format!("{seconds} s pass"));
        self.shop.pass(self.sale, seconds).await;
    }

    /// A shopper looks at the page.
    async fn look(&mut self, order: Uuid) {
        if let Some(status) = self.shop.payments.status(order).await.expect("a status") {
            self.is_notified(order, status).await;
        }
    }

    async fn is_notified(&mut self, order: Uuid, status: OrderStatus) {
        self.note(format!("the page of order {order} shows {status:?}"));
        let is_gone = matches!(status, OrderStatus::Expired | OrderStatus::Cancelled);
        if is_gone || matches!(status, OrderStatus::Held | OrderStatus::Promised) {
            let payments = self.shop.payments_of(order).await;
            let mut state = self.shop.gateway.state();
            state.notified.extend(payments);
            state.gone.extend(Some(order).filter(|_| is_gone));
        }
    }

    /// A shopper authenticates, whatever state its payment has here.
    fn approve(&mut self) {
        let mut state = self.shop.gateway.state();
        let waits = |payment: &Uuid| state.intents[payment].status == IntentStatus::NeedsAction;
        let waiting: Vec<Uuid> = state.intents.keys().copied().filter(waits).collect();
        if !waiting.is_empty() {
            let payment = waiting[self.rng.index(waiting.len())];
            state.turn(payment, &[IntentStatus::NeedsAction], IntentStatus::Authorised);
        }
    }

    /// A webhook arrives, and perhaps once more later.
    async fn report(&mut self) {
        let event = {
            let mut state = self.shop.gateway.state();
            if !self.has_webhooks || state.events.is_empty() {
                return;
            }
            let at = self.rng.index(state.events.len());
            if self.rng.once_in(4) { state.events[at] } else { state.events.remove(at) }
        };
        self.events += 1;
        let id = format!("evt_{}_{}", self.sale, self.events);
        self.note(format!("webhook: {event:?}"));
        let Event { payment, moves_money_back } = event;
        let says = DirectEvent { payment: PaymentId(payment), may_be_open: !moves_money_back, moves_money_back };
        if let Err(error) = self.shop.payments.receive(&id, &reference(payment), says).await {
            self.shop.gateway.state().breaks(format!("failed: receive event: {error}"));
        }
    }

    async fn sweep(&mut self) {
        self.note("sweep".to_owned());
        if let Err(error) = self.shop.payments.sweep(self.sale).await {
            self.shop.gateway.state().breaks(format!("failed: sweep: {error}"));
        }
    }

    /// All faults end: every call is answered, every event arrives, and the sweeps go on.
    async fn come_to_rest(&mut self) {
        for seconds in AT_REST_S {
            self.pass(seconds).await;
            while self.has_webhooks && !self.shop.gateway.state().events.is_empty() {
                self.report().await;
                self.answer_all().await;
            }
            // Payments, then what follows from them.
            for _ in 0..2 {
                self.sweep().await;
                self.answer_all().await;
            }
            if self.is_broken() {
                return;
            }
        }
        if let Some(unfinished) = self.shop.unfinished(self.sale).await {
            self.shop.gateway.state().breaks(format!("not at rest: {unfinished}"));
        }
        self.shop.check_at_rest(self.sale).await;
    }

    async fn answer_all(&self) {
        self.check().await;
        while !self.shop.gateway.state().waiting.is_empty() {
            self.shop.gateway.state().advance(0);
            self.check().await;
        }
    }
}
