//! When sales are ticked: each by a task of its own, at its own pace.
//!
//! - No sale waits for another: one whose Redis shard, lock or database row is slow delays itself alone.
//! - A tick that fails is repeated after a pause that grows; each line has its own.
//! - A supervisor looks several times a second for sales that are new, changed or due, and wakes their tasks; it ends the
//!   tasks of sales that are no more, and reports and replaces a task that has died or hangs.

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
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tracing::{error, info, warn};

use super::sale::Running;

/// How often the supervisor looks for sales.
const LOOKS_EVERY: Duration = Duration::from_millis(200);
/// How long a look may take; sales that are known go on meanwhile.
const LOOK_TAKES_MAX: Duration = Duration::from_secs(5);
/// How often it looks whether Redis lists the sales.
const LISTED_EVERY: Duration = Duration::from_secs(2);
/// A tick that takes this long hangs: every step of it has a time limit of its own, and its turn comes long before.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// How long a tick that failed waits before it is repeated: twice as long with each failure.
const REPEATED_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How often failures that go on are logged.
const LOGGED_EVERY: Duration = Duration::from_secs(30);

/// When a sale is ticked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// So long after this tick began.
    After(Duration),
    /// Never again, unless the sale is found to need it.
    Over,
}

/// What is scheduled.
pub(crate) trait Ticks: Send + Sync + 'static {
    /// What one tick of a sale leaves for the next.
    type Known: Default + Send;

    /// The sales that need ticks.
    fn running(&self) -> impl Future<Output = Result<Vec<Running>, String>> + Send;

    /// The lines that Redis lists.
    fn listed(&self) -> impl Future<Output = Result<Vec<SaleId>, String>> + Send;

    /// Ticks a sale, also if that is early when it was requested. Gives why it did not end otherwise.
    fn tick(
        &self,
        sale: SaleId,
        requested: bool,
        known: &mut Self::Known,
    ) -> impl Future<Output = Result<Next, String>> + Send;
}

/// Where an operator's change is said: the sale is ticked at once, not when its time comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct TickNow(Arc<(Mutex<Requested>, Notify)>);

#[derive(Debug, Default)]
struct Requested {
    all: bool,
    sales: HashSet<SaleId>,
}

impl TickNow {
    /// This sale has changed.
    pub(crate) fn sale(&self, sale: SaleId) {
        self.lock().sales.insert(sale);
        self.0.1.notify_one();
    }

    /// Every sale may have.
    pub(crate) fn all(&self) {
        self.lock().all = true;
        self.0.1.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Requested> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sale's task, as the supervisor sees it.
struct Watched {
    version: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    /// A supervisor that is started again starts the tasks again.
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Shared {
    wake: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requested: bool,
    /// The sale needed no more ticks.
    is_over: bool,
    /// Since when a tick is under way.
    ticks_since: Option<Instant>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick_now(&self) {
        self.lock().requested = true;
        self.wake.notify_one();
    }
}

/// Ticks sales until asked to stop.
pub(crate) async fn run<T: Ticks>(ticks: Arc<T>, tick_now: TickNow, shutdown: Shutdown) {
    let mut beat = interval(LOOKS_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watched: HashMap<SaleId, Watched> = HashMap::new();
    let mut listed_at = Instant::now();
    let mut failing = Failing::default();
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = tick_now.0.1.notified() => {}
            () = shutdown.triggered() => return,
        }
        fairline_server::beat();
        let Requested { all, sales } = std::mem::take(&mut *tick_now.lock());
        for (sale, watched) in &watched {
            if all || sales.contains(sale) {
                watched.shared.tick_now();
            }
        }
        match timeout(LOOK_TAKES_MAX, ticks.running()).await {
            Ok(Ok(running)) => {
                // Beats while no sale runs, too: only a controller that is gone, or blind, falls silent.
                metrics::counter!("admission_beats_total").increment(1);
                metrics::gauge!("admission_sales").set(running.len() as f64);
                failing = Failing::default();
                follow(&ticks, &mut watched, &running, &shutdown);
            }
            Ok(Err(error)) => failing.log(|| warn!(%error, "read running sales failed")),
            Err(_) => failing.log(|| warn!("read running sales failed: no answer within {LOOK_TAKES_MAX:?}")),
        }
        if listed_at.elapsed() >= LISTED_EVERY {
            listed_at = Instant::now();
            // Where Redis is away the ticks say so.
            if let Ok(listed) = ticks.listed().await {
                let listed: HashSet<SaleId> = listed.into_iter().collect();
                watched
                    .iter()
                    .filter(|(sale, _)| !listed.contains(sale))
                    .for_each(|(_, watched)| watched.shared.tick_now());
            }
        }
    }
}

/// Starts, wakes and ends tasks as the running sales need it.
fn follow<T: Ticks>(ticks: &Arc<T>, watched: &mut HashMap<SaleId, Watched>, running: &[Running], shutdown: &Shutdown) {
    let needed: HashSet<SaleId> = running.iter().map(|sale| SaleId(sale.id)).collect();
    watched.retain(|sale, watched| {
        let stays = needed.contains(sale);
        // Between two ticks, so that none is broken off.
        if !stays && watched.shared.lock().ticks_since.is_none() {
            watched.task.abort();
        }
        stays || !watched.task.is_finished()
    });
    for Running { id, version, is_due } in running {
        let sale = SaleId(*id);
        if let Some(known) = watched.get_mut(&sale) {
            let hangs = known.shared.lock().ticks_since.is_some_and(|since| since.elapsed() > HANGS_AFTER);
            if !hangs && !known.task.is_finished() {
                if known.version != *version || *is_due == Some(true) {
                    known.version.clone_from(version);
                    known.shared.tick_now();
                }
                continue;
            }
            known.task.abort();
            if !known.shared.lock().is_over {
                metrics::counter!("admission_task_restarts_total").increment(1);
                error!(%sale, hangs, "tick task died or hung; starting it again");
            }
        }
        let shared = Arc::new(Shared::default());
        let task = shutdown.spawn(tick_one(ticks.clone(), sale, shared.clone(), shutdown.clone()));
        watched.insert(sale, Watched { version: version.clone(), shared, task });
    }
}

/// Ticks one sale until it needs no more ticks, or until asked to stop; never breaks a tick off.
async fn tick_one<T: Ticks>(ticks: Arc<T>, sale: SaleId, shared: Arc<Shared>, shutdown: Shutdown) {
    let mut known = T::Known::default();
    let mut failing = Failing::default();
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
                    info!(%sale, "ticks end again");
                }
                failing = Failing::default();
                started + period
            }
            Err(error) => {
                metrics::counter!("admission_tick_failures_total").increment(1);
                failing.log(|| warn!(%sale, %error, "tick failed; it is repeated"));
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

/// What goes wrong again and again: it is logged at first, and then from time to time.
#[derive(Default)]
struct Failing {
    times: u32,
    since: Option<Instant>,
    logged_at: Option<Instant>,
}

impl Failing {
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

    /// What a sale of a test does.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Does {
        Well,
        Hang,
        Panic,
        Fail,
        Rest,
        End,
    }

    #[derive(Default)]
    struct Played {
        sales: Mutex<Vec<(Running, Does)>>,
        ticks: Mutex<Vec<(SaleId, bool, Instant)>>,
        blind: AtomicBool,
    }

    fn id(n: u128) -> SaleId {
        SaleId(Uuid::from_u128(n))
    }

    impl Played {
        fn has(self: &Arc<Self>, n: u128, does: Does) {
            let mut sales = self.sales.lock().expect("no panic");
            sales.retain(|(sale, _)| sale.id != id(n).0);
            let version = sales.len().to_string();
            sales.push((Running { id: id(n).0, version, is_due: Some(false) }, does));
        }

        fn changes(&self, n: u128, change: impl Fn(&mut Running)) {
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

    impl Ticks for Played {
        type Known = ();

        async fn running(&self) -> Result<Vec<Running>, String> {
            if self.blind.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(self.sales.lock().expect("no panic").iter().map(|(sale, _)| sale.clone()).collect())
        }

        async fn listed(&self) -> Result<Vec<SaleId>, String> {
            Err("Redis is not played".to_owned())
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
                Does::Well => Ok(Next::After(Duration::from_millis(200))),
                Does::Rest => Ok(Next::After(Duration::from_secs(3600))),
                Does::End => Ok(Next::Over),
                Does::Fail => Err("it fails".to_owned()),
                Does::Panic => panic!("it panics"),
                Does::Hang => std::future::pending().await,
            }
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_sick_sale_delays_no_other_and_is_repeated_ever_more_slowly() {
        let played = Arc::new(Played::default());
        for (n, does) in [(1, Does::Hang), (2, Does::Well), (3, Does::Fail), (4, Does::Panic)] {
            played.has(n, does);
        }
        (10..60).for_each(|n| played.has(n, Does::Hang));
        let (_, shutdown) = played.start();
        pass(10).await;
        let well = played.ticks_of(2);
        assert!((48..=51).contains(&well.len()), "{} ticks in ten seconds", well.len());
        let failed = played.ticks_of(3);
        assert!((10..=16).contains(&failed.len()), "{} repetitions", failed.len());
        assert!(played.ticks_of(4).len() > 10, "one that dies is started again: {:?}", played.ticks_of(4));
        assert_eq!(played.ticks_of(1).len(), 1);
        pass(55).await;
        assert_eq!(played.ticks_of(1).len(), 2, "so is one that hangs");
        played.has(1, Does::Well);
        pass(65).await;
        assert!(played.ticks_of(1).len() > 20, "and goes on");
        shutdown.trigger();
    }

    #[tokio::test(start_paused = true)]
    async fn sales_are_found_woken_and_left_alone_within_a_fraction_of_a_second() {
        let played = Arc::new(Played::default());
        let (tick_now, shutdown) = played.start();
        pass(1).await;
        for n in 1..=4 {
            played.has(n, Does::Rest);
        }
        played.has(5, Does::End);
        let created = Instant::now();
        pass(10).await;
        for n in 1..=4 {
            let ticks = played.ticks_of(n);
            assert!(ticks.len() == 1 && ticks[0].1 - created <= Duration::from_millis(250), "{n}: {ticks:?}");
        }
        tick_now.sale(id(1));
        played.changes(2, |sale| sale.version = "another".to_owned());
        played.changes(3, |sale| sale.is_due = Some(true));
        let changed = Instant::now();
        pass(1).await;
        for n in [1, 2, 3] {
            let ticks = played.ticks_of(n);
            assert!(ticks[1].0 && ticks[1].1 - changed <= Duration::from_millis(250), "{n}: {ticks:?}");
        }
        assert_eq!((played.ticks_of(1).len(), played.ticks_of(2).len(), played.ticks_of(4).len()), (2, 2, 1));
        tick_now.all();
        pass(1).await;
        assert_eq!(played.ticks_of(4).len(), 2);
        // A database that does not answer keeps no tick from its time.
        played.has(6, Does::Well);
        pass(1).await;
        played.blind.store(true, Ordering::Relaxed);
        let before = played.ticks_of(6).len();
        pass(10).await;
        assert!(played.ticks_of(6).len() >= before + 48);
        played.blind.store(false, Ordering::Relaxed);
        pass(6).await;
        played.sales.lock().expect("no panic").retain(|(sale, _)| sale.id != id(6).0);
        pass(1).await;
        let last = played.ticks_of(6).len();
        pass(5).await;
        assert_eq!(played.ticks_of(6).len(), last, "a sale that is no more is left alone");
        shutdown.trigger();
        pass(1).await;
        let ticks = played.ticks.lock().expect("no panic").len();
        pass(60).await;
        assert_eq!(played.ticks.lock().expect("no panic").len(), ticks, "a controller that stops ticks no more");
    }
}
