//! All rooms of this node, and the one task that keeps them true: it follows the changes of every line.

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
    store::{ChangeReader, Heard, LineError},
};
use fairline_sale::SaleId;
use fairline_service::Shutdown;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use crate::line::{
    room::Room,
    shoppers::Browser,
    upkeep::Upkeep,
    wake_up::{LoopWaker, WakeUp},
};

/// How often rooms look for new sales and for what they have missed, and bring their rates up to date.
const BEAT: Duration = Duration::from_millis(500);
/// How often a room looks in which nobody is, and for which nobody asks: changes are heard there, too.
const RESTING_LOOKS_EVERY: Duration = Duration::from_secs(30);
/// Rooms that look, or open, at the same time.
const LOOKS_AT_ONCE: usize = 16;
/// How often a node says who is connected to it; more often where the grace period is short.
const ROLL_CALL_EVERY: Duration = Duration::from_secs(10);
/// How often the line is told who has gone.
const TELL_GONE_EVERY: Duration = Duration::from_millis(100);
/// How long a stop waits for the last sockets to close, so that the line hears of them.
const LAST_GONE: Duration = Duration::from_secs(3);
/// A loop whose round takes longer stands still.
const STANDS_STILL: Duration = Duration::from_secs(60);
/// Sales that one node follows at most, but for closed ones that shoppers are still in: the open ones, then those that were
/// closed last.
const ROOMS_MAX: u32 = 1000;

/// The rooms of this node, by sale.
#[derive(Clone, Default)]
pub(crate) struct Rooms(Arc<RwLock<HashMap<SaleId, Arc<Room>>>>);

impl Rooms {
    pub(crate) fn get(&self, sale: SaleId) -> Option<Arc<Room>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&sale).cloned()
    }

    pub(crate) fn by_slug(&self, slug: &str) -> Option<Arc<Room>> {
        self.all().into_iter().find(|room| room.is_called(slug))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Closes the rooms of sales that are listed no more, or that newer ones take the place of, once everybody has gone. Gives
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

/// Keeps the rooms true until asked to stop.
pub(crate) struct Follower {
    pub(crate) rooms: Rooms,
    pub(crate) upkeep: Upkeep,
    pub(crate) reader: ChangeReader,
    /// Wakes the WebSocket event loop.
    pub(crate) waker: Arc<LoopWaker>,
    /// How long a stop takes to send everybody to other nodes.
    pub(crate) move_over: Duration,
    /// Whether there are more open sales than it follows.
    pub(crate) is_full: AtomicBool,
}

impl Follower {
    pub(crate) fn start(self, shutdown: &Shutdown) {
        let follower = Arc::new(self);
        let [follows, beats, answers, tells] = std::array::from_fn(|_| follower.clone());
        shutdown.keep("changes", STANDS_STILL, move |shutdown| {
            let follower = follows.clone();
            async move { follower.follow(&shutdown).await }
        });
        shutdown.keep("rooms", STANDS_STILL, move |shutdown| {
            let follower = beats.clone();
            async move { follower.beat(&shutdown).await }
        });
        shutdown.keep("roll-calls", STANDS_STILL, move |shutdown| {
            let follower = answers.clone();
            async move { follower.answer_roll_calls(&shutdown).await }
        });
        shutdown.keep("absences", STANDS_STILL, move |shutdown| {
            let follower = tells.clone();
            async move { follower.tell_gone(&shutdown).await }
        });
    }

    /// Takes in the changes of all lines.
    async fn follow(&self, shutdown: &Shutdown) {
        let mut inbox = self.reader.inbox();
        loop {
            fairline_service::beat();
            let heard = tokio::select! {
                heard = timeout(BEAT, inbox.next()) => heard,
                () = shutdown.triggered() => return,
            };
            let Ok(heard) = heard else { continue };
            match heard {
                Heard::Change(sale, revision, change) => {
                    let Some(room) = self.rooms.get(sale) else { continue };
                    self.upkeep.take_in(&room, revision, change).await;
                }
                Heard::Anew => {
                    for room in self.rooms.all() {
                        if let Err(error) = self.reader.follow(room.sale).await {
                            // The connection has broken again; the next one comes here, too.
                            warn!(sale = %room.sale, %error, "subscription to a line failed");
                        }
                    }
                }
            }
        }
    }

    /// Looks for new sales, for lines that are out of reach and for changes that were not heard, and brings rates up to
    /// date.
    async fn beat(&self, shutdown: &Shutdown) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        let mut seen: HashMap<SaleId, (Revision, Instant)> = HashMap::new();
        loop {
            tokio::select! {
                _ = beats.tick() => {}
                () = shutdown.triggered() => return,
            }
            fairline_service::beat();
            let elapsed = std::mem::replace(&mut last, Instant::now()).elapsed();
            let rooms = self.rooms.all();
            let looks = stream::iter(rooms).map(|room| {
                let known = seen.get(&room.sale).copied();
                async move {
                    room.beat(elapsed);
                    if let Some((_, at)) =
                        known.filter(|(_, at)| room.is_in_touch() && room.rests() && at.elapsed() < RESTING_LOOKS_EVERY)
                    {
                        return (room.sale, (room.revision(), at));
                    }
                    let expected = known.map(|(expected, _)| expected).unwrap_or_default();
                    (room.sale, (self.upkeep.look_after(&room, expected).await, Instant::now()))
                }
            });
            seen = looks.buffer_unordered(LOOKS_AT_ONCE).collect().await;
            if let Err(error) = self.find_sales().await {
                warn!(%error, "search for new sales failed");
            }
        }
    }

    /// Opens a room for each sale that is new to this node. One that can't be opened keeps no other from it.
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
            warn!(left_out, most = ROOMS_MAX, "sales left out: this node follows as many as it can; close some");
        } else if left_out == 0 {
            self.is_full.store(false, Ordering::Relaxed);
        }
        let new = listed.into_iter().filter(|sale| self.rooms.get(*sale).is_none());
        let opened: Vec<Result<(), LineError>> =
            stream::iter(new).map(|sale| self.open(sale)).buffer_unordered(LOOKS_AT_ONCE).collect().await;
        metrics::gauge!("waiting_room_sales").set(self.rooms.all().len() as f64);
        opened.into_iter().collect()
    }

    /// Opens the room of a sale.
    async fn open(&self, sale: SaleId) -> Result<(), LineError> {
        // Followed first: what changes after the snapshot is heard.
        self.reader.follow(sale).await?;
        match self.upkeep.store.snapshot(sale).await {
            Ok(snapshot) => self.rooms.add(Room::new(snapshot, WakeUp::new(self.waker.clone()))),
            Err(LineError::NotPublished) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Says again and again who is connected here, and has those who are connected nowhere start their grace period: the
    /// shoppers of a node that died without a word hold nobody up.
    async fn answer_roll_calls(&self, shutdown: &Shutdown) {
        let mut beat = interval(TELL_GONE_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut called: HashMap<SaleId, Instant> = HashMap::new();
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = shutdown.triggered() => return,
            }
            fairline_service::beat();
            let (rooms, now) = (self.rooms.all(), Instant::now());
            called.retain(|&sale, _| self.rooms.get(sale).is_some());
            for room in rooms {
                fairline_service::beat();
                let grace = self.upkeep.grace.of(&room.card(), Browser::Desk);
                let every = ROLL_CALL_EVERY.min(grace / 4).max(TELL_GONE_EVERY);
                // A grace period that has become shorter counts at once.
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

    /// Tells the line whose last tab has closed; at the end, everybody's has.
    async fn tell_gone(&self, shutdown: &Shutdown) {
        let mut stopped_at = None;
        loop {
            sleep(TELL_GONE_EVERY).await;
            if shutdown.is_triggered() {
                let since = stopped_at.get_or_insert_with(Instant::now).elapsed();
                // Sockets close first: whoever was connected has gone by now, or will not go in time.
                if since > self.move_over + LAST_GONE || self.rooms.all().iter().all(|room| room.shoppers.is_done()) {
                    return;
                }
            }
            fairline_service::beat();
            for room in self.rooms.all() {
                self.upkeep.tell_gone(&room).await;
            }
        }
    }
}
