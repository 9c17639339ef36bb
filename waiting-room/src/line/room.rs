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
    pub(crate) fn note_request(&self) {
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
pub(crate) mod tests {
    use fairline_sale::VisitorId;

    use super::*;
    use crate::line::wake_up::Pending;

    /// A room whose line has ten tickets, and no shopper connected.
    pub(crate) fn room() -> Room {
        let sale = "00000000-0000-0000-0000-000000000001".parse().expect("a UUID");
        let card = SaleCard { id: sale, total: 100, remaining: 100, ..SaleCard::example() };
        Room::new(Snapshot { revision: rev(5), view: LineView::new(1, 0, 10), card }, WakeUp::default())
    }

    fn rev(rev: u64) -> Revision {
        Revision { epoch: 1, rev }
    }

    pub(crate) fn ticket(room: &Room, ordinal: Ordinal) -> Ticket {
        Ticket { sale: room.sale, epoch: 1, ordinal, visitor: VisitorId([0; 16]) }
    }

    fn place(room: &Room, ordinal: Ordinal) -> Option<u64> {
        let mut places = Vec::new();
        room.snapshot([ordinal], &mut places);
        places[0].map(|place| place.ahead)
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_room_rests_and_makes_no_roll_call() {
        let room = room();
        assert!(room.rests() && room.calls_roll(), "shoppers of a node that has died may wait");
        room.note_request();
        assert!(!room.rests());
        tokio::time::advance(RESTS_AFTER + Duration::from_millis(1)).await;
        assert!(room.rests());
        room.shoppers.enter(&ticket(&room, 1), Browser::Desktop);
        assert!(!room.rests());
        let mut card = SaleCard::clone(&room.card());
        card.status = Status::Closed;
        room.apply(rev(6), Change::Card { card: serde_json::to_string(&card).expect("JSON") });
        assert!(!room.calls_roll(), "places no longer matter");
    }

    #[test]
    fn a_missing_change_is_noticed_and_a_repeated_one_is_not_taken_twice() {
        let room = room();
        let gone = |ordinal| Change::Departed { ordinals: vec![ordinal] };
        assert!(!room.apply(rev(5), gone(1)).gap);
        assert!(!room.apply(rev(6), gone(2)).gap);
        assert_eq!(place(&room, 10), Some(8));
        assert!(room.apply(rev(8), gone(3)).gap);
        assert!(room.apply(Revision { epoch: 2, rev: 1 }, gone(3)).gap, "another epoch");
        assert_eq!(room.revision(), rev(6));
    }

    #[test]
    fn the_numbers_of_a_draw_are_applied_once_and_only_in_its_epoch() {
        let room = room();
        let numbers = Numbers::from_bytes(&[10_u32, 9, 8, 7, 6, 5, 4, 3, 2, 1].map(u32::to_be_bytes).concat());
        room.apply(rev(6), Change::Departed { ordinals: vec![1] });
        room.draw(rev(7), numbers.clone());
        assert_eq!(place(&room, 2), Some(8));
        room.draw(rev(7), numbers.clone());
        assert_eq!(place(&room, 2), Some(8), "the departed ticket has number 10, and is not shuffled again");
        // The database was restored to before the draw while the numbers were read.
        let (revision, card) = (Revision { epoch: 1001, rev: 1 }, SaleCard::clone(&room.card()));
        room.restart(Snapshot { revision, view: LineView::new(1001, 0, 10), card });
        room.draw(rev(7), numbers);
        assert_eq!(place(&room, 2), Some(1));
    }

    #[test]
    fn a_connected_shopper_resumes_a_departed_ticket() {
        let room = room();
        room.shoppers.enter(&ticket(&room, 3), Browser::Desktop);
        let gone = Change::Departed { ordinals: vec![2, 3] };
        assert_eq!(room.apply(rev(6), gone).resume, [ticket(&room, 3)]);
        let lapsed = Change::Moved { cursor: 3, highest: 10, turns: vec![(3, "lapsed".to_owned())] };
        assert_eq!(room.apply(rev(7), lapsed).resume, [ticket(&room, 3)]);
        assert_eq!(room.shoppers.turn(3), Turn::Lapsed);
        assert_eq!(room.wake_up.take(), Pending { moved: true, turns: vec![3], ..Pending::default() });
    }

    #[test]
    fn an_answer_that_changes_have_overtaken_is_discarded() {
        let room = room();
        room.shoppers.enter(&ticket(&room, 1), Browser::Desktop);
        let live =
            r#"{"token":"a.b.c","quantity":1,"claim_by":"2026-11-27T09:00:15Z","expires_at":"2026-11-27T09:02:00Z"}"#;
        let moved = Change::Moved { cursor: 1, highest: 10, turns: vec![(1, live.to_owned())] };
        room.apply(rev(6), moved);
        room.resumed(1, Turn::Waiting, rev(5));
        assert!(matches!(room.shoppers.turn(1), Turn::Now(_)));
        assert_eq!(place(&room, 1), None);

        room.resumed(1, Turn::Waiting, rev(7));
        assert_eq!(room.shoppers.turn(1), Turn::Waiting, "its turn lapsed and comes again");
        assert_eq!(place(&room, 1), Some(0));
    }

    #[test]
    fn a_ticket_that_was_given_at_another_node_has_a_place_though_its_answer_was_overtaken() {
        let room = room();
        room.shoppers.enter(&ticket(&room, 11), Browser::Desktop);
        room.apply(rev(6), Change::Left { ordinals: vec![3] });
        room.resumed(11, Turn::Waiting, rev(5));
        assert_eq!(place(&room, 11), Some(9));
        room.resumed(12, Turn::Waiting, Revision { epoch: 0, rev: 9 });
        assert_eq!(place(&room, 12), None, "of an earlier epoch");
    }

    #[test]
    fn a_change_of_units_wakes_no_tab_and_any_other_wakes_all() {
        let room = room();
        let mut news = room.subscribe();
        let card = |change: fn(&mut SaleCard)| {
            let mut card = SaleCard::clone(&room.card());
            change(&mut card);
            Change::Card { card: serde_json::to_string(&card).expect("JSON") }
        };
        room.apply(rev(6), card(|card| card.remaining = 99));
        assert_eq!(room.card().remaining, 99);
        assert!(!news.has_changed().expect("the room is there") && !room.wake_up.take().news);
        assert_eq!(room.snapshot([], &mut Vec::new()).news, 0);
        room.apply(rev(7), card(|card| card.status = Status::Paused));
        assert!(news.has_changed().expect("the room is there") && room.wake_up.take().news);
        assert_eq!(room.snapshot([], &mut Vec::new()).news, 1);
        news.mark_unchanged();
        room.set_line_reachable(true);
        assert!(!news.has_changed().expect("the room is there"));
        room.set_line_reachable(false);
        assert!(!*news.borrow_and_update());
    }
}
