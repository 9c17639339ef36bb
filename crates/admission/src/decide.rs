//! The control law: how many tickets to admit now.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use strum::IntoStaticStr;

use crate::{
    lanes::{Lane, Turns},
    learner::{Demand, LearnedVisits, Outlook, Prior},
    pace::{Health, Pace, PaceLimit, Trouble},
    visits::{STAGES, Stage, Visits},
};

/// Maximum admissions per tick; keeps a transaction short.
pub const BATCH_MAX: u32 = 2_000;
/// An admission is not made if it would find all units bought with at least this probability,
/// however much of the risk budget is left.
const CHANCE_MAX: f64 = 0.1;
/// The probability that more than `MANY` times the stated risk are turned away is kept below
/// `MANY_CHANCE`, by what is known at each decision. This matters when all visits share one
/// uncertainty: then either no shopper is turned away or a crowd is.
const MANY: f64 = 4.0;
const MANY_CHANCE: f64 = 0.002;
/// If a shift has begun unnoticed, the mean share of admitted shoppers who may be turned away.
const SHIFT_SHARE: f64 = 0.005;

/// How the stock is promised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionMode {
    /// Every admission has its own units: `promised + held + sold` never exceeds the stock.
    Guarantee,
    /// More visits are promised than there are units, because some are expected to end without an
    /// order. A unit is held only while its payment runs.
    Yield {
        /// The probability, over the whole sale, that an admitted shopper wants to pay and can't;
        /// from 0 to 1.
        risk: f64,
    },
}

/// The terms of a sale that concern admissions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// How the stock is promised.
    pub mode: AdmissionMode,
    /// Maximum units that one shopper may buy and one admission promises.
    pub units_per_admission: u32,
    /// Maximum admissions per second.
    pub rate_cap_per_s: f64,
    /// Maximum shoppers in checkout, including those with a token, who may enter at any moment.
    pub in_checkout_max: Option<u32>,
    /// Seconds in which a page has to claim a token.
    pub claim_window_s: f64,
    /// Seconds in which a claimed token has to be redeemed.
    pub token_ttl_s: f64,
    /// Seconds in which a redeemed visit has to begin its payment.
    pub hold_s: f64,
}

impl Terms {
    fn limits_s(&self) -> [f64; STAGES] {
        [self.claim_window_s, self.token_ttl_s, self.hold_s]
    }
}

/// The counters of a stock, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StockCounters {
    /// All units of the sale.
    pub total: u32,
    /// Promised: to issued tokens and, in yield mode, to visits in checkout without a payment.
    pub promised: u32,
    /// Held: in checkout; in yield mode only while a payment runs.
    pub held: u32,
    /// Paid.
    pub sold: u32,
}

impl StockCounters {
    /// Units that are neither promised, held nor sold.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.total.saturating_sub(self.promised.saturating_add(self.held).saturating_add(self.sold))
    }

    /// Units not sold yet.
    #[must_use]
    pub fn unsold(&self) -> u32 {
        self.total.saturating_sub(self.sold)
    }
}

/// The inputs of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The terms of the sale.
    pub terms: &'a Terms,
    /// Units by state.
    pub stock: StockCounters,
    /// The lanes, at most [`crate::LANES_MAX`]; a sale without any is one lane.
    pub lanes: &'a [Lane],
    /// Outcomes of visits since the last decision. In guarantee mode they update the estimates but
    /// do not affect the decision.
    pub visits: &'a Visits,
    /// The health of checkout since the last decision.
    pub checkout: Health,
    /// Whether shoppers are still presenting their tickets to a line that was lost and restarted.
    pub recovering: bool,
    /// Extra admissions that an operator requested, regardless of the rate, of checkout's health
    /// and of its cap; never more than there are units.
    pub at_once: u32,
    /// Seconds since the last decision.
    pub elapsed_s: f64,
    /// The estimates of visits from before the sale.
    pub prior: &'a Prior,
    /// The state from the last decision.
    pub memory: &'a Memory,
}

/// The state that a sale carries from one decision to the next. Any controller that has it can make
/// the next decision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The rate cap and the back-off.
    pub pace: Pace,
    /// How far each lane is behind its share.
    pub turns: Turns,
    /// Estimates learnt from visits.
    pub learned: LearnedVisits,
    /// Shoppers admitted so far.
    pub admitted: f64,
    /// Expected number of shoppers turned away over the whole sale, by the decisions so far.
    pub risked: f64,
}

impl Memory {
    /// Parses stored state, written by this version or by one that runs beside it: unknown fields
    /// are ignored, and only an unreadable part is reset.
    #[must_use]
    pub fn read(text: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Parts {
            pace: Value,
            turns: Value,
            learned: Value,
            admitted: Value,
            risked: Value,
        }
        fn part<T: DeserializeOwned + Default>(part: Value) -> T {
            serde_json::from_value(part).unwrap_or_default()
        }
        let Parts { pace, turns, learned, admitted, risked } = serde_json::from_str(text).unwrap_or_default();
        Self {
            pace: part(pace),
            turns: part(turns),
            learned: part(learned),
            admitted: part(admitted),
            risked: part(risked),
        }
    }
}

/// How many tickets to admit, and why not more.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Maximum tickets to admit, by lane.
    pub by_lane: Vec<u32>,
    /// Why not more.
    pub reason: Reason,
    /// The expected outcome of the visits in progress.
    pub outlook: Expected,
    memory: Memory,
    allowed: PaceLimit,
}

/// Expectations of the law, for metrics and the console.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Expected {
    /// Mean number of units that the visits in progress will want.
    pub wanted: f64,
    /// The probability that a visit admitted now will want to pay.
    pub chance: f64,
    /// The probability that the visits in progress will want all remaining units or more.
    pub surplus: f64,
}

impl Decision {
    /// Maximum tickets to admit, in all lanes.
    #[must_use]
    pub fn admissions(&self) -> u32 {
        self.by_lane.iter().sum()
    }

    /// How long the rate cap allows no further admission, if `admitted` shoppers are admitted now;
    /// `None` if something else is the limit, which may end at any moment.
    #[must_use]
    pub fn none_due_for(&self, admitted: u32) -> Option<Duration> {
        let Reason::RateCap { .. } = self.reason else { return None };
        Duration::try_from_secs_f64(self.allowed.next_in_s(admitted)).ok()
    }

    /// The state after `admitted` shoppers were admitted: fewer than decided if tickets had
    /// departed.
    #[must_use]
    pub fn remember(mut self, admitted: u32) -> Memory {
        self.memory.pace.note(&self.allowed, admitted);
        self.memory.admitted += f64::from(admitted);
        self.memory.risked += f64::from(admitted) * self.outlook.surplus * self.outlook.chance;
        self.memory
    }
}

/// Why no more tickets were admitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case", tag = "reason")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// All waiting shoppers have been admitted.
    NoneWaiting,
    /// The cap per second.
    RateCap {
        /// Admissions a second.
        per_s: f64,
    },
    /// The limit per tick, which keeps transactions short.
    Batch,
    /// Checkout is, or was a moment ago, in trouble.
    BackOff {
        /// The kind of trouble.
        trouble: Trouble,
        /// Admissions per second at present.
        per_s: f64,
    },
    /// The cap on shoppers in checkout.
    CheckoutFull {
        /// Shoppers in checkout, or with a token for it.
        inside: u32,
        /// The maximum.
        most: u32,
    },
    /// Guarantee mode: every unit is promised to a token, in checkout or sold; some may be
    /// released.
    AllPromised {
        /// Units promised to tokens.
        promised: u32,
        /// Units in checkout.
        held: u32,
    },
    /// Yield mode: the visits in progress are as many as the unsold units can serve at the stated
    /// risk.
    Overbooked {
        /// Visits in progress.
        visits: u32,
        /// Units that they are expected to want, rounded.
        wanted: u32,
        /// Units not sold.
        unsold: u32,
    },
    /// Every unit is sold.
    SoldOut,
    /// The line was lost; shoppers near its front get time to present their tickets.
    Recovering,
}

impl Reason {
    /// The reason's machine-readable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::NoneWaiting => f.write_str("the line: no shopper is waiting"),
            Reason::RateCap { per_s } => {
                write!(f, "the rate cap of {} per second", (per_s * 10.0).round() / 10.0)
            }
            Reason::Batch => write!(f, "the batch size of {BATCH_MAX} at once"),
            Reason::BackOff { trouble, per_s } => {
                let how = match trouble {
                    Trouble::Unreachable => "could not be reached",
                    Trouble::Failing => "failed too often",
                    Trouble::Slow => "was slow",
                };
                write!(f, "the back-off to {} per second: checkout {how}", (per_s * 10.0).round() / 10.0)
            }
            Reason::CheckoutFull { inside, most } => {
                write!(f, "the cap of {most} shoppers in checkout: {inside} are in checkout or hold a token")
            }
            Reason::AllPromised { promised, held } => {
                write!(f, "the stock: no unit is free: {promised} promised, {held} held")
            }
            Reason::Overbooked { visits, wanted, unsold } => write!(
                f,
                "the stock: {visits} visits in progress are expected to want {wanted} of {unsold} unsold units"
            ),
            Reason::SoldOut => f.write_str("the stock: every unit is sold"),
            Reason::Recovering => {
                f.write_str("the recovery of the line: its shoppers are presenting their tickets again")
            }
        }
    }
}

/// Decides how many tickets to admit.
#[must_use]
pub fn decide(seen: &Observation<'_>) -> Decision {
    let (terms, stock) = (seen.terms, seen.stock);
    let mut memory = seen.memory.clone();
    memory.learned.learn(seen.prior, seen.visits, &terms.limits_s(), seen.elapsed_s);
    let allowed = memory.pace.allow(terms.rate_cap_per_s, &seen.checkout, seen.visits, seen.elapsed_s);

    let waiting = seen.lanes.iter().fold(0u64, |sum, lane| sum.saturating_add(lane.waiting));
    let by_line = u32::try_from(waiting).unwrap_or(u32::MAX);
    let inside = inside(seen);
    let by_checkout = terms.in_checkout_max.map_or(u32::MAX, |most| most.saturating_sub(inside));
    let by_pace = allowed.admissions.min(by_checkout).max(seen.at_once);
    let requested = if seen.recovering { 0 } else { by_line.min(by_pace).min(BATCH_MAX) };

    let (by_stock, outlook) = match terms.mode {
        AdmissionMode::Guarantee => (stock.free().div_ceil(terms.units_per_admission.max(1)), Expected::default()),
        // One more than requested, so that the stock is named as the limit only when it is.
        AdmissionMode::Yield { risk } => overbook(seen, &memory, risk, requested + 1),
    };
    let admissions = requested.min(by_stock);

    let reason = if seen.recovering {
        Reason::Recovering
    } else if stock.unsold() == 0 || (stock.free() == 0 && stock.promised == 0 && stock.held == 0) {
        Reason::SoldOut
    } else if admissions == by_line {
        Reason::NoneWaiting
    } else if admissions == by_stock {
        match terms.mode {
            AdmissionMode::Guarantee => {
                Reason::AllPromised { promised: stock.promised.saturating_add(stock.free()), held: stock.held }
            }
            AdmissionMode::Yield { .. } => Reason::Overbooked {
                visits: seen.visits.under_way.all().saturating_add(seen.visits.paying).saturating_add(admissions),
                wanted: (outlook.wanted + f64::from(admissions) * outlook.chance).round() as u32,
                unsold: stock.unsold(),
            },
        }
    } else if let Some(most) = terms.in_checkout_max.filter(|_| admissions == by_checkout) {
        Reason::CheckoutFull { inside: inside.saturating_add(admissions), most }
    } else if admissions == BATCH_MAX {
        Reason::Batch
    } else if let Some((trouble, per_s)) = allowed.trouble {
        Reason::BackOff { trouble, per_s }
    } else {
        Reason::RateCap { per_s: terms.rate_cap_per_s }
    };
    let by_lane = memory.turns.divide(seen.lanes, admissions);
    Decision { by_lane, reason, outlook, memory, allowed }
}

/// Shoppers in checkout, or with a token for it.
fn inside(seen: &Observation<'_>) -> u32 {
    seen.visits.under_way.all().saturating_add(seen.visits.paying)
}

/// How many of `requested` visits the unsold units can serve beside those in progress, in yield
/// mode.
///
/// Each visit adds to the expected rejections its probability to pay, times that of a surplus
/// before it. The law spends `risk × admissions` on their sum, evenly over the visits still to be
/// admitted. `MANY` and `SHIFT_SHARE` bound what the mean does not. See `docs/admission.md`.
fn overbook(seen: &Observation<'_>, memory: &Memory, risk: f64, requested: u32) -> (u32, Expected) {
    let (terms, stock) = (seen.terms, seen.stock);
    let unsold = f64::from(stock.unsold());
    let outlook = Outlook::of(seen.prior, &memory.learned, &terms.limits_s(), terms.units_per_admission);
    let demand: Demand = outlook.demand(seen.visits, stock.held);
    let now = demand.with(0);
    let chance = demand.of_fresh();
    let surpluses = demand.surplus(stock.unsold(), requested);
    let surplus = |fresh: u32| if stock.unsold() == 0 { 1.0 } else { surpluses.with(fresh) };

    // Visits still to be admitted until every unit is expected to be wanted.
    let to_come = ((unsold - now.mean) / chance.max(1e-6)).max(1.0);
    let budget = (risk.clamp(0.0, 1.0) * (memory.admitted + to_come) - memory.risked).max(0.0);
    let chance_max = (budget / to_come / chance.max(1e-6)).min(CHANCE_MAX);
    let all = memory.admitted + to_come;
    let many = (MANY * risk.clamp(0.0, 1.0) * all).round() as u32;
    let many_surplus = demand.surplus(stock.unsold().saturating_add(many), requested);
    // As many visits as units are safe in any case.
    let safe = (unsold - now.most).max(0.0) / f64::from(terms.units_per_admission.max(1));
    let serves = |fresh: u32| {
        f64::from(fresh) < safe
            || (demand.shifted(fresh) < unsold + SHIFT_SHARE * all
                && surplus(fresh) <= chance_max
                && many_surplus.with(fresh) <= MANY_CHANCE)
    };
    // The most visits for which the last one still finds no surplus among those before it.
    let (mut enough, mut too_many) = (0, requested + 1);
    while enough + 1 < too_many {
        let middle = enough + (too_many - enough) / 2;
        if serves(middle - 1) { enough = middle } else { too_many = middle }
    }
    // The mean risk of the visits admitted now.
    let middle = surplus(enough / 2);
    (if stock.unsold() == 0 { 0 } else { enough }, Expected { wanted: now.mean, chance, surplus: middle })
}

/// The units that each admission promises: the limit per shopper, until `free` units are used up.
pub fn quantities(free: u32, units_per_admission: u32) -> impl Iterator<Item = u32> {
    let mut left = free;
    std::iter::from_fn(move || {
        let quantity = left.min(units_per_admission.max(1));
        left -= quantity;
        (quantity > 0).then_some(quantity)
    })
}

impl Expected {
    /// The probability, by age bin, that a visit of this stage ends in an order; see
    /// [`crate::visits::BIN_STARTS_S`].
    #[must_use]
    pub fn chances(prior: &Prior, learned: &LearnedVisits, terms: &Terms, stage: Stage) -> Vec<f64> {
        let outlook = Outlook::of(prior, learned, &terms.limits_s(), terms.units_per_admission);
        (0..crate::visits::BINS).map(|bin| outlook.chance(stage, bin)).collect()
    }
}

#[cfg(test)]
mod tests;
