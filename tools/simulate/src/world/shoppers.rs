//! Shoppers: what they do, and what their pages show.

use std::collections::BTreeMap;

use fairline_line::{
    port::Value,
    store::LineAccount,
    ticket::{Ordinal, Ticket},
};
use fairline_sale::VisitorId;
use uuid::Uuid;
use waiting_room::testing::ShownOutcome;

use super::{LOOPS, PAGE_REQUESTS, World, is_node};
use crate::{
    event::ProcessIndex,
    gate::{RedisCall, bytes},
    ledger::shop::Redeemed,
    node::{Guest, NodeShared},
    sale::admission_of,
};

/// Redis keeps the reply to a batch of joins for 60 s, by its clock, which jumps.
const REPLY_KEPT_MS: u64 = 50_000;

/// The last reply to each batch of joins in each process of Redis, and when it was given, in ms.
pub(super) type JoinReplies = BTreeMap<(String, Vec<u8>), (Value, u64)>;

/// The state of a shopper.
#[derive(Debug)]
pub(crate) struct ShopperState {
    pub(crate) account: Option<LineAccount>,
    pub(crate) ticket: Option<Ticket>,
    pub(super) visitor: VisitorId,
    /// Where the page is open.
    pub(crate) node: Option<ProcessIndex>,
    /// The node of a pending request.
    pub(crate) pending: Option<ProcessIndex>,
    /// Wants the page open, and reopens it when it breaks.
    pub(crate) present: bool,
    /// Has closed the page once, and may have been disconnected.
    pub(crate) was_unreachable: bool,
    /// What the page shows.
    pub(crate) shown: Option<ShownOutcome>,
    /// The number of turns that it has shown.
    pub(crate) turns: u32,
    pub(crate) token: Option<Uuid>,
    pub(crate) claimed: bool,
    pub(crate) redeemed: bool,
    pub(crate) over: Option<String>,
    /// Since when the page has been open, in ms.
    pub(crate) since_ms: u64,
}

impl ShopperState {
    pub(super) fn new(visitor: VisitorId, account: Option<LineAccount>) -> Self {
        Self {
            account,
            ticket: None,
            visitor,
            node: None,
            pending: None,
            present: false,
            was_unreachable: false,
            shown: None,
            turns: 0,
            token: None,
            claimed: false,
            redeemed: false,
            over: None,
            since_ms: 0,
        }
    }
}

impl World {
    /// Applies the messages of pages.
    pub(super) fn show_pages(&mut self, process: ProcessIndex) {
        let inside = self.processes[process].inside.clone();
        let mut inside = inside.borrow_mut();
        let now = std::time::Duration::from_millis(self.now.get());
        let mut over = Vec::new();
        for (&shopper, page) in &mut inside.pages {
            let own = &mut self.shoppers[shopper];
            while let Some(shown) = page.receive(now) {
                match &shown {
                    ShownOutcome::Sale => continue,
                    ShownOutcome::Turn(token) => {
                        let token = admission_of(token);
                        if own.token != token {
                            own.turns += 1;
                            (own.token, own.claimed, own.redeemed) = (token, false, false);
                        }
                    }
                    ShownOutcome::Over(why) => {
                        own.over = Some(why.clone());
                        over.push(shopper);
                    }
                    _ => own.token = None,
                }
                own.shown = Some(shown);
            }
        }
        for shopper in over {
            inside.pages.remove(&shopper);
            let own = &mut self.shoppers[shopper];
            own.node = None;
            let (why, was_unreachable) = (own.over.clone().unwrap_or_default(), own.was_unreachable);
            let ordinal = own.ticket.map_or(0, |ticket| ticket.ordinal);
            let is_expected = match why.as_str() {
                "Expired" => self.ledger().may_expire(0, ordinal),
                "Missed" => was_unreachable,
                "Removed" | "Limit" => self.ledger().was_taken_out(0, ordinal),
                _ => true,
            };
            if !is_expected {
                self.breaks(format!("place lost: shopper {shopper} has no outcome yet, but is sent: {why}"));
            }
        }
    }

    pub(super) fn close(&mut self, shopper: usize) {
        if let Some(node) = self.shoppers[shopper].node.take() {
            self.processes[node].inside.borrow_mut().pages.remove(&shopper);
        }
        self.shoppers[shopper].shown = None;
    }

    pub(super) fn request(&mut self, process: ProcessIndex, shopper: usize) -> Option<(NodeShared, Guest, u8)> {
        let (slot, own) = (LOOPS + u8::try_from(shopper).ok()?, self.shoppers.get(shopper)?);
        let is_busy = self.processes.get(process)?.tasks.contains_key(&slot);
        let is_free = !is_busy && own.pending.is_none() && own.node.is_none() && own.over.is_none();
        if !is_node(process) || !is_free || self.processes[process].inside.borrow().room.is_none() {
            return None;
        }
        Some((self.shared(process), Guest { shopper, visitor: own.visitor, account: own.account }, slot))
    }

    pub(super) fn join(&mut self, process: ProcessIndex, shoppers: &[usize]) {
        let mut guests = Vec::new();
        let mut at = None;
        for &shopper in shoppers {
            if self.shoppers[shopper].ticket.is_some() {
                continue;
            }
            if let Some((_, guest, slot)) = self.request(process, shopper) {
                let own = &mut self.shoppers[shopper];
                (own.pending, own.present) = (Some(process), true);
                guests.push(guest);
                at.get_or_insert(slot);
            }
        }
        let Some(slot) = at else { return };
        self.batches += 1;
        let shared = self.shared(process);
        self.spawn(process, slot, Box::pin(shared.join(self.batches.to_be_bytes(), guests)));
    }

    /// A batch of joins that is repeated in an epoch gets the same places, and an ordinal has one
    /// holder, whether or not a shopper learns of it.
    pub(super) fn check_join(&mut self, server: usize, request: &RedisCall, reply: &Value) {
        let (true, Some(epoch), Some([batch, visitors, _])) =
            (request.function.ends_with("_join"), epoch_of(reply), request.args.first_chunk())
        else {
            return;
        };
        for (ordinal, visitor) in places_of(visitors, reply) {
            if *self.holders.entry(ordinal).or_insert(visitor) != visitor {
                self.breaks(format!("two holders: ticket {ordinal} was given to two shoppers"));
            }
        }
        let (now, key) = (self.now.get(), (self.servers[server].run_id(), batch.clone()));
        match self.joined.get(&key) {
            Some((earlier, since)) if epoch_of(earlier) == Some(epoch) && now < since + REPLY_KEPT_MS => {
                if earlier != reply {
                    self.breaks("place changed: a repeated batch of joins has other places".to_owned());
                }
            }
            _ => drop(self.joined.insert(key, (reply.clone(), now))),
        }
    }

    /// A shopper whose turn is over joins again, as the same visitor.
    pub(super) fn rejoin(&mut self, process: ProcessIndex, shopper: usize) {
        let own = &mut self.shoppers[shopper];
        if own.over.take().is_none() {
            return;
        }
        (own.ticket, own.shown, own.was_unreachable) = (None, None, false);
        (own.token, own.claimed, own.redeemed) = (None, false, false);
        if let Some(account) = &mut own.account {
            account.rejoins = true;
        }
        self.join(process, &[shopper]);
    }

    /// An operator removes or prefers a waiting ticket.
    pub(super) fn insert_ticket_action(&mut self, shopper: usize, removed: bool) {
        if let Some(ticket) = self.shoppers[shopper].ticket {
            self.ledger().insert_ticket_action(0, ticket.ordinal, ticket.visitor, removed);
        }
    }

    pub(super) fn open(&mut self, process: ProcessIndex, shopper: usize) {
        self.shoppers[shopper].present = true;
        let Some(ticket) = self.shoppers[shopper].ticket else { return };
        let Some((shared, guest, slot)) = self.request(process, shopper) else { return };
        self.shoppers[shopper].pending = Some(process);
        self.spawn(process, slot, Box::pin(shared.open(guest, ticket)));
    }

    /// A page claims its token, or its shopper leaves.
    pub(super) fn send(&mut self, shopper: usize, leaves: bool) {
        let own = &self.shoppers[shopper];
        let (Some(node), Some(ticket)) = (own.node, own.ticket) else { return };
        let slot = PAGE_REQUESTS + u8::try_from(shopper).unwrap_or(0);
        if self.processes[node].tasks.contains_key(&slot) || (!leaves && own.token.is_none()) {
            return;
        }
        if leaves {
            self.ledger().leaves(ticket.ordinal);
        }
        let shared = self.shared(node);
        let request: std::pin::Pin<Box<dyn Future<Output = ()>>> =
            if leaves { Box::pin(shared.leave(ticket)) } else { Box::pin(shared.claim(shopper, ticket)) };
        self.spawn(node, slot, request);
    }

    pub(super) fn redeem(&mut self, shopper: usize) {
        let Some(at) = self.shoppers[shopper].token.filter(|_| !self.shoppers[shopper].redeemed) else { return };
        if self.ledger().redeem(self.now.get(), at) == Redeemed::Yes {
            self.shoppers[shopper].redeemed = true;
        }
    }
}

/// The value of a named field of a reply.
fn field<'a>(reply: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Array(parts) = reply else { return None };
    let at = parts.iter().step_by(2).position(|part| bytes(part) == name.as_bytes())?;
    parts.get(at * 2 + 1)
}

fn epoch_of(reply: &Value) -> Option<u64> {
    field(reply, "epoch")?.as_u64()
}

/// The ordinals that a batch of joins got, and their holders.
fn places_of(visitors: &[u8], reply: &Value) -> Vec<(Ordinal, VisitorId)> {
    let (Some(first), Some(Value::Array(places))) =
        (field(reply, "first").and_then(Value::as_u64), field(reply, "places"))
    else {
        return Vec::new();
    };
    let (chunks, _) = places.as_chunks::<3>();
    let known =
        |[_, ordinal, visitor]: &[Value; 3]| Some((ordinal.as_u64()?, VisitorId(bytes(visitor).try_into().ok()?)));
    let is_new = |at: &usize| !chunks.iter().any(|[place, ..]| place.as_u64() == u64::try_from(*at).ok());
    let (visitors, _) = visitors.as_chunks::<16>();
    let new = (0..visitors.len()).filter(is_new).map(|at| VisitorId(visitors[at]));
    (first..).zip(new).chain(chunks.iter().filter_map(known)).collect()
}
