//! The plan of a seed: the terms of its sale, and how often each kind of event happens.
//!
//! Each seed omits some kinds of events and faults and has others more often ("swarm testing",
//! Groce, Zhang, Eide, Chen and Regehr, 2012), which finds bugs that need a rare event often, or
//! another never.
//!
//! One seed in five has a [`FaultClass`]: a plan that combines what one class of bugs needs and
//! random choice rarely produces.

use crate::{
    rng::Rng,
    sale::{StorySetup, StoryTerms},
};

/// Events between two quiet times.
const BUSY: usize = 420;
/// Quiet times in one story.
const QUIETS: usize = 3;

/// Events before the only quiet time of a story with a fault class that needs many.
const LONG_BUSY: usize = 3000;
/// One seed in this many has a fault class.
const FAULT_CLASS_ONE_IN: u64 = 5;

/// A class of faults that a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultClass {
    /// Two primaries remain, each with a controller, while shoppers wait.
    Apart,
    /// Operators revoke tokens again and again, and pages claim late.
    Revocations,
    /// Redis restarts again and again, and pages claim late.
    Outages,
    /// Calls of controllers arrive late, just after they timed out.
    LateCalls,
    /// An operator closes the sale while a controller opens it.
    Closing,
    /// Redis crashes again and again, faster than an epoch settles.
    Crashes,
    /// The database is restored from a copy that lacks an epoch, beside a Redis that keeps its
    /// data, or has lost some or all.
    Restores,
    /// A sale empties and rests, and then all shoppers join.
    Rests,
    /// Redis loses a line that grows, and a node is slow to present its tickets.
    Growth,
}

const FAULT_CLASSES: [FaultClass; 9] = [
    FaultClass::Apart,
    FaultClass::Revocations,
    FaultClass::Outages,
    FaultClass::LateCalls,
    FaultClass::Closing,
    FaultClass::Crashes,
    FaultClass::Restores,
    FaultClass::Rests,
    FaultClass::Growth,
];

/// The rate cap of one seed in five without a fault class: those with this remainder.
const LOW_CAP_PER_S: f64 = 1.0;
const LOW_CAP_SEEDS: u64 = 2;

/// Kinds of events whose frequency depends on the seed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EventClass {
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
    Unsubscribed,
    RedisClock,
    DatabaseClock,
    Restore,
}

const KINDS: usize = EventClass::Restore as usize + 1;
/// Initial weight of each kind within its group.
const WEIGHTS: [u32; KINDS] =
    [4, 4, 4, 60, 60, /**/ 6, 3, 1, 1, 2, 2, /**/ 12, 4, 3, 1, 1, 1, 2, 2, 2, 1, 1, 3];
pub(crate) const SHOPPERS_DO: [EventClass; 5] =
    [EventClass::Close, EventClass::Leave, EventClass::Rejoin, EventClass::Redeem, EventClass::Pay];
pub(crate) const OPERATORS_DO: [EventClass; 6] = [
    EventClass::MoreStock,
    EventClass::Revoke,
    EventClass::RevokeKey,
    EventClass::Pause,
    EventClass::Remove,
    EventClass::Prefer,
];
pub(crate) const FAULTS: [EventClass; 12] = [
    EventClass::Calls,
    EventClass::Arrives,
    EventClass::Restart,
    EventClass::FailOver,
    EventClass::Split,
    EventClass::Cut,
    EventClass::Kill,
    EventClass::PauseProcess,
    EventClass::Unsubscribed,
    EventClass::RedisClock,
    EventClass::DatabaseClock,
    EventClass::Restore,
];

/// The parameters of a seed.
#[derive(Debug, Clone)]
pub(crate) struct SeedPlan {
    pub(crate) setting: StorySetup,
    /// One fault in this many events; acts of operators and shoppers likewise.
    pub(crate) faults_one_in: u64,
    pub(crate) operators_one_in: u64,
    pub(crate) shoppers_one_in: u64,
    /// During a tick, shoppers act once in this many events.
    pub(crate) races_one_in: u64,
    /// The operator closes the sale when it opens.
    pub(crate) closes: bool,
    /// A page claims its token at one in this many opportunities.
    pub(crate) claims_one_in: u64,
    /// Events between two quiet times, and the number of quiet times.
    pub(crate) busy: usize,
    quiets: usize,
    pub(crate) fault_class: Option<FaultClass>,
    weights: [u32; KINDS],
}

impl SeedPlan {
    pub(crate) fn new(rng: &mut Rng, seed: u64) -> Self {
        let mut plan = Self::at_random(rng);
        if seed % FAULT_CLASS_ONE_IN == LOW_CAP_SEEDS {
            plan.setting.terms.rate_cap_per_s = LOW_CAP_PER_S;
        }
        let fault_class = FAULT_CLASSES[usize::try_from(seed / FAULT_CLASS_ONE_IN).unwrap_or(0) % FAULT_CLASSES.len()];
        if seed.is_multiple_of(FAULT_CLASS_ONE_IN) { plan.about(fault_class) } else { plan }
    }

    fn at_random(rng: &mut Rng) -> Self {
        let draws = rng.once_in(6);
        let terms = StoryTerms {
            total: 2 + i32::try_from(rng.below(5)).unwrap_or(0),
            limit: 1,
            claim_window_s: [2, 8][rng.index(2)],
            token_ttl_s: 12,
            hold_s: 6,
            opens_after_ms: if draws { 3000 } else { [0, 1500][rng.index(2)] },
            draws,
            rate_cap_per_s: 10.0,
        };
        let mut weights = WEIGHTS;
        for weight in &mut weights {
            *weight *= [0, 1, 1, 8][rng.index(4)];
        }
        Self {
            setting: StorySetup { terms, accounts: rng.once_in(3), stops_often: rng.once_in(3) },
            faults_one_in: [10, 20, 40, 80][rng.index(4)],
            operators_one_in: [30, 100, 400][rng.index(3)],
            shoppers_one_in: [5, 9][rng.index(2)],
            races_one_in: [2, 9][rng.index(2)],
            closes: rng.once_in(24),
            claims_one_in: 1,
            busy: BUSY,
            quiets: QUIETS,
            fault_class: None,
            weights,
        }
    }

    /// How often the kinds of events happen that a fault class needs.
    fn weights_of(fault_class: FaultClass) -> &'static [(EventClass, u32)] {
        match fault_class {
            FaultClass::Apart => {
                &[(EventClass::Split, 8), (EventClass::Calls, 4), (EventClass::Kill, 1), (EventClass::MoreStock, 1)]
            }
            FaultClass::Revocations => &[
                (EventClass::Revoke, 8),
                (EventClass::MoreStock, 1),
                (EventClass::Calls, 4),
                (EventClass::Restart, 1),
                (EventClass::DatabaseClock, 2),
            ],
            FaultClass::Outages => &[(EventClass::Restart, 1), (EventClass::MoreStock, 1)],
            FaultClass::LateCalls => {
                &[(EventClass::Calls, 8), (EventClass::Arrives, 8), (EventClass::Revoke, 8), (EventClass::MoreStock, 1)]
            }
            FaultClass::Closing => {
                &[(EventClass::PauseProcess, 1), (EventClass::Prefer, 4), (EventClass::MoreStock, 1)]
            }
            FaultClass::Crashes => &[(EventClass::Restart, 1), (EventClass::MoreStock, 1)],
            // The faults follow each other: see `World::restore_fault`. Shoppers join all the time.
            FaultClass::Restores => &[
                (EventClass::Close, 2),
                (EventClass::Leave, 2),
                (EventClass::Rejoin, 8),
                (EventClass::Redeem, 4),
                (EventClass::Pay, 4),
                (EventClass::MoreStock, 1),
            ],
            FaultClass::Rests => &[
                (EventClass::Redeem, 1),
                (EventClass::MoreStock, 1),
                (EventClass::Calls, 4),
                (EventClass::Kill, 2),
                (EventClass::PauseProcess, 2),
                (EventClass::DatabaseClock, 1),
            ],
            // The faults follow each other: see `World::growth_fault`.
            FaultClass::Growth => {
                &[(EventClass::Rejoin, 8), (EventClass::Redeem, 4), (EventClass::Pay, 1), (EventClass::MoreStock, 1)]
            }
        }
    }

    /// The plan with a fault class, which selects the acts of operators and the faults.
    fn about(mut self, fault_class: FaultClass) -> Self {
        OPERATORS_DO.iter().chain(&FAULTS).for_each(|&kind| self.weights[kind as usize] = 0);
        [EventClass::Close, EventClass::Leave].iter().for_each(|&kind| self.weights[kind as usize] = 1);
        let weights = Self::weights_of(fault_class);
        weights.iter().for_each(|&(kind, weight)| self.weights[kind as usize] = weight);
        (self.fault_class, self.closes) = (Some(fault_class), fault_class == FaultClass::Closing);
        let terms = &mut self.setting.terms;
        (terms.total, self.shoppers_one_in) = (6, 5);
        if matches!(
            fault_class,
            FaultClass::Revocations | FaultClass::Outages | FaultClass::LateCalls | FaultClass::Crashes
        ) {
            (self.busy, self.quiets, self.claims_one_in) = (LONG_BUSY, 1, 40);
            (terms.draws, terms.opens_after_ms) = (false, 0);
        }
        match fault_class {
            FaultClass::Apart => (terms.total, self.faults_one_in, self.operators_one_in) = (2, 20, 200),
            FaultClass::Revocations => (terms.claim_window_s, self.operators_one_in) = (8, 30),
            FaultClass::Outages => (terms.claim_window_s, self.faults_one_in) = (2, 1500),
            FaultClass::LateCalls => (self.faults_one_in, self.operators_one_in) = (4, 20),
            FaultClass::Closing => {
                (self.setting.stops_often, self.operators_one_in, self.faults_one_in) = (true, 10, 40);
                (terms.draws, terms.opens_after_ms) = (false, 1500);
            }
            FaultClass::Crashes => {
                (self.setting.stops_often, self.faults_one_in, self.operators_one_in) = (false, 60, 400)
            }
            FaultClass::Restores => {
                (self.quiets, self.claims_one_in) = (4, 8);
                (self.faults_one_in, self.operators_one_in) = (30, 60);
                (terms.draws, terms.opens_after_ms, terms.claim_window_s) = (false, 0, 8);
            }
            FaultClass::Rests => {
                (self.faults_one_in, self.operators_one_in) = (40, 400);
                (terms.draws, terms.opens_after_ms, terms.claim_window_s) = (false, 0, 2);
                terms.rate_cap_per_s = 2.0;
            }
            FaultClass::Growth => {
                (self.faults_one_in, self.operators_one_in, self.quiets) = (2, 400, 4);
                (terms.draws, terms.opens_after_ms, terms.claim_window_s) = (false, 0, 8);
            }
        }
        self
    }

    /// Whether ticks get further while less time passes, as with most classes.
    pub(crate) fn is_slow(&self) -> bool {
        self.fault_class.is_some_and(|class| !matches!(class, FaultClass::Restores | FaultClass::Rests))
    }

    /// Number of events.
    pub(crate) fn events(&self) -> usize {
        (self.busy + 1) * self.quiets
    }

    /// One kind of a group; `None` if the seed omits all of them.
    pub(crate) fn choose(&self, rng: &mut Rng, group: &[EventClass]) -> Option<EventClass> {
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
