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
    store::{ChangeReader, LineError, LineEvent, ListedLines},
};
use fairline_sale::SaleId;
use fairline_server::Shutdown;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use crate::line::{
    room::Room,
    room_calls::RoomCalls,
    room_sync::RoomSync,
    wake_up::{LoopWaker, WakeUp},
};

/// Interval between checks for new sales and missed changes, and between updates of the rates.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// Interval between checks of a resting room, which receives changes, too.
const RESTING_CHECKED_EVERY: Duration = Duration::from_secs(30);
/// Interval at which disconnected shoppers are reported to the line.
const REPORT_GONE_EVERY: Duration = Duration::from_millis(100);
/// How long a stop waits for the last sockets to close, so that their absences are reported.
const LAST_GONE: Duration = Duration::from_secs(3);
/// The watchdog restarts a loop whose round takes longer.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Sales that one node follows, at most: open ones first, then the next to open, then the most
/// recently closed. Sales that still have shoppers here do not count.
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
        self.get(sale).inspect(|room| room.record_request())
    }

    /// The room of a sale that a client has requested by its slug.
    pub(crate) fn requested_by_slug(&self, slug: &str) -> Option<Arc<Room>> {
        self.all().into_iter().find(|room| room.has_slug(slug)).inspect(|room| room.record_request())
    }

    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Closes the rooms of sales that are no longer listed once they have no shoppers, and returns
    /// the closed ones.
    fn keep(&self, listed: &[SaleId]) -> Vec<SaleId> {
        let listed: HashSet<&SaleId> = listed.iter().collect();
        let mut rooms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let closed = rooms
            .extract_if(|sale, room| !listed.contains(sale) && room.shoppers.is_empty() && room.is_line_reachable());
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
    pub(crate) sync: RoomSync,
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
        let [follows, checks, finds, answers, reports] = std::array::from_fn(|_| follower.clone());
        shutdown.keep("changes", STALLED_AFTER, move |shutdown| {
            let follower = follows.clone();
            async move { follower.follow(&shutdown).await }
        });
        shutdown.keep("rooms", STALLED_AFTER, move |shutdown| {
            let follower = checks.clone();
            async move { follower.check_rooms(&shutdown).await }
        });
        shutdown.keep("new-rooms", STALLED_AFTER, move |shutdown| {
            let follower = finds.clone();
            async move { follower.find(&shutdown).await }
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

    /// Applies the changes of all lines, those of a room in order.
    async fn follow(&self, shutdown: &Shutdown) {
        let mut inbox = self.reader.inbox();
        let (mut changes, mut subscriptions) = (RoomCalls::default(), FuturesUnordered::new());
        loop {
            fairline_server::report_alive();
            let event = tokio::select! {
                event = timeout(CHECK_EVERY, inbox.next()) => event,
                _ = changes.ended() => continue,
                Some(()) = subscriptions.next() => continue,
                () = shutdown.triggered() => return,
            };
            let Ok(event) = event else { continue };
            match event {
                LineEvent::Change(sale, revision, change) => {
                    let Some(room) = self.rooms.get(sale) else { continue };
                    room.receive(revision, change);
                    changes.start(sale, self.apply_received(room));
                }
                LineEvent::Reconnected => {
                    subscriptions.extend(self.rooms.all().into_iter().map(|room| self.subscribe_again(room.sale)));
                }
            }
        }
    }

    /// Applies the changes that a room has received, including those that arrive meanwhile.
    async fn apply_received(&self, room: Arc<Room>) {
        while let Some((revision, change)) = room.next_received() {
            self.sync.apply(&room, revision, change).await;
        }
    }

    async fn subscribe_again(&self, sale: SaleId) {
        if let Err(error) = self.reader.follow(sale).await {
            // The connection broke again; its replacement leads back here.
            warn!(%sale, %error, "subscribe to line failed");
        }
    }

    /// Finds unreachable lines and missed changes, and updates the rates.
    async fn check_rooms(&self, shutdown: &Shutdown) {
        let mut rounds = shutdown.rounds(CHECK_EVERY);
        let mut last = Instant::now();
        let mut seen: HashMap<SaleId, (Revision, Instant)> = HashMap::new();
        let mut checks = RoomCalls::default();
        loop {
            tokio::select! {
                continues = rounds.next() => {
                    if !continues {
                        return;
                    }
                }
                (sale, revision) = checks.ended() => {
                    seen.insert(sale, (revision, Instant::now()));
                    continue;
                }
            }
            let elapsed = std::mem::replace(&mut last, Instant::now()).elapsed();
            seen.retain(|&sale, _| self.rooms.get(sale).is_some());
            for room in self.rooms.all() {
                room.update_flow(elapsed);
                let known = seen.get(&room.sale);
                if known.is_some_and(|(_, at)| {
                    room.is_line_reachable() && room.rests() && at.elapsed() < RESTING_CHECKED_EVERY
                }) {
                    continue;
                }
                let expected = known.map(|(expected, _)| *expected).unwrap_or_default();
                checks.start(room.sale, async move { self.sync.check(&room, expected).await });
            }
        }
    }

    /// Opens the rooms of new sales, and closes those of sales that are over.
    async fn find(&self, shutdown: &Shutdown) {
        let mut rounds = shutdown.rounds(CHECK_EVERY);
        let mut calls = RoomCalls::default();
        loop {
            tokio::select! {
                continues = rounds.next() => {
                    if !continues {
                        return;
                    }
                }
                _ = calls.ended() => continue,
            }
            match self.sync.store.sales(ROOMS_MAX).await {
                Ok(listed) => self.follow_listed(&listed, &mut calls).await,
                Err(error) => warn!(%error, "find new sales failed"),
            }
        }
    }

    /// Opens the rooms of all sales that Redis lists. A room that can't be opened is opened later.
    ///
    /// # Errors
    /// When Redis does not list the sales.
    pub(crate) async fn open_all(&self) -> Result<(), LineError> {
        let mut calls = RoomCalls::default();
        self.follow_listed(&self.sync.store.sales(ROOMS_MAX).await?, &mut calls).await;
        while !calls.is_empty() {
            calls.ended().await;
        }
        Ok(())
    }

    /// Starts to open a room for each sale that is new to this node, and to close the others.
    async fn follow_listed<'a>(
        &'a self,
        ListedLines { listed, is_complete }: &ListedLines,
        calls: &mut RoomCalls<'a, ()>,
    ) {
        // A sale that is missing because a server did not respond is not over.
        let closed = if *is_complete { self.rooms.keep(listed) } else { Vec::new() };
        for closed in closed {
            calls.start(closed, async move {
                if let Err(error) = self.reader.unfollow(closed).await {
                    debug!(sale = %closed, %error, "unsubscribe from line failed");
                }
            });
        }
        for &sale in listed.iter().filter(|sale| self.rooms.get(**sale).is_none()) {
            calls.start(sale, async move {
                if let Err(error) = self.open(sale).await {
                    warn!(%sale, %error, "open room failed; will retry");
                }
            });
        }
        metrics::gauge!("waiting_room_sales").set(self.rooms.all().len() as f64);
        let mut left_out = 0;
        if listed.len() >= ROOMS_MAX as usize {
            match self.sync.store.open_sales().await {
                Ok(open) => left_out = open.saturating_sub(ROOMS_MAX.into()),
                Err(error) => return warn!(%error, "count open sales failed"),
            }
        }
        metrics::gauge!("waiting_room_sales_not_followed").set(left_out as f64);
        if left_out > 0 && !self.is_full.swap(true, Ordering::Relaxed) {
            warn!(left_out, most = ROOMS_MAX, "sale limit reached: some sales are not followed; close finished sales");
        } else if left_out == 0 {
            self.is_full.store(false, Ordering::Relaxed);
        }
    }

    /// Opens the room of a sale.
    async fn open(&self, sale: SaleId) -> Result<(), LineError> {
        // Subscribe before reading the snapshot, so that no later change is missed.
        self.reader.follow(sale).await?;
        match self.sync.store.snapshot(sale).await {
            Ok(snapshot) => self.rooms.add(Room::new(snapshot, WakeUp::new(self.waker.clone()))),
            Err(LineError::NotPublished) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reports the connected shoppers at intervals and starts the grace period of those connected
    /// to no node, so that the shoppers of a node that crashed do not delay the line.
    async fn answer_roll_calls(&self, shutdown: &Shutdown) {
        let mut rounds = shutdown.rounds(REPORT_GONE_EVERY);
        let mut called: HashMap<SaleId, Instant> = HashMap::new();
        let mut calls = RoomCalls::default();
        loop {
            tokio::select! {
                continues = rounds.next() => {
                    if !continues {
                        return;
                    }
                }
                _ = calls.ended() => continue,
            }
            let (rooms, now) = (self.rooms.all(), Instant::now());
            called.retain(|&sale, _| self.rooms.get(sale).is_some());
            for room in rooms {
                let every = self.sync.report_every(&room);
                // A shortened grace period takes effect at once.
                let called = called.entry(room.sale).or_insert(now);
                if now - *called < every {
                    continue;
                }
                *called = now;
                if !room.calls_roll() {
                    continue;
                }
                calls.start(room.sale, async move {
                    if let Err(error) = self.sync.answer_roll_call(&room).await {
                        debug!(sale = %room.sale, %error, "take roll call failed");
                    }
                });
            }
        }
    }

    /// Reports shoppers whose last tab has closed; at shutdown, all of them.
    async fn report_gone(&self, shutdown: &Shutdown) {
        let mut stopped_at = None;
        let mut timer = interval(REPORT_GONE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls = RoomCalls::default();
        loop {
            tokio::select! {
                _ = timer.tick() => {}
                _ = calls.ended() => continue,
            }
            fairline_server::report_alive();
            let rooms = self.rooms.all();
            if shutdown.is_triggered() {
                let since = stopped_at.get_or_insert_with(Instant::now).elapsed();
                let are_reported = calls.is_empty() && rooms.iter().all(|room| room.shoppers.is_done());
                // Sockets close first. After this time, connections that are still open will not
                // close in time.
                if since > self.move_over + LAST_GONE || are_reported {
                    return;
                }
            }
            for room in rooms.into_iter().filter(|room| room.shoppers.has_gone()) {
                calls.start(room.sale, async move { self.sync.report_gone(&room).await });
            }
        }
    }
}
