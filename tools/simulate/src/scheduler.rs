//! Chooses the next event at random, from the applicable ones and by the plan of the seed.

use admission_controller::lifecycle::Action;

use crate::{
    event::{Event, Fault},
    plan::{EventKind, FAULTS, FaultClass, OPERATORS_DO, Plan, SHOPPERS_DO},
    rng::Rng,
    server::Keeps,
    world::{CONTROLLERS, NODES, SHOPPERS, World},
};

impl World {
    /// Chooses the next event.
    pub(crate) fn next_event(&self, rng: &mut Rng, plan: &Plan, at: usize) -> Event {
        if at % (plan.busy + 1) == plan.busy {
            let stays_apart = self.split
                && if plan.fault_class == Some(FaultClass::Apart) { at + 1 < plan.events() } else { rng.once_in(2) };
            return if stays_apart { Event::QuietApart } else { Event::Quiet };
        }
        let ticks = self.ledger().is_locked();
        // With the fault class, after the lock and before the statement that opens the sale.
        let opens = self.is_about_to_open() && (plan.fault_class != Some(FaultClass::Closing) || self.ledger().moves());
        if plan.closes && ticks && opens && (plan.fault_class.is_some() || rng.once_in(4)) {
            return Event::Move(Action::Close);
        }
        if rng.once_in(plan.faults_one_in)
            && let Some(fault) = self.fault(rng, plan)
        {
            return Event::Fault(fault);
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
            return Event::Elapse(if rng.once_in(if plan.is_slow() { 40 } else { 12 }) {
                300 + rng.below(2500)
            } else {
                next
            });
        }
        let (process, slot) = tasks[rng.index(tasks.len())];
        Event::Run(process, slot)
    }

    fn operate(&self, rng: &mut Rng, plan: &Plan) -> Option<Event> {
        let shopper = rng.index(SHOPPERS);
        Some(match plan.choose(rng, &OPERATORS_DO)? {
            EventKind::MoreStock => Event::MoreStock(1 + u32::try_from(rng.below(2)).unwrap_or(0)),
            EventKind::Revoke => Event::Revoke,
            EventKind::RevokeKey => Event::RevokeKey,
            EventKind::Pause if self.is_paused() => Event::Move(Action::Resume),
            EventKind::Pause => Event::Move(Action::Pause),
            EventKind::Remove => Event::Remove(shopper),
            _ => Event::Prefer(shopper),
        })
    }

    fn act(&self, rng: &mut Rng, plan: &Plan) -> Event {
        let node = CONTROLLERS + rng.index(NODES);
        let shopper = rng.index(SHOPPERS);
        let own = &self.shoppers[shopper];
        let does = plan.choose(rng, &SHOPPERS_DO);
        let idle = if plan.is_slow() { 5 } else { 60 };
        match own {
            _ if own.over.is_some() && matches!(does, Some(EventKind::Rejoin)) => Event::Rejoin(node, shopper),
            _ if own.ticket.is_none() => {
                let more = rng.index(SHOPPERS);
                let batch = if more != shopper && rng.once_in(2) { vec![shopper, more] } else { vec![shopper] };
                Event::Join(node, batch)
            }
            _ if own.node.is_none() => Event::Open(node, shopper),
            _ if matches!(does, Some(EventKind::Leave)) => Event::Leave(shopper),
            _ if matches!(does, Some(EventKind::Close)) => Event::Close(shopper),
            _ if own.token.is_none() => Event::Elapse(1 + rng.below(idle)),
            _ if !own.claimed && plan.claims_one_in > 1 && !rng.once_in(plan.claims_one_in) => Event::Elapse(1),
            _ if !own.claimed => Event::Claim(shopper),
            _ if !own.redeemed && matches!(does, Some(EventKind::Redeem)) => Event::Redeem(shopper),
            _ if own.redeemed && matches!(does, Some(EventKind::Pay)) => Event::Pay(shopper),
            _ => Event::Elapse(1 + rng.below(idle)),
        }
    }

    fn fault(&self, rng: &mut Rng, plan: &Plan) -> Option<Fault> {
        let process = rng.index(CONTROLLERS + NODES);
        let node = CONTROLLERS + rng.index(NODES);
        let calls = self.calling();
        let tail = 1 + rng.index(12);
        let lost = if rng.once_in(2) { 0 } else { tail };
        if plan.fault_class == Some(FaultClass::Restores) {
            return self.restore_fault(rng, tail);
        }
        Some(match plan.choose(rng, &FAULTS)? {
            EventKind::Calls if !calls.is_empty() => {
                if plan.fault_class == Some(FaultClass::LateCalls) {
                    let mut publications = calls.iter().filter(|&&(process, slot)| self.publishes(process, slot));
                    return publications.next().map(|&(process, slot)| Fault::Late(process, slot));
                }
                let (process, slot) = calls[rng.index(calls.len())];
                match rng.below(4) {
                    0 => Fault::Lost(process, slot),
                    1 => Fault::ResponseLost(process, slot),
                    2 => Fault::Late(process, slot),
                    _ => Fault::Repeated(process, slot),
                }
            }
            EventKind::Arrives if self.late_calls() > 0 => Fault::Arrives(rng.index(self.late_calls())),
            EventKind::Restart => Fault::Restart([Keeps::All, Keeps::AllBut(tail), Keeps::Nothing][rng.index(3)]),
            EventKind::FailOver => Fault::FailOver(lost),
            EventKind::Split => {
                let who = u32::try_from(rng.below(1 << (CONTROLLERS + NODES))).ok()?;
                // The first controller sees one primary, the second the other.
                Fault::Split(lost, if plan.fault_class == Some(FaultClass::Apart) { who & !0b11 | 0b01 } else { who })
            }
            EventKind::Cut => Fault::Cut(process),
            EventKind::Kill => Fault::Kill(process),
            EventKind::PauseProcess => Fault::Pause(process, [300, 1500, 6500][rng.index(3)]),
            EventKind::Unsubscribed => Fault::Unsubscribed(node),
            EventKind::RedisClock => Fault::RedisClock(i64::try_from(rng.below(4000)).ok()? - 2000),
            EventKind::DatabaseClock => Fault::DatabaseClock(i64::try_from(rng.below(40_000)).ok()? - 20_000),
            // A database from before a draw: see docs/verification.md.
            EventKind::Restore if plan.setting.terms.draws => return None,
            EventKind::Restore if rng.once_in(4) => Fault::Restore,
            EventKind::Restore => Fault::Backup,
            _ => return None,
        })
    }

    /// A copy of the database, losses of Redis, and the restore once there are tickets of an epoch
    /// that the copy lacks: beside a Redis that has the line, or has lost it again.
    fn restore_fault(&self, rng: &mut Rng, tail: usize) -> Option<Fault> {
        let is_lost = !self.knows_line(&self.ledger().tables);
        match self.is_copy_outdated() {
            None => Some(Fault::Backup),
            Some(false) if is_lost => None,
            Some(true) if is_lost => rng.once_in(2).then_some(Fault::Restore),
            Some(_) if rng.once_in(3) => Some(Fault::Restore),
            Some(_) => {
                let keeps = [Keeps::All, Keeps::AllBut(tail), Keeps::Nothing, Keeps::Nothing];
                Some(Fault::Restart(keeps[rng.index(keeps.len())]))
            }
        }
    }
}
