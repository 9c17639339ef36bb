//! The random sequence of a seed: ticks as the controller makes them, with their statements in any
//! order, and what happens before, between and after them.

use std::collections::BTreeMap;

use admission_controller::{
    lifecycle::Action,
    testing::{OperatorChange, TicketAction},
};
use fairline_line::{
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::{SaleId, Status, VisitorId};
use fairline_simulate::{bugs::Bugs, rng::Rng, sale::StoryTerms};

use crate::{
    both::{Both, Locked, Outside, Same},
    shop::Shop,
    statement::Statement,
};

/// Ticks and steps between them.
const ROUNDS: u64 = 24;
/// Statements of a tick before its last ones.
const STATEMENTS_MAX: u64 = 12;
const VISITORS: u64 = 5;
/// Joins of a line at once.
const JOINS: u64 = 4;
const LINES: u64 = 2;

/// What the seeds of a test run must contain: statements, steps and outcomes.
const HAPPENS: [&str; 50] = [
    "Admit",
    "Agenda",
    "BeginEpoch",
    "Break",
    "Commit",
    "Dequeue",
    "Elapse",
    "Expire",
    "Jump",
    "Lapse",
    "LeftOfLimit",
    "Lock",
    "Made",
    "MarkDone",
    "MarkDrawn",
    "MarkPublished",
    "MarkRemovalsPublished",
    "MarkRepublished",
    "No",
    "NotMade",
    "Number",
    "Operator",
    "PastTurns",
    "Pay",
    "Preferred",
    "Prior",
    "Queue",
    "Record",
    "RecordRemoved",
    "Redeem",
    "Rejected",
    "RollBack",
    "Seed",
    "SetStatus",
    "SignAgain",
    "StoreAdmitNow",
    "StorePosition",
    "StoreTick",
    "TakeBackAtLimit",
    "TakeClaims",
    "TakeOutAtLimit",
    "TakeOver",
    "Unpublished",
    "UnpublishedRemovals",
    "UnrecordedRemovals",
    "Unreachable",
    "Unservable",
    "Visits",
    "WriteRecord",
    "Yes",
];

/// How often each kind of statement, step and outcome has happened.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<String, u64>);

impl Seen {
    pub(crate) fn add(&mut self, seen: &BTreeMap<String, u64>) {
        for (kind, times) in seen {
            *self.0.entry(kind.clone()).or_default() += times;
        }
    }

    /// What has not happened.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        HAPPENS.into_iter().filter(|kind| !self.0.contains_key(*kind)).collect()
    }
}

pub(crate) struct Story<'a> {
    pub(crate) both: Both<'a>,
    rng: Rng,
    /// The tickets of each line.
    tickets: Vec<Vec<(Ordinal, VisitorId)>>,
    /// The keys that are not revoked; and how many there were.
    good: Vec<String>,
    keys: u64,
    draws: bool,
}

impl<'a> Story<'a> {
    pub(crate) async fn begin(shop: &'a Shop, seed: u64, bugs: Bugs) -> Self {
        let mut rng = Rng::new(seed);
        let draws = rng.once_in(3);
        let terms = StoryTerms {
            total: i32::try_from(4 + rng.below(12)).unwrap_or(4),
            limit: i32::try_from(1 + rng.below(3)).unwrap_or(1),
            claim_window_s: 4,
            token_ttl_s: 12,
            hold_s: 6,
            rate_cap_per_s: 10.0,
            opens_after_ms: i64::try_from(rng.below(3)).unwrap_or(0) * 5000,
            draws,
        };
        let both = Both::new(shop, &terms, bugs).await;
        let tickets = vec![Vec::new(); usize::try_from(LINES).unwrap_or(0)];
        let mut story = Self { both, rng, tickets, good: Vec::new(), keys: 0, draws };
        story.add_key();
        story.add_key();
        story
    }

    fn add_key(&mut self) {
        self.keys += 1;
        self.good.push(format!("{}{}", self.both.keys, self.keys));
    }

    pub(crate) async fn run(&mut self) -> Same {
        self.tick().await?;
        for _ in 0..ROUNDS {
            match self.rng.below(8) {
                0..4 => self.tick().await?,
                4 => self.elapse(3000).await?,
                _ => self.step().await?,
            }
            self.both.check().await?;
        }
        Ok(())
    }

    async fn elapse(&mut self, most_ms: u64) -> Same {
        let ms = 1 + self.rng.below(most_ms);
        self.both.outside(Outside::Elapse(ms)).await
    }

    /// A step outside of a tick, which may be under way.
    async fn step(&mut self) -> Same {
        let admissions = self.both.ledger().tables.admissions.len();
        let is_locked = self.both.ledger().is_locked();
        let step = match self.rng.below(16) {
            0..5 if admissions > 0 => Outside::Redeem(self.rng.index(admissions)),
            5..7 if admissions > 0 => Outside::Pay(self.rng.index(admissions)),
            7 => Outside::Expire,
            8 if self.rng.once_in(4) => Outside::Jump(-1000 * i64::try_from(self.rng.below(20)).unwrap_or(0)),
            9 => Outside::Elapse(1 + self.rng.below(300)),
            _ => match self.change(is_locked) {
                Some(change) => Outside::Operator(change),
                None => return Ok(()),
            },
        };
        self.both.outside(step).await?;
        // No two requests at the same time: their order is by time.
        self.both.outside(Outside::Elapse(1)).await
    }

    fn change(&mut self, is_locked: bool) -> Option<OperatorChange> {
        let line = self.line();
        let id = SaleId(self.both.ledger().tables.lines[line].id);
        Some(match self.rng.below(14) {
            0 => OperatorChange::Move(Action::Open),
            1 => OperatorChange::Move(Action::Pause),
            2..4 => OperatorChange::Move(Action::Resume),
            4 if self.rng.once_in(6) => OperatorChange::Move(Action::Close),
            5 => OperatorChange::Total(i32::try_from(self.rng.below(16)).unwrap_or(0)),
            6 => OperatorChange::AdmitNow(i32::try_from(1 + self.rng.below(9)).unwrap_or(0)),
            7 => OperatorChange::RevokeTokens,
            8 if !is_locked => {
                let kid = self.good.remove(0);
                self.add_key();
                OperatorChange::RevokeKey(kid)
            }
            9 if !is_locked && self.rng.once_in(4) => OperatorChange::Raise(id, self.home(), Both::margin()),
            _ => {
                let what = if self.rng.once_in(2) { TicketAction::Remove } else { TicketAction::Prefer };
                let (ordinal, visitor) = *self.tickets[line].get(self.rng.index(self.tickets[line].len().max(1)))?;
                OperatorChange::Ticket(what, id, ordinal, visitor)
            }
        })
    }

    fn line(&mut self) -> usize {
        self.rng.index(self.tickets.len())
    }

    fn home(&mut self) -> Home {
        let run_id = format!("process-{}", self.rng.below(2));
        let (epoch, granted) = (u32::try_from(self.rng.below(4)).unwrap_or(0), self.rng.below(300_000));
        Home { run_id, epoch, granted }
    }

    /// Some tickets of a line, each once.
    fn some(&mut self, line: usize) -> Vec<(Ordinal, VisitorId)> {
        let part = 1 + self.rng.below(3);
        let known = self.tickets[line].clone();
        known.into_iter().rev().take(12).filter(|_| self.rng.once_in(part)).collect()
    }

    fn ordinals(&mut self, line: usize) -> Vec<Ordinal> {
        self.some(line).into_iter().map(|ticket| ticket.0).collect()
    }

    /// One or two transactions, which may end in the middle. Another tick may wait for the lock.
    async fn tick(&mut self) -> Same {
        let Some(mut locked) = self.both.lock().await? else { return Err("the sale is locked".to_owned()) };
        let is_new = locked.memory.lines.iter().any(|line| line.epoch == 0);
        let queued = if self.rng.once_in(10) { Some(self.both.queue().await?) } else { None };
        let begins = is_new || self.rng.once_in(8);
        let is_alive = if begins { self.begin_epochs(&mut locked).await? } else { self.decide(&mut locked).await? };
        self.end(locked, is_alive).await?;
        let mut next = match queued {
            Some(queued) => self.both.dequeue(queued).await?,
            None if self.rng.once_in(4) => None,
            None => self.both.lock().await?,
        };
        if let Some(mut locked) = next.take() {
            let is_alive = self.publish(&mut locked, begins).await?;
            self.end(locked, is_alive).await?;
        }
        Ok(())
    }

    async fn end(&mut self, locked: Locked, is_alive: bool) -> Same {
        if self.rng.once_in(if is_alive { 10 } else { 2 }) {
            self.both.roll_back(locked).await;
        } else if self.both.commit(locked).await? && !is_alive {
            return Err("a session that has ended commits".to_owned());
        }
        self.both.check().await
    }

    /// A statement, and sometimes what happens meanwhile. `false` if the session has ended.
    async fn state(&mut self, locked: &mut Locked, statement: Statement) -> Same<bool> {
        if self.rng.once_in(12) {
            self.step().await?;
        }
        if self.rng.once_in(30) && self.both.lock().await?.is_some() {
            return Err("the sale is locked twice".to_owned());
        }
        if self.rng.once_in(80) {
            self.both.break_session().await;
            return self.both.state(locked, Statement::Lapse(0)).await;
        }
        let admits = matches!(statement, Statement::Admit(..));
        let is_alive = self.both.state(locked, statement).await?;
        if admits {
            // No ticket has two turns with the same time.
            self.both.outside(Outside::Elapse(1)).await?;
        }
        if self.rng.once_in(4) {
            self.both.check().await?;
        }
        Ok(is_alive)
    }

    async fn all(&mut self, locked: &mut Locked, statements: Vec<Statement>) -> Same<bool> {
        for statement in statements {
            if !self.state(locked, statement).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A tick that begins epochs.
    async fn begin_epochs(&mut self, locked: &mut Locked) -> Same<bool> {
        let mut statements = Vec::new();
        for at in 0..self.tickets.len() {
            if locked.memory.lines[at].epoch == 0 || self.rng.once_in(2) {
                statements.push(Statement::BeginEpoch(at, self.home()));
            }
        }
        if self.rng.once_in(2) {
            statements.push(Statement::Unreachable(self.both.now_ms() + 5000));
        }
        statements.push(Statement::StoreTick(None, false, false));
        statements.extend((0..self.tickets.len()).map(Statement::WriteRecord));
        statements.push(Statement::Number);
        self.all(locked, statements).await
    }

    /// A tick that decides: reads and writes in any order, and the last statements of a tick.
    async fn decide(&mut self, locked: &mut Locked) -> Same<bool> {
        let joined: Vec<Upcoming> = (0..self.tickets.len()).map(|at| self.join(locked, at)).collect();
        let mut statements = Vec::new();
        if locked.memory.ledger.stored_status() == Status::Scheduled && self.rng.once_in(2) {
            statements.push(Statement::SetStatus(Status::Open));
        }
        for _ in 0..=self.rng.below(STATEMENTS_MAX) {
            statements.extend(self.statement(locked));
        }
        for (at, seen) in joined.into_iter().enumerate() {
            if self.rng.once_in(2) {
                statements.push(Statement::Record(at, Box::new(seen.clone())));
            }
            if self.rng.once_in(4) {
                statements.push(Statement::RecordRemoved(at, self.ordinals(at)));
            }
            if !self.rng.once_in(4) {
                let cursor = self.rng.below(seen.highest + 1);
                statements.push(Statement::StorePosition(at, cursor, Box::new(seen)));
            }
        }
        let (admitted, settles) = (self.rng.below(4) as f64 / 8.0, self.rng.once_in(20));
        let admitted = (!self.rng.once_in(4)).then_some(admitted);
        statements.push(Statement::StoreTick(admitted, self.rng.once_in(2), settles));
        statements.extend((0..self.tickets.len()).map(Statement::WriteRecord));
        if !self.rng.once_in(4) {
            statements.push(Statement::Number);
        }
        self.all(locked, statements).await
    }

    /// What Redis returns of a line that some have joined.
    fn join(&mut self, locked: &Locked, at: usize) -> Upcoming {
        let line = &locked.memory.lines[at];
        let (first, joins) = (line.highest().max(line.above()) + 1, self.rng.below(JOINS));
        let visitors: Vec<VisitorId> = (0..joins).map(|_| Both::visitor(self.rng.below(VISITORS))).collect();
        // A ticket that a rolled-back tick has read is joined once.
        self.tickets[at].retain(|ticket| ticket.0 < first);
        self.tickets[at].extend((first..).zip(visitors.iter().copied()));
        let (waiting, absent) = (self.rng.below(20), self.rng.below(5));
        Upcoming {
            epoch: line.epoch(),
            highest: first - 1 + joins,
            waiting,
            absent,
            nodes: self.rng.below(3),
            arrivals: vec![(first, visitors)].into_iter().filter(|run| !run.1.is_empty()).collect(),
            home: format!("process-{}", self.rng.below(2)),
            ..Upcoming::default()
        }
    }

    fn statement(&mut self, locked: &Locked) -> Option<Statement> {
        let (at, status) = (self.line(), locked.memory.ledger.stored_status());
        Some(match self.rng.below(26) {
            0..2 => Statement::Agenda(self.good.clone()),
            2 => Statement::Visits,
            3 => Statement::Prior,
            4 if status == Status::Scheduled => Statement::SetStatus(Status::Open),
            4 if self.rng.once_in(8) => Statement::SetStatus(Status::Closed),
            5..7 => Statement::Lapse(self.rng.below(3000)),
            7 => Statement::SignAgain(self.good.clone(), self.good[0].clone()),
            8 => Statement::Unreachable(self.both.now_ms() - i64::try_from(self.rng.below(3000)).unwrap_or(0)),
            9 => Statement::TakeClaims(at, self.claims(at)),
            10 => Statement::Unservable(at, self.ordinals(at)),
            11..15 => self.admit(at),
            15..17 => Statement::TakeOver(at),
            17 if self.draws => Statement::Seed,
            18 if self.draws && status == Status::Open => Statement::MarkDrawn(at, self.rng.below(9)),
            19 => Statement::UnrecordedRemovals(at),
            20 => Statement::Preferred(at),
            21 => {
                let what = if self.rng.once_in(2) { TicketAction::Remove } else { TicketAction::Prefer };
                Statement::MarkDone(at, what, self.ordinals(at))
            }
            22 => Statement::StoreAdmitNow(u32::try_from(self.rng.below(5)).unwrap_or(0)),
            23 => Statement::TakeOutAtLimit(at, self.some(at)),
            24 => Statement::TakeBackAtLimit,
            25 => Statement::LeftOfLimit((0..VISITORS).map(Both::visitor).collect()),
            _ => return None,
        })
    }

    fn claims(&mut self, line: usize) -> Vec<(Ordinal, Claim)> {
        let tickets = self.ordinals(line);
        let claim = |rng: &mut Rng| if rng.once_in(3) { Claim::Left } else { Claim::Claimed };
        tickets.into_iter().map(|ordinal| (ordinal, claim(&mut self.rng))).collect()
    }

    /// Admissions, some of them once too often.
    fn admit(&mut self, line: usize) -> Statement {
        let tickets = self.some(line);
        let mut tickets: Vec<_> = tickets
            .into_iter()
            .take(4)
            .map(|(ordinal, visitor)| (ordinal, visitor, 1 + u32::from(self.rng.once_in(3))))
            .collect();
        if self.rng.once_in(12) {
            tickets.extend(tickets.first().copied());
        }
        Statement::Admit(line, tickets, self.good[self.rng.index(self.good.len())].clone())
    }

    /// A transaction that publishes.
    async fn publish(&mut self, locked: &mut Locked, begins: bool) -> Same<bool> {
        for at in 0..self.tickets.len() {
            let removed = self.ordinals(at);
            let mut statements = vec![
                Statement::Unpublished(at, self.ordinals(at)),
                Statement::UnpublishedRemovals(at, self.ordinals(at)),
            ];
            if !self.rng.once_in(5) {
                let begins = begins && !self.rng.once_in(3);
                statements.push(Statement::MarkPublished(at, 2 + self.rng.index(9), begins));
            }
            if !self.rng.once_in(3) {
                statements.push(Statement::MarkRemovalsPublished(at, removed));
            }
            if locked.memory.lines[at].is_republishing() && !self.rng.once_in(3) {
                statements.extend([Statement::PastTurns(at), Statement::MarkRepublished(at)]);
            }
            if !self.all(locked, statements).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
