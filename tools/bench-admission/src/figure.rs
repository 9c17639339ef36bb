//! The figures, their targets, and the values of one over many runs.

use fairline_figures::table::{
    Reach::{self, AtMost, Shown},
    median,
};

/// Every figure in display order, with its target.
pub(crate) const FIGURES: [(&str, Reach); 11] = [
    ("guarantee_turned_away", AtMost(0.0)),
    ("guarantee_idle", AtMost(0.005)),
    ("yield_known_t99", AtMost(1.10)),
    ("yield_known_turned_away", AtMost(0.001)),
    ("yield_t99_vs_clairvoyant", AtMost(1.30)),
    ("yield_turned_away", AtMost(0.002)),
    ("yield_worst_turned_away", AtMost(0.01)),
    ("yield_shift_turned_away", AtMost(0.02)),
    ("best_fixed_rate_turned_away", Shown),
    ("one_per_unit_t99_vs_clairvoyant", Shown),
    ("decide_us", AtMost(200.0)),
];

/// The values of one figure over many runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(Vec<f64>);

impl Values {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().min_by(f64::total_cmp).unwrap_or(f64::NAN)
    }

    pub(crate) fn worst(&self) -> f64 {
        self.0.iter().copied().max_by(f64::total_cmp).unwrap_or(f64::NAN)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_least_a_median_a_worst_and_a_mean() {
        let mut values = Values::default();
        [9.0, 1.0, 5.0].into_iter().for_each(|value| values.add(value));
        assert_eq!((values.least(), values.median(), values.worst(), values.mean()), (1.0, 5.0, 9.0, 5.0));
    }
}
