//! Chooses the next event at random, from the applicable ones and by the plan of the seed.

use admission_controller::lifecycle::Action;

use crate::{
    event::{CONTROLLERS, NODES, StoryEvent, StoryFault},
    plan::{EventClass, FAULTS, FaultClass, OPERATORS_DO, SHOPPERS_DO, SeedPlan},
    rng::Rng,
    server::Keeps,
    world::{SHOPPERS, World},
};

/// Events from one crowd of [`FaultClass::Rests`] to the next.
const CROWD_EVERY: usize = 140;

impl World {
    /// All shoppers leave, the sale rests, and all join.
    fn crowd(&self, rng: &mut Rng, at: usize) -> Option<StoryEvent> {
        let node = CONTROLLERS + rng.index(NODES);
        let (leave, join) = (0..SHOPPERS, SHOPPERS + 1..2 * SHOPPERS + 1);
        if leave.contains(&at) {
            return Some(StoryEvent::Leave(at));
        }
        let shopper = join.clone().position(|start| start == at);
        match shopper {
            Some(shopper) if self.shoppers[shopper].over.is_some() => Some(StoryEvent::Rejoin(node, shopper)),
            Some(shopper) if self.shoppers[shopper].ticket.is_none() => Some(StoryEvent::Join(node, vec![shopper])),
            Some(shopper) => Some(StoryEvent::Open(node, shopper)),
            None => (at == leave.end).then(|| StoryEvent::Calm(5000 + rng.below(8000))),
        }
    }

    /// Chooses the next event.
    pub(crate) fn next_event(&self, rng: &mut Rng, plan: &SeedPlan, at: usize) -> StoryEvent {
        if at % (plan.busy + 1) == plan.busy {
            let stays_apart = self.split
                && if plan.fault_class == Some(FaultClass::Apart) { at + 1 < plan.events() } else { rng.once_in(2) };
            return if stays_apart { StoryEvent::QuietApart } else { StoryEvent::Quiet };
        }
        if plan.fault_class == Some(FaultClass::Rests)
            && let Some(event) = self.crowd(rng, at % CROWD_EVERY)
        {
            return event;
        }
        let ticks = self.ledger().is_locked();
        // With the fault class, after the lock and before the statement that opens the sale.
        let opens = self.is_about_to_open() && (plan.fault_class != Some(FaultClass::Closing) || self.ledger().moves());
        if plan.closes && ticks && opens && (plan.fault_class.is_some() || rng.once_in(4)) {
            return StoryEvent::Move(Action::Close);
        }
        if rng.once_in(plan.faults_one_in)
            && let Some(fault) = self.fault(rng, plan)
        {
            return StoryEvent::Fault(fault);
        }
        if rng.once_in(plan.operators_one_in)
            && let Some(event) = self.operate(rng, plan)
        {
            return event;
        }
        if rng.once_in(if ticks { plan.races_one_in } else { plan.shoppers_one_in }) {
            return self.act(rng, plan);
        }
        let tasks = self.runnable();
        if tasks.is_empty() || (!plan.is_slow() && rng.once_in(14)) {
            let now = self.now.get();
            let next = self.next_wake().max(now + 1) - now;
            return StoryEvent::Elapse(if rng.once_in(if plan.is_slow() { 40 } else { 12 }) {
                300 + rng.below(2500)
            } else {
                next
            });
        }
        let (process, slot) = tasks[rng.index(tasks.len())];
        StoryEvent::Run(process, slot)
    }

    fn operate(&self, rng: &mut Rng, plan: &SeedPlan) -> Option<StoryEvent> {
        let shopper = rng.index(SHOPPERS);
        Some(match plan.choose(rng, &OPERATORS_DO)? {
            EventClass::MoreStock => StoryEvent::MoreStock(1 + u32::try_from(rng.below(2)).unwrap_or(0)),
            EventClass::Revoke => StoryEvent::Revoke,
            EventClass::RevokeKey => StoryEvent::RevokeKey,
            EventClass::Pause if self.is_paused() => StoryEvent::Move(Action::Resume),
            EventClass::Pause => StoryEvent::Move(Action::Pause),
            EventClass::Remove => StoryEvent::Remove(shopper),
            _ => StoryEvent::Prefer(shopper),
        })
    }

    fn act(&self, rng: &mut Rng, plan: &SeedPlan) -> StoryEvent {
        let node = CONTROLLERS + rng.index(NODES);
        let shopper = rng.index(SHOPPERS);
        let own = &self.shoppers[shopper];
        let does = plan.choose(rng, &SHOPPERS_DO);
        let idle = if plan.is_slow() { 5 } else { 60 };
        match own {
            _ if own.over.is_some() && matches!(does, Some(EventClass::Rejoin)) => StoryEvent::Rejoin(node, shopper),
            _ if own.ticket.is_none() => {
                let more = rng.index(SHOPPERS);
                let batch = if more != shopper && rng.once_in(2) { vec![shopper, more] } else { vec![shopper] };
                StoryEvent::Join(node, batch)
            }
            _ if own.node.is_none() => StoryEvent::Open(node, shopper),
            _ if matches!(does, Some(EventClass::Leave)) => StoryEvent::Leave(shopper),
            _ if matches!(does, Some(EventClass::Close)) => StoryEvent::Close(shopper),
            _ if own.token.is_none() => StoryEvent::Elapse(1 + rng.below(idle)),
            _ if !own.claimed && plan.claims_one_in > 1 && !rng.once_in(plan.claims_one_in) => StoryEvent::Elapse(1),
            _ if !own.claimed => StoryEvent::Claim(shopper),
            _ if !own.redeemed && matches!(does, Some(EventClass::Redeem)) => StoryEvent::Redeem(shopper),
            _ if own.redeemed && matches!(does, Some(EventClass::Pay)) => StoryEvent::Pay(shopper),
            _ => StoryEvent::Elapse(1 + rng.below(idle)),
        }
    }

    fn fault(&self, rng: &mut Rng, plan: &SeedPlan) -> Option<StoryFault> {
        let process = rng.index(CONTROLLERS + NODES);
        let node = CONTROLLERS + rng.index(NODES);
        let calls = self.calling();
        let tail = 1 + rng.index(12);
        let lost = if rng.once_in(2) { 0 } else { tail };
        if plan.fault_class == Some(FaultClass::Restores) {
            return self.restore_fault(rng, tail);
        }
        if plan.fault_class == Some(FaultClass::Growth) {
            return self.growth_fault();
        }
        Some(match plan.choose(rng, &FAULTS)? {
            EventClass::Calls if !calls.is_empty() => {
                if plan.fault_class == Some(FaultClass::LateCalls) {
                    let mut publications = calls.iter().filter(|&&(process, slot)| self.publishes(process, slot));
                    return publications.next().map(|&(process, slot)| StoryFault::Late(process, slot));
                }
                let (process, slot) = calls[rng.index(calls.len())];
                match rng.below(4) {
                    0 => StoryFault::Lost(process, slot),
                    1 => StoryFault::ResponseLost(process, slot),
                    2 => StoryFault::Late(process, slot),
                    _ => StoryFault::Repeated(process, slot),
                }
            }
            EventClass::Arrives if self.late_calls() > 0 => StoryFault::Arrives(rng.index(self.late_calls())),
            EventClass::Restart => StoryFault::Restart([Keeps::All, Keeps::AllBut(tail), Keeps::Nothing][rng.index(3)]),
            EventClass::FailOver => StoryFault::FailOver(lost),
            EventClass::Split => {
                let who = u32::try_from(rng.below(1 << (CONTROLLERS + NODES))).ok()?;
                // The first controller sees one primary, the second the other.
                StoryFault::Split(
                    lost,
                    if plan.fault_class == Some(FaultClass::Apart) { who & !0b11 | 0b01 } else { who },
                )
            }
            EventClass::Cut => StoryFault::Cut(process),
            EventClass::Kill => StoryFault::Kill(process),
            EventClass::PauseProcess => StoryFault::Pause(process, [300, 1500, 6500][rng.index(3)]),
            EventClass::Unsubscribed => StoryFault::Unsubscribed(node),
            EventClass::RedisClock => StoryFault::RedisClock(i64::try_from(rng.below(4000)).ok()? - 2000),
            EventClass::DatabaseClock => StoryFault::DatabaseClock(i64::try_from(rng.below(40_000)).ok()? - 20_000),
            // A database from before a draw: see docs/verification.md.
            EventClass::Restore if plan.setting.terms.draws => return None,
            EventClass::Restore if rng.once_in(4) => StoryFault::Restore,
            EventClass::Restore => StoryFault::Backup,
            _ => return None,
        })
    }

    /// A copy of the database, losses of Redis, and the restore once there are tickets of an epoch
    /// that the copy lacks: beside a Redis that has the line, or has lost it again.
    fn restore_fault(&self, rng: &mut Rng, tail: usize) -> Option<StoryFault> {
        let is_lost = !self.knows_line(&self.ledger().tables);
        match self.is_copy_outdated() {
            None => Some(StoryFault::Backup),
            Some(false) if is_lost => None,
            Some(true) if is_lost => rng.once_in(2).then_some(StoryFault::Restore),
            Some(_) if rng.once_in(3) => Some(StoryFault::Restore),
            Some(_) => {
                let keeps = [Keeps::All, Keeps::AllBut(tail), Keeps::Nothing, Keeps::Nothing];
                Some(StoryFault::Restart(keeps[rng.index(keeps.len())]))
            }
        }
    }

    /// The loss of a line while all shoppers at a node have joined since the last tick, and a pause
    /// of that node.
    fn growth_fault(&self) -> Option<StoryFault> {
        let present = self.ledger().tables.lines[0].present;
        let nodes = CONTROLLERS..CONTROLLERS + NODES;
        let waiting = nodes.clone().map(|node| self.waiting_at(node)).sum::<i64>();
        let is_new = |node: &usize| {
            let waits = self.waiting_at(*node);
            waits > 0 && present > 0 && waiting - waits == present
        };
        let node = nodes.clone().find(is_new)?;
        if self.knows_line(&self.ledger().tables) {
            return Some(StoryFault::Restart(Keeps::Nothing));
        }
        (!self.is_stopped(node)).then_some(StoryFault::Pause(node, 6500))
    }
}
