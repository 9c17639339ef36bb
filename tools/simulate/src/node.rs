//! A node: the real room with its sync and update policy, driven by the loops of
//! `waiting-room/src/line/{rooms,joins}.rs` and the requests of `http/entry.rs`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use fairline_line::{
    change::{Change, Revision},
    store::{JoinRequest, LineAccount, LineError, LineStore},
    ticket::Ticket,
};
use fairline_sale::VisitorId;
use waiting_room::testing::{Node, TestPage};

use crate::{
    gate::{Gate, Now, TaskWait},
    sale::SALE,
};

/// How long a disconnected shopper keeps the place.
pub const GRACE: Duration = Duration::from_secs(3);
const CHECK_EVERY_MS: u64 = 500;
const GONE_MS: u64 = 100;
const ROLL_CALL_MS: u64 = 750;
const ATTEMPTS: u32 = 3;
const PAUSE_MS: u64 = 300;

/// The outcome of a shopper's request.
pub enum EntryOutcome {
    /// The page is open.
    Opened(usize, Ticket),
    /// The request failed.
    Failed(usize),
    /// The shopper has left.
    Left,
    /// The line has recorded the claim.
    Claimed(usize),
}

/// The state of a node.
#[derive(Default)]
pub struct NodeState {
    /// Its room, once it has one.
    pub room: Option<Node>,
    /// Changes that it has received and not applied.
    pub inbox: VecDeque<(Revision, Change)>,
    /// The pages that are open here, by shopper.
    pub pages: BTreeMap<usize, TestPage>,
    /// Calls of the room in progress.
    pub busy: u32,
    /// Shoppers whose tickets are being shown.
    pub showing: Vec<usize>,
}

/// Shared by the tasks of a node.
#[derive(Clone)]
pub struct NodeShared {
    /// Their stopping points.
    pub gate: Gate,
    /// Virtual time.
    pub now: Now,
    /// Redis.
    pub line: LineStore,
    /// The state of the node.
    pub inside: Rc<RefCell<NodeState>>,
    /// Outcomes of requests.
    pub outcomes: Rc<RefCell<Vec<EntryOutcome>>>,
    /// Its name.
    pub name: String,
}

/// A shopper who enters.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// The index of the shopper.
    pub shopper: usize,
    /// The visitor id of a new ticket.
    pub visitor: VisitorId,
    /// The account, if there is one.
    pub account: Option<LineAccount>,
}

impl NodeShared {
    async fn sleep(&self, ms: u64) {
        self.gate.stop(TaskWait::Until(self.now.get() + ms)).await;
    }

    fn room(&self) -> Option<Node> {
        self.inside.borrow().room.clone()
    }

    fn busy(&self, change: i32) {
        let mut inside = self.inside.borrow_mut();
        inside.busy = inside.busy.saturating_add_signed(change);
    }

    /// Opens the room, and runs its sync.
    pub async fn check_room(self) {
        let mut expected = Revision::default();
        loop {
            match self.room() {
                None => {
                    if let Ok(snapshot) = self.line.snapshot(SALE).await {
                        let room = Node::open(self.line.clone(), self.name.clone(), GRACE, snapshot);
                        self.inside.borrow_mut().room = Some(room);
                    }
                }
                Some(room) => {
                    self.busy(1);
                    expected = room.check(expected).await;
                    self.busy(-1);
                }
            }
            self.sleep(CHECK_EVERY_MS).await;
        }
    }

    /// Applies the changes of the line.
    pub async fn follow(self) {
        loop {
            self.gate.stop(TaskWait::Inbox).await;
            let received = self.inside.borrow_mut().inbox.pop_front();
            let (Some(room), Some((at, change))) = (self.room(), received) else { continue };
            self.busy(1);
            room.apply(at, change).await;
            self.busy(-1);
        }
    }

    /// Answers roll calls.
    pub async fn call_roll(self) {
        loop {
            self.sleep(ROLL_CALL_MS).await;
            if let Some(room) = self.room() {
                let _ = room.answer_roll_call().await;
            }
        }
    }

    /// Reports disconnected shoppers to the line.
    pub async fn report_gone(self) {
        loop {
            self.sleep(GONE_MS).await;
            if let Some(room) = self.room() {
                room.report_gone().await;
            }
        }
    }

    fn done(&self, outcome: EntryOutcome) {
        self.outcomes.borrow_mut().push(outcome);
    }

    /// A batch of joins.
    pub async fn join(self, batch: [u8; 8], guests: Vec<Guest>) {
        let joining: Vec<JoinRequest> =
            guests.iter().map(|guest| JoinRequest { visitor: guest.visitor, account: guest.account }).collect();
        let mut attempt = 0;
        let joined = loop {
            let joined = self.line.join(SALE, batch, &joining).await;
            attempt += 1;
            if attempt == ATTEMPTS || !matches!(joined, Err(LineError::Unavailable(_))) {
                break joined;
            }
            self.sleep(PAUSE_MS << (attempt - 1)).await;
        };
        for (at, guest) in guests.iter().enumerate() {
            match (&joined, self.room()) {
                (Ok(tickets), Some(room)) => {
                    room.joined(tickets[at].ordinal);
                    self.open_page(&room, *guest, tickets[at], false).await;
                }
                _ => self.done(EntryOutcome::Failed(guest.shopper)),
            }
        }
    }

    async fn open_page(&self, room: &Node, guest: Guest, ticket: Ticket, shows: bool) {
        let page = room.page(&ticket);
        self.inside.borrow_mut().showing.push(guest.shopper);
        let shown = if shows || guest.account.is_some() || !room.waits(ticket.ordinal) {
            room.resume(ticket).await
        } else {
            Ok(())
        };
        let mut inside = self.inside.borrow_mut();
        inside.showing.retain(|&shopper| shopper != guest.shopper);
        let waits_here = shows && shown == Err(LineError::NotPublished) && !room.is_line_reachable();
        if shown.is_ok() || waits_here {
            inside.pages.insert(guest.shopper, page);
            drop(inside);
            self.done(EntryOutcome::Opened(guest.shopper, ticket));
        } else {
            drop(inside);
            self.done(EntryOutcome::Failed(guest.shopper));
        }
    }

    /// A shopper opens the page with a ticket.
    pub async fn open(self, guest: Guest, ticket: Ticket) {
        if let Some(account) = &guest.account
            && self.line.bind_account(&ticket, account).await.is_err()
        {
            return self.done(EntryOutcome::Failed(guest.shopper));
        }
        match self.room() {
            Some(room) => self.open_page(&room, guest, ticket, true).await,
            None => self.done(EntryOutcome::Failed(guest.shopper)),
        }
    }

    /// A page claims its token.
    pub async fn claim(self, shopper: usize, ticket: Ticket) {
        if self.line.claim(&ticket).await.is_ok() {
            self.done(EntryOutcome::Claimed(shopper));
        }
    }

    /// A shopper leaves.
    pub async fn leave(self, ticket: Ticket) {
        if self.line.leave(&ticket).await.is_ok() {
            self.done(EntryOutcome::Left);
        }
    }
}
