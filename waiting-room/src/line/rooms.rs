//! All rooms of this node, and the task that follows the changes of every line to keep them up to
//! date.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fairline_line::{
    change::Revision,
    store::{ChangeReader, LineError, LineEvent},
};
use fairline_sale::SaleId;
use fairline_server::Shutdown;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use crate::line::{
    room::Room,
    shoppers::Browser,
    upkeep::Upkeep,
    wake_up::{LoopWaker, WakeUp},
};

/// Interval between checks for new sales and missed changes, and between updates of the rates.
const BEAT: Duration = Duration::from_millis(500);
/// Interval between checks of a resting room, which receives changes, too.
const RESTING_CHECKED_EVERY: Duration = Duration::from_secs(30);
/// Rooms that are checked or opened concurrently.
const CHECKED_AT_ONCE: usize = 16;
/// Interval at which a node reports its connected shoppers; shorter if the grace period is short.
const ROLL_CALL_EVERY: Duration = Duration::from_secs(10);
/// Interval at which disconnected shoppers are reported to the line.
const REPORT_GONE_EVERY: Duration = Duration::from_millis(100);
/// How long a stop waits for the last sockets to close, so that their absences are reported.
const LAST_GONE: Duration = Duration::from_secs(3);
/// The watchdog restarts a loop whose round takes longer.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Sales that one node follows, at most: open ones first, then the most recently closed. Closed
/// sales that still have shoppers here do not count.
const ROOMS_MAX: u32 = 1000;

/// The rooms of this node, by sale.
#[derive(Clone, Default)]
pub(crate) struct Rooms(Arc<RwLock<HashMap<SaleId, Arc<Room>>>>);

impl Rooms {
    pub(crate) fn get(&self, sale: SaleId) -> Option<Arc<Room>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&sale).cloned()
    }

    /// The room of a sale that a client has requested.
    pub(crate) fn requested(&self, sale: SaleId) -> Option<Arc<Room>> {
        self.get(sale).inspect(|room| room.note_request())
    }

    /// The room of a sale that a client has requested by its slug.
    pub(crate) fn requested_by_slug(&self, slug: &str) -> Option<Arc<Room>> {
        self.all().into_iter().find(|room| room.has_slug(slug)).inspect(|room| room.note_request())
    }

    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Closes the rooms of sales that are no longer listed once they have no shoppers, and returns
    /// the closed ones.
    fn keep(&self, listed: &[SaleId]) -> Vec<SaleId> {
        let listed: HashSet<&SaleId> = listed.iter().collect();
        let mut rooms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let closed =
            rooms.extract_if(|sale, room| !listed.contains(sale) && room.shoppers.is_empty() && room.is_in_touch());
        closed.map(|(sale, _)| sale).collect()
    }

    fn add(&self, room: Room) {
        let mut rooms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        rooms.insert(room.sale, Arc::new(room));
    }
}

/// Keeps the rooms up to date until shutdown.
pub(crate) struct Follower {
    pub(crate) rooms: Rooms,
    pub(crate) upkeep: Upkeep,
    pub(crate) reader: ChangeReader,
    /// Wakes the WebSocket event loop.
    pub(crate) waker: Arc<LoopWaker>,
    /// How long a stop takes to move its clients to other nodes.
    pub(crate) move_over: Duration,
    /// Whether there are more open sales than this node follows.
    pub(crate) is_full: AtomicBool,
}

impl Follower {
    pub(crate) fn start(self, shutdown: &Shutdown) {
        let follower = Arc::new(self);
        let [follows, beats, answers, reports] = std::array::from_fn(|_| follower.clone());
        shutdown.keep("changes", STALLED_AFTER, move |shutdown| {
            let follower = follows.clone();
            async move { follower.follow(&shutdown).await }
        });
        shutdown.keep("rooms", STALLED_AFTER, move |shutdown| {
            let follower = beats.clone();
            async move { follower.beat(&shutdown).await }
        });
        shutdown.keep("roll-calls", STALLED_AFTER, move |shutdown| {
            let follower = answers.clone();
            async move { follower.answer_roll_calls(&shutdown).await }
        });
        shutdown.keep("absences", STALLED_AFTER, move |shutdown| {
            let follower = reports.clone();
            async move { follower.report_gone(&shutdown).await }
        });
    }

    /// Applies the changes of all lines.
    async fn follow(&self, shutdown: &Shutdown) {
        let mut inbox = self.reader.inbox();
        loop {
            fairline_server::beat();
            let event = tokio::select! {
                event = timeout(BEAT, inbox.next()) => event,
                () = shutdown.triggered() => return,
            };
            let Ok(event) = event else { continue };
            match event {
                LineEvent::Change(sale, revision, change) => {
                    let Some(room) = self.rooms.get(sale) else { continue };
                    self.upkeep.apply(&room, revision, change).await;
                }
                LineEvent::Reconnected => {
                    for room in self.rooms.all() {
                        if let Err(error) = self.reader.follow(room.sale).await {
                            // The connection broke again; its replacement leads back here.
                            warn!(sale = %room.sale, %error, "subscription to a line failed");
                        }
                    }
                }
            }
        }
    }

    /// Finds new sales, unreachable lines and missed changes, and updates the rates.
    async fn beat(&self, shutdown: &Shutdown) {
        let mut rounds = shutdown.rounds(BEAT);
        let mut last = Instant::now();
        let mut seen: HashMap<SaleId, (Revision, Instant)> = HashMap::new();
        while rounds.next().await {
            let elapsed = std::mem::replace(&mut last, Instant::now()).elapsed();
            let rooms = self.rooms.all();
            let checks = stream::iter(rooms).map(|room| {
                let known = seen.get(&room.sale).copied();
                async move {
                    room.beat(elapsed);
                    if let Some((_, at)) = known
                        .filter(|(_, at)| room.is_in_touch() && room.rests() && at.elapsed() < RESTING_CHECKED_EVERY)
                    {
                        return (room.sale, (room.revision(), at));
                    }
                    let expected = known.map(|(expected, _)| expected).unwrap_or_default();
                    (room.sale, (self.upkeep.check(&room, expected).await, Instant::now()))
                }
            });
            seen = checks.buffer_unordered(CHECKED_AT_ONCE).collect().await;
            if let Err(error) = self.find_sales().await {
                warn!(%error, "search for new sales failed");
            }
        }
    }

    /// Opens a room for each sale that is new to this node. A failure to open one does not affect
    /// the others.
    pub(crate) async fn find_sales(&self) -> Result<(), LineError> {
        let listed = self.upkeep.store.sales(ROOMS_MAX).await?;
        for closed in self.rooms.keep(&listed) {
            self.reader.unfollow(closed).await?;
        }
        let mut left_out = 0;
        if listed.len() >= ROOMS_MAX as usize {
            left_out = self.upkeep.store.open_sales().await?.saturating_sub(ROOMS_MAX.into());
        }
        metrics::gauge!("waiting_room_sales_left_out").set(left_out as f64);
        if left_out > 0 && !self.is_full.swap(true, Ordering::Relaxed) {
            warn!(left_out, most = ROOMS_MAX, "sale limit reached: some sales are not followed; close finished sales");
        } else if left_out == 0 {
            self.is_full.store(false, Ordering::Relaxed);
        }
        let new = listed.into_iter().filter(|sale| self.rooms.get(*sale).is_none());
        let opened: Vec<Result<(), LineError>> =
            stream::iter(new).map(|sale| self.open(sale)).buffer_unordered(CHECKED_AT_ONCE).collect().await;
        metrics::gauge!("waiting_room_sales").set(self.rooms.all().len() as f64);
        opened.into_iter().collect()
    }

    /// Opens the room of a sale.
    async fn open(&self, sale: SaleId) -> Result<(), LineError> {
        // Subscribe before reading the snapshot, so that no later change is missed.
        self.reader.follow(sale).await?;
        match self.upkeep.store.snapshot(sale).await {
            Ok(snapshot) => self.rooms.add(Room::new(snapshot, WakeUp::new(self.waker.clone()))),
            Err(LineError::NotPublished) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reports the connected shoppers at intervals and starts the grace period of those connected
    /// to no node, so that the shoppers of a node that crashed do not hold up the line.
    async fn answer_roll_calls(&self, shutdown: &Shutdown) {
        let mut rounds = shutdown.rounds(REPORT_GONE_EVERY);
        let mut called: HashMap<SaleId, Instant> = HashMap::new();
        while rounds.next().await {
            let (rooms, now) = (self.rooms.all(), Instant::now());
            called.retain(|&sale, _| self.rooms.get(sale).is_some());
            for room in rooms {
                fairline_server::beat();
                let grace = self.upkeep.grace.of(&room.card(), Browser::Desktop);
                let every = ROLL_CALL_EVERY.min(grace / 4).max(REPORT_GONE_EVERY);
                // A shortened grace period takes effect at once.
                let called = called.entry(room.sale).or_insert(now);
                if now - *called < every {
                    continue;
                }
                *called = now;
                if !room.calls_roll() {
                    continue;
                }
                if let Err(error) = self.upkeep.answer_roll_call(&room, grace, every * 3).await {
                    debug!(sale = %room.sale, %error, "roll call failed");
                }
            }
        }
    }

    /// Reports shoppers whose last tab has closed; at shutdown, all of them.
    async fn report_gone(&self, shutdown: &Shutdown) {
        let mut stopped_at = None;
        loop {
            sleep(REPORT_GONE_EVERY).await;
            if shutdown.is_triggered() {
                let since = stopped_at.get_or_insert_with(Instant::now).elapsed();
                // Sockets close first. After this time, connections that are still open will not
                // close in time.
                if since > self.move_over + LAST_GONE || self.rooms.all().iter().all(|room| room.shoppers.is_done()) {
                    return;
                }
            }
            fairline_server::beat();
            for room in self.rooms.all() {
                self.upkeep.report_gone(&room).await;
            }
        }
    }
}
