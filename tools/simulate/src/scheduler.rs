//! What happens next: chosen at random, by what can happen.

use crate::{
    event::{Event, Fault},
    rng::Rng,
    server::Keeps,
    world::{CONTROLLERS, NODES, SHOPPERS, World},
};

/// Events between two times of quiet.
const BUSY: usize = 420;
/// Times of quiet in one story.
const QUIETS: usize = 3;

/// What a seed is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) accounts: bool,
    pub(crate) total: u32,
    /// A fault in so many events.
    faults_one_in: u64,
    /// Shoppers who never do anything but wait.
    patient: bool,
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            accounts: rng.once_in(3),
            total: 2 + u32::try_from(rng.below(5)).unwrap_or(0),
            faults_one_in: [12, 25, 50][rng.index(3)],
            patient: rng.once_in(3),
        }
    }
}

/// How many events a story has.
pub(crate) const EVENTS: usize = (BUSY + 1) * QUIETS;

impl World {
    /// Chooses what happens next.
    pub(crate) fn next_event(&self, rng: &mut Rng, plan: &Plan, at: usize) -> Event {
        if at % (BUSY + 1) == BUSY {
            return if self.split && rng.once_in(2) { Event::QuietApart } else { Event::Quiet };
        }
        if rng.once_in(plan.faults_one_in)
            && let Some(fault) = self.fault(rng)
        {
            return Event::Fault(fault);
        }
        if rng.once_in(9) {
            return self.act(rng, plan);
        }
        let tasks = self.runnable();
        if tasks.is_empty() || rng.once_in(14) {
            let now = self.now.get();
            let next = self.next_wake().max(now + 1) - now;
            return Event::Elapse(if rng.once_in(12) { 300 + rng.below(2500) } else { next });
        }
        let (process, slot) = tasks[rng.index(tasks.len())];
        Event::Run(process, slot)
    }

    fn act(&self, rng: &mut Rng, plan: &Plan) -> Event {
        let node = CONTROLLERS + rng.index(NODES);
        let shopper = rng.index(SHOPPERS);
        if rng.once_in(40) {
            return if rng.once_in(3) {
                Event::Revoke
            } else {
                Event::MoreStock(1 + u32::try_from(rng.below(2)).unwrap_or(0))
            };
        }
        let own = &self.shoppers[shopper];
        let leaves = !plan.patient && rng.once_in(12);
        match own {
            _ if own.ticket.is_none() => {
                let more = rng.index(SHOPPERS);
                let batch = if more != shopper && rng.once_in(2) { vec![shopper, more] } else { vec![shopper] };
                Event::Join(node, batch)
            }
            _ if own.node.is_none() => Event::Open(node, shopper),
            _ if leaves && rng.once_in(2) => Event::Leave(shopper),
            _ if leaves => Event::Close(shopper),
            _ if own.token.is_none() => Event::Elapse(1 + rng.below(60)),
            _ if !own.claimed => Event::Claim(shopper),
            _ if !own.redeemed => Event::Redeem(shopper),
            _ => Event::Pay(shopper),
        }
    }

    fn fault(&self, rng: &mut Rng) -> Option<Fault> {
        let process = rng.index(CONTROLLERS + NODES);
        let node = CONTROLLERS + rng.index(NODES);
        let calls = self.calling();
        let tail = 1 + rng.index(12);
        Some(match rng.below(33) {
            0..=11 if !calls.is_empty() => {
                let (process, slot) = calls[rng.index(calls.len())];
                match rng.below(4) {
                    0 => Fault::Lost(process, slot),
                    1 => Fault::Unheard(process, slot),
                    2 => Fault::Late(process, slot),
                    _ => Fault::Repeated(process, slot),
                }
            }
            12..=15 if self.late_calls() > 0 => Fault::Arrives(rng.index(self.late_calls())),
            16 => Fault::Restart(Keeps::All),
            17 => Fault::Restart(Keeps::AllBut(tail)),
            18 => Fault::Restart(Keeps::Nothing),
            19 => Fault::FailOver(if rng.once_in(2) { 0 } else { tail }),
            20 => Fault::Split(
                if rng.once_in(2) { 0 } else { tail },
                u32::try_from(rng.below(1 << (CONTROLLERS + NODES))).ok()?,
            ),
            21 => Fault::Cut(process),
            22 | 23 => Fault::Kill(process),
            24 | 25 => Fault::Pause(process, [300, 1500, 6500][rng.index(3)]),
            26 | 27 => Fault::Deaf(node),
            28 => Fault::RedisClock(i64::try_from(rng.below(4000)).ok()? - 2000),
            29 => Fault::DatabaseClock(i64::try_from(rng.below(40_000)).ok()? - 20_000),
            30 | 31 => Fault::Backup,
            32 if rng.once_in(2) => Fault::Restore,
            _ => return None,
        })
    }
}
