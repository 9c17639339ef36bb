//! What happens next: chosen at random, by what can happen and by what a seed is about.
//!
//! Each seed leaves out some kinds of events and faults, and has others more often (Groce, Zhang, Eide, Chen and Regehr, "Swarm
//! testing", 2012): a bug that needs a rare event often, or another one never, is found by some of them.

use admission_controller::lifecycle::Action;

use crate::{
    event::{Event, Fault},
    rng::Rng,
    sale::Terms,
    server::Keeps,
    world::{CONTROLLERS, NODES, SHOPPERS, World},
};

/// Events between two times of quiet.
const BUSY: usize = 420;
/// Times of quiet in one story.
const QUIETS: usize = 3;

/// How many events a story has.
pub(crate) const EVENTS: usize = (BUSY + 1) * QUIETS;

/// Kinds of events, as far as seeds have them more or less often.
#[derive(Debug, Clone, Copy)]
enum Kind {
    // Shoppers.
    Close,
    Leave,
    Rejoin,
    Redeem,
    Pay,
    // Operators.
    MoreStock,
    Revoke,
    RevokeKey,
    Pause,
    Remove,
    Prefer,
    // Faults.
    Calls,
    Arrives,
    Restart,
    FailOver,
    Split,
    Cut,
    Kill,
    PauseProcess,
    Deaf,
    RedisClock,
    DatabaseClock,
    Restore,
}

const KINDS: usize = Kind::Restore as usize + 1;
/// How often each of them happens at first, beside the others of its group.
const WEIGHTS: [u32; KINDS] =
    [4, 4, 4, 60, 60, /**/ 6, 3, 1, 1, 2, 2, /**/ 12, 4, 3, 1, 1, 1, 2, 2, 2, 1, 1, 3];
const SHOPPERS_DO: [Kind; 5] = [Kind::Close, Kind::Leave, Kind::Rejoin, Kind::Redeem, Kind::Pay];
const OPERATORS_DO: [Kind; 6] =
    [Kind::MoreStock, Kind::Revoke, Kind::RevokeKey, Kind::Pause, Kind::Remove, Kind::Prefer];
const FAULTS: [Kind; 12] = [
    Kind::Calls,
    Kind::Arrives,
    Kind::Restart,
    Kind::FailOver,
    Kind::Split,
    Kind::Cut,
    Kind::Kill,
    Kind::PauseProcess,
    Kind::Deaf,
    Kind::RedisClock,
    Kind::DatabaseClock,
    Kind::Restore,
];

/// What a seed is about.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) accounts: bool,
    pub(crate) terms: Terms,
    /// Transactions stop before each statement.
    pub(crate) stops_often: bool,
    /// A fault in so many events; an act of an operator, and of a shopper, likewise.
    faults_one_in: u64,
    operators_one_in: u64,
    shoppers_one_in: u64,
    /// While a tick is under way, shoppers act once in so many events.
    races_one_in: u64,
    /// The operator closes the sale when it opens.
    closes: bool,
    weights: [u32; KINDS],
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let draws = rng.once_in(6);
        let terms = Terms {
            total: 2 + i32::try_from(rng.below(5)).unwrap_or(0),
            limit: 1,
            claim_window_s: [2, 8][rng.index(2)],
            token_ttl_s: 12,
            hold_s: 6,
            opens_after_ms: if draws { 3000 } else { [0, 1500][rng.index(2)] },
            draws,
        };
        let mut weights = WEIGHTS;
        for weight in &mut weights {
            *weight *= [0, 1, 1, 8][rng.index(4)];
        }
        Self {
            accounts: rng.once_in(3),
            terms,
            stops_often: rng.once_in(3),
            faults_one_in: [10, 20, 40, 80][rng.index(4)],
            operators_one_in: [30, 100, 400][rng.index(3)],
            shoppers_one_in: [5, 9][rng.index(2)],
            races_one_in: [2, 9][rng.index(2)],
            closes: rng.once_in(24),
            weights,
        }
    }

    /// One kind of a group; nothing if the seed leaves all of them out.
    fn choose(&self, rng: &mut Rng, group: &[Kind]) -> Option<Kind> {
        let all: u32 = group.iter().map(|&kind| self.weights[kind as usize]).sum();
        if all == 0 {
            return None;
        }
        let mut drawn = u32::try_from(rng.below(all.into())).unwrap_or(0);
        group.iter().copied().find(|&kind| {
            let weight = self.weights[kind as usize];
            let found = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            found
        })
    }
}

impl World {
    /// Chooses what happens next.
    pub(crate) fn next_event(&self, rng: &mut Rng, plan: &Plan, at: usize) -> Event {
        if at % (BUSY + 1) == BUSY {
            return if self.split && rng.once_in(2) { Event::QuietApart } else { Event::Quiet };
        }
        let ticks = self.ledger().is_locked();
        if plan.closes && ticks && self.is_about_to_open() && rng.once_in(4) {
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
        if tasks.is_empty() || rng.once_in(14) {
            let now = self.now.get();
            let next = self.next_wake().max(now + 1) - now;
            return Event::Elapse(if rng.once_in(12) { 300 + rng.below(2500) } else { next });
        }
        let (process, slot) = tasks[rng.index(tasks.len())];
        Event::Run(process, slot)
    }

    fn operate(&self, rng: &mut Rng, plan: &Plan) -> Option<Event> {
        let shopper = rng.index(SHOPPERS);
        Some(match plan.choose(rng, &OPERATORS_DO)? {
            Kind::MoreStock => Event::MoreStock(1 + u32::try_from(rng.below(2)).unwrap_or(0)),
            Kind::Revoke => Event::Revoke,
            Kind::RevokeKey => Event::RevokeKey,
            Kind::Pause if self.is_paused() => Event::Move(Action::Resume),
            Kind::Pause => Event::Move(Action::Pause),
            Kind::Remove => Event::Remove(shopper),
            _ => Event::Prefer(shopper),
        })
    }

    fn act(&self, rng: &mut Rng, plan: &Plan) -> Event {
        let node = CONTROLLERS + rng.index(NODES);
        let shopper = rng.index(SHOPPERS);
        let own = &self.shoppers[shopper];
        let does = plan.choose(rng, &SHOPPERS_DO);
        match own {
            _ if own.over.is_some() && matches!(does, Some(Kind::Rejoin)) => Event::Rejoin(node, shopper),
            _ if own.ticket.is_none() => {
                let more = rng.index(SHOPPERS);
                let batch = if more != shopper && rng.once_in(2) { vec![shopper, more] } else { vec![shopper] };
                Event::Join(node, batch)
            }
            _ if own.node.is_none() => Event::Open(node, shopper),
            _ if matches!(does, Some(Kind::Leave)) => Event::Leave(shopper),
            _ if matches!(does, Some(Kind::Close)) => Event::Close(shopper),
            _ if own.token.is_none() => Event::Elapse(1 + rng.below(60)),
            _ if !own.claimed => Event::Claim(shopper),
            _ if !own.redeemed && matches!(does, Some(Kind::Redeem)) => Event::Redeem(shopper),
            _ if own.redeemed && matches!(does, Some(Kind::Pay)) => Event::Pay(shopper),
            _ => Event::Elapse(1 + rng.below(60)),
        }
    }

    fn fault(&self, rng: &mut Rng, plan: &Plan) -> Option<Fault> {
        let process = rng.index(CONTROLLERS + NODES);
        let node = CONTROLLERS + rng.index(NODES);
        let calls = self.calling();
        let tail = 1 + rng.index(12);
        let lost = if rng.once_in(2) { 0 } else { tail };
        Some(match plan.choose(rng, &FAULTS)? {
            Kind::Calls if !calls.is_empty() => {
                let (process, slot) = calls[rng.index(calls.len())];
                match rng.below(4) {
                    0 => Fault::Lost(process, slot),
                    1 => Fault::Unheard(process, slot),
                    2 => Fault::Late(process, slot),
                    _ => Fault::Repeated(process, slot),
                }
            }
            Kind::Arrives if self.late_calls() > 0 => Fault::Arrives(rng.index(self.late_calls())),
            Kind::Restart => Fault::Restart([Keeps::All, Keeps::AllBut(tail), Keeps::Nothing][rng.index(3)]),
            Kind::FailOver => Fault::FailOver(lost),
            Kind::Split => Fault::Split(lost, u32::try_from(rng.below(1 << (CONTROLLERS + NODES))).ok()?),
            Kind::Cut => Fault::Cut(process),
            Kind::Kill => Fault::Kill(process),
            Kind::PauseProcess => Fault::Pause(process, [300, 1500, 6500][rng.index(3)]),
            Kind::Deaf => Fault::Deaf(node),
            Kind::RedisClock => Fault::RedisClock(i64::try_from(rng.below(4000)).ok()? - 2000),
            Kind::DatabaseClock => Fault::DatabaseClock(i64::try_from(rng.below(40_000)).ok()? - 20_000),
            // A database from before a draw: see docs/verification.md.
            Kind::Restore if plan.terms.draws => return None,
            Kind::Restore if rng.once_in(4) => Fault::Restore,
            Kind::Restore => Fault::Backup,
            _ => return None,
        })
    }
}
