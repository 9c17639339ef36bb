//! The simulated world: processes whose tasks stop at a gate, two Redis, a database, and shoppers.
//! Applies one event after the other.

mod faults;
mod order;
mod progress;
mod promises;
#[cfg(test)]
mod rests;
mod shoppers;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use fairline_line::{
    change::{Change, Revision},
    port::{Error, ErrorKind},
    store::{LineAccount, LineStore},
};
use fairline_sale::{Status, VisitorId};
use serde::Deserialize;

pub(crate) use self::{progress::Progress, shoppers::ShopperState};

use crate::{
    bugs::Bugs,
    controller,
    event::{CONTROLLERS, NODES, ProcessIndex, StoryEvent},
    gate::{Gate, LOAD, Now, RedisCall, TaskWait},
    ledger::{Backup, Ledger, LedgerConnection},
    node::{EntryOutcome, NodeShared, NodeState},
    sale::{BEGIN_MS, StorySetup, keys},
    server::RedisServer,
};

pub(crate) const SHOPPERS: usize = 10;
const PROCESSES: usize = CONTROLLERS + NODES;
/// Timeout of a call, in ms.
const TIMEOUT_MS: u64 = 1000;
/// How long a node without subscription misses changes, in ms.
const UNSUBSCRIBED_MS: u64 = 400;
/// Slots of a node's loops; the requests of shoppers follow, then those of their pages.
const LOOPS: u8 = 4;
const PAGE_REQUESTS: u8 = LOOPS + SHOPPERS as u8;

struct Task {
    future: std::pin::Pin<Box<dyn Future<Output = ()>>>,
    wait: TaskWait,
    since_ms: u64,
    lost: bool,
}

#[derive(Default)]
struct ProcessState {
    tasks: BTreeMap<u8, Task>,
    paused_until_ms: u64,
    server: usize,
    cut: bool,
    unsubscribed_until_ms: u64,
    lives: u32,
    inside: Rc<RefCell<NodeState>>,
}

/// A change as the library publishes it.
#[derive(Deserialize)]
struct PublishedChange {
    #[serde(flatten)]
    revision: Revision,
    #[serde(flatten)]
    change: Change,
}

/// The world.
pub struct World {
    pub(crate) now: Now,
    gate: Gate,
    line: LineStore,
    pub(crate) servers: [RedisServer; 2],
    pub(crate) primary: usize,
    pub(crate) split: bool,
    ledger: Arc<Mutex<Ledger>>,
    stops_often: bool,
    processes: Vec<ProcessState>,
    pub(crate) shoppers: Vec<ShopperState>,
    late: Vec<(ProcessIndex, RedisCall)>,
    outcomes: Rc<RefCell<Vec<EntryOutcome>>>,
    backup: Option<Backup>,
    /// The holder of each ordinal.
    holders: BTreeMap<u64, VisitorId>,
    batches: u64,
    /// Nodes whose pages may have become silent since the last check, and the checked versions of
    /// the ledger and of each Redis.
    pub(crate) unchecked: [bool; NODES],
    pub(crate) checked: (u64, [u64; 2]),
    pub(crate) order: order::Order,
    pub(crate) progress: Progress,
    /// Replies to batches of joins.
    joined: shoppers::JoinReplies,
    /// Steps taken.
    pub steps: u64,
    /// Faults injected.
    pub faults: u64,
    /// The first violation.
    pub broken: Option<String>,
}

fn timeout() -> Error {
    Error::new(ErrorKind::Timeout, "Request timed out.")
}

pub(crate) fn is_node(process: ProcessIndex) -> bool {
    (CONTROLLERS..PROCESSES).contains(&process)
}

impl World {
    /// A sale that has just opened.
    #[must_use]
    pub(crate) fn new(library: &str, bugs: &Bugs, setting: &StorySetup) -> Self {
        let gate = Gate::default();
        let digest = |at: usize| [u8::try_from(at / 2).unwrap_or(0); 16];
        let account = |at: usize| LineAccount { digest: digest(at), rejoins: at.is_multiple_of(3) };
        let shopper = |at: usize| {
            let account = (setting.accounts && at % 5 != 4).then(|| account(at));
            // Shoppers who share an account are different visitors; the limit counts visitors.
            ShopperState::new(VisitorId([0x40 + u8::try_from(at).unwrap_or(0); 16]), account)
        };
        let mut world = Self {
            now: Now::default(),
            line: LineStore::over(Arc::new(gate.clone())),
            gate,
            servers: [RedisServer::new(1, library), RedisServer::new(2, library)],
            primary: 0,
            split: false,
            ledger: Arc::new(Mutex::new(Ledger::new(&setting.terms, bugs.clone()))),
            stops_often: setting.stops_often,
            processes: (0..PROCESSES).map(|_| ProcessState::default()).collect(),
            shoppers: (0..SHOPPERS).map(shopper).collect(),
            late: Vec::new(),
            outcomes: Rc::default(),
            backup: None,
            holders: BTreeMap::new(),
            batches: 0,
            unchecked: [true; NODES],
            checked: (0, [0; 2]),
            order: order::Order::default(),
            progress: Progress::default(),
            joined: shoppers::JoinReplies::default(),
            steps: 0,
            faults: 0,
            broken: None,
        };
        world.now.set(BEGIN_MS);
        (0..PROCESSES).for_each(|process| world.start(process));
        world
    }

    /// The database.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn breaks(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    /// Starts a process.
    fn start(&mut self, process: ProcessIndex) {
        let own = &mut self.processes[process];
        own.lives += 1;
        if is_node(process) {
            own.inside = Rc::default();
            let shared = self.shared(process);
            self.spawn(process, 0, Box::pin(shared.clone().check_room()));
            self.spawn(process, 1, Box::pin(shared.clone().follow()));
            self.spawn(process, 2, Box::pin(shared.clone().call_roll()));
            self.spawn(process, 3, Box::pin(shared.report_gone()));
        } else {
            let postgres = LedgerConnection {
                ledger: self.ledger.clone(),
                gate: self.gate.clone(),
                now: self.now.clone(),
                stops_often: self.stops_often,
                process,
            };
            self.spawn(process, 0, Box::pin(controller::run(postgres, self.line.clone())));
        }
    }

    fn shared(&self, process: ProcessIndex) -> NodeShared {
        let own = &self.processes[process];
        NodeShared {
            gate: self.gate.clone(),
            now: self.now.clone(),
            line: self.line.clone(),
            inside: own.inside.clone(),
            outcomes: self.outcomes.clone(),
            name: format!("node-{process}-{}", own.lives),
        }
    }

    fn spawn(&mut self, process: ProcessIndex, slot: u8, future: std::pin::Pin<Box<dyn Future<Output = ()>>>) {
        self.stop(process, slot);
        let task = Task { future, wait: TaskWait::Ready, since_ms: self.now.get(), lost: false };
        self.processes[process].tasks.insert(slot, task);
    }

    /// Ends a task; its pending call may still arrive.
    fn stop(&mut self, process: ProcessIndex, slot: u8) {
        if let Some(Task { wait: TaskWait::Answer(id), .. }) = self.processes[process].tasks.remove(&slot) {
            if let Some(request) = self.gate.request(id) {
                self.keep_late(process, request);
            }
            self.gate.forget(id);
        }
    }

    fn keep_late(&mut self, process: ProcessIndex, request: RedisCall) {
        if self.late.len() < 8 && request.function != LOAD {
            self.late.push((process, request));
        }
    }

    fn can_run(&self, process: ProcessIndex, task: &Task) -> bool {
        let (own, now) = (&self.processes[process], self.now.get());
        if own.paused_until_ms > now {
            return false;
        }
        match task.wait {
            TaskWait::Ready => true,
            TaskWait::Until(at) => now >= at,
            TaskWait::Lock => !self.ledger().is_locked(),
            TaskWait::Inbox => !own.inside.borrow().inbox.is_empty(),
            TaskWait::Answer(id) => {
                self.gate.request(id).is_none() || !(own.cut || task.lost) || now >= task.since_ms + TIMEOUT_MS
            }
        }
    }

    /// The tasks that can continue.
    pub(crate) fn runnable(&self) -> Vec<(ProcessIndex, u8)> {
        let mut found = Vec::with_capacity(16);
        for (process, own) in self.processes.iter().enumerate() {
            found.extend(
                own.tasks.iter().filter(|(_, task)| self.can_run(process, task)).map(|(&slot, _)| (process, slot)),
            );
        }
        found
    }

    /// The tasks with an undelivered call.
    pub(crate) fn calling(&self) -> Vec<(ProcessIndex, u8)> {
        let mut found = Vec::new();
        for (process, own) in self.processes.iter().enumerate() {
            for (&slot, task) in &own.tasks {
                if matches!(task.wait, TaskWait::Answer(id) if !task.lost && self.gate.request(id).is_some()) {
                    found.push((process, slot));
                }
            }
        }
        found
    }

    pub(crate) fn late_calls(&self) -> usize {
        self.late.len()
    }

    /// When the next sleeping task wakes.
    pub(crate) fn next_wake(&self) -> u64 {
        let now = self.now.get();
        let mut next = now + 1000;
        for own in &self.processes {
            for task in own.tasks.values() {
                let at = match task.wait {
                    TaskWait::Until(at) => at,
                    TaskWait::Answer(_) => task.since_ms + TIMEOUT_MS,
                    _ => continue,
                };
                if at.max(own.paused_until_ms) > now {
                    next = next.min(at.max(own.paused_until_ms));
                }
            }
        }
        next
    }

    /// Continues a task.
    pub(crate) fn run(&mut self, process: ProcessIndex, slot: u8) {
        let Some(own) = self.processes.get(process) else { return };
        let Some(task) = own.tasks.get(&slot) else { return };
        if !self.can_run(process, task) {
            return;
        }
        if let TaskWait::Answer(id) = task.wait
            && let Some(request) = self.gate.request(id)
        {
            let reached = !(own.cut || task.lost);
            if reached {
                self.record_look(process, &request);
            }
            let answer = if reached { self.deliver(process, &request) } else { Err(timeout()) };
            self.gate.answer(id, answer);
            return;
        }
        let task = self.processes[process].tasks.get_mut(&slot).expect("found above");
        let done = task.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (wait, now) = (self.gate.take_wait(), self.now.get());
        match done {
            Poll::Ready(()) => drop(self.processes[process].tasks.remove(&slot)),
            Poll::Pending => {
                let task = self.processes[process].tasks.get_mut(&slot).expect("found above");
                (task.wait, task.since_ms, task.lost) = (wait, now, false);
            }
        }
        self.take_outcomes(process);
        if is_node(process) {
            self.unchecked[process - CONTROLLERS] = true;
            self.show_pages(process);
        }
    }

    fn deliver(&mut self, process: ProcessIndex, request: &RedisCall) -> Result<fairline_line::port::Value, Error> {
        let server = self.processes[process].server;
        let answer = self.servers[server].call(self.now.get(), request);
        if let Ok(reply) = &answer {
            self.check_join(server, request, reply);
        }
        for (_, message) in self.servers[server].take_published() {
            let Ok(PublishedChange { revision, change }) = serde_json::from_slice(&message) else {
                self.breaks("unreadable message: no node can parse a published change".to_owned());
                continue;
            };
            for own in &self.processes[CONTROLLERS..] {
                if own.server == server && !own.cut && own.unsubscribed_until_ms <= self.now.get() {
                    own.inside.borrow_mut().inbox.push_back((revision, change.clone()));
                }
            }
        }
        answer
    }

    fn take_outcomes(&mut self, process: ProcessIndex) {
        let outcomes = std::mem::take(&mut *self.outcomes.borrow_mut());
        for outcome in outcomes {
            match outcome {
                EntryOutcome::Opened(shopper, ticket) => {
                    let holder = *self.holders.entry(ticket.ordinal).or_insert(ticket.visitor);
                    if holder != ticket.visitor {
                        self.breaks(format!("two holders: ticket {} was given to two shoppers", ticket.ordinal));
                    }
                    let now = self.now.get();
                    let own = &mut self.shoppers[shopper];
                    (own.pending, own.ticket, own.node) = (None, Some(ticket), Some(process));
                    (own.shown, own.since_ms) = (None, now);
                }
                EntryOutcome::Failed(shopper) => self.shoppers[shopper].pending = None,
                EntryOutcome::Claimed(shopper) => self.shoppers[shopper].claimed = true,
                EntryOutcome::Left => {}
            }
        }
    }

    /// Applies an event, if it is applicable.
    pub fn apply(&mut self, event: &StoryEvent) {
        self.steps += 1;
        let now = self.now.get();
        match event {
            StoryEvent::Elapse(ms) => {
                self.now.set(now + ms);
                self.unchecked = [true; NODES];
                let mut ledger = self.ledger();
                ledger.observe(now + ms);
                ledger.end_idle(now + ms);
                ledger.expire_holds(now + ms);
            }
            StoryEvent::Calm(ms) => self.be_calm(*ms),
            StoryEvent::Run(process, slot) => self.run(*process, *slot),
            StoryEvent::Join(process, shoppers) => self.join(*process, shoppers),
            StoryEvent::Open(process, shopper) => self.open(*process, *shopper),
            StoryEvent::Close(shopper) => {
                self.close(*shopper);
                (self.shoppers[*shopper].present, self.shoppers[*shopper].was_unreachable) = (false, true);
            }
            StoryEvent::Claim(shopper) => self.send(*shopper, false),
            StoryEvent::Leave(shopper) => {
                self.send(*shopper, true);
                self.shoppers[*shopper].was_unreachable = true;
            }
            StoryEvent::Redeem(shopper) => self.redeem(*shopper),
            StoryEvent::Pay(shopper) => {
                if let Some(at) = self.shoppers[*shopper].token.filter(|_| self.shoppers[*shopper].redeemed) {
                    self.ledger().pay(at);
                }
            }
            // An operator who finds the line locked gives up.
            StoryEvent::MoreStock(units) => _ = self.ledger().change_stock(i32::try_from(*units).unwrap_or(0)),
            StoryEvent::Revoke => _ = self.ledger().revoke_tokens(),
            StoryEvent::RevokeKey => _ = self.ledger().revoke_key(keys().preferred()),
            StoryEvent::Move(action) => _ = self.ledger().act(now, *action),
            StoryEvent::Remove(shopper) => self.insert_ticket_action(*shopper, true),
            StoryEvent::Prefer(shopper) => self.insert_ticket_action(*shopper, false),
            StoryEvent::Rejoin(process, shopper) => self.rejoin(*process, *shopper),
            StoryEvent::Fault(fault) => {
                self.faults += 1;
                self.unchecked = [true; NODES];
                self.inject(fault);
            }
            StoryEvent::Quiet => self.be_quiet(false),
            StoryEvent::QuietApart => self.be_quiet(true),
        }
        let broken = self.ledger().broken.take();
        if let Some(why) = broken {
            self.breaks(why);
        }
    }

    fn call_of(&self, process: ProcessIndex, slot: u8) -> Option<(u64, RedisCall)> {
        let task = self.processes.get(process)?.tasks.get(&slot)?;
        match task.wait {
            TaskWait::Answer(id) => Some((id, self.gate.request(id)?)),
            _ => None,
        }
    }

    /// Whether a task has an undelivered publication.
    pub(crate) fn publishes(&self, process: ProcessIndex, slot: u8) -> bool {
        self.call_of(process, slot).is_some_and(|(_, request)| {
            ["_publish", "_republish_turns"].iter().any(|name| request.function.ends_with(name))
        })
    }

    /// The state of a node, for checks.
    pub(crate) fn inside(&self, process: ProcessIndex) -> std::cell::Ref<'_, NodeState> {
        self.processes[process].inside.borrow()
    }

    /// Whether an epoch has begun since the copy of the database was taken, if there is a copy.
    pub(crate) fn is_copy_outdated(&self) -> Option<bool> {
        self.backup.as_ref().map(|backup| backup.epoch() < self.ledger().tables.lines[0].epoch)
    }

    /// Whether the clock opens the sale at any moment.
    pub(crate) fn is_about_to_open(&self) -> bool {
        self.ledger().tables.row.stored_status() == Status::Scheduled
    }

    /// Shoppers who wait at a node, with a place on the page.
    pub(crate) fn waiting_at(&self, node: ProcessIndex) -> i64 {
        let waits = |own: &&ShopperState| {
            own.node == Some(node) && matches!(own.shown, Some(waiting_room::testing::ShownOutcome::Place(_)))
        };
        self.shoppers.iter().filter(waits).count() as i64
    }

    /// Whether a process is paused.
    pub(crate) fn is_stopped(&self, process: ProcessIndex) -> bool {
        self.processes[process].paused_until_ms > self.now.get()
    }

    /// Whether an operator has paused the sale.
    pub(crate) fn is_paused(&self) -> bool {
        self.ledger().tables.row.stored_status() == Status::Paused
    }

    pub(crate) fn server_of(&self, process: ProcessIndex) -> usize {
        self.processes[process].server
    }

    pub(crate) fn is_in_trouble(&self, process: ProcessIndex) -> bool {
        let own = &self.processes[process];
        own.cut || own.paused_until_ms > self.now.get() || own.unsubscribed_until_ms > self.now.get()
    }
}
