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

mod outlook;
mod rates;

use serde::{Deserialize, Serialize};

pub(crate) use self::outlook::{Demand, Outlook};
use self::rates::Rates;
use crate::visits::{BIN_STARTS_S, BINS, ByAge, QUANTITIES, STAGES, Stage, Visits, bin_end_s, bin_middle_s};

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
    pub fn after(&self, learned: &LearnedVisits) -> Self {
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

/// What was learnt from a sale so far. The controller stores it between ticks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnedVisits {
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

impl LearnedVisits {
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

#[cfg(test)]
mod tests;
