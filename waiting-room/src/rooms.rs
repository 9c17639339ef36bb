//! All rooms of this node, and the one task that keeps them true: it follows the changes of every line.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use fairline_line::{
    store::{ChangeReader, LineError, LineStore},
    ticket::Ticket,
};
use fairline_sale::SaleId;
use fairline_service::Shutdown;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::room::Room;

/// Pauses while there is nothing to follow, or no line in reach.
const PAUSE: Duration = Duration::from_millis(250);
/// How often rooms look for new sales, for a line that has lost its past, and bring their rates up to date.
const BEAT: Duration = Duration::from_secs(1);
/// How often the line is told who has gone.
const TELL_GONE_EVERY: Duration = Duration::from_millis(100);
/// How long a stop waits for sockets to close, so that the line hears of them.
const LAST_GONE: Duration = Duration::from_secs(5);
/// Tickets that are presented to the line at the same time.
const RESUMES_AT_ONCE: usize = 64;
/// Sales that one node follows at most.
const ROOMS_MAX: usize = 1000;

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

    /// Closes the rooms of sales that are listed no more, once everybody has gone.
    fn keep(&self, listed: &[SaleId]) {
        let mut rooms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        rooms.retain(|sale, room| listed.contains(sale) || !room.is_empty());
    }

    fn add(&self, room: Room) {
        let mut rooms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        rooms.insert(room.sale, Arc::new(room));
    }
}

/// Presents a ticket to the line, and tells its tabs what has become of its turn.
pub(crate) async fn resume(store: &LineStore, room: &Room, ticket: &Ticket) -> Result<(), LineError> {
    room.resumed(ticket.ordinal, store.resume(ticket).await?);
    Ok(())
}

/// Keeps the rooms true until asked to stop.
pub(crate) struct Follower {
    pub(crate) rooms: Rooms,
    pub(crate) store: LineStore,
    pub(crate) reader: ChangeReader,
    pub(crate) grace: Duration,
}

impl Follower {
    pub(crate) async fn run(self, shutdown: Shutdown) {
        tokio::join!(self.follow(&shutdown), self.beat(&shutdown), self.tell_gone(&shutdown));
    }

    /// Reads changes, with one blocking read for all rooms.
    async fn follow(&self, shutdown: &Shutdown) {
        let mut in_touch = true;
        while !shutdown.is_triggered() {
            let after: Vec<_> = self.rooms.all().iter().map(|room| (room.sale, room.rev())).collect();
            if after.is_empty() {
                sleep(PAUSE).await;
                continue;
            }
            let read = tokio::select! {
                read = self.reader.read(&after) => read,
                () = shutdown.triggered() => return,
            };
            match read {
                Ok(changes) => {
                    if !in_touch {
                        in_touch = self.restart_all().await;
                    }
                    for (sale, changes) in changes {
                        let Some(room) = self.rooms.get(sale) else { continue };
                        let aftermath = room.apply(changes);
                        if aftermath.gap {
                            in_touch &= self.restart(&room).await;
                        }
                        self.present(&room, aftermath.resume).await;
                    }
                }
                Err(error) => {
                    if in_touch {
                        warn!(%error, "the line is out of reach");
                        metrics::counter!("line_losses_of_touch_total").increment(1);
                    }
                    in_touch = false;
                    self.rooms.all().iter().for_each(|room| room.set_in_touch(false));
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn restart_all(&self) -> bool {
        let mut restarted = true;
        for room in self.rooms.all() {
            restarted &= self.restart(&room).await;
        }
        if restarted {
            info!("the line is in reach again");
        }
        restarted
    }

    /// Starts a room over from a snapshot, and presents every ticket that is connected here: what happened to them
    /// meanwhile was missed, and a line that has lost its past learns of them.
    async fn restart(&self, room: &Room) -> bool {
        match self.store.snapshot(room.sale).await {
            Ok(snapshot) => {
                room.restart(snapshot);
                self.present(room, room.connected()).await;
                true
            }
            // The controller publishes the line again within a tick.
            Err(error) => {
                warn!(sale = %room.sale, %error, "a snapshot of the line could not be read");
                room.set_in_touch(false);
                false
            }
        }
    }

    async fn present(&self, room: &Room, tickets: Vec<Ticket>) {
        // In the order of the line: whoever is recalled keeps it.
        let resumed = stream::iter(tickets)
            .map(|ticket| async move { resume(&self.store, room, &ticket).await })
            .buffered(RESUMES_AT_ONCE);
        let failed = resumed.filter(|resumed| std::future::ready(resumed.is_err())).count().await;
        if failed > 0 {
            warn!(sale = %room.sale, failed, "tickets could not be presented to the line");
        }
    }

    /// Looks for new sales and for lines that have lost their past, and brings rates up to date.
    async fn beat(&self, shutdown: &Shutdown) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                _ = beats.tick() => {}
                () = shutdown.triggered() => return,
            }
            let elapsed = std::mem::replace(&mut last, Instant::now()).elapsed();
            for room in self.rooms.all() {
                room.beat(elapsed);
                if let Ok(rev) = self.store.rev(room.sale).await
                    && rev.is_none_or(|rev| rev < room.rev())
                {
                    warn!(sale = %room.sale, "the line has lost its past");
                    self.restart(&room).await;
                }
            }
            if let Err(error) = self.find_sales().await {
                warn!(%error, "new sales could not be looked for");
            }
        }
    }

    /// Opens a room for each sale that is new to this node.
    pub(crate) async fn find_sales(&self) -> Result<(), LineError> {
        let listed = self.store.sales().await?;
        self.rooms.keep(&listed);
        for sale in listed {
            if self.rooms.get(sale).is_some() || self.rooms.all().len() >= ROOMS_MAX {
                continue;
            }
            match self.store.snapshot(sale).await {
                Ok(snapshot) => self.rooms.add(Room::new(snapshot)),
                Err(LineError::NotPublished) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the line whose last tab has closed; at the end, everybody's has.
    async fn tell_gone(&self, shutdown: &Shutdown) {
        let mut stopped_at = None;
        loop {
            sleep(TELL_GONE_EVERY).await;
            if shutdown.is_triggered() {
                let since = stopped_at.get_or_insert_with(Instant::now).elapsed();
                // Sockets close first: whoever was connected has gone by now, or will not go in time.
                if since > LAST_GONE || self.rooms.all().iter().all(|room| room.is_empty() && !room.has_gone()) {
                    return;
                }
            }
            for room in self.rooms.all() {
                let gone = room.take_gone();
                if gone.is_empty() {
                    continue;
                }
                if let Err(error) = self.store.absent(room.sale, self.grace, true, &gone).await {
                    warn!(sale = %room.sale, %error, "the line could not be told who has gone");
                    room.put_back_gone(gone);
                }
            }
        }
    }
}
