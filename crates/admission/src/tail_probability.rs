//! The probability that more units are wanted than there are.
//!
//! The number of units that the visits in progress will want is a sum of many unequal chances (a
//! Poisson binomial, times quantities), whose probabilities are themselves uncertain. Given the
//! probabilities, the sum is approximated by the member of the Panjer class (binomial, Poisson,
//! negative binomial) with the same mean and variance. This is exact for equal probabilities, exact
//! in its first two moments otherwise, and, unlike a normal, accurate for the last few units. The
//! uncertainty of the probabilities is then integrated out over their common factor.
//!
//! Sources: Panjer, "Recursive evaluation of a family of compound distributions", ASTIN Bulletin 12
//! (1981), for the class; NIST DLMF 8.17 (incomplete beta, its continued fraction 8.17.22) and 5.11
//! (Stirling's series), for the functions; Abramowitz and Stegun 25.4.46 for Gauss–Hermite
//! quadrature.

/// Beyond this variance a normal with continuity correction is as accurate, and cheaper.
const NORMAL_FROM: f64 = 400.0;
/// Where uncertainty exceeds chance, few nodes would produce steps: use the trapezoidal rule, to
/// 4.2 standard deviations.
const SPACING: f64 = 0.3;
const STEPS: i32 = 14;
/// Nodes and weights of Gauss–Hermite quadrature for a standard normal, seven points.
const NODES: [(f64, f64); 7] = [
    (-3.750_439_717_725_742, 5.482_688_559_722_18e-4),
    (-2.366_759_410_734_541, 3.075_712_396_758_65e-2),
    (-1.154_405_394_739_968, 0.240_123_178_605_012_7),
    (0.0, 0.457_142_857_142_857_1),
    (1.154_405_394_739_968, 0.240_123_178_605_012_7),
    (2.366_759_410_734_541, 3.075_712_396_758_65e-2),
    (3.750_439_717_725_742, 5.482_688_559_722_18e-4),
];

/// The units that the visits in progress will want.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct DemandDistribution {
    /// Maximum: visits times the limit per shopper.
    pub(crate) most: f64,
    /// Mean.
    pub(crate) mean: f64,
    /// Variance, given the probabilities.
    pub(crate) variance: f64,
    /// Variance of the mean, because the probabilities are uncertain.
    pub(crate) doubt: f64,
}

impl DemandDistribution {
    /// The probability that at least `units` will be wanted.
    pub(crate) fn at_least(&self, units: f64) -> f64 {
        if units <= 0.0 {
            return 1.0;
        }
        if units > self.most + 1e-9 || self.mean <= 0.0 {
            return 0.0;
        }
        let share = (self.mean / self.most).clamp(1e-9, 1.0 - 1e-9);
        let sd = self.doubt.max(0.0).sqrt() / self.most / (share * (1.0 - share));
        if sd < 1e-6 {
            return known(units, self.mean, self.variance);
        }
        // On a log-odds scale, so that no node leaves (0, most).
        let sd = sd.min(3.0);
        let odds = (share / (1.0 - share)).ln();
        let at = |node: f64| 1.0 / (1.0 + (-(odds + node * sd)).exp());
        // The logistic of a normal does not preserve the mean, so scale back.
        let mean_share: f64 = NODES.iter().map(|&(node, weight)| weight * at(node)).sum();
        let tail = |step: i32| {
            let node = f64::from(step) * SPACING;
            let weight = SPACING * (-0.5 * node * node).exp() / std::f64::consts::TAU.sqrt();
            let share_here = (at(node) * share / mean_share).min(1.0 - 1e-9);
            let factor = share_here / share;
            // The variance of a sum of chances scales with the share bought and the share not
            // bought.
            let variance = self.variance * factor * (1.0 - share_here) / (1.0 - share);
            weight * known(units, self.mean * factor, variance)
        };
        (-STEPS..=STEPS).map(tail).sum::<f64>().clamp(0.0, 1.0)
    }
}

/// Visits with the probability that each wants its unit.
pub(crate) struct Chances<'a> {
    /// The visits in progress: probability, and number of visits.
    pub(crate) groups: &'a [(f64, u32)],
    /// Of each new visit.
    pub(crate) fresh: f64,
}

/// The probability that single visits want at least `units`, with 0, 1, 2 … up to `fresh_max` more
/// visits. Every visit is counted individually; the uncertainty of the probabilities is
/// `wanted(0).doubt`, shared by all on a log-odds scale.
pub(crate) fn exact(
    Chances { groups, fresh }: Chances<'_>,
    wanted: &dyn Fn(u32) -> DemandDistribution,
    units: u32,
    fresh_max: u32,
) -> Vec<f64> {
    let units = units as usize;
    let fresh_max = fresh_max.min(EXACT_FRESH_MAX);
    let chances = groups.iter().copied().chain([(fresh, 1)]);
    // How much the mean moves with the log odds of all probabilities, including the new visit's if
    // there is no other.
    let spread: f64 = chances.map(|(chance, visits)| f64::from(visits) * chance * (1.0 - chance)).sum();
    let sd = (wanted(1).doubt.max(0.0).sqrt() / spread.max(1e-9)).min(3.0);
    let mut surplus = vec![0.0; fresh_max as usize + 1];
    for (node, weight) in NODES {
        let moved = |chance: f64| at_log_odds(chance, node * sd, sd);
        // mass[n]: the probability that exactly n units are wanted, below `units`.
        let mut mass = vec![0.0; units.max(1)];
        mass[0] = 1.0;
        let mut reach = 1;
        let mut add = |mass: &mut Vec<f64>, chance: f64| {
            reach = (reach + 1).min(units.max(1));
            for at in (1..reach).rev() {
                mass[at] = mass[at] * (1.0 - chance) + mass[at - 1] * chance;
            }
            mass[0] *= 1.0 - chance;
        };
        for &(chance, visits) in groups {
            (0..visits).for_each(|_| add(&mut mass, moved(chance)));
        }
        for more in &mut surplus {
            let below: f64 = if units == 0 { 0.0 } else { mass.iter().sum() };
            *more += weight * (1.0 - below).max(0.0);
            add(&mut mass, moved(fresh));
        }
    }
    surplus
}

/// New visits that [`exact`] considers.
const EXACT_FRESH_MAX: u32 = 128;

/// Moves a probability on a log-odds scale such that its mean over all nodes stays about the same.
fn at_log_odds(chance: f64, by: f64, sd: f64) -> f64 {
    let chance = chance.clamp(1e-9, 1.0 - 1e-9);
    // The mean of a logistic-normal is closer to one half than the logistic of its middle (MacKay's
    // approximation).
    let odds = (chance / (1.0 - chance)).ln() * (1.0 + std::f64::consts::PI / 8.0 * sd * sd).sqrt();
    1.0 / (1.0 + (-(odds + by)).exp())
}

/// The probability of at least `units` for a sum of known chances.
fn known(units: f64, mean: f64, variance: f64) -> f64 {
    if variance <= 1e-12 {
        return if mean + 1e-9 >= units { 1.0 } else { 0.0 };
    }
    if variance > NORMAL_FROM {
        return normal_beyond((units - 0.5 - mean) / variance.sqrt());
    }
    let spread = variance / mean;
    if spread < 0.999 {
        let trials = mean / (1.0 - spread);
        if units >= trials + 1.0 { 0.0 } else { incomplete_beta(units, trials - units + 1.0, 1.0 - spread) }
    } else {
        // A Poisson is a negative binomial whose spread is barely above one.
        let spread = spread.max(1.001);
        incomplete_beta(units, mean / (spread - 1.0), 1.0 - 1.0 / spread)
    }
}

/// The probability that a standard normal exceeds `z`. Relative error below 1.2e-7 (a Chebyshev fit
/// of erfc; Press et al., Numerical Recipes, 2nd edition, section 6.2).
pub(crate) fn normal_beyond(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let series = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let exponent = series.iter().fold(0.0, |sum, term| sum * t + term);
    let beyond = 0.5 * t * (exponent - x * x).exp();
    if z >= 0.0 { beyond } else { 1.0 - beyond }
}

/// log Γ(x) for x > 0: Stirling's series (DLMF 5.11.1), after the recurrence has made x large.
fn ln_gamma(mut x: f64) -> f64 {
    let mut product = 1.0;
    while x < 8.0 {
        product *= x;
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - product.ln()
}

/// The regularised incomplete beta function I_x(a, b), for a, b > 0: DLMF 8.17.22 by Lentz's
/// method.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const STEPS_MAX: u32 = 500;
    let safe = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / safe(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..=STEPS_MAX {
        let m = f64::from(step);
        for coefficient in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / safe(1.0 + coefficient * d);
            c = safe(1.0 + coefficient / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-10 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The exact distribution of a sum of unequal chances.
    fn poisson_binomial(chances: &[f64]) -> Vec<f64> {
        let mut mass = vec![1.0];
        for chance in chances {
            let mut next = vec![0.0; mass.len() + 1];
            for (at, m) in mass.iter().enumerate() {
                next[at] += m * (1.0 - chance);
                next[at + 1] += m * chance;
            }
            mass = next;
        }
        mass
    }

    #[test]
    fn distributions_have_their_known_values() {
        assert!((normal_beyond(1.959_964) - 0.025).abs() < 1e-7);
        assert!((normal_beyond(-1.0) - 0.841_344_7).abs() < 1e-7);
        assert!((incomplete_beta(2.0, 3.0, 0.4) - 0.5248).abs() < 1e-9);
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-9);
        // Two visits, half a chance each, two units: both want with a quarter's chance.
        assert!((known(2.0, 1.0, 0.5) - 0.25).abs() < 1e-9);
        assert_eq!(known(3.0, 1.0, 0.5), 0.0);
        // A Poisson with mean two: at least four.
        assert!((known(4.0, 2.0, 2.0) - 0.142_877).abs() < 1e-3);
    }

    #[test]
    fn uncertainty_makes_a_surplus_likelier() {
        let sure = DemandDistribution { most: 100.0, mean: 50.0, variance: 25.0, doubt: 0.0 };
        let unsure = DemandDistribution { doubt: 100.0, ..sure };
        assert!(sure.at_least(65.0) < 0.01 && unsure.at_least(65.0) > 0.05);
        assert_eq!(unsure.at_least(0.0), 1.0);
        assert_eq!(unsure.at_least(101.0), 0.0);
    }

    /// The error of the match by mean and variance, for the worst number of units.
    fn error_of_matching(chances: &[f64]) -> f64 {
        let exact = poisson_binomial(chances);
        let mean: f64 = chances.iter().sum();
        let variance: f64 = chances.iter().map(|chance| chance * (1.0 - chance)).sum();
        let error = |units: usize| (known(units as f64, mean, variance) - exact[units..].iter().sum::<f64>()).abs();
        (1..=chances.len()).map(error).fold(0.0, f64::max)
    }

    /// Smaller sums are counted exactly, since matching them errs by up to 0.2.
    const MATCHED_FROM: usize = 129;

    #[test]
    fn nearly_sure_and_nearly_impossible_ones_are_well_approximated() {
        for high in 0..=MATCHED_FROM {
            let chances: Vec<f64> = (0..MATCHED_FROM).map(|at| if at < high { 0.98 } else { 0.02 }).collect();
            let error = error_of_matching(&chances);
            assert!(error < 0.07, "{high} nearly sure: {error}");
        }
    }

    proptest! {
        #[test]
        fn unequal_chances_are_well_approximated(chances in prop::collection::vec(0.02f64..0.98, MATCHED_FROM..160)) {
            let error = error_of_matching(&chances);
            prop_assert!(error < 0.07, "{error}");
        }

        #[test]
        fn small_numbers_are_exact(
            chances in prop::collection::vec(0.02f64..0.98, 0..40), fresh in 0.05f64..0.95, units in 1usize..40,
        ) {
            let groups: Vec<(f64, u32)> = chances.iter().map(|&chance| (chance, 1)).collect();
            let ours = exact(Chances { groups: &groups, fresh }, &|_| DemandDistribution::default(), units as u32, 5);
            let mut all = chances;
            for surplus in ours {
                let tail: f64 = poisson_binomial(&all).iter().skip(units).sum();
                prop_assert!((surplus - tail).abs() < 1e-9, "{surplus} for {tail}");
                all.push(fresh);
            }
        }

        #[test]
        fn more_units_are_less_likely(mean in 0.1f64..500.0, spread in 0.05f64..2.0, doubt in 0f64..1000.0) {
            let wanted = DemandDistribution { most: mean * 2.0, mean, variance: mean * spread, doubt };
            let mut last = 1.0;
            for units in 0..30 {
                let tail = wanted.at_least(f64::from(units) * mean / 15.0);
                prop_assert!((0.0..=1.0).contains(&tail) && tail <= last + 1e-6);
                last = tail;
            }
        }
    }
}
