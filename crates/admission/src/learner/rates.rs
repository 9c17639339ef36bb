//! The rates of a sale, with their uncertainty.

use super::{BINS, LearnedVisits, Prior, STAGES, Table, UNSURE_LEVEL, UNSURE_STEP};

/// A rate and its uncertainty.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    /// Events per second.
    pub(super) mean: f64,
    /// How much of the previous bin's error carries over to this bin, on a logarithmic scale.
    pub(super) inherits: f64,
    /// Variance of this bin's own error, on the same scale.
    pub(super) own: f64,
}

/// All rates, by current knowledge.
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    pub(super) moving_on: [[Rate; BINS]; STAGES],
    pub(super) leaving: [[Rate; BINS]; STAGES],
}

impl Rates {
    pub(super) fn of(prior: &Prior, learned: &LearnedVisits) -> Self {
        let stage = |stage: usize, base: &Table, events: &Table| {
            let unsure = if learned.has_shifted[stage] {
                PriorUncertainty { level: UNSURE_LEVEL, step: UNSURE_STEP }
            } else {
                PriorUncertainty { level: prior.level, step: prior.step }
            };
            along_ages(&base[stage], &events[stage], &learned.spent_s[stage], unsure)
        };
        Self {
            moving_on: std::array::from_fn(|at| stage(at, &prior.moving_on, &learned.moved_on)),
            leaving: std::array::from_fn(|at| stage(at, &prior.leaving, &learned.left)),
        }
    }
}

/// The uncertainty of prior rates, on a logarithmic scale: of all, and from one age to the next.
struct PriorUncertainty {
    level: f64,
    step: f64,
}

/// The rates by age of a stage: a gamma filter that starts at the youngest.
fn along_ages(
    base: &[f64; BINS],
    events: &[f64; BINS],
    spent_s: &[f64; BINS],
    unsure: PriorUncertainty,
) -> [Rate; BINS] {
    let PriorUncertainty { level, step } = unsure;
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
