//! The expected course of visits, and the demand that follows from it.

use super::{
    HEDGED_S, LearnedVisits, Prior, Table,
    rates::{Rate, Rates},
};
use crate::{
    tail_probability::{Chances, DemandDistribution, exact},
    visits::{BIN_STARTS_S, BINS, EVERY_STAGE, QUANTITIES, STAGES, Stage, Visits, bin_end_s},
};

/// The expected course of a visit in one bin: from its beginning, or from its middle.
#[derive(Debug, Clone, Copy, Default)]
struct Passage {
    /// Seconds in which it may move on.
    width_s: f64,
    /// Probability of moving on within them.
    moves_on: f64,
    /// Probability of remaining after them.
    stays: f64,
}

impl Passage {
    fn of(moving_on: f64, leaving: f64, width_s: f64) -> Self {
        let rate = moving_on + leaving;
        let stays = (-rate * width_s).exp();
        Self { width_s, moves_on: if rate > 0.0 { moving_on / rate * (1.0 - stays) } else { 0.0 }, stays }
    }

    fn value(&self, next_stage: f64, next_bin: f64) -> f64 {
        self.moves_on * next_stage + self.stays * next_bin
    }

    /// The derivatives of `value` by the logarithms of the two rates.
    fn slopes(&self, moving_on: f64, leaving: f64, next_stage: f64, next_bin: f64) -> [f64; 2] {
        let rate = (moving_on + leaving).max(1e-12);
        let gone = (1.0 - self.stays) / rate;
        let wait = self.width_s * self.stays;
        let by_moving = (leaving * gone + moving_on * wait) / rate * next_stage - wait * next_bin;
        let by_leaving = moving_on * (wait - gone) / rate * next_stage - wait * next_bin;
        [moving_on * by_moving, leaving * by_leaving]
    }
}

/// The expected course of the visits to a sale.
#[derive(Debug, Clone)]
pub(crate) struct Outlook {
    rates: Rates,
    /// From the beginning of a bin, and from the middle.
    whole: [[Passage; BINS]; STAGES],
    half: [[Passage; BINS]; STAGES],
    /// Probability that a visit at the beginning or in the middle of a bin will begin a payment
    /// that succeeds.
    pub(super) at_start: [[f64; BINS + 1]; STAGES],
    /// See `at_start`.
    in_middle: Table,
    /// Probability that a payment succeeds, and the variance of that estimate.
    pays: f64,
    pays_variance: f64,
    /// Units of an order: mean, and mean square.
    units: f64,
    units_squared: f64,
    shift: f64,
    is_shifting: bool,
    limit: f64,
}

/// The derivatives of the number of orders by the logarithm of every rate and by the success
/// probability of a payment.
pub(super) struct Slopes {
    pub(super) moving_on: Table,
    pub(super) leaving: Table,
    pub(super) pays: f64,
}

/// The demand of the visits in progress and of any number of new ones.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    /// Visits by their probability of an order, including those with a payment.
    groups: Vec<(f64, u32)>,
    /// The demand of those in progress.
    under_way: DemandDistribution,
    /// Mean, variance and limit of one new visit.
    fresh: DemandDistribution,
    /// The uncertainty that both share.
    common_doubt: f64,
    /// Means in case a shift has begun that is not detectable yet.
    shifted: f64,
    fresh_shifted: f64,
}

impl Demand {
    /// The demand with `fresh` more visits.
    pub(crate) fn with(&self, fresh: u32) -> DemandDistribution {
        let fresh = f64::from(fresh);
        DemandDistribution {
            most: self.under_way.most + fresh * self.fresh.most,
            mean: self.under_way.mean + fresh * self.fresh.mean,
            variance: self.under_way.variance + fresh * self.fresh.variance,
            doubt: self.under_way.doubt + 2.0 * fresh * self.common_doubt + fresh * fresh * self.fresh.doubt,
        }
    }

    /// The probability that at least `units` will be wanted, for 0, 1, 2 … new visits.
    pub(crate) fn surplus(&self, units: u32, fresh_max: u32) -> Surplus {
        let visits: u64 = self.groups.iter().map(|&(_, visits)| u64::from(visits)).sum();
        let small = visits <= EXACT_VISITS_MAX && units <= EXACT_UNITS_MAX && self.fresh.most == 1.0;
        if small {
            let chances = Chances { groups: &self.groups, fresh: self.fresh.mean };
            Surplus::Exact(exact(chances, &|n| self.with(n), units, fresh_max))
        } else {
            Surplus::Matched(self.clone(), f64::from(units))
        }
    }

    /// Mean number of units that a new visit will want.
    pub(crate) fn of_fresh(&self) -> f64 {
        self.fresh.mean
    }

    /// Mean number of units wanted with `fresh` more visits, in case a shift has begun unnoticed.
    pub(crate) fn shifted(&self, fresh: u32) -> f64 {
        self.shifted + f64::from(fresh) * self.fresh_shifted
    }
}

/// Up to this many visits and units, the probabilities are summed exactly.
const EXACT_VISITS_MAX: u64 = 128;
const EXACT_UNITS_MAX: u32 = 48;

/// The probability of a surplus by the number of new visits.
pub(crate) enum Surplus {
    /// For few visits: exact, for as many new visits as there are entries.
    Exact(Vec<f64>),
    /// For many visits: by mean and variance.
    Matched(Demand, f64),
}

impl Surplus {
    pub(crate) fn with(&self, fresh: u32) -> f64 {
        match self {
            // Beyond the computed range, assume a surplus.
            Self::Exact(chances) => chances.get(fresh as usize).copied().unwrap_or(1.0),
            Self::Matched(demand, units) => demand.with(fresh).at_least(*units),
        }
    }
}

impl Outlook {
    /// `limits_s`: the time limit of each stage; `limit`: maximum units per shopper.
    pub(crate) fn of(prior: &Prior, learned: &LearnedVisits, limits_s: &[f64; STAGES], limit: u32) -> Self {
        let rates = Rates::of(prior, learned);
        let [paid, failed]: [f64; 2] = std::array::from_fn(|at| prior.payments[at] + learned.payments[at]);
        let pays = paid / (paid + failed);
        let (units, units_squared) = units_of_an_order(prior, learned, limit);
        let mut outlook = Self {
            whole: Default::default(),
            half: Default::default(),
            at_start: [[0.0; BINS + 1]; STAGES],
            in_middle: Table::default(),
            pays,
            pays_variance: pays * (1.0 - pays) / (paid + failed + 1.0),
            units,
            units_squared,
            shift: prior.shift.max(1.0),
            is_shifting: (0..STAGES).any(|at| learned.has_shifted[at] && learned.since_shift_s[at] < HEDGED_S),
            limit: f64::from(limit.max(1)),
            rates,
        };
        let mut next_stage = pays;
        for stage in (0..STAGES).rev() {
            for bin in (0..BINS).rev() {
                let width_s = (bin_end_s(bin).min(limits_s[stage]) - BIN_STARTS_S[bin]).max(0.0);
                let (moving_on, leaving) = outlook.rates(stage, bin);
                outlook.whole[stage][bin] = Passage::of(moving_on, leaving, width_s);
                outlook.half[stage][bin] = Passage::of(moving_on, leaving, width_s / 2.0);
                let next_bin = outlook.at_start[stage][bin + 1];
                outlook.at_start[stage][bin] = outlook.whole[stage][bin].value(next_stage, next_bin);
                outlook.in_middle[stage][bin] = outlook.half[stage][bin].value(next_stage, next_bin);
            }
            next_stage = outlook.at_start[stage][0];
        }
        outlook
    }

    fn rates(&self, stage: usize, bin: usize) -> (f64, f64) {
        (self.rates.moving_on[stage][bin].mean, self.rates.leaving[stage][bin].mean)
    }

    /// The probability that a visit of this stage and age ends in an order.
    pub(crate) fn chance(&self, stage: Stage, bin: usize) -> f64 {
        self.in_middle[stage as usize][bin]
    }

    /// The demand of the visits in progress, and of a new one.
    pub(crate) fn demand(&self, visits: &Visits, held_units: u32) -> Demand {
        let count = |stage: usize, bin: usize| f64::from(visits.under_way.0[stage][bin]);
        let unproven_s = self.unproven_s(visits);
        let (mut mean, mut variance, mut shifted) = (0.0, 0.0, 0.0);
        let mut groups = Vec::with_capacity(STAGES * BINS + 1);
        for stage in EVERY_STAGE {
            for (bin, &starts_s) in BIN_STARTS_S.iter().enumerate() {
                let visits = count(stage as usize, bin);
                if visits == 0.0 {
                    continue;
                }
                let chance = self.chance(stage, bin);
                groups.push((chance, visits as u32));
                mean += visits * chance * self.units;
                variance += visits * self.variance_of_one(chance);
                let is_proven = stage == Stage::Shopping && starts_s >= unproven_s;
                shifted += visits * self.units * if is_proven { chance } else { self.after_shift(chance) };
            }
        }
        let held = f64::from(held_units);
        groups.push((self.pays, held_units));
        mean += held * self.pays;
        shifted += held;
        variance += held * self.pays * (1.0 - self.pays);

        let base = self.slopes(&count, 0.0);
        let fresh = self.slopes(&|_, _| 0.0, 1.0);
        let units2 = self.units * self.units;
        let chance = self.at_start[0][0];
        // Running payments share the same uncertainty.
        let held_slope = held / self.units;
        let doubt = |left: &Slopes, right: &Slopes, held: [f64; 2]| {
            units2
                * (self.common(&left.moving_on, &right.moving_on, &self.rates.moving_on)
                    + self.common(&left.leaving, &right.leaving, &self.rates.leaving)
                    + (left.pays + held[0]) * (right.pays + held[1]) * self.pays_variance)
        };
        Demand {
            groups,
            under_way: DemandDistribution {
                most: f64::from(visits.under_way.all()) * self.limit + held,
                mean,
                variance,
                doubt: doubt(&base, &base, [held_slope; 2]),
            },
            fresh: DemandDistribution {
                most: self.limit,
                mean: chance * self.units,
                variance: self.variance_of_one(chance),
                doubt: doubt(&fresh, &fresh, [0.0; 2]),
            },
            common_doubt: doubt(&base, &fresh, [held_slope, 0.0]),
            shifted,
            fresh_shifted: self.after_shift(chance) * self.units,
        }
    }

    fn variance_of_one(&self, chance: f64) -> f64 {
        (chance * self.units_squared - (chance * self.units).powi(2)).max(0.0)
    }

    /// A probability after a shift up.
    fn after_shift(&self, chance: f64) -> f64 {
        (chance * self.shift).min(chance.max(0.98))
    }

    /// The age in checkout up to which a shift of the visits would be undetected: they have begun
    /// too few payments, at the current arrival rate, to detect it.
    fn unproven_s(&self, visits: &Visits) -> f64 {
        const EVENTS_TO_DETECT: f64 = 40.0;
        const RECENT_BINS: usize = 17;
        let stage = Stage::Shopping as usize;
        if self.is_shifting {
            return f64::INFINITY;
        }
        let recent: f64 = visits.under_way.0[stage][..RECENT_BINS].iter().map(|&count| f64::from(count)).sum();
        let a_second = recent / BIN_STARTS_S[RECENT_BINS];
        let (mut there, mut moved_on, mut events) = (1.0, 0.0, 0.0);
        for bin in 0..BINS {
            let passage = &self.whole[stage][bin];
            let before = moved_on;
            moved_on += there * passage.moves_on;
            there *= passage.stays;
            events += a_second * passage.width_s * f64::midpoint(before, moved_on);
            if events >= EVENTS_TO_DETECT {
                return bin_end_s(bin);
            }
        }
        f64::INFINITY
    }

    /// The derivatives by every rate of the orders of visits: `count` of each stage and bin, and
    /// `fresh` new ones.
    pub(super) fn slopes(&self, count: &dyn Fn(usize, usize) -> f64, fresh: f64) -> Slopes {
        let mut slopes = Slopes { moving_on: Table::default(), leaving: Table::default(), pays: 0.0 };
        let mut arriving = fresh;
        for stage in 0..STAGES {
            let next_stage = if stage + 1 < STAGES { self.at_start[stage + 1][0] } else { self.pays };
            let mut going_on = 0.0;
            for bin in 0..BINS {
                let (moving_on, leaving) = self.rates(stage, bin);
                let next_bin = self.at_start[stage][bin + 1];
                let mut staying = 0.0;
                for (visits, passage) in
                    [(arriving, &self.whole[stage][bin]), (count(stage, bin), &self.half[stage][bin])]
                {
                    let [by_moving, by_leaving] = passage.slopes(moving_on, leaving, next_stage, next_bin);
                    slopes.moving_on[stage][bin] += visits * by_moving;
                    slopes.leaving[stage][bin] += visits * by_leaving;
                    going_on += visits * passage.moves_on;
                    staying += visits * passage.stays;
                }
                arriving = staying;
            }
            arriving = going_on;
        }
        slopes.pays = arriving;
        slopes
    }

    /// The covariance of two numbers by their slopes: errors carry over from each age to the next.
    fn common(&self, left: &Table, right: &Table, rates: &[[Rate; BINS]; STAGES]) -> f64 {
        let mut sum = 0.0;
        for stage in 0..STAGES {
            let (mut of_left, mut of_right, mut inherits) = (0.0, 0.0, 0.0);
            for bin in (0..BINS).rev() {
                let rate = &rates[stage][bin];
                of_left = left[stage][bin] + inherits * of_left;
                of_right = right[stage][bin] + inherits * of_right;
                sum += of_left * of_right * rate.own;
                inherits = rate.inherits;
            }
        }
        sum
    }
}

/// Mean and mean square of the units of an order. Before the first orders, every shopper is
/// expected to take the maximum.
pub(super) fn units_of_an_order(prior: &Prior, learned: &LearnedVisits, limit: u32) -> (f64, f64) {
    const CAUTION_ORDERS: f64 = 2.0;
    let most = f64::from(limit.max(1));
    let (mut orders, mut units, mut squared) = (CAUTION_ORDERS, CAUTION_ORDERS * most, CAUTION_ORDERS * most * most);
    for at in 0..QUANTITIES {
        let count = prior.quantities[at] + learned.quantities[at];
        let quantity = ((at + 1) as f64).min(most);
        orders += count;
        units += count * quantity;
        squared += count * quantity * quantity;
    }
    (units / orders, squared / orders)
}
