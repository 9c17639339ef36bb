//! One sale in one node: the local view of its line, and the shoppers who are connected here.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use fairline_line::{
    change::{Change, Revision, Turn},
    store::Snapshot,
    ticket::{Ordinal, Ticket},
    view::{LineView, Place},
};
use fairline_sale::{SaleCard, SaleId};
use tokio::sync::watch;

use crate::{pace::AdmissionRate, speech};

/// One sale in this node.
pub(crate) struct Room {
    pub(crate) sale: SaleId,
    line: RwLock<Line>,
    /// Whether the line can be reached. Wakes everybody up, also when there are other news for all.
    in_touch: watch::Sender<bool>,
    shoppers: Mutex<HashMap<Ordinal, Shopper>>,
    /// Tickets whose last socket here has closed and whom the line has not been told of yet.
    gone: Mutex<BTreeSet<Ordinal>>,
}

struct Line {
    revision: Revision,
    view: LineView,
    rate: AdmissionRate,
    card: Arc<SaleCard>,
}

/// A ticket that is connected here, with one or more tabs.
struct Shopper {
    ticket: Ticket,
    turn: watch::Sender<Turn>,
    /// The revision of the line that `turn` was read at.
    told_at: Revision,
}

/// Bytes of the bitmap of who is connected at most: 16 million ordinals.
const CONNECTED_BYTES_MAX: usize = 1 << 21;

/// What follows from taking a change in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Aftermath {
    /// A change is missing: the room needs a snapshot.
    pub(crate) gap: bool,
    /// Tickets of shoppers who are connected here, whom the line believes gone or whose turn nobody claimed: they have to
    /// say that they are here.
    pub(crate) resume: Vec<Ticket>,
}

/// The maps and views are plain data: a panic elsewhere leaves them usable.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let Snapshot { revision, view, card } = snapshot;
        Self {
            sale: card.id,
            line: RwLock::new(Line { revision, view, rate: AdmissionRate::default(), card: Arc::new(card) }),
            in_touch: watch::Sender::new(true),
            shoppers: Mutex::default(),
            gone: Mutex::default(),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Line> {
        self.line.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Line> {
        self.line.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sale's facts.
    pub(crate) fn card(&self) -> Arc<SaleCard> {
        self.read().card.clone()
    }

    /// Whether this is the sale of that slug.
    pub(crate) fn is_called(&self, slug: &str) -> bool {
        self.read().card.slug == slug
    }

    /// The revision that the next change follows.
    pub(crate) fn revision(&self) -> Revision {
        self.read().revision
    }

    /// Whether the line could be reached lately.
    pub(crate) fn is_in_touch(&self) -> bool {
        *self.in_touch.borrow()
    }

    /// Where a ticket stands.
    pub(crate) fn place(&self, ordinal: Ordinal) -> Option<Place> {
        self.read().view.place(ordinal)
    }

    /// People let in per second, lately.
    pub(crate) fn rate_per_s(&self) -> Option<f64> {
        self.read().rate.per_s()
    }

    /// Hears from now on whether the line can be reached, and is woken by all other news, too.
    pub(crate) fn subscribe(&self) -> watch::Receiver<bool> {
        self.in_touch.subscribe()
    }

    /// Whether nobody is connected here.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.shoppers).is_empty()
    }

    /// A shopper connects, with a first or a further tab.
    pub(crate) fn enter(&self, ticket: Ticket) -> watch::Receiver<Turn> {
        lock(&self.gone).remove(&ticket.ordinal);
        let mut shoppers = lock(&self.shoppers);
        let shopper = shoppers.entry(ticket.ordinal).or_insert_with(|| Shopper {
            ticket,
            turn: watch::Sender::new(Turn::Waiting),
            told_at: Revision::default(),
        });
        shopper.turn.subscribe()
    }

    /// A tab closes. The last one of a ticket starts its grace period.
    pub(crate) fn exit(&self, ordinal: Ordinal, turn: watch::Receiver<Turn>) {
        let mut shoppers = lock(&self.shoppers);
        drop(turn);
        let last = shoppers.get(&ordinal).is_some_and(|shopper| shopper.turn.receiver_count() == 0);
        if last {
            shoppers.remove(&ordinal);
            lock(&self.gone).insert(ordinal);
        }
    }

    /// A ticket was given to a shopper of this node. Its place shows at once, not when the change comes round.
    pub(crate) fn joined(&self, ordinal: Ordinal) {
        self.write().view.given(ordinal);
    }

    /// Whether a ticket's turn has come, as far as this node knows.
    pub(crate) fn has_passed(&self, ordinal: Ordinal) -> bool {
        self.read().view.cursor() >= ordinal
    }

    /// The line has answered the ticket of a shopper who is here.
    pub(crate) fn resumed(&self, ordinal: Ordinal, turn: Turn, at: Revision) {
        {
            let mut line = self.write();
            // An answer that the changes have overtaken says nothing about places any more.
            if turn == Turn::Waiting && at >= line.revision {
                let ordinals = vec![ordinal];
                let here = if ordinal > line.view.cursor() {
                    Change::Returned { ordinals }
                } else {
                    Change::Recalled { ordinals }
                };
                line.view.apply(&here);
            }
        }
        self.tell(ordinal, turn, at);
    }

    /// Tells every tab of a ticket what has become of its turn, unless they know something newer.
    fn tell(&self, ordinal: Ordinal, turn: Turn, at: Revision) {
        if let Some(shopper) = lock(&self.shoppers).get_mut(&ordinal)
            && shopper.told_at <= at
        {
            shopper.told_at = at;
            shopper.turn.send_if_modified(|told| {
                let news = *told != turn;
                *told = turn;
                news
            });
        }
    }

    /// The tickets that are connected here, in the order of the line.
    pub(crate) fn connected(&self) -> Vec<Ticket> {
        let mut tickets: Vec<_> = lock(&self.shoppers).values().map(|shopper| shopper.ticket).collect();
        tickets.sort_unstable_by_key(|ticket| ticket.ordinal);
        tickets
    }

    /// Who is connected here: bit `n` from the most significant bit of the first byte for ordinal `n`, as Redis has it.
    pub(crate) fn connected_bitmap(&self) -> Vec<u8> {
        let mut bitmap = Vec::new();
        for ordinal in lock(&self.shoppers).keys() {
            let byte = usize::try_from(ordinal / 8).unwrap_or(usize::MAX);
            if byte >= CONNECTED_BYTES_MAX {
                continue;
            }
            if byte >= bitmap.len() {
                bitmap.resize(byte + 1, 0);
            }
            bitmap[byte] |= 0x80 >> (ordinal % 8);
        }
        bitmap
    }

    /// Whether there are tickets whose last tab here has closed, and of which the line has not been told.
    pub(crate) fn has_gone(&self) -> bool {
        !lock(&self.gone).is_empty()
    }

    /// The tickets whose last tab here has closed, once.
    pub(crate) fn take_gone(&self) -> Vec<Ordinal> {
        std::mem::take(&mut *lock(&self.gone)).into_iter().collect()
    }

    /// The line could not be told of these.
    pub(crate) fn put_back_gone(&self, ordinals: Vec<Ordinal>) {
        let shoppers = lock(&self.shoppers);
        lock(&self.gone).extend(ordinals.into_iter().filter(|ordinal| !shoppers.contains_key(ordinal)));
    }

    /// Takes in the change that leads to a revision.
    pub(crate) fn apply(&self, at: Revision, change: Change) -> Aftermath {
        let mut aftermath = Aftermath::default();
        {
            let mut line = self.write();
            if at <= line.revision {
                return aftermath;
            }
            if at != line.revision.next() {
                aftermath.gap = true;
                return aftermath;
            }
            line.revision = at;
            line.view.apply(&change);
            if let Change::Moved { turns, .. } = &change {
                let admitted = turns.iter().filter(|(_, turn)| turn.starts_with('{')).count();
                line.rate.admitted(admitted as u64);
            }
        }
        match change {
            Change::Absent { ordinals } | Change::Departed { ordinals } => {
                let shoppers = lock(&self.shoppers);
                let here = ordinals.iter().filter_map(|ordinal| shoppers.get(ordinal));
                aftermath.resume.extend(here.map(|shopper| shopper.ticket));
            }
            Change::Left { ordinals } => ordinals.into_iter().for_each(|ordinal| self.tell(ordinal, Turn::Left, at)),
            Change::Moved { turns, .. } => {
                for (ordinal, turn) in turns {
                    let Some(turn) = Turn::from_text(&turn) else { continue };
                    if turn == Turn::Lapsed {
                        let shoppers = lock(&self.shoppers);
                        aftermath.resume.extend(shoppers.get(&ordinal).map(|shopper| shopper.ticket));
                    }
                    self.tell(ordinal, turn, at);
                }
            }
            Change::Card { card } => {
                if let Ok(card) = serde_json::from_str(&card) {
                    self.show(card);
                }
            }
            Change::Returned { .. } | Change::Recalled { .. } => {}
        }
        aftermath
    }

    /// Starts over from a snapshot.
    pub(crate) fn restart(&self, snapshot: Snapshot) {
        let Snapshot { revision, view, card } = snapshot;
        {
            let mut line = self.write();
            (line.revision, line.view) = (revision, view);
        }
        self.show(card);
        self.set_in_touch(true);
    }

    /// New facts. Everybody is woken, unless only the number of remaining units differs: that can wait for the next place.
    fn show(&self, card: SaleCard) {
        let card = Arc::new(card);
        let before = std::mem::replace(&mut self.write().card, card.clone());
        if !speech::differs_in_remaining_only(&before, &card) {
            self.in_touch.send_modify(|_| {});
        }
    }

    /// Says whether the line can be reached, when that changes.
    pub(crate) fn set_in_touch(&self, in_touch: bool) {
        self.in_touch.send_if_modified(|told| std::mem::replace(told, in_touch) != in_touch);
    }

    /// Brings the rate up to date, `elapsed` after the last time.
    pub(crate) fn beat(&self, elapsed: Duration) {
        self.write().rate.passed(elapsed);
    }
}

#[cfg(test)]
mod tests {
    use fairline_sale::{Status, VisitorId};
    use time::OffsetDateTime;

    use super::*;

    fn room() -> Room {
        let sale = "00000000-0000-0000-0000-000000000001".parse().expect("a UUID");
        let card = SaleCard {
            id: sale,
            slug: "first-drop".to_owned(),
            name: "First drop".to_owned(),
            description: String::new(),
            price_minor: 4900,
            currency: "EUR".to_owned(),
            per_shopper_limit: 1,
            total: 100,
            remaining: 100,
            status: Status::Open,
            opens_at: OffsetDateTime::UNIX_EPOCH,
            ends_at: None,
            rate_cap_per_s: 10.0,
            message: None,
        };
        Room::new(Snapshot { revision: rev(5), view: LineView::new(1, 0, 10, &[], []), card })
    }

    fn rev(rev: u64) -> Revision {
        Revision { epoch: 1, rev }
    }

    fn ticket(room: &Room, ordinal: Ordinal) -> Ticket {
        Ticket { sale: room.sale, epoch: 1, ordinal, visitor: VisitorId([0; 16]) }
    }

    #[test]
    fn only_the_last_tab_starts_the_grace_period() {
        let room = room();
        let (first, second) = (room.enter(ticket(&room, 3)), room.enter(ticket(&room, 3)));
        room.exit(3, first);
        assert!(room.take_gone().is_empty());
        room.exit(3, second);
        assert_eq!(room.take_gone(), [3]);

        let tab = room.enter(ticket(&room, 3));
        room.exit(3, tab);
        let _back = room.enter(ticket(&room, 3));
        assert_eq!(room.connected_bitmap(), [0b0001_0000]);
        assert!(room.take_gone().is_empty(), "back before the line was told");
        room.put_back_gone(vec![3, 4]);
        assert_eq!(room.take_gone(), [4], "who is back is not put back");
    }

    #[test]
    fn a_missing_change_is_noticed_and_a_repeated_one_is_not_taken_twice() {
        let room = room();
        let gone = |ordinal| Change::Departed { ordinals: vec![ordinal] };
        assert!(!room.apply(rev(5), gone(1)).gap);
        assert!(!room.apply(rev(6), gone(2)).gap);
        assert_eq!(room.place(10).map(|place| place.ahead), Some(8));
        assert!(room.apply(rev(8), gone(3)).gap);
        assert!(room.apply(Revision { epoch: 2, rev: 1 }, gone(3)).gap, "another life of the line");
        assert_eq!(room.revision(), rev(6));
    }

    #[test]
    fn whoever_is_here_contradicts_the_line() {
        let room = room();
        let mut turn = room.enter(ticket(&room, 3));
        let gone = Change::Departed { ordinals: vec![2, 3] };
        assert_eq!(room.apply(rev(6), gone).resume, [ticket(&room, 3)]);
        let lapsed = Change::Moved { cursor: 3, highest: 10, turns: vec![(3, "lapsed".to_owned())] };
        assert_eq!(room.apply(rev(7), lapsed).resume, [ticket(&room, 3)]);
        assert!(turn.has_changed().expect("the room is there"));
        assert_eq!(*turn.borrow_and_update(), Turn::Lapsed);
    }

    #[test]
    fn an_answer_that_changes_have_overtaken_is_not_believed() {
        let room = room();
        let turn = room.enter(ticket(&room, 1));
        let live =
            r#"{"token":"a.b.c","quantity":1,"claim_by":"2026-11-27T09:00:15Z","expires_at":"2026-11-27T09:02:00Z"}"#;
        let moved = Change::Moved { cursor: 1, highest: 10, turns: vec![(1, live.to_owned())] };
        room.apply(rev(6), moved);
        room.resumed(1, Turn::Waiting, rev(5));
        assert!(matches!(*turn.borrow(), Turn::Now(_)));
        assert_eq!(room.place(1), None);

        room.resumed(1, Turn::Waiting, rev(7));
        assert_eq!(*turn.borrow(), Turn::Waiting, "its turn lapsed and comes again");
        assert_eq!(room.place(1).map(|place| place.ahead), Some(0));
    }

    #[test]
    fn news_wake_everybody_and_a_unit_less_nobody() {
        let room = room();
        let mut news = room.subscribe();
        let card = |change: fn(&mut SaleCard)| {
            let mut card = SaleCard::clone(&room.card());
            change(&mut card);
            Change::Card { card: serde_json::to_string(&card).expect("JSON") }
        };
        room.apply(rev(6), card(|card| card.remaining = 99));
        assert_eq!(room.card().remaining, 99);
        assert!(!news.has_changed().expect("the room is there"));
        room.apply(rev(7), card(|card| card.status = Status::Paused));
        assert!(news.has_changed().expect("the room is there"));
        news.mark_unchanged();
        room.set_in_touch(true);
        assert!(!news.has_changed().expect("the room is there"));
        room.set_in_touch(false);
        assert!(!*news.borrow_and_update());
    }
}
