//! One shop, one crowd, one plan: begins and ends the faults, waits for the shop to recover after
//! each round, and gathers the evidence.

mod sale;

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fairline_private_servers::ServerError;
use fairline_rush::{Report, RushError, send_crowd};
use fairline_shop::{GATEWAY, Method, NAMES, Opening, Shop};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

pub use self::sale::Scale;
use self::sale::{make_sale, settings};
use crate::{
    check::{Evidence, Exit, Injected, Pause, Quiet, Violation, check},
    fault::{self, Fault, FaultBeginning},
    ledger_reader::{self, GatewayCharge, LedgerReader, Stock, now_us},
    outcome::{Recovery, ShopOutcome},
    plan::{LONG_QUIET, Planned, SaleKind, ShopPlan},
    topology::Topology,
    watch::HistoryReader,
};

/// No more than test builds of the services can serve on a busy machine.
const RATE_IN_THE_END_PER_S: f64 = 8.0;
/// A shop that has not recovered by then is stuck: the waits of docs/design/recovery.md, one after
/// the other, take 19 s, of which a lost line waits 10 s for its shoppers.
const RECOVERS_WITHIN: Duration = Duration::from_secs(20);
/// How long admissions may pause after a fault before the reason is requested.
const ASKS_WHY_AFTER: Duration = Duration::from_secs(1);
const POLL_EVERY: Duration = Duration::from_millis(20);
const RUSH_ENDS_WITHIN: Duration = Duration::from_secs(700);
/// All payments have ended then. One is settled with the gateway every 10 s, and less often after
/// 100 s: after a tenth of its age, here up to 60 s. The circuit breaker may be open for 30 s.
const RELEASED_WITHIN: Duration = Duration::from_secs(90);
const LOOK_AT_GATEWAY_EVERY: Duration = Duration::from_millis(500);
/// When an operator pauses the sale in a long quiet time, and for how long: no fault excuses what
/// pages show meanwhile, and they have as long as for a turn.
const PAUSES_AFTER: Duration = Duration::from_secs(5);
const PAUSED_FOR: Duration = Duration::from_secs(6);
/// Admissions before the first fault.
const ADMITTED_FIRST: usize = 5;

/// Why a plan could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A server could not be started, stopped or used.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The crowd could not be sent.
    #[error(transparent)]
    Rush(#[from] RushError),
    /// The database could not be read in the end.
    #[error("could not read the database: {0}")]
    Ledger(#[from] sqlx::Error),
    /// A file could not be written.
    #[error("could not keep the evidence: {0}")]
    Io(#[from] std::io::Error),
    /// Something that a shop needs was missing; standard error has the details.
    #[error("it panicked")]
    Panicked,
    /// The payment gateway could not be read in the end.
    #[error("the payment gateway does not respond")]
    NoGateway,
    /// The crowd did not end.
    #[error("the crowd did not end in time")]
    Endless,
    /// Faults or their recoveries took nearly all of the sale.
    #[error("promises that take time were checked for {:.0} s of {:.0} s only", .0.quiet_s, .0.whole_s)]
    HardlyQuiet(Quiet),
}

struct ShopRun<'a> {
    shop: Shop<Topology>,
    ledger: LedgerReader,
    watch: HistoryReader,
    plan: &'a ShopPlan,
    /// Shoppers who wait in a lane.
    guests: u32,
    faults: Vec<Injected>,
    recoveries: Vec<Recovery>,
    pauses: Vec<Pause>,
    violations: Vec<Violation>,
    ended: Vec<Exit>,
    /// Services that a fault keeps down.
    down: HashSet<&'static str>,
    /// What the payment gateway had before it was stopped at the end.
    charges: Vec<GatewayCharge>,
    /// Money that was never released.
    reserved: Vec<GatewayCharge>,
    stock: Arc<Mutex<Vec<(i64, Stock)>>>,
    _samples: JoinSet<()>,
}

/// Executes a plan, and judges it. Logs and the history stay in `folder`.
///
/// # Errors
/// When that is not possible; a broken promise is no error.
pub async fn run(plan: &ShopPlan, scale: Scale, folder: &Path) -> Result<ShopOutcome, RunError> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("plan.txt"), plan.to_string())?;
    let servers = Topology::start(plan.redis, plan.postgres)?;
    let opening = Opening { behind_proxies: true, folder: Some(folder.to_owned()), ..Opening::default() };
    let mut shop = Shop::start(servers, opening).await;
    let invited = make_sale(&mut shop, plan.sale, scale).await;
    let sale = Uuid::parse_str(&shop.sale).unwrap_or_default();
    let history = folder.join("history.jsonl");
    let own = [
        invited,
        vec![format!("--seed={}", plan.seed), format!("--history={}", history.display())],
        vec![format!("--shoppers={}", scale.shoppers), format!("--arrive-s={}", scale.arrive_s)],
    ];
    let settings = settings(&shop, own.concat());
    let ledger = LedgerReader::open(shop.postgres_url(), sale)?;
    let stock = Arc::<Mutex<Vec<(i64, Stock)>>>::default();
    let profile = settings.profile();
    let rush = tokio::spawn(async move { send_crowd(&settings).await });
    if plan.sale == SaleKind::Draw {
        shop.until("waiting", u64::from(scale.drawn())).await;
        shop.open_sale().await;
    }
    let mut samples = JoinSet::new();
    samples.spawn(LedgerReader::sample(shop.postgres_url().to_owned(), sale, stock.clone()));
    let mut running = ShopRun {
        shop,
        ledger,
        watch: HistoryReader::of(&history),
        plan,
        guests: if plan.sale == SaleKind::Lane { scale.guests() } else { 0 },
        faults: Vec::new(),
        recoveries: Vec::new(),
        pauses: Vec::new(),
        violations: Vec::new(),
        ended: Vec::new(),
        down: HashSet::new(),
        charges: Vec::new(),
        reserved: Vec::new(),
        stock,
        _samples: samples,
    };
    running.carry_out().await?;
    if let Some(sabotage) = scale.sabotage {
        running.shop.until_sold(5).await;
        running.ledger.sabotage(sabotage).await?;
    }
    let report = running.end(rush).await?;
    running.judge(report, &profile, &history).await
}

impl ShopRun<'_> {
    async fn carry_out(&mut self) -> Result<(), RunError> {
        let begun = Instant::now();
        while self.watch.admitted() < ADMITTED_FIRST && begun.elapsed() < RECOVERS_WITHIN {
            sleep(POLL_EVERY).await;
            self.watch.read();
        }
        for (nth, round) in self.plan.rounds.iter().enumerate() {
            self.watch.read();
            if self.watch.waiting() == 0 {
                // The sale is over: the rest of the plan would test nothing.
                break;
            }
            let ended_us = self.inject(round).await?;
            if !self.recover(round, ended_us).await {
                break;
            }
            let quiet = self.plan.quiet_after(nth);
            if quiet == LONG_QUIET {
                self.stay_quiet(PAUSES_AFTER).await;
                self.pause().await;
                self.stay_quiet(quiet - PAUSES_AFTER - PAUSED_FOR).await;
            } else {
                self.stay_quiet(quiet).await;
            }
        }
        Ok(())
    }

    /// Breaks nothing for a time, or until no shopper waits.
    async fn stay_quiet(&mut self, time: Duration) {
        let till = Instant::now() + time;
        while Instant::now() < till && self.watch.waiting() > 0 {
            self.revive();
            sleep(POLL_EVERY).await;
            self.watch.read();
        }
    }

    /// Pauses the sale for a time, as an operator does.
    async fn pause(&mut self) {
        self.operate("pause").await;
        let began_us = now_us();
        self.stay_quiet(PAUSED_FOR).await;
        let ended_us = now_us();
        self.operate("resume").await;
        self.pauses.push(Pause { began_us, ended_us, resumed_us: now_us() });
    }

    async fn operate(&mut self, operation: &str) {
        let path = format!("/api/admin/sales/{}/{operation}", self.shop.sale);
        let (status, answer) = self.shop.admin(Method::POST, &path, None).await;
        if !status.is_success() {
            let what = format!("could not {operation} the sale without a fault: {status} {answer}");
            self.violations.push(Violation { promise: 9, what });
        }
    }

    /// Begins and ends the faults of a round. Returns when the shop may begin to recover.
    async fn inject(&mut self, round: &[Planned]) -> Result<i64, RunError> {
        let start = Instant::now();
        let mut steps: Vec<(Duration, usize, bool)> = Vec::new();
        for (nth, planned) in round.iter().enumerate() {
            steps.push((planned.begins_after, nth, true));
            steps.push((planned.begins_after + planned.lasts, nth, false));
        }
        steps.sort();
        let mut begun: Vec<FaultBeginning> = round.iter().map(|_| FaultBeginning::default()).collect();
        let first = self.faults.len();
        let mut recovers_from_us = 0;
        for (at, nth, begins) in steps {
            sleep_until(start + at).await;
            self.revive();
            let fault = &round[nth].fault;
            if begins {
                if matches!(fault, Fault::Kill(name) | Fault::Roll(name) if *name == GATEWAY) {
                    self.keep_charges().await;
                }
                let began_us = now_us();
                self.faults.push(Injected {
                    fault: fault.clone(),
                    began_us,
                    ended_us: i64::MAX,
                    recovered_us: i64::MAX,
                });
                begun[nth] = fault::begin(fault, &mut self.shop)?;
                self.down.extend(fault.keeps_down());
                if fault.is_fail_over() {
                    recovers_from_us = began_us;
                }
            } else {
                fault::end(fault, &begun[nth], &mut self.shop)?;
                self.down.retain(|service| fault.keeps_down() != Some(*service));
                let ended_us = now_us();
                let injected = self.faults[first..].iter_mut().find(|injected| injected.fault == *fault);
                if let Some(injected) = injected {
                    injected.ended_us = ended_us;
                }
                if !fault.is_fail_over() {
                    recovers_from_us = ended_us;
                }
            }
        }
        Ok(recovers_from_us)
    }

    /// Waits until the shop has recovered. Whether it has.
    async fn recover(&mut self, round: &[Planned], ended_us: i64) -> bool {
        let deadline = Instant::now() + RECOVERS_WITHIN;
        let (mut flows_us, mut unready) = (None, Vec::new());
        let mut ready_us = None;
        let mut limited_by: Vec<String> = Vec::new();
        let mut asks_at = Instant::now() + ASKS_WHY_AFTER;
        while Instant::now() < deadline && (flows_us.is_none() || ready_us.is_none()) {
            self.watch.read();
            if flows_us.is_none() {
                flows_us = self.flows_after(ended_us).await;
            }
            if flows_us.is_none() && Instant::now() > asks_at {
                asks_at = Instant::now() + ASKS_WHY_AFTER / 2;
                let why = self.limited_by().await;
                if limited_by.last() != Some(&why) {
                    limited_by.push(why);
                }
            }
            if ready_us.is_none() {
                unready = self.unready().await;
                ready_us = unready.is_empty().then(now_us);
            }
            if self.watch.waiting() == 0 && ready_us.is_some() {
                break;
            }
            sleep(POLL_EVERY).await;
        }
        let seconds = |us: i64| (us - ended_us) as f64 / 1e6;
        let recovered_us = flows_us.into_iter().chain(ready_us).max().unwrap_or_else(now_us);
        let several = self.faults.len() - round.len();
        for injected in &mut self.faults[several..] {
            injected.recovered_us = recovered_us;
        }
        self.recoveries.push(Recovery {
            kinds: round.iter().map(|planned| planned.fault.kind()).collect(),
            is_fail_over: round.iter().any(|planned| planned.fault.is_fail_over()),
            flows_after_s: flows_us.map(seconds),
            ready_after_s: seconds(recovered_us),
            limited_by,
        });
        let faults: Vec<String> = round.iter().map(|planned| planned.fault.to_string()).collect();
        let waiting = self.watch.waiting();
        if flows_us.is_none() && waiting > 0 {
            let stock = self.ledger.stock().await;
            let limit_s = RECOVERS_WITHIN.as_secs();
            let what = format!("no admission within {limit_s} s after {faults:?}: {waiting} wait, stock {stock:?}");
            self.violations.push(Violation { promise: 9, what });
            return false;
        }
        if ready_us.is_none() {
            let what = format!("not ready after {faults:?}: {unready:?}");
            self.violations.push(Violation { promise: 9, what });
        }
        true
    }

    /// When a ticket was first admitted after a moment, and a shopper received a message of the
    /// line. While no unit is free, no admission is due.
    async fn flows_after(&mut self, moment_us: i64) -> Option<i64> {
        let message_us = self.watch.message_after(moment_us)?;
        match self.ledger.admitted_after(moment_us).await.ok()? {
            Some(admitted_us) => Some(admitted_us.max(message_us)),
            None => (self.ledger.stock().await.ok()?.free() <= 0).then_some(message_us),
        }
    }

    /// Starts services again that have ended unexpectedly, as an orchestrator would.
    fn revive(&mut self) {
        for service in NAMES.into_iter().filter(|service| !self.down.contains(service)) {
            if let Some(status) = self.shop.ended(service) {
                self.ended.push(Exit { service, at_us: now_us(), status });
                self.shop.start_again(service);
            }
        }
    }

    /// Services that are not ready.
    async fn unready(&mut self) -> Vec<String> {
        self.revive();
        let mut unready = Vec::new();
        for name in NAMES {
            if let Some(why) = self.shop.unready(name).await {
                unready.push(format!("{name}: {why}"));
            }
        }
        unready
    }

    /// Why no more are admitted, as the admin API shows it.
    async fn limited_by(&self) -> String {
        let path = format!("/api/admin/sales/{}", self.shop.sale);
        let (status, sale) = self.shop.admin(Method::GET, &path, None).await;
        sale["last_decision"].as_str().map_or_else(|| format!("no response: {status}"), str::to_owned)
    }

    /// Keeps what the payment gateway has, and returns the charges whose money is reserved; none if
    /// it does not respond.
    async fn keep_charges(&mut self) -> Option<Vec<GatewayCharge>> {
        let answer = self.shop.ask_gateway("/sandbox/charges").await.ok()?;
        let charges = ledger_reader::charges(&answer, now_us());
        self.charges.extend(charges.iter().cloned());
        Some(charges.into_iter().filter(GatewayCharge::is_reserved).collect())
    }

    /// Waits until no money is reserved at the gateway; returns what is after the time for it.
    async fn until_released(&mut self) -> Result<Vec<GatewayCharge>, RunError> {
        let deadline = Instant::now() + RELEASED_WITHIN;
        loop {
            let (reserved, is_late) = (self.keep_charges().await, Instant::now() > deadline);
            match reserved {
                Some(reserved) if reserved.is_empty() || is_late => return Ok(reserved),
                None if is_late => return Err(RunError::NoGateway),
                _ => {}
            }
            self.revive();
            sleep(LOOK_AT_GATEWAY_EVERY).await;
        }
    }

    /// Lets the sale come to its end.
    async fn end(&mut self, rush: JoinHandle<Result<Report, RushError>>) -> Result<Report, RunError> {
        if !rush.is_finished() {
            self.shop.cap(RATE_IN_THE_END_PER_S).await;
        }
        let deadline = Instant::now() + RUSH_ENDS_WITHIN;
        while !rush.is_finished() {
            if Instant::now() > deadline {
                return Err(RunError::Endless);
            }
            self.revive();
            sleep(POLL_EVERY).await;
        }
        let report = rush.await;
        self.reserved = self.until_released().await?;
        Ok(report.map_err(|error| RushError::Part(error.to_string()))??)
    }

    async fn judge(
        mut self,
        report: Report,
        profile: &fairline_rush::CrowdProfile,
        history: &Path,
    ) -> Result<ShopOutcome, RunError> {
        self.watch.read();
        let stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let evidence = Evidence {
            seed: self.plan.seed,
            profile,
            sale: self.plan.sale,
            guests: self.guests,
            report: &report,
            events: self.watch.events(),
            faults: &self.faults,
            admissions: &self.ledger.admissions().await?,
            payments: &self.ledger.payments().await?,
            charges: &self.charges,
            reserved: &self.reserved,
            stock: &stock,
            pauses: &self.pauses,
            ended: &self.ended,
            deadlocks: &self.shop.servers.deadlocks()?,
        };
        self.violations.extend(check(&evidence));
        let quiet = evidence.quiet();
        if let Some(folder) = history.parent() {
            let lines: Vec<String> = evidence.admissions.iter().map(|admission| format!("{admission:?}\n")).collect();
            fs::write(folder.join("admissions.txt"), lines.concat())?;
            fs::write(folder.join("report.txt"), format!("{report}\n{}\n", report.to_json()))?;
            let lines: Vec<String> = self.faults.iter().map(|injected| format!("{injected}\n")).collect();
            fs::write(folder.join("faults.txt"), lines.concat())?;
            let lines: Vec<String> = self.recoveries.iter().map(|recovery| format!("{recovery}\n")).collect();
            fs::write(folder.join("recoveries.txt"), lines.concat())?;
            let lines: Vec<String> = self.violations.iter().map(|violation| format!("{violation}\n")).collect();
            fs::write(folder.join("violations.txt"), lines.concat())?;
        }
        let ShopRun { faults, recoveries, violations, ended, .. } = self;
        // A shop that did not recover has broken a promise, which explains it.
        if violations.is_empty() && !quiet.is_enough() {
            return Err(RunError::HardlyQuiet(quiet));
        }
        Ok(ShopOutcome { faults, recoveries, violations, quiet, ended, report })
    }
}
