//! Ticks each sale in a task of its own, at its own pace.
//!
//! - No sale waits for another: a slow Redis shard, lock or database row delays only its own sale.
//! - A failed tick is repeated after a growing pause.
//! - A supervisor looks for new, changed and due sales several times a second, and wakes their
//!   tasks. It ends the tasks of settled sales, and reports and replaces a task that has died or
//!   hangs.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fairline_sale::SaleId;
use fairline_server::Shutdown;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tracing::{error, info, warn};

use super::sale::RunningSale;

/// The shortest and the longest pause between two reads of the running sales, and the pause for
/// each sale, so that a thousand cost little more than one. The longest is well below
/// [`OPENS_SOON_S`](super::sale::OPENS_SOON_S), so each sale opens in time.
const READ_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
const READ_PAUSE_PER_SALE: Duration = Duration::from_millis(1);
/// The time limit of reading; known sales continue meanwhile.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How often it checks whether Redis lists the sales.
const LISTED_EVERY: Duration = Duration::from_secs(2);
/// A tick that takes longer hangs: every step of it has a shorter deadline.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// The first and the longest pause before a failed tick is repeated: it doubles with each failure.
/// The longest one delays the first admission after an outage.
const REPEATED_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));
/// How often continuing failures are logged.
const LOGGED_EVERY: Duration = Duration::from_secs(30);

/// When a sale is ticked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// This long after the beginning of this tick.
    After(Duration),
    /// Only if the sale is found to need it.
    Over,
}

/// What is scheduled.
pub(crate) trait Ticks: Send + Sync + 'static {
    /// State that one tick of a sale passes to the next.
    type Known: Default + Send;

    /// The sales that need ticks.
    fn running(&self) -> impl Future<Output = Result<Vec<RunningSale>, String>> + Send;

    /// The lines that Redis lists.
    fn listed(&self) -> impl Future<Output = Result<Vec<SaleId>, String>> + Send;

    /// Ticks a sale; early if it was requested. The error is the reason why the tick failed.
    fn tick(
        &self,
        sale: SaleId,
        requested: bool,
        known: &mut Self::Known,
    ) -> impl Future<Output = Result<Next, String>> + Send;
}

/// Requests to tick sales immediately, after a change by an operator.
#[derive(Debug, Clone, Default)]
pub(crate) struct TickNow(Arc<(Mutex<RequestedTicks>, Notify)>);

#[derive(Debug, Default)]
struct RequestedTicks {
    all: bool,
    sales: HashSet<SaleId>,
}

impl TickNow {
    /// Requests a tick of this sale.
    pub(crate) fn sale(&self, sale: SaleId) {
        self.lock().sales.insert(sale);
        self.0.1.notify_one();
    }

    /// Requests a tick of every sale.
    pub(crate) fn all(&self) {
        self.lock().all = true;
        self.0.1.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, RequestedTicks> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sale's task, as the supervisor sees it.
struct TickTask {
    version: String,
    shared: Arc<SaleTicks>,
    handle: JoinHandle<()>,
}

impl Drop for TickTask {
    /// A restarted supervisor starts the tasks again.
    fn drop(&mut self) {
        self.handle.abort();
    }
}

#[derive(Default)]
struct SaleTicks {
    wake: Notify,
    state: Mutex<SaleTickState>,
}

#[derive(Default)]
struct SaleTickState {
    requested: bool,
    /// The sale needs no more ticks.
    is_over: bool,
    /// When the tick under way began.
    ticks_since: Option<Instant>,
}

impl SaleTicks {
    fn lock(&self) -> MutexGuard<'_, SaleTickState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick_now(&self) {
        self.lock().requested = true;
        self.wake.notify_one();
    }
}

/// Ticks sales until shutdown.
pub(crate) async fn run<T: Ticks>(ticks: Arc<T>, tick_now: TickNow, shutdown: Shutdown) {
    let mut tasks: HashMap<SaleId, TickTask> = HashMap::new();
    let (mut read_at, mut listed_at) = (Instant::now(), Instant::now());
    let mut failing = FailureLog::default();
    loop {
        tokio::select! {
            () = sleep_until(read_at) => {}
            () = tick_now.0.1.notified() => {}
            () = shutdown.triggered() => return,
        }
        fairline_server::report_alive();
        let RequestedTicks { all, sales } = std::mem::take(&mut *tick_now.lock());
        for (sale, task) in &tasks {
            if all || sales.contains(sale) {
                task.shared.tick_now();
            }
        }
        match timeout(READ_WITHIN, ticks.running()).await {
            Ok(Ok(running)) => {
                // It also counts while no sale runs: only a controller that is down, or can't read,
                // is silent.
                metrics::counter!("admission_rounds_total").increment(1);
                metrics::gauge!("admission_sales").set(running.len() as f64);
                failing = FailureLog::default();
                follow(&ticks, &mut tasks, &running, &shutdown);
            }
            Ok(Err(error)) => failing.log(|| warn!(%error, "read running sales failed")),
            Err(_) => failing.log(|| warn!("read running sales failed: no response within {READ_WITHIN:?}")),
        }
        let pause_for_all = READ_PAUSE_PER_SALE * u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        read_at = Instant::now() + pause_for_all.clamp(READ_EVERY.0, READ_EVERY.1);
        if listed_at.elapsed() >= LISTED_EVERY {
            listed_at = Instant::now();
            // If Redis is down, the ticks log it.
            if let Ok(listed) = ticks.listed().await {
                let listed: HashSet<SaleId> = listed.into_iter().collect();
                tasks.iter().filter(|(sale, _)| !listed.contains(sale)).for_each(|(_, task)| task.shared.tick_now());
            }
        }
    }
}

/// Starts, wakes and ends tasks according to the running sales.
fn follow<T: Ticks>(
    ticks: &Arc<T>,
    tasks: &mut HashMap<SaleId, TickTask>,
    running: &[RunningSale],
    shutdown: &Shutdown,
) {
    let needed: HashSet<SaleId> = running.iter().map(|sale| SaleId(sale.id)).collect();
    tasks.retain(|sale, task| {
        let stays = needed.contains(sale);
        // Between two ticks, so that no tick is interrupted.
        if !stays && task.shared.lock().ticks_since.is_none() {
            task.handle.abort();
        }
        stays || !task.handle.is_finished()
    });
    for RunningSale { id, version, is_due } in running {
        let sale = SaleId(*id);
        if let Some(known) = tasks.get_mut(&sale) {
            let hangs = known.shared.lock().ticks_since.is_some_and(|since| since.elapsed() > HANGS_AFTER);
            if !hangs && !known.handle.is_finished() {
                if known.version != *version || *is_due == Some(true) {
                    known.version.clone_from(version);
                    known.shared.tick_now();
                }
                continue;
            }
            known.handle.abort();
            if !known.shared.lock().is_over {
                metrics::counter!("admission_task_restarts_total").increment(1);
                error!(%sale, hangs, "tick task failed; restarting it");
            }
        }
        let shared = Arc::new(SaleTicks::default());
        let handle = shutdown.spawn(tick_one(ticks.clone(), sale, shared.clone(), shutdown.clone()));
        tasks.insert(sale, TickTask { version: version.clone(), shared, handle });
    }
}

/// Ticks one sale until it needs no more ticks, or until shutdown, which interrupts no tick.
async fn tick_one<T: Ticks>(ticks: Arc<T>, sale: SaleId, shared: Arc<SaleTicks>, shutdown: Shutdown) {
    let mut known = T::Known::default();
    let mut failing = FailureLog::default();
    loop {
        let started = Instant::now();
        let requested = {
            let mut state = shared.lock();
            state.ticks_since = Some(started);
            std::mem::take(&mut state.requested)
        };
        let next = ticks.tick(sale, requested, &mut known).await;
        shared.lock().ticks_since = None;
        let at = match next {
            Ok(Next::Over) => {
                shared.lock().is_over = true;
                return;
            }
            Ok(Next::After(period)) => {
                if failing.since.is_some() {
                    info!(%sale, "ticks succeed again");
                }
                failing = FailureLog::default();
                started + period
            }
            Err(error) => {
                metrics::counter!("admission_tick_failures_total").increment(1);
                failing.log(|| warn!(%sale, %error, "tick failed; it will be repeated"));
                Instant::now() + failing.pause()
            }
        };
        tokio::select! {
            () = sleep_until(at) => {}
            () = shared.wake.notified() => {}
            () = shutdown.triggered() => return,
        }
    }
}

/// Repeated failures: the first is logged, and then one from time to time.
#[derive(Default)]
struct FailureLog {
    times: u32,
    since: Option<Instant>,
    logged_at: Option<Instant>,
}

impl FailureLog {
    fn log(&mut self, log: impl FnOnce()) {
        self.since.get_or_insert_with(Instant::now);
        self.times += 1;
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOGGED_EVERY) {
            self.logged_at = Some(Instant::now());
            log();
        }
    }

    /// How long to wait after the last failure.
    fn pause(&self) -> Duration {
        let (first, most) = REPEATED_AFTER;
        most.min(first * 2_u32.saturating_pow(self.times.saturating_sub(1).min(8)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use uuid::Uuid;

    use super::*;

    /// The behaviour of a simulated sale.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Does {
        Succeed,
        Hang,
        Panic,
        Fail,
        Rest,
        End,
    }

    #[derive(Default)]
    struct TestSales {
        sales: Mutex<Vec<(RunningSale, Does)>>,
        ticks: Mutex<Vec<(SaleId, bool, Instant)>>,
        blind: AtomicBool,
    }

    fn id(n: u128) -> SaleId {
        SaleId(Uuid::from_u128(n))
    }

    impl TestSales {
        fn has(self: &Arc<Self>, n: u128, does: Does) {
            let mut sales = self.sales.lock().expect("no panic");
            sales.retain(|(sale, _)| sale.id != id(n).0);
            let version = sales.len().to_string();
            sales.push((RunningSale { id: id(n).0, version, is_due: Some(false) }, does));
        }

        fn changes(&self, n: u128, change: impl Fn(&mut RunningSale)) {
            let mut sales = self.sales.lock().expect("no panic");
            sales.iter_mut().filter(|(sale, _)| sale.id == id(n).0).for_each(|(sale, _)| change(sale));
        }

        fn ticks_of(&self, n: u128) -> Vec<(bool, Instant)> {
            let ticks = self.ticks.lock().expect("no panic");
            ticks.iter().filter(|tick| tick.0 == id(n)).map(|&(_, requested, at)| (requested, at)).collect()
        }

        fn start(self: &Arc<Self>) -> (TickNow, Shutdown) {
            let (tick_now, shutdown) = (TickNow::default(), Shutdown::new());
            tokio::spawn(run(self.clone(), tick_now.clone(), shutdown.clone()));
            (tick_now, shutdown)
        }
    }

    impl Ticks for TestSales {
        type Known = ();

        async fn running(&self) -> Result<Vec<RunningSale>, String> {
            if self.blind.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(self.sales.lock().expect("no panic").iter().map(|(sale, _)| sale.clone()).collect())
        }

        async fn listed(&self) -> Result<Vec<SaleId>, String> {
            Err("Redis is not sales".to_owned())
        }

        async fn tick(&self, sale: SaleId, requested: bool, (): &mut ()) -> Result<Next, String> {
            self.ticks.lock().expect("no panic").push((sale, requested, Instant::now()));
            let does = self
                .sales
                .lock()
                .expect("no panic")
                .iter()
                .find(|(known, _)| known.id == sale.0)
                .map(|(_, does)| *does);
            match does.expect("a sale") {
                Does::Succeed => Ok(Next::After(Duration::from_millis(200))),
                Does::Rest => Ok(Next::After(Duration::from_secs(3600))),
                Does::End => Ok(Next::Over),
                Does::Fail => Err("it fails".to_owned()),
                Does::Panic => panic!("it panics"),
                Does::Hang => std::future::pending().await,
            }
        }
    }

    async fn pass(seconds: u64) {
        // Sleeps: the clock of these tests is paused.
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_sale_delays_no_other_and_is_repeated_with_growing_pauses() {
        let sales = Arc::new(TestSales::default());
        for (n, does) in [(1, Does::Hang), (2, Does::Succeed), (3, Does::Fail), (4, Does::Panic)] {
            sales.has(n, does);
        }
        (10..60).for_each(|n| sales.has(n, Does::Hang));
        let (_, shutdown) = sales.start();
        pass(10).await;
        let well = sales.ticks_of(2);
        assert!((48..=51).contains(&well.len()), "{} ticks in ten seconds", well.len());
        let failed = sales.ticks_of(3);
        assert!((24..=30).contains(&failed.len()), "{} repetitions", failed.len());
        assert!(sales.ticks_of(4).len() > 10, "a task that dies is restarted: {:?}", sales.ticks_of(4));
        assert_eq!(sales.ticks_of(1).len(), 1);
        pass(55).await;
        assert_eq!(sales.ticks_of(1).len(), 2, "a task that hangs is restarted");
        sales.has(1, Does::Succeed);
        pass(65).await;
        assert!(sales.ticks_of(1).len() > 20, "and then continues");
        shutdown.trigger();
    }

    #[tokio::test(start_paused = true)]
    async fn a_sale_among_thousands_is_woken_within_two_seconds() {
        let sales = Arc::new(TestSales::default());
        (0..3000).for_each(|n| sales.has(n, Does::Rest));
        let (_, shutdown) = sales.start();
        pass(5).await;
        sales.changes(7, |sale| sale.is_due = Some(true));
        let changed = Instant::now();
        pass(5).await;
        let ticks = sales.ticks_of(7);
        assert!(ticks[1].1 - changed <= READ_EVERY.1 + Duration::from_millis(50), "{ticks:?}");
        shutdown.trigger();
    }

    #[tokio::test(start_paused = true)]
    async fn sales_are_found_woken_and_dropped_within_a_fraction_of_a_second() {
        let sales = Arc::new(TestSales::default());
        let (tick_now, shutdown) = sales.start();
        pass(1).await;
        for n in 1..=4 {
            sales.has(n, Does::Rest);
        }
        sales.has(5, Does::End);
        let created = Instant::now();
        pass(10).await;
        for n in 1..=4 {
            let ticks = sales.ticks_of(n);
            assert!(
                ticks.len() == 1 && ticks[0].1 - created <= READ_EVERY.0 + Duration::from_millis(50),
                "{n}: {ticks:?}"
            );
        }
        tick_now.sale(id(1));
        sales.changes(2, |sale| sale.version = "another".to_owned());
        sales.changes(3, |sale| sale.is_due = Some(true));
        let changed = Instant::now();
        pass(1).await;
        for n in [1, 2, 3] {
            let ticks = sales.ticks_of(n);
            assert!(ticks[1].0 && ticks[1].1 - changed <= READ_EVERY.0 + Duration::from_millis(50), "{n}: {ticks:?}");
        }
        assert_eq!((sales.ticks_of(1).len(), sales.ticks_of(2).len(), sales.ticks_of(4).len()), (2, 2, 1));
        tick_now.all();
        pass(1).await;
        assert_eq!(sales.ticks_of(4).len(), 2);
        // A database that does not respond delays no tick.
        sales.has(6, Does::Succeed);
        pass(1).await;
        sales.blind.store(true, Ordering::Relaxed);
        let before = sales.ticks_of(6).len();
        pass(10).await;
        assert!(sales.ticks_of(6).len() >= before + 48);
        sales.blind.store(false, Ordering::Relaxed);
        pass(6).await;
        sales.sales.lock().expect("no panic").retain(|(sale, _)| sale.id != id(6).0);
        pass(1).await;
        let last = sales.ticks_of(6).len();
        pass(5).await;
        assert_eq!(sales.ticks_of(6).len(), last, "a removed sale is not ticked");
        shutdown.trigger();
        pass(1).await;
        let ticks = sales.ticks.lock().expect("no panic").len();
        pass(60).await;
        assert_eq!(sales.ticks.lock().expect("no panic").len(), ticks, "a stopped controller ticks no sale");
    }
}
