//! The shoppers who are connected to a room of this node, and their turns: one small record per
//! ticket.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::http::{HeaderMap, header};
use fairline_line::{
    change::{Revision, Turn},
    ticket::{Ordinal, Ticket},
};
use fairline_sale::{SaleId, VisitorId};
use tokio::sync::watch;

/// Size limit of the bitmap of connected shoppers in bytes: 16 million ordinals.
const BITMAP_BYTES_MAX: usize = 1 << 21;

/// The kind of browser that a shopper uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Browser {
    /// A desktop browser, which keeps its tabs awake.
    Desktop,
    /// A phone, which suspends hidden tabs and loses connections often.
    Phone,
}

impl Browser {
    /// Detects the browser from the client hint, or else from the parts of `User-Agent` that
    /// browsers agree on.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mobile = match text("sec-ch-ua-mobile") {
            Some(hint) => hint.trim() == "?1",
            None => text(header::USER_AGENT.as_str()).is_some_and(|agent| agent.contains("Mobi")),
        };
        if mobile { Self::Phone } else { Self::Desktop }
    }
}

/// A connected ticket with one or more tabs.
struct Shopper {
    visitor: VisitorId,
    epoch: u32,
    tabs: u16,
    browser: Browser,
    /// The revision of the line at which the turn was read.
    turn_at: Revision,
    /// Rarely present: most shoppers wait, in idle sockets.
    rest: Option<Box<Rest>>,
}

struct Rest {
    turn: Turn,
    /// Wakes tabs that run as tasks.
    tasks: Option<watch::Sender<()>>,
}

impl Shopper {
    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_with(|| Box::new(Rest { turn: Turn::Waiting, tasks: None }))
    }
}

/// The tickets that are connected to one room, and those that disconnected a moment ago.
pub(crate) struct Shoppers {
    sale: SaleId,
    here: Mutex<BTreeMap<Ordinal, Shopper>>,
    /// Tickets whose last tab has closed and whose absence has not been reported to the line.
    gone: Mutex<BTreeMap<Ordinal, Browser>>,
}

/// The maps hold plain data: a panic elsewhere leaves them usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shoppers {
    pub(crate) fn new(sale: SaleId) -> Self {
        Self { sale, here: Mutex::default(), gone: Mutex::default() }
    }

    /// Records a first or further tab of a shopper.
    pub(crate) fn enter(&self, ticket: &Ticket, browser: Browser) {
        let mut here = lock(&self.here);
        lock(&self.gone).remove(&ticket.ordinal);
        let shopper = here.entry(ticket.ordinal).or_insert_with(|| Shopper {
            visitor: ticket.visitor,
            epoch: ticket.epoch,
            tabs: 0,
            browser,
            turn_at: Revision::default(),
            rest: None,
        });
        shopper.tabs = shopper.tabs.saturating_add(1);
        shopper.browser = browser;
    }

    /// Records that a tab has closed. The last tab of a ticket starts its grace period.
    pub(crate) fn exit(&self, ordinal: Ordinal) {
        let mut here = lock(&self.here);
        let Some(shopper) = here.get_mut(&ordinal) else { return };
        shopper.tabs = shopper.tabs.saturating_sub(1);
        let browser = shopper.browser;
        if shopper.tabs == 0 {
            here.remove(&ordinal);
            lock(&self.gone).insert(ordinal, browser);
        }
    }

    /// Returns a receiver that wakes when the turn of a connected ticket changes.
    pub(crate) fn watch(&self, ordinal: Ordinal) -> watch::Receiver<()> {
        match lock(&self.here).get_mut(&ordinal) {
            Some(shopper) => shopper.rest().tasks.get_or_insert_with(|| watch::Sender::new(())).subscribe(),
            None => watch::Sender::new(()).subscribe(),
        }
    }

    /// The turn of a ticket.
    pub(crate) fn turn(&self, ordinal: Ordinal) -> Turn {
        let here = lock(&self.here);
        here.get(&ordinal).and_then(|shopper| shopper.rest.as_ref()).map_or(Turn::Waiting, |rest| rest.turn.clone())
    }

    /// Stores the turn of a ticket unless a newer one is known. Returns whether it is new to a
    /// connected shopper.
    pub(crate) fn set_turn(&self, ordinal: Ordinal, turn: Turn, at: Revision) -> bool {
        let mut here = lock(&self.here);
        let Some(shopper) = here.get_mut(&ordinal).filter(|shopper| shopper.turn_at <= at) else { return false };
        shopper.turn_at = at;
        if turn == *shopper.rest.as_ref().map_or(&Turn::Waiting, |rest| &rest.turn) {
            return false;
        }
        let rest = shopper.rest();
        rest.turn = turn;
        rest.tasks.take_if(|tasks| tasks.send(()).is_err());
        shopper.rest.take_if(|rest| rest.turn == Turn::Waiting && rest.tasks.is_none());
        true
    }

    fn ticket_of(&self, ordinal: Ordinal, shopper: &Shopper) -> Ticket {
        Ticket { sale: self.sale, epoch: shopper.epoch, ordinal, visitor: shopper.visitor }
    }

    /// The ticket of a connected shopper.
    pub(crate) fn ticket(&self, ordinal: Ordinal) -> Option<Ticket> {
        lock(&self.here).get(&ordinal).map(|shopper| self.ticket_of(ordinal, shopper))
    }

    /// The connected tickets, in the order of the line.
    pub(crate) fn connected(&self) -> Vec<Ticket> {
        lock(&self.here).iter().map(|(ordinal, shopper)| self.ticket_of(*ordinal, shopper)).collect()
    }

    /// A bitmap of the connected ordinals in Redis's bit order: the most significant bit of the
    /// first byte is ordinal 0.
    pub(crate) fn bitmap(&self) -> Vec<u8> {
        let mut bitmap = Vec::new();
        for ordinal in lock(&self.here).keys() {
            let byte = usize::try_from(ordinal / 8).unwrap_or(usize::MAX);
            if byte >= BITMAP_BYTES_MAX {
                break;
            }
            if byte >= bitmap.len() {
                bitmap.resize(byte + 1, 0);
            }
            bitmap[byte] |= 0x80 >> (ordinal % 8);
        }
        bitmap
    }

    /// Whether no shopper is connected to this node.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.here).is_empty()
    }

    /// Whether no shopper is connected, and all absences were reported to the line.
    pub(crate) fn is_done(&self) -> bool {
        self.is_empty() && !self.has_gone()
    }

    /// Whether there are absences that were not reported to the line.
    pub(crate) fn has_gone(&self) -> bool {
        !lock(&self.gone).is_empty()
    }

    /// Takes the tickets whose last tab has closed, in the order of the line.
    pub(crate) fn take_gone(&self) -> Vec<(Ordinal, Browser)> {
        std::mem::take(&mut *lock(&self.gone)).into_iter().collect()
    }

    /// Puts back tickets whose absence could not be reported.
    pub(crate) fn put_back_gone(&self, gone: impl IntoIterator<Item = (Ordinal, Browser)>) {
        let here = lock(&self.here);
        lock(&self.gone).extend(gone.into_iter().filter(|(ordinal, _)| !here.contains_key(ordinal)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shoppers() -> Shoppers {
        Shoppers::new("00000000-0000-0000-0000-000000000001".parse().expect("a UUID"))
    }

    fn rev(rev: u64) -> Revision {
        Revision { epoch: 1, rev }
    }

    fn ticket(shoppers: &Shoppers, ordinal: Ordinal) -> Ticket {
        Ticket { sale: shoppers.sale, epoch: 1, ordinal, visitor: VisitorId([7; 16]) }
    }

    #[test]
    fn only_the_last_tab_starts_the_grace_period() {
        let shoppers = shoppers();
        let ticket = ticket(&shoppers, 3);
        shoppers.enter(&ticket, Browser::Desktop);
        shoppers.enter(&ticket, Browser::Phone);
        assert_eq!((shoppers.connected(), shoppers.bitmap()), (vec![ticket], vec![0b0001_0000]));
        shoppers.exit(3);
        assert!(shoppers.take_gone().is_empty());
        shoppers.exit(3);
        assert_eq!(shoppers.take_gone(), [(3, Browser::Phone)]);

        shoppers.enter(&ticket, Browser::Desktop);
        shoppers.exit(3);
        shoppers.enter(&ticket, Browser::Desktop);
        assert!(shoppers.take_gone().is_empty(), "back before the absence was reported");
        shoppers.put_back_gone([(3, Browser::Desktop), (4, Browser::Desktop)]);
        assert_eq!(shoppers.take_gone(), [(4, Browser::Desktop)], "who is back is not put back");
    }

    #[tokio::test]
    async fn tabs_that_are_tasks_wake_when_their_turn_changes() {
        let shoppers = shoppers();
        shoppers.enter(&ticket(&shoppers, 3), Browser::Desktop);
        assert!(shoppers.set_turn(3, Turn::Lapsed, rev(5)));
        let mut woken = shoppers.watch(3);
        assert!(!shoppers.set_turn(3, Turn::Lapsed, rev(6)), "unchanged");
        assert!(!shoppers.set_turn(3, Turn::Bought, rev(5)), "older than what is known");
        assert!(!woken.has_changed().expect("open"));
        assert!(shoppers.set_turn(3, Turn::Waiting, rev(7)));
        woken.changed().await.expect("open");
        assert_eq!(shoppers.turn(3), Turn::Waiting);
        assert!(!shoppers.set_turn(4, Turn::Bought, rev(7)), "no shopper is connected");
    }

    #[test]
    fn the_record_of_a_shopper_is_small() {
        assert!(size_of::<(Ordinal, Shopper)>() <= 56, "{}", size_of::<(Ordinal, Shopper)>());
    }

    #[test]
    fn phones_are_recognised_by_their_headers() {
        let phone = "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/149.0.0.0 Mobile Safari/537.36";
        for (name, value, expected) in [
            ("user-agent", phone, Browser::Phone),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101", Browser::Desktop),
            ("sec-ch-ua-mobile", "?1", Browser::Phone),
            ("sec-ch-ua-mobile", "?0", Browser::Desktop),
            ("accept", "Mobi", Browser::Desktop),
        ] {
            let headers: HeaderMap =
                [(name.parse().expect("a name"), value.parse().expect("a value"))].into_iter().collect();
            assert_eq!(Browser::of(&headers), expected, "{name}: {value}");
        }
    }
}
