//! Chooses the next event at random, from the applicable ones and by the plan of the seed.
//!
//! Each seed omits some kinds of events and faults and has others more often ("swarm testing",
//! Groce, Zhang, Eide, Chen and Regehr, 2012), which finds bugs that need a rare event often, or
//! another never.
//!
//! One seed in five has a [`Theme`]: a plan that combines what one class of bugs needs and random
//! choice rarely produces.

use admission_controller::lifecycle::Action;

use crate::{
    event::{Event, Fault},
    rng::Rng,
    sale::{Setting, Terms},
    server::Keeps,
    world::{CONTROLLERS, NODES, SHOPPERS, World},
};

/// Events between two quiet times.
const BUSY: usize = 420;
/// Quiet times in one story.
const QUIETS: usize = 3;

/// Events before the only quiet time of a story with a theme that needs many.
const LONG_BUSY: usize = 3000;
/// One seed in this many has a theme.
const THEMED_ONE_IN: u64 = 5;

/// A class of faults that a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
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
}

const THEMES: [Theme; 6] =
    [Theme::Apart, Theme::Revocations, Theme::Outages, Theme::LateCalls, Theme::Closing, Theme::Crashes];

/// Kinds of events whose frequency depends on the seed.
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
    Unsubscribed,
    RedisClock,
    DatabaseClock,
    Restore,
}

const KINDS: usize = Kind::Restore as usize + 1;
/// Initial weight of each kind within its group.
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
    Kind::Unsubscribed,
    Kind::RedisClock,
    Kind::DatabaseClock,
    Kind::Restore,
];

/// The parameters of a seed.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) setting: Setting,
    /// One fault in this many events; acts of operators and shoppers likewise.
    faults_one_in: u64,
    operators_one_in: u64,
    shoppers_one_in: u64,
    /// During a tick, shoppers act once in this many events.
    races_one_in: u64,
    /// The operator closes the sale when it opens.
    closes: bool,
    /// A page claims its token at one in this many opportunities.
    claims_one_in: u64,
    /// Events between two quiet times, and the number of quiet times.
    busy: usize,
    quiets: usize,
    theme: Option<Theme>,
    weights: [u32; KINDS],
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng, seed: u64) -> Self {
        let plan = Self::at_random(rng);
        let theme = THEMES[usize::try_from(seed / THEMED_ONE_IN).unwrap_or(0) % THEMES.len()];
        if seed.is_multiple_of(THEMED_ONE_IN) { plan.about(theme) } else { plan }
    }

    fn at_random(rng: &mut Rng) -> Self {
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
            setting: Setting { terms, accounts: rng.once_in(3), stops_often: rng.once_in(3) },
            faults_one_in: [10, 20, 40, 80][rng.index(4)],
            operators_one_in: [30, 100, 400][rng.index(3)],
            shoppers_one_in: [5, 9][rng.index(2)],
            races_one_in: [2, 9][rng.index(2)],
            closes: rng.once_in(24),
            claims_one_in: 1,
            busy: BUSY,
            quiets: QUIETS,
            theme: None,
            weights,
        }
    }

    /// The plan with a theme, which selects the acts of operators and the faults.
    fn about(mut self, theme: Theme) -> Self {
        let weights: &[(Kind, u32)] = match theme {
            Theme::Apart => &[(Kind::Split, 8), (Kind::Calls, 4), (Kind::Kill, 1), (Kind::MoreStock, 1)],
            Theme::Revocations => &[
                (Kind::Revoke, 8),
                (Kind::MoreStock, 1),
                (Kind::Calls, 4),
                (Kind::Restart, 1),
                (Kind::DatabaseClock, 2),
            ],
            Theme::Outages => &[(Kind::Restart, 1), (Kind::MoreStock, 1)],
            Theme::LateCalls => &[(Kind::Calls, 8), (Kind::Arrives, 8), (Kind::Revoke, 8), (Kind::MoreStock, 1)],
            Theme::Closing => &[(Kind::PauseProcess, 1), (Kind::Prefer, 4), (Kind::MoreStock, 1)],
            Theme::Crashes => &[(Kind::Restart, 1), (Kind::MoreStock, 1)],
        };
        OPERATORS_DO.iter().chain(&FAULTS).for_each(|&kind| self.weights[kind as usize] = 0);
        [Kind::Close, Kind::Leave].iter().for_each(|&kind| self.weights[kind as usize] = 1);
        weights.iter().for_each(|&(kind, weight)| self.weights[kind as usize] = weight);
        (self.theme, self.closes) = (Some(theme), theme == Theme::Closing);
        let terms = &mut self.setting.terms;
        (terms.total, self.shoppers_one_in) = (6, 5);
        if matches!(theme, Theme::Revocations | Theme::Outages | Theme::LateCalls | Theme::Crashes) {
            (self.busy, self.quiets, self.claims_one_in) = (LONG_BUSY, 1, 40);
            (terms.draws, terms.opens_after_ms) = (false, 0);
        }
        match theme {
            Theme::Apart => (terms.total, self.faults_one_in, self.operators_one_in) = (2, 20, 200),
            Theme::Revocations => (terms.claim_window_s, self.operators_one_in) = (8, 30),
            Theme::Outages => (terms.claim_window_s, self.faults_one_in) = (2, 1500),
            Theme::LateCalls => (self.faults_one_in, self.operators_one_in) = (4, 20),
            Theme::Closing => {
                (self.setting.stops_often, self.operators_one_in, self.faults_one_in) = (true, 10, 40);
                (terms.draws, terms.opens_after_ms) = (false, 1500);
            }
            Theme::Crashes => (self.setting.stops_often, self.faults_one_in, self.operators_one_in) = (false, 60, 400),
        }
        self
    }

    /// Number of events.
    pub(crate) fn events(&self) -> usize {
        (self.busy + 1) * self.quiets
    }

    /// One kind of a group; `None` if the seed omits all of them.
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
    /// Chooses the next event.
    pub(crate) fn next_event(&self, rng: &mut Rng, plan: &Plan, at: usize) -> Event {
        if at % (plan.busy + 1) == plan.busy {
            let stays_apart =
                self.split && if plan.theme == Some(Theme::Apart) { at + 1 < plan.events() } else { rng.once_in(2) };
            return if stays_apart { Event::QuietApart } else { Event::Quiet };
        }
        let ticks = self.ledger().is_locked();
        // With the theme, after the lock and before the statement that opens the sale.
        let opens = self.is_about_to_open() && (plan.theme != Some(Theme::Closing) || self.ledger().moves());
        if plan.closes && ticks && opens && (plan.theme.is_some() || rng.once_in(4)) {
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
        // With a theme, ticks get further while less time passes.
        if tasks.is_empty() || (plan.theme.is_none() && rng.once_in(14)) {
            let now = self.now.get();
            let next = self.next_wake().max(now + 1) - now;
            return Event::Elapse(if rng.once_in(if plan.theme.is_none() { 12 } else { 40 }) {
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
        let idle = if plan.theme.is_none() { 60 } else { 5 };
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
            _ if own.token.is_none() => Event::Elapse(1 + rng.below(idle)),
            _ if !own.claimed && plan.claims_one_in > 1 && !rng.once_in(plan.claims_one_in) => Event::Elapse(1),
            _ if !own.claimed => Event::Claim(shopper),
            _ if !own.redeemed && matches!(does, Some(Kind::Redeem)) => Event::Redeem(shopper),
            _ if own.redeemed && matches!(does, Some(Kind::Pay)) => Event::Pay(shopper),
            _ => Event::Elapse(1 + rng.below(idle)),
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
                if plan.theme == Some(Theme::LateCalls) {
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
            Kind::Arrives if self.late_calls() > 0 => Fault::Arrives(rng.index(self.late_calls())),
            Kind::Restart => Fault::Restart([Keeps::All, Keeps::AllBut(tail), Keeps::Nothing][rng.index(3)]),
            Kind::FailOver => Fault::FailOver(lost),
            Kind::Split => {
                let who = u32::try_from(rng.below(1 << (CONTROLLERS + NODES))).ok()?;
                // The first controller sees one primary, the second the other.
                Fault::Split(lost, if plan.theme == Some(Theme::Apart) { who & !0b11 | 0b01 } else { who })
            }
            Kind::Cut => Fault::Cut(process),
            Kind::Kill => Fault::Kill(process),
            Kind::PauseProcess => Fault::Pause(process, [300, 1500, 6500][rng.index(3)]),
            Kind::Unsubscribed => Fault::Unsubscribed(node),
            Kind::RedisClock => Fault::RedisClock(i64::try_from(rng.below(4000)).ok()? - 2000),
            Kind::DatabaseClock => Fault::DatabaseClock(i64::try_from(rng.below(40_000)).ok()? - 20_000),
            // A database from before a draw: see docs/verification.md.
            Kind::Restore if plan.setting.terms.draws => return None,
            Kind::Restore if rng.once_in(4) => Fault::Restore,
            Kind::Restore => Fault::Backup,
            _ => return None,
        })
    }
}
