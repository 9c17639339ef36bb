//! The simulated world: processes whose tasks stop at a gate, two Redis, a database, shoppers, and one hand that moves them all.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use admission_controller::lifecycle::Action;
use fairline_line::{
    change::{Change, Revision},
    port::{Error, ErrorKind},
    store::{Account, LineStore},
    ticket::Ticket,
};
use fairline_sale::{Status, VisitorId};
use serde::Deserialize;
use uuid::Uuid;
use waiting_room::simulated::Shown;

use crate::{
    bugs::Bugs,
    controller,
    event::{Event, Fault, Process},
    gate::{Gate, LOAD, Now, Request, Wait},
    ledger::{Backup, Ledger, Postgres, shop::Redeemed},
    node::{Guest, Inside, Outcome, Shared},
    sale::{BEGIN_MS, SALE, admission_of, keys},
    scheduler::Plan,
    server::{Server, complete},
};

pub(crate) const CONTROLLERS: usize = 2;
pub(crate) const NODES: usize = 2;
pub(crate) const SHOPPERS: usize = 10;
const PROCESSES: usize = CONTROLLERS + NODES;
/// A caller gives a call up after so long, in ms.
const TIMEOUT_MS: u64 = 1000;
/// How long a node whose subscription broke hears nothing, in ms.
const DEAF_MS: u64 = 400;
/// Tasks of a node's own; those of shoppers follow: their requests, then what their pages say.
const LOOPS: u8 = 4;
const SAYS: u8 = LOOPS + SHOPPERS as u8;

/// How a shopper behaves.
#[derive(Debug)]
pub(crate) struct Shopper {
    pub(crate) account: Option<Account>,
    pub(crate) ticket: Option<Ticket>,
    visitor: VisitorId,
    /// Where the page is open.
    pub(crate) node: Option<Process>,
    /// A request is under way.
    pub(crate) pending: Option<Process>,
    /// Is at the page, and opens it again when it breaks.
    pub(crate) present: bool,
    /// Has closed the page once, so may have been away.
    pub(crate) was_away: bool,
    /// What the page shows.
    pub(crate) shown: Option<Shown>,
    /// The turns that it has shown.
    pub(crate) turns: u32,
    pub(crate) token: Option<Uuid>,
    pub(crate) claimed: bool,
    pub(crate) redeemed: bool,
    pub(crate) over: Option<String>,
    /// Since when the page has been open, in ms.
    pub(crate) since_ms: u64,
}

impl Shopper {
    fn new(visitor: VisitorId, account: Option<Account>) -> Self {
        Self {
            account,
            ticket: None,
            visitor,
            node: None,
            pending: None,
            present: false,
            was_away: false,
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

struct Task {
    future: std::pin::Pin<Box<dyn Future<Output = ()>>>,
    wait: Wait,
    since_ms: u64,
    lost: bool,
}

#[derive(Default)]
struct Proc {
    tasks: BTreeMap<u8, Task>,
    paused_until_ms: u64,
    server: usize,
    cut: bool,
    deaf_until_ms: u64,
    lives: u32,
    inside: Rc<RefCell<Inside>>,
}

/// A change as the library says it.
#[derive(Deserialize)]
struct Said {
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
    pub(crate) servers: [Server; 2],
    pub(crate) primary: usize,
    pub(crate) split: bool,
    ledger: Arc<Mutex<Ledger>>,
    stops_often: bool,
    processes: Vec<Proc>,
    pub(crate) shoppers: Vec<Shopper>,
    late: Vec<(Process, Request)>,
    outcomes: Rc<RefCell<Vec<Outcome>>>,
    backup: Option<Backup>,
    /// Whose each ordinal is.
    holders: BTreeMap<u64, VisitorId>,
    batches: u64,
    /// Nodes whose pages may be silent since they were checked, and what was checked of the ledger and of each Redis.
    pub(crate) unchecked: [bool; NODES],
    pub(crate) checked: (u64, [u64; 2]),
    /// Steps taken.
    pub steps: u64,
    /// Faults injected.
    pub faults: u64,
    /// What broke, first of all.
    pub broken: Option<String>,
}

fn timeout() -> Error {
    Error::new(ErrorKind::Timeout, "Request timed out.")
}

pub(crate) fn is_node(process: Process) -> bool {
    (CONTROLLERS..PROCESSES).contains(&process)
}

impl World {
    /// A sale that has just opened.
    #[must_use]
    pub(crate) fn new(library: &str, bugs: &Bugs, plan: &Plan) -> Self {
        let gate = Gate::default();
        let digest = |at: usize| [u8::try_from(at / 2).unwrap_or(0); 16];
        let account = |at: usize| Account { digest: digest(at), rejoins: at.is_multiple_of(3) };
        let shopper = |at: usize| {
            let account = (plan.accounts && at % 5 != 4).then(|| account(at));
            // Those who share an account are different visitors: the limit is counted for each.
            Shopper::new(VisitorId([0x40 + u8::try_from(at).unwrap_or(0); 16]), account)
        };
        let mut world = Self {
            now: Now::default(),
            line: LineStore::over(Arc::new(gate.clone())),
            gate,
            servers: [Server::new(1, library), Server::new(2, library)],
            primary: 0,
            split: false,
            ledger: Arc::new(Mutex::new(Ledger::new(&plan.terms, bugs.clone()))),
            stops_often: plan.stops_often,
            processes: (0..PROCESSES).map(|_| Proc::default()).collect(),
            shoppers: (0..SHOPPERS).map(shopper).collect(),
            late: Vec::new(),
            outcomes: Rc::default(),
            backup: None,
            holders: BTreeMap::new(),
            batches: 0,
            unchecked: [true; NODES],
            checked: (0, [0; 2]),
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
    fn start(&mut self, process: Process) {
        let own = &mut self.processes[process];
        own.lives += 1;
        if is_node(process) {
            own.inside = Rc::default();
            let shared = self.shared(process);
            self.spawn(process, 0, Box::pin(shared.clone().beat()));
            self.spawn(process, 1, Box::pin(shared.clone().follow()));
            self.spawn(process, 2, Box::pin(shared.clone().call_roll()));
            self.spawn(process, 3, Box::pin(shared.tell_gone()));
        } else {
            let postgres = Postgres {
                ledger: self.ledger.clone(),
                gate: self.gate.clone(),
                now: self.now.clone(),
                stops_often: self.stops_often,
            };
            self.spawn(process, 0, Box::pin(controller::run(postgres, self.line.clone())));
        }
    }

    fn shared(&self, process: Process) -> Shared {
        let own = &self.processes[process];
        Shared {
            gate: self.gate.clone(),
            now: self.now.clone(),
            line: self.line.clone(),
            inside: own.inside.clone(),
            outcomes: self.outcomes.clone(),
            name: format!("node-{process}-{}", own.lives),
        }
    }

    fn spawn(&mut self, process: Process, slot: u8, future: std::pin::Pin<Box<dyn Future<Output = ()>>>) {
        self.stop(process, slot);
        let task = Task { future, wait: Wait::Ready, since_ms: self.now.get(), lost: false };
        self.processes[process].tasks.insert(slot, task);
    }

    /// Ends a task; a call of its that is under way may arrive all the same.
    fn stop(&mut self, process: Process, slot: u8) {
        if let Some(Task { wait: Wait::Answer(id), .. }) = self.processes[process].tasks.remove(&slot) {
            if let Some(request) = self.gate.request(id) {
                self.keep_late(process, request);
            }
            self.gate.forget(id);
        }
    }

    fn keep_late(&mut self, process: Process, request: Request) {
        if self.late.len() < 8 && request.function != LOAD {
            self.late.push((process, request));
        }
    }

    fn can_run(&self, process: Process, task: &Task) -> bool {
        let (own, now) = (&self.processes[process], self.now.get());
        if own.paused_until_ms > now {
            return false;
        }
        match task.wait {
            Wait::Ready => true,
            Wait::Until(at) => now >= at,
            Wait::Lock => !self.ledger().is_locked(),
            Wait::Inbox => !own.inside.borrow().inbox.is_empty(),
            Wait::Answer(id) => {
                self.gate.request(id).is_none() || !(own.cut || task.lost) || now >= task.since_ms + TIMEOUT_MS
            }
        }
    }

    /// The tasks that can go on.
    pub(crate) fn runnable(&self) -> Vec<(Process, u8)> {
        let mut found = Vec::with_capacity(16);
        for (process, own) in self.processes.iter().enumerate() {
            found.extend(
                own.tasks.iter().filter(|(_, task)| self.can_run(process, task)).map(|(&slot, _)| (process, slot)),
            );
        }
        found
    }

    /// The tasks that have sent a call that has not arrived.
    pub(crate) fn calling(&self) -> Vec<(Process, u8)> {
        let mut found = Vec::new();
        for (process, own) in self.processes.iter().enumerate() {
            for (&slot, task) in &own.tasks {
                if matches!(task.wait, Wait::Answer(id) if !task.lost && self.gate.request(id).is_some()) {
                    found.push((process, slot));
                }
            }
        }
        found
    }

    pub(crate) fn late_calls(&self) -> usize {
        self.late.len()
    }

    /// When the next task wakes that sleeps.
    pub(crate) fn next_wake(&self) -> u64 {
        let now = self.now.get();
        let mut next = now + 1000;
        for own in &self.processes {
            for task in own.tasks.values() {
                let at = match task.wait {
                    Wait::Until(at) => at,
                    Wait::Answer(_) => task.since_ms + TIMEOUT_MS,
                    _ => continue,
                };
                if at.max(own.paused_until_ms) > now {
                    next = next.min(at.max(own.paused_until_ms));
                }
            }
        }
        next
    }

    /// A task goes on.
    pub(crate) fn run(&mut self, process: Process, slot: u8) {
        let Some(own) = self.processes.get(process) else { return };
        let Some(task) = own.tasks.get(&slot) else { return };
        if !self.can_run(process, task) {
            return;
        }
        if let Wait::Answer(id) = task.wait
            && let Some(request) = self.gate.request(id)
        {
            let answer = if own.cut || task.lost { Err(timeout()) } else { self.deliver(process, &request) };
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

    fn deliver(&mut self, process: Process, request: &Request) -> Result<fairline_line::port::Value, Error> {
        let server = self.processes[process].server;
        let answer = self.servers[server].call(self.now.get(), request);
        for (_, message) in self.servers[server].take_published() {
            let Ok(Said { revision, change }) = serde_json::from_slice(&message) else {
                self.breaks("a message that no node can read".to_owned());
                continue;
            };
            for own in &self.processes[CONTROLLERS..] {
                if own.server == server && !own.cut && own.deaf_until_ms <= self.now.get() {
                    own.inside.borrow_mut().inbox.push_back((revision, change.clone()));
                }
            }
        }
        answer
    }

    fn take_outcomes(&mut self, process: Process) {
        let outcomes = std::mem::take(&mut *self.outcomes.borrow_mut());
        for outcome in outcomes {
            match outcome {
                Outcome::Opened(shopper, ticket) => {
                    let holder = *self.holders.entry(ticket.ordinal).or_insert(ticket.visitor);
                    if holder != ticket.visitor {
                        self.breaks(format!("two holders: ticket {} was given to two shoppers", ticket.ordinal));
                    }
                    let now = self.now.get();
                    let own = &mut self.shoppers[shopper];
                    (own.pending, own.ticket, own.node) = (None, Some(ticket), Some(process));
                    (own.shown, own.since_ms) = (None, now);
                }
                Outcome::Failed(shopper) => self.shoppers[shopper].pending = None,
                Outcome::Claimed(shopper) => self.shoppers[shopper].claimed = true,
                Outcome::Left => {}
            }
        }
    }

    /// Pages take in what they are sent.
    fn show_pages(&mut self, process: Process) {
        let inside = self.processes[process].inside.clone();
        let mut inside = inside.borrow_mut();
        let now = std::time::Duration::from_millis(self.now.get());
        let mut over = Vec::new();
        for (&shopper, page) in &mut inside.pages {
            let own = &mut self.shoppers[shopper];
            while let Some(shown) = page.receive(now) {
                match &shown {
                    Shown::Sale => continue,
                    Shown::Turn(token) => {
                        let token = admission_of(token);
                        if own.token != token {
                            own.turns += 1;
                            (own.token, own.claimed, own.redeemed) = (token, false, false);
                        }
                    }
                    Shown::Over(why) => {
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
            let (why, was_away) = (own.over.clone().unwrap_or_default(), own.was_away);
            let ordinal = own.ticket.map_or(0, |ticket| ticket.ordinal);
            let may_hear = match why.as_str() {
                "Expired" => self.ledger().may_expire(0, ordinal),
                "Missed" => was_away,
                "Removed" | "Limit" => self.ledger().was_taken_out(0, ordinal),
                _ => true,
            };
            if !may_hear {
                self.breaks(format!("place lost: shopper {shopper} has no outcome yet, and hears: {why}"));
            }
        }
    }

    fn close(&mut self, shopper: usize) {
        if let Some(node) = self.shoppers[shopper].node.take() {
            self.processes[node].inside.borrow_mut().pages.remove(&shopper);
        }
        self.shoppers[shopper].shown = None;
    }

    fn request(&mut self, process: Process, shopper: usize) -> Option<(Shared, Guest, u8)> {
        let (slot, own) = (LOOPS + u8::try_from(shopper).ok()?, self.shoppers.get(shopper)?);
        let is_busy = self.processes.get(process)?.tasks.contains_key(&slot);
        let is_free = !is_busy && own.pending.is_none() && own.node.is_none() && own.over.is_none();
        if !is_node(process) || !is_free || self.processes[process].inside.borrow().room.is_none() {
            return None;
        }
        Some((self.shared(process), Guest { shopper, visitor: own.visitor, account: own.account }, slot))
    }

    /// Does what an event says, if it can be done.
    pub fn apply(&mut self, event: &Event) {
        self.steps += 1;
        let now = self.now.get();
        match event {
            Event::Elapse(ms) => {
                self.now.set(now + ms);
                self.unchecked = [true; NODES];
                let mut ledger = self.ledger();
                ledger.end_idle(now + ms);
                ledger.lapse_holds(now + ms);
            }
            Event::Run(process, slot) => self.run(*process, *slot),
            Event::Join(process, shoppers) => self.join(*process, shoppers),
            Event::Open(process, shopper) => self.open(*process, *shopper),
            Event::Close(shopper) => {
                self.close(*shopper);
                (self.shoppers[*shopper].present, self.shoppers[*shopper].was_away) = (false, true);
            }
            Event::Claim(shopper) => self.say(*shopper, false),
            Event::Leave(shopper) => {
                self.say(*shopper, true);
                self.shoppers[*shopper].was_away = true;
            }
            Event::Redeem(shopper) => self.redeem(*shopper),
            Event::Pay(shopper) => {
                if let Some(at) = self.shoppers[*shopper].token.filter(|_| self.shoppers[*shopper].redeemed) {
                    self.ledger().pay(at);
                }
            }
            // An operator who finds the line locked does without.
            Event::MoreStock(units) => self.ledger().add_stock(*units),
            Event::Revoke => _ = self.ledger().revoke_tokens(),
            Event::RevokeKey => _ = self.ledger().revoke_key(keys().preferred()),
            Event::Move(action) => _ = self.ledger().act(*action),
            Event::Remove(shopper) => self.intervene(*shopper, true),
            Event::Prefer(shopper) => self.intervene(*shopper, false),
            Event::Rejoin(process, shopper) => self.rejoin(*process, *shopper),
            Event::Fault(fault) => {
                self.faults += 1;
                self.unchecked = [true; NODES];
                self.break_something(fault);
            }
            Event::Quiet => self.be_quiet(false),
            Event::QuietApart => self.be_quiet(true),
        }
        let broken = self.ledger().broken.take();
        if let Some(why) = broken {
            self.breaks(why);
        }
    }

    fn join(&mut self, process: Process, shoppers: &[usize]) {
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

    /// A shopper whose turn is over joins anew, as the same visitor.
    fn rejoin(&mut self, process: Process, shopper: usize) {
        let own = &mut self.shoppers[shopper];
        if own.over.take().is_none() {
            return;
        }
        (own.ticket, own.shown, own.was_away) = (None, None, false);
        (own.token, own.claimed, own.redeemed) = (None, false, false);
        if let Some(account) = &mut own.account {
            account.rejoins = true;
        }
        self.join(process, &[shopper]);
    }

    /// An operator removes or prefers a ticket that waits.
    fn intervene(&mut self, shopper: usize, removed: bool) {
        if let Some(ticket) = self.shoppers[shopper].ticket {
            self.ledger().intervene(0, ticket.ordinal, ticket.visitor, removed);
        }
    }

    fn open(&mut self, process: Process, shopper: usize) {
        self.shoppers[shopper].present = true;
        let Some(ticket) = self.shoppers[shopper].ticket else { return };
        let Some((shared, guest, slot)) = self.request(process, shopper) else { return };
        self.shoppers[shopper].pending = Some(process);
        self.spawn(process, slot, Box::pin(shared.open(guest, ticket)));
    }

    /// A page tells its node of its token, or that its shopper leaves.
    fn say(&mut self, shopper: usize, leaves: bool) {
        let own = &self.shoppers[shopper];
        let (Some(node), Some(ticket)) = (own.node, own.ticket) else { return };
        let slot = SAYS + u8::try_from(shopper).unwrap_or(0);
        if self.processes[node].tasks.contains_key(&slot) || (!leaves && own.token.is_none()) {
            return;
        }
        let shared = self.shared(node);
        let says: std::pin::Pin<Box<dyn Future<Output = ()>>> =
            if leaves { Box::pin(shared.leave(ticket)) } else { Box::pin(shared.claim(shopper, ticket)) };
        self.spawn(node, slot, says);
    }

    fn redeem(&mut self, shopper: usize) {
        let Some(at) = self.shoppers[shopper].token.filter(|_| !self.shoppers[shopper].redeemed) else { return };
        if self.ledger().redeem(self.now.get(), at) == Redeemed::Yes {
            self.shoppers[shopper].redeemed = true;
        }
    }

    fn call_of(&self, process: Process, slot: u8) -> Option<(u64, Request)> {
        let task = self.processes.get(process)?.tasks.get(&slot)?;
        match task.wait {
            Wait::Answer(id) => Some((id, self.gate.request(id)?)),
            _ => None,
        }
    }

    /// Whether a task has sent a publication that has not arrived.
    pub(crate) fn publishes(&self, process: Process, slot: u8) -> bool {
        self.call_of(process, slot).is_some_and(|(_, request)| {
            ["_publish", "_republish_turns"].iter().any(|name| request.function.ends_with(name))
        })
    }

    fn break_something(&mut self, fault: &Fault) {
        let now = self.now.get();
        match fault {
            Fault::Lost(process, slot) => {
                if let Some(task) = self.processes[*process].tasks.get_mut(slot) {
                    task.lost = true;
                }
            }
            Fault::Unheard(process, slot) => {
                if let Some((id, request)) = self.call_of(*process, *slot) {
                    let _ = self.deliver(*process, &request);
                    self.gate.answer(id, Err(timeout()));
                }
            }
            Fault::Late(process, slot) => {
                if let Some((id, request)) = self.call_of(*process, *slot) {
                    self.keep_late(*process, request);
                    self.gate.answer(id, Err(timeout()));
                }
            }
            Fault::Repeated(process, slot) => {
                // A batch of joins that arrives twice under its first name would be two batches.
                if let Some((_, request)) = self.call_of(*process, *slot)
                    && !request.function.ends_with("_join")
                {
                    self.keep_late(*process, request);
                }
            }
            Fault::Arrives(at) => {
                if !self.late.is_empty() {
                    let (process, request) = self.late.remove(at % self.late.len());
                    let _ = self.deliver(process, &request);
                }
            }
            Fault::Restart(keeps) => self.servers[self.primary].restart(*keeps),
            Fault::FailOver(lost) => self.fail_over(*lost, u32::MAX),
            Fault::Split(lost, who) => self.fail_over(*lost, *who),
            Fault::Cut(process) => self.processes[*process].cut = true,
            Fault::Kill(process) => self.kill(*process),
            Fault::Pause(process, ms) => self.processes[*process].paused_until_ms = now + ms,
            Fault::Deaf(process) => {
                let own = &mut self.processes[*process];
                own.deaf_until_ms = now + DEAF_MS;
                own.inside.borrow_mut().inbox.clear();
            }
            Fault::RedisClock(ms) => self.servers[self.primary].clock_off_ms += ms,
            Fault::DatabaseClock(ms) => self.ledger().clock_off_ms += ms,
            Fault::Backup => {
                let backup = self.ledger().backup();
                self.backup = Some(backup);
            }
            Fault::Restore => self.restore(),
        }
    }

    /// The database is put back to its copy, every line is raised above what Redis knows, and Redis forgets it, as `fairline restore`
    /// does. Nothing else runs meanwhile, so the controllers start anew.
    fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        (0..CONTROLLERS).for_each(|process| self.kill(process));
        let server = self.primary;
        let (now, gate) = (self.now.get(), Gate::default());
        let asked = LineStore::over(Arc::new(gate.clone()));
        let Ok(home) = complete(&gate, &mut self.servers[server], now, asked.home(SALE)) else { return };
        {
            let mut ledger = self.ledger();
            ledger.restore(&backup);
            ledger.raise(0, &home);
        }
        // The operator repeats the command until it succeeds.
        complete(&gate, &mut self.servers[server], now, asked.delete(SALE)).expect("Redis answers");
    }

    /// The other Redis becomes the primary of these processes; the old one stays for the others, if there are any.
    fn fail_over(&mut self, lost: usize, who: u32) {
        if self.split {
            return;
        }
        let (old, new) = (self.primary, 1 - self.primary);
        let [first, second] = &mut self.servers;
        if new == 1 {
            second.take_over(first, lost)
        } else {
            first.take_over(second, lost)
        }
        for (process, own) in self.processes.iter_mut().enumerate() {
            own.server = if who >> process & 1 == 1 { new } else { old };
        }
        self.primary = new;
        self.split = self.processes.iter().any(|own| own.server == old);
    }

    /// One primary is left.
    fn reunite(&mut self) {
        self.processes.iter_mut().for_each(|own| own.server = self.primary);
        self.split = false;
    }

    fn kill(&mut self, process: Process) {
        let slots: Vec<u8> = self.processes[process].tasks.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.stop(process, slot));
        for shopper in 0..self.shoppers.len() {
            let own = &mut self.shoppers[shopper];
            own.pending = own.pending.filter(|&node| node != process);
            if own.node == Some(process) {
                self.close(shopper);
            }
        }
        self.processes[process].paused_until_ms = 0;
        self.start(process);
    }

    /// Mends what is broken.
    pub(crate) fn mend(&mut self, apart: bool) {
        for own in &mut self.processes {
            (own.cut, own.paused_until_ms, own.deaf_until_ms) = (false, 0, 0);
        }
        self.unchecked = [true; NODES];
        if !apart {
            self.reunite();
        }
        self.late.clear();
        if self.is_paused() {
            self.ledger().act(Action::Resume);
        }
    }

    /// Everything that a node knows, for checks.
    pub(crate) fn inside(&self, process: Process) -> std::cell::Ref<'_, Inside> {
        self.processes[process].inside.borrow()
    }

    /// Whether the clock opens the sale at any moment.
    pub(crate) fn is_about_to_open(&self) -> bool {
        self.ledger().tables.row.stored_status() == Status::Scheduled
    }

    /// Whether an operator has paused the sale.
    pub(crate) fn is_paused(&self) -> bool {
        self.ledger().tables.row.stored_status() == Status::Paused
    }

    pub(crate) fn server_of(&self, process: Process) -> usize {
        self.processes[process].server
    }

    pub(crate) fn is_in_trouble(&self, process: Process) -> bool {
        let own = &self.processes[process];
        own.cut || own.paused_until_ms > self.now.get() || own.deaf_until_ms > self.now.get()
    }
}
