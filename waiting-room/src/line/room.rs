//! One sale in one node: the local view of its line, and the shoppers who are connected to this
//! node.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use fairline_line::{
    change::{Change, Revision, Turn},
    places::{LineView, Numbers, Place},
    store::Snapshot,
    ticket::{Ordinal, Ticket},
};
use fairline_sale::{LineOrder, SaleCard, SaleId, Status};
use fairline_update_policy::{Flow, Forecast, differs_in_counts_only};
use tokio::{sync::watch, time::Instant};

use crate::line::{
    shoppers::{Browser, Shoppers},
    wake_up::WakeUp,
};

/// A room rests when it has had no shopper and no request for this long.
const RESTS_AFTER: Duration = Duration::from_secs(10);
/// Changes that wait to be applied, at most. Without them the room is reloaded.
const RECEIVED_MAX: usize = 1000;

/// One sale in this node.
pub(crate) struct Room {
    pub(crate) sale: SaleId,
    line: RwLock<LineState>,
    /// Changes that have not been applied yet.
    received: Mutex<VecDeque<(Revision, Change)>>,
    /// Whether the line can be reached. Also wakes every task when other shared state changes.
    line_reachable: watch::Sender<bool>,
    /// Wakes the WebSocket event loop.
    pub(crate) wake_up: WakeUp,
    pub(crate) shoppers: Shoppers,
    /// When a client last requested this sale.
    requested_at: Mutex<Option<Instant>>,
    /// The epoch in which the tickets of all connected shoppers have been presented.
    presented_in: AtomicU32,
}

struct LineState {
    revision: Revision,
    view: LineView,
    flow: Flow,
    card: Arc<SaleCard>,
    /// Number of changes of the card other than the number of remaining units.
    news: u32,
}

/// The state that all shoppers in a room share, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct RoomSnapshot {
    pub(crate) card: Arc<SaleCard>,
    /// Increases whenever the card changes in more than the number of remaining units.
    pub(crate) news: u32,
    pub(crate) line_reachable: bool,
    /// Number of participants of a draw that has not been made.
    pub(crate) in_draw: Option<u64>,
    pub(crate) forecast: Forecast,
}

/// One tab of a connected shopper. Dropping it closes the tab.
pub(crate) struct Tab {
    pub(crate) room: Arc<Room>,
    pub(crate) ordinal: Ordinal,
}

impl Tab {
    /// Opens a tab. It observes every later change of the ticket.
    pub(crate) fn open(room: Arc<Room>, ticket: &Ticket, browser: Browser) -> Self {
        room.shoppers.enter(ticket, browser);
        Self { room, ordinal: ticket.ordinal }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.room.shoppers.exit(self.ordinal);
    }
}

/// Work that the caller must do after [`Room::apply`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FollowUp {
    /// A change is missing: the room needs a new snapshot.
    pub(crate) gap: bool,
    /// Tickets of connected shoppers that the line considers departed, or whose turn lapsed
    /// unclaimed. The caller has to present them again.
    pub(crate) resume: Vec<Ticket>,
    /// A draw was made: the caller has to read its numbers.
    pub(crate) drawn: bool,
}

impl LineState {
    /// Participants of a draw that has not been made, as far as this node knows.
    fn in_draw(&self) -> Option<u64> {
        let made = match self.card.draw.as_ref().and_then(|draw| draw.pool) {
            None => false,
            // A draw without participants has no numbers to read.
            Some(pool) => pool == 0 || self.view.is_drawn(),
        };
        (self.card.order == LineOrder::Draw && !made && !self.view.is_drawn()).then(|| self.view.waiting())
    }
}

impl Room {
    pub(crate) fn new(snapshot: Snapshot, wake_up: WakeUp) -> Self {
        let Snapshot { revision, view, card } = snapshot;
        let sale = card.id;
        Self {
            presented_in: AtomicU32::new(revision.epoch),
            sale,
            line: RwLock::new(LineState { revision, view, flow: Flow::default(), card: Arc::new(card), news: 0 }),
            received: Mutex::default(),
            line_reachable: watch::Sender::new(true),
            wake_up,
            shoppers: Shoppers::new(sale),
            requested_at: Mutex::default(),
        }
    }

    /// Records that a client requested this sale.
    pub(crate) fn record_request(&self) {
        *self.requested_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the room has no shoppers and no recent requests. A resting room needs no prompt
    /// check for missed changes.
    pub(crate) fn rests(&self) -> bool {
        let requested_at = *self.requested_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.shoppers.is_empty() && requested_at.is_none_or(|at| at.elapsed() > RESTS_AFTER)
    }

    /// Whether a roll call is due: shoppers may wait in this line, connected to a node that has
    /// died if not to this one.
    pub(crate) fn calls_roll(&self) -> bool {
        let line = self.read();
        line.card.status != Status::Closed && (line.view.waiting() > 0 || !self.shoppers.is_empty())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, LineState> {
        self.line.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, LineState> {
        self.line.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sale's current card.
    pub(crate) fn card(&self) -> Arc<SaleCard> {
        self.read().card.clone()
    }

    /// Whether this sale has that slug.
    pub(crate) fn has_slug(&self, slug: &str) -> bool {
        self.read().card.slug == slug
    }

    /// The revision that the next change must follow.
    pub(crate) fn revision(&self) -> Revision {
        self.read().revision
    }

    /// The epoch in which the tickets of all connected shoppers have been presented.
    pub(crate) fn presented_in(&self) -> u32 {
        self.presented_in.load(Ordering::Relaxed)
    }

    /// Records that the tickets of all connected shoppers have been presented in this epoch.
    pub(crate) fn set_presented_in(&self, epoch: u32) {
        self.presented_in.store(epoch, Ordering::Relaxed);
    }

    /// Whether the line could be reached recently.
    pub(crate) fn is_line_reachable(&self) -> bool {
        *self.line_reachable.borrow()
    }

    /// Returns the shared state, and the places of these tickets.
    pub(crate) fn snapshot(
        &self,
        ordinals: impl IntoIterator<Item = Ordinal>,
        places: &mut Vec<Option<Place>>,
    ) -> RoomSnapshot {
        let line_reachable = self.is_line_reachable();
        let line = self.read();
        places.clear();
        places.extend(ordinals.into_iter().map(|ordinal| line.view.place(ordinal)));
        let forecast = line.flow.forecast(&line.card);
        RoomSnapshot { card: line.card.clone(), news: line.news, line_reachable, in_draw: line.in_draw(), forecast }
    }

    /// Subscribes to whether the line can be reached. Other shared changes wake the receiver, too.
    pub(crate) fn subscribe(&self) -> watch::Receiver<bool> {
        self.line_reachable.subscribe()
    }

    /// Adds a ticket that this node issued, so that its place shows before the change arrives from
    /// Redis.
    pub(crate) fn joined(&self, ordinal: Ordinal) {
        self.write().view.given(ordinal);
    }

    /// Whether a ticket still waits, as far as this node knows: it has no turn and was not removed
    /// from the line.
    pub(crate) fn waits(&self, ordinal: Ordinal) -> bool {
        self.read().view.place(ordinal).is_some()
    }

    /// Applies the line's reply about a ticket that was presented here.
    pub(crate) fn resumed(&self, ordinal: Ordinal, turn: Turn, at: Revision) {
        {
            let mut line = self.write();
            // If changes have overtaken the reply, its place is out of date.
            if turn == Turn::Waiting && at >= line.revision {
                let ordinals = vec![ordinal];
                let here = if line.view.has_passed(ordinal) {
                    Change::Recalled { ordinals }
                } else {
                    Change::Returned { ordinals }
                };
                line.view.apply(&here);
            } else if turn == Turn::Waiting && at.epoch == line.revision.epoch {
                // The ordinal stays given, and no change announces it before the next publication.
                line.view.given(ordinal);
            }
        }
        self.set_turn(ordinal, turn, at);
    }

    /// Notifies every tab of a ticket of its turn, unless a newer turn is known.
    fn set_turn(&self, ordinal: Ordinal, turn: Turn, at: Revision) {
        if self.shoppers.set_turn(ordinal, turn, at) {
            self.wake_up.turn(ordinal);
        }
    }

    /// Adds a change to those that wait to be applied.
    pub(crate) fn receive(&self, at: Revision, change: Change) {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if received.len() >= RECEIVED_MAX {
            received.clear();
        }
        received.push_back((at, change));
    }

    /// Takes the next change that waits to be applied.
    pub(crate) fn next_received(&self) -> Option<(Revision, Change)> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Applies the change that leads to a revision.
    pub(crate) fn apply(&self, at: Revision, change: Change) -> FollowUp {
        let mut follow_up = FollowUp::default();
        {
            let mut line = self.write();
            if at <= line.revision {
                return follow_up;
            }
            if at != line.revision.next() {
                follow_up.gap = true;
                return follow_up;
            }
            line.revision = at;
            line.view.apply(&change);
            match &change {
                Change::Moved { turns, .. } => {
                    line.flow.admitted(turns.iter().filter(|(_, turn)| turn.starts_with('{')).count());
                }
                Change::Departed { ordinals } | Change::Left { ordinals } => line.flow.departed(ordinals.len()),
                Change::Returned { ordinals } => line.flow.returned(ordinals.len()),
                Change::Recalled { ordinals } => line.flow.recalled(ordinals.len()),
                Change::Drawn { .. } => follow_up.drawn = true,
                Change::Absent { .. } | Change::Card { .. } => {}
            }
        }
        let moves = !matches!(change, Change::Absent { .. } | Change::Card { .. } | Change::Drawn { .. });
        match change {
            Change::Absent { ordinals } | Change::Departed { ordinals } => {
                follow_up.resume.extend(ordinals.iter().filter_map(|ordinal| self.shoppers.ticket(*ordinal)));
            }
            Change::Left { ordinals } => {
                ordinals.into_iter().for_each(|ordinal| self.set_turn(ordinal, Turn::Left, at))
            }
            Change::Moved { turns, .. } => {
                for (ordinal, turn) in turns {
                    let Some(turn) = Turn::from_text(&turn) else { continue };
                    if turn == Turn::Lapsed {
                        follow_up.resume.extend(self.shoppers.ticket(ordinal));
                    }
                    self.set_turn(ordinal, turn, at);
                }
            }
            Change::Card { card } => {
                if let Ok(card) = serde_json::from_str(&card) {
                    self.show(card);
                }
            }
            Change::Returned { .. } | Change::Recalled { .. } | Change::Drawn { .. } => {}
        }
        if moves {
            self.wake_up.moved();
        }
        follow_up
    }

    /// Applies the numbers of the draw that was made at a revision. Every participant gets a place.
    /// A room that was reloaded while they were read has them, or is in an epoch of other numbers.
    pub(crate) fn draw(&self, at: Revision, numbers: Numbers) {
        {
            let mut line = self.write();
            if at.epoch != line.revision.epoch || line.view.is_drawn() {
                return;
            }
            line.view.draw(numbers);
        }
        self.line_reachable.send_modify(|_| {});
        self.wake_up.news();
    }

    /// Replaces the view with a snapshot.
    pub(crate) fn restart(&self, snapshot: Snapshot) {
        let Snapshot { revision, view, card } = snapshot;
        {
            let mut line = self.write();
            (line.revision, line.view) = (revision, view);
        }
        self.show(card);
        self.set_line_reachable(true);
    }

    /// Replaces the card. Wakes all tabs, unless only the number of remaining units differs: the
    /// next place update carries that.
    fn show(&self, card: SaleCard) {
        let news = {
            let mut line = self.write();
            let before = std::mem::replace(&mut line.card, Arc::new(card));
            let card = line.card.clone();
            line.flow.card_changed(&before, &card);
            let news = before != card && !differs_in_counts_only(&before, &card);
            line.news = line.news.wrapping_add(u32::from(news));
            news
        };
        if news {
            self.line_reachable.send_modify(|_| {});
            self.wake_up.news();
        }
    }

    /// Sets whether the line can be reached, and wakes all tabs if that changed.
    pub(crate) fn set_line_reachable(&self, line_reachable: bool) {
        if self.line_reachable.send_if_modified(|current| std::mem::replace(current, line_reachable) != line_reachable)
        {
            self.wake_up.news();
        }
    }

    /// Updates the flow estimate, `elapsed` after the last call.
    pub(crate) fn update_flow(&self, elapsed: Duration) {
        let mut line = self.write();
        let (waiting, status) = (line.view.waiting(), line.card.status);
        line.flow.passed(elapsed, waiting, status);
    }
}

#[cfg(test)]
pub(crate) mod tests;
