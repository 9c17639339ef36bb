//! Learns from visits during a sale: how fast they move on and leave, by stage and age, and with
//! what uncertainty.
//!
//! The estimates are occurrence/exposure rates, as in survival analysis: in each stage and age bin
//! visits move on, or leave, at a constant rate, estimated as events divided by the time that
//! visits have spent in the bin. An undecided visit is censored: it only adds its time. The rate of
//! a bin is the prior's times a gamma-distributed factor (the conjugate distribution). Factors of
//! neighbouring bins are correlated: each starts from the posterior of the previous bin, with a
//! random step. Ages that no visit has reached therefore follow the oldest known ones, with
//! uncertainty that grows with the distance.
//!
//! Sources: Breslow, "Covariance analysis of censored survival data", Biometrics 30 (1974), for
//! piecewise constant hazards; Gamerman, "Dynamic Bayesian models for survival data", Applied
//! Statistics 40 (1991), for factors that take a random walk over ages; Page, "Continuous
//! inspection schemes", Biometrika 41 (1954), for the detection of shifts.

use serde::{Deserialize, Serialize};

use crate::{
    tail::{Wanted, exact},
    visits::{BIN_STARTS_S, BINS, ByAge, EVERY_STAGE, QUANTITIES, STAGES, Stage, Visits, bin_end_s, bin_middle_s},
};

/// A number for each stage and age bin.
type Table = [[f64; BINS]; STAGES];

/// Half-life of observations in seconds, so that slow drift needs no alarm.
const HALF_LIFE_S: f64 = 900.0;
/// The factors of a rate for which the detector tests.
const SHIFTED: [f64; 2] = [1.35, 0.7];
/// Threshold of the log-likelihood ratio, since the supposed start of a shift, at which it is
/// accepted.
const ALARM: f64 = 11.0;
/// Seconds after a shift during which every visit in checkout counts as shifted, too: a shift in
/// one stage reaches the next one later.
const HEDGED_S: f64 = 90.0;
/// Events that must be known of a band before a shift can be detected in it.
const KNOWN_MIN: f64 = 100.0;
/// After a shift, earlier observations of a bin count for at most this many events.
const KEPT: f64 = 3.0;
/// Without a shift, they count for at most this many: the oldest fade, so that slow drift needs no
/// alarm.
const EVENTS_MAX: f64 = 300.0;
/// Neighbouring bins that are watched together: a shift shows first in the youngest visits.
const BAND: usize = 4;
/// The uncertainty of the level of a rate after a shift, and of the step between ages: as before a
/// first sale.
const UNSURE_LEVEL: f64 = 1.0;
const UNSURE_STEP: f64 = 0.35;
/// The same after earlier, similar sales: within about a tenth.
const ALIKE_LEVEL: f64 = 0.1;
const ALIKE_STEP: f64 = 0.1;

/// The estimates of visits before a sale begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Visits that move on, per second, by stage and age.
    moving_on: Table,
    /// Visits that leave, per second, by stage and age.
    leaving: Table,
    /// Relative uncertainty of the level of all rates of a stage.
    level: f64,
    /// Relative uncertainty of the step from one age bin to the next.
    step: f64,
    /// Pseudo-counts of payments that succeeded and failed.
    payments: [f64; 2],
    /// Pseudo-counts of orders by quantity.
    quantities: [f64; QUANTITIES],
    /// The factor by which the probability of a purchase may shift unnoticed; the law is prepared
    /// for it.
    shift: f64,
}

impl Prior {
    /// The prior of a first sale: almost every visit is expected to buy within a few minutes, with
    /// high uncertainty. The first visits are therefore admitted one per unit, and more once
    /// observations justify it.
    #[must_use]
    pub fn cautious() -> Self {
        // The hazard of a log-logistic time with this median and shape: it rises, then falls as
        // 1/age.
        let hazard = |age_s: f64, median_s: f64, shape: f64| {
            let power = (age_s / median_s).powf(shape);
            shape / age_s * power / (1.0 + power)
        };
        let row = |rate: &dyn Fn(f64) -> f64| std::array::from_fn(|bin| rate(bin_middle_s(bin)));
        Self {
            moving_on: [
                row(&|age| hazard(age, 1.5, 2.0)),
                row(&|age| hazard(age, 12.0, 2.0)),
                row(&|age| hazard(age, 60.0, 2.0)),
            ],
            leaving: [row(&|_| 0.0005), row(&|_| 0.001), row(&|_| 0.0005)],
            level: UNSURE_LEVEL,
            step: UNSURE_STEP,
            payments: [9.5, 0.5],
            quantities: [0.0; QUANTITIES],
            shift: 2.0,
        }
    }

    /// The prior of the next, similar sale, whose rates are expected to differ by about a tenth. A
    /// sale with few visits leaves the prior unchanged.
    #[must_use]
    pub fn after(&self, learned: &Learned) -> Self {
        let shopped: f64 = learned.moved_on[Stage::Shopping as usize].iter().sum();
        if shopped < KNOWN_MIN {
            return self.clone();
        }
        let rates = Rates::of(self, learned);
        let mut quantities = learned.quantities;
        let orders: f64 = quantities.iter().sum();
        if orders > 50.0 {
            quantities.iter_mut().for_each(|count| *count *= 50.0 / orders);
        }
        let payments: f64 = learned.payments.iter().sum();
        let scale = (100.0 / payments.max(1.0)).min(1.0);
        Self {
            moving_on: rates.moving_on.map(|row| row.map(|rate| rate.mean)),
            leaving: rates.leaving.map(|row| row.map(|rate| rate.mean)),
            level: ALIKE_LEVEL,
            step: ALIKE_STEP,
            payments: std::array::from_fn(|at| self.payments[at].min(10.0) + learned.payments[at] * scale),
            quantities,
            shift: if learned.has_shifted.contains(&true) { self.shift } else { 1.0 },
        }
    }
}

/// What a sale has taught so far. The controller stores it between ticks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// Visits that moved on.
    moved_on: Table,
    /// Visits that left.
    left: Table,
    /// Total seconds that visits have spent in each bin.
    spent_s: Table,
    /// Payments that succeeded, and failed.
    payments: [f64; 2],
    /// Orders by quantity.
    quantities: [f64; QUANTITIES],
    /// The evidence for a shift up and down of each stage.
    suspicion: [[[f64; 2]; BINS / BAND]; STAGES],
    /// Whether a stage has shifted in this sale, and the seconds since the last detection.
    has_shifted: [bool; STAGES],
    since_shift_s: [f64; STAGES],
}

impl Learned {
    /// Learns from the observations since the last decision, `elapsed_s` ago.
    pub fn learn(&mut self, prior: &Prior, visits: &Visits, limits_s: &[f64; STAGES], elapsed_s: f64) {
        let elapsed_s = elapsed_s.max(0.0);
        let spent_s = time_spent(visits, limits_s, elapsed_s);
        self.watch(prior, visits, &spent_s);
        let keep = (-elapsed_s / HALF_LIFE_S * std::f64::consts::LN_2).exp();
        for stage in 0..STAGES {
            self.since_shift_s[stage] += elapsed_s;
            for bin in 0..BINS {
                // Visits from before the shift are not representative of later ones.
                if self.has_shifted[stage] && BIN_STARTS_S[bin] > self.since_shift_s[stage] {
                    continue;
                }
                let learn = |known: &mut f64, seen: f64| *known = *known * keep + seen;
                learn(&mut self.moved_on[stage][bin], visits.moved_on.0[stage][bin].into());
                learn(&mut self.left[stage][bin], visits.left.0[stage][bin].into());
                learn(&mut self.spent_s[stage][bin], spent_s[stage][bin]);
                let keep = (EVENTS_MAX / self.moved_on[stage][bin].max(self.left[stage][bin])).min(1.0);
                for table in [&mut self.moved_on, &mut self.left, &mut self.spent_s] {
                    table[stage][bin] *= keep;
                }
            }
        }
        self.payments[0] = self.payments[0] * keep + f64::from(visits.paid);
        self.payments[1] = self.payments[1] * keep + f64::from(visits.failed);
        for (known, &seen) in self.quantities.iter_mut().zip(&visits.quantities) {
            *known = *known * keep + f64::from(seen);
        }
    }

    /// Compares observations with expectations, and discards what a shift has made obsolete.
    fn watch(&mut self, prior: &Prior, visits: &Visits, spent_s: &Table) {
        let rates = Rates::of(prior, self);
        for stage in 0..STAGES {
            let mut shifted = false;
            for band in 0..BINS / BAND {
                let bins = band * BAND..(band + 1) * BAND;
                let known: f64 = self.moved_on[stage][bins.clone()].iter().sum();
                if known < KNOWN_MIN {
                    continue;
                }
                let seen: f64 = bins.clone().map(|bin| f64::from(visits.moved_on.0[stage][bin])).sum();
                let expected: f64 = bins.map(|bin| rates.moving_on[stage][bin].mean * spent_s[stage][bin]).sum();
                for (suspicion, factor) in self.suspicion[stage][band].iter_mut().zip(SHIFTED) {
                    *suspicion = (*suspicion + seen * factor.ln() - expected * (factor - 1.0)).max(0.0);
                    shifted |= *suspicion > ALARM;
                }
            }
            if shifted {
                for bin in 0..BINS {
                    let keep = (KEPT / self.moved_on[stage][bin]).min(1.0);
                    for table in [&mut self.moved_on, &mut self.left, &mut self.spent_s] {
                        table[stage][bin] *= keep;
                    }
                }
                self.suspicion[stage] = Default::default();
                self.has_shifted[stage] = true;
                self.since_shift_s[stage] = 0.0;
            }
        }
    }

    /// Whether the behaviour of visits has shifted in this sale.
    #[must_use]
    pub fn has_shifted(&self) -> bool {
        self.has_shifted.contains(&true)
    }
}

/// Seconds that visits have spent in each bin during the last `elapsed_s`: all of it for visits in
/// progress, half of it for those that ended, limited by their ages.
fn time_spent(visits: &Visits, limits_s: &[f64; STAGES], elapsed_s: f64) -> Table {
    let mut spent_s = Table::default();
    for stage in 0..STAGES {
        for (bin, &starts_s) in BIN_STARTS_S.iter().enumerate() {
            let count = |counts: &ByAge| f64::from(counts.0[stage][bin]);
            let ended = count(&visits.moved_on) + count(&visits.left);
            for (visits, back_s) in [(count(&visits.under_way), elapsed_s), (ended, elapsed_s / 2.0)] {
                if visits == 0.0 {
                    continue;
                }
                let to_s = bin_middle_s(bin).min(limits_s[stage].max(starts_s));
                let mut left_s = back_s.min(to_s);
                let mut at = bin;
                let mut end_s = to_s;
                while left_s > 0.0 {
                    // A visit may be anywhere in its own bin, so a short step is counted there
                    // entirely.
                    let room_s = if at == bin { bin_end_s(bin) - starts_s } else { end_s - BIN_STARTS_S[at] };
                    let here_s = left_s.min(room_s.max(0.0));
                    spent_s[stage][at] += visits * here_s;
                    left_s -= here_s;
                    if at == 0 {
                        break;
                    }
                    at -= 1;
                    end_s = bin_end_s(at);
                }
            }
        }
    }
    spent_s
}

/// A rate and its uncertainty.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    /// Events per second.
    mean: f64,
    /// How much of the previous bin's error carries over to this bin, on a logarithmic scale.
    inherits: f64,
    /// Variance of this bin's own error, on the same scale.
    own: f64,
}

/// All rates, by current knowledge.
#[derive(Debug, Clone, Default)]
struct Rates {
    moving_on: [[Rate; BINS]; STAGES],
    leaving: [[Rate; BINS]; STAGES],
}

impl Rates {
    fn of(prior: &Prior, learned: &Learned) -> Self {
        let stage = |stage: usize, base: &Table, events: &Table| {
            let (level, step) =
                if learned.has_shifted[stage] { (UNSURE_LEVEL, UNSURE_STEP) } else { (prior.level, prior.step) };
            along_ages(&base[stage], &events[stage], &learned.spent_s[stage], level, step)
        };
        Self {
            moving_on: std::array::from_fn(|at| stage(at, &prior.moving_on, &learned.moved_on)),
            leaving: std::array::from_fn(|at| stage(at, &prior.leaving, &learned.left)),
        }
    }
}

/// The rates by age of a stage: a gamma filter that starts at the youngest.
fn along_ages(base: &[f64; BINS], events: &[f64; BINS], spent_s: &[f64; BINS], level: f64, step: f64) -> [Rate; BINS] {
    let mut rates = [Rate::default(); BINS];
    // The shape and mean of the factor's gamma distribution.
    let (mut shape, mut factor) = (1.0 / (level * level), 1.0);
    let mut variance_before = 0.0;
    for bin in 0..BINS {
        if bin > 0 {
            variance_before = 1.0 / shape;
            shape = 1.0 / (variance_before + step * step);
        }
        let prior_shape = shape;
        let rate = shape / factor;
        shape += events[bin];
        factor = shape / (rate + base[bin] * spent_s[bin]);
        let inherits = if bin == 0 { 0.0 } else { prior_shape / shape };
        rates[bin] = Rate {
            mean: base[bin] * factor,
            inherits,
            own: (1.0 / shape - inherits * inherits * variance_before).max(0.0),
        };
    }
    rates
}

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
    at_start: [[f64; BINS + 1]; STAGES],
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
struct Slopes {
    moving_on: Table,
    leaving: Table,
    pays: f64,
}

/// The demand of the visits in progress and of any number of new ones.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    /// Visits by their probability of an order, including those with a payment.
    groups: Vec<(f64, u32)>,
    /// The demand of those in progress.
    under_way: Wanted,
    /// Mean, variance and limit of one new visit.
    fresh: Wanted,
    /// The uncertainty that both share.
    common_doubt: f64,
    /// Means in case a shift has begun that is not detectable yet.
    shifted: f64,
    fresh_shifted: f64,
}

impl Demand {
    /// The demand with `fresh` more visits.
    pub(crate) fn with(&self, fresh: u32) -> Wanted {
        let fresh = f64::from(fresh);
        Wanted {
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
            Surplus::Exact(exact(&self.groups, self.fresh.mean, &|n| self.with(n), units, fresh_max))
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
    pub(crate) fn of(prior: &Prior, learned: &Learned, limits_s: &[f64; STAGES], limit: u32) -> Self {
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
            under_way: Wanted {
                most: f64::from(visits.under_way.all()) * self.limit + held,
                mean,
                variance,
                doubt: doubt(&base, &base, [held_slope; 2]),
            },
            fresh: Wanted {
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
        const EVENTS_TO_TELL: f64 = 40.0;
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
            if events >= EVENTS_TO_TELL {
                return bin_end_s(bin);
            }
        }
        f64::INFINITY
    }

    /// The derivatives by every rate of the orders of visits: `count` of each stage and bin, and
    /// `fresh` new ones.
    fn slopes(&self, count: &dyn Fn(usize, usize) -> f64, fresh: f64) -> Slopes {
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
fn units_of_an_order(prior: &Prior, learned: &Learned, limit: u32) -> (f64, f64) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS_S: [f64; STAGES] = [15.0, 120.0, 300.0];

    fn visits(stage: Stage, bin: usize, count: u32) -> Visits {
        let mut visits = Visits::default();
        visits.under_way.0[stage as usize][bin] = count;
        visits
    }

    #[test]
    fn before_anything_was_seen_everybody_is_expected_to_buy() {
        let outlook = Outlook::of(&Prior::cautious(), &Learned::default(), &LIMITS_S, 1);
        assert!(outlook.at_start[0][0] > 0.8, "{}", outlook.at_start[0][0]);
        let demand = outlook.demand(&visits(Stage::Called, 0, 100), 0);
        assert!(demand.with(0).at_least(99.0) > 0.02, "and nothing is sure");
    }

    #[test]
    fn slopes_are_what_a_small_change_does() {
        let (prior, learned) = (Prior::cautious(), Learned::default());
        let mut seen = visits(Stage::Claimed, 4, 7);
        seen.under_way.0[2][9] = 5;
        let outlook = Outlook::of(&prior, &learned, &LIMITS_S, 1);
        let slopes = outlook.slopes(&|stage, bin| f64::from(seen.under_way.0[stage][bin]), 0.0);
        for (stage, bin) in [(1, 4), (1, 6), (2, 3), (2, 9), (2, 12)] {
            for leaving in [false, true] {
                let mean = |factor: f64| {
                    let mut prior = prior.clone();
                    let table = if leaving { &mut prior.leaving } else { &mut prior.moving_on };
                    table[stage][bin] *= factor;
                    Outlook::of(&prior, &learned, &LIMITS_S, 1).demand(&seen, 0).with(0).mean
                };
                let numeric = (mean(1.001) - mean(0.999)) / 0.002;
                let ours = if leaving { slopes.leaving[stage][bin] } else { slopes.moving_on[stage][bin] };
                assert!((numeric - ours).abs() < 1e-4 * (1.0 + ours.abs()), "{stage} {bin}: {ours} for {numeric}");
            }
        }
    }

    #[test]
    fn a_visit_undecided_counts_as_censored() {
        // Of 1000 visits at an age of 28 to 40 seconds, one in 100 moves on per second; their end
        // is unknown.
        let prior = Prior::cautious();
        let mut learned = Learned::default();
        let mut seen = visits(Stage::Shopping, 9, 1000);
        seen.moved_on.0[2][9] = 10;
        for _ in 0..12 {
            learned.learn(&prior, &seen, &LIMITS_S, 1.0);
        }
        let rate = Rates::of(&prior, &learned).moving_on[2][9].mean;
        assert!((rate - 0.01).abs() < 0.0005, "{rate}");
    }

    #[test]
    fn a_long_pause_between_ticks_spreads_over_the_ages_that_visits_had_meanwhile() {
        let seen = visits(Stage::Shopping, 17, 10);
        let spent_s = time_spent(&seen, &LIMITS_S, 20.0);
        assert!((spent_s[2].iter().sum::<f64>() - 200.0).abs() < 1e-6);
        assert!(spent_s[2][16] > 0.0 && spent_s[2][18] == 0.0);
        // The time spent is limited by the age of the visits.
        assert!(time_spent(&seen, &LIMITS_S, 1e6)[2].iter().sum::<f64>() <= 480.0);
    }

    #[test]
    fn a_doubled_rate_is_noticed_and_an_unchanged_one_is_not() {
        let prior = Prior::cautious();
        let mut learned = Learned::default();
        let mut seen = visits(Stage::Shopping, 9, 500);
        seen.moved_on.0[2][9] = 5;
        for _ in 0..300 {
            learned.learn(&prior, &seen, &LIMITS_S, 1.0);
        }
        assert!(!learned.has_shifted());
        seen.moved_on.0[2][9] = 10;
        let ticks = (1..100).find(|_| {
            learned.learn(&prior, &seen, &LIMITS_S, 1.0);
            learned.has_shifted()
        });
        assert!(ticks.is_some_and(|ticks| ticks <= 12), "{ticks:?}");
        for _ in 0..20 {
            learned.learn(&prior, &seen, &LIMITS_S, 1.0);
        }
        let rate = Rates::of(&prior, &learned).moving_on[2][9].mean;
        assert!((rate - 0.02).abs() < 0.002, "{rate}");
    }

    #[test]
    fn earlier_sales_make_sure() {
        let prior = Prior::cautious();
        let mut learned = Learned::default();
        let mut seen = visits(Stage::Shopping, 9, 1000);
        seen.moved_on.0[2][9] = 5;
        seen.left.0[2][9] = 5;
        for _ in 0..100 {
            learned.learn(&prior, &seen, &LIMITS_S, 1.0);
        }
        let after = prior.after(&learned);
        let doubt =
            |prior: &Prior| Outlook::of(prior, &Learned::default(), &LIMITS_S, 1).demand(&seen, 0).with(0).doubt;
        assert!(doubt(&after) < doubt(&prior) / 4.0, "{} after {}", doubt(&after), doubt(&prior));
        assert!(after.shift < prior.shift);
    }

    #[test]
    fn quantities_are_learned_from_the_limit_down() {
        let prior = Prior::cautious();
        let mut learned = Learned::default();
        assert_eq!(units_of_an_order(&prior, &learned, 4).0, 4.0);
        learned.quantities[0] = 198.0;
        assert!(units_of_an_order(&prior, &learned, 4).0 < 1.1);
    }
}
