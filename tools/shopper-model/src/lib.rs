//! The behaviour model of simulated shoppers after their admission. Pure, except for the random
//! generators that callers pass in.
//!
//! A shopper is called, claims, redeems, thinks, and pays. At each of the first three steps a
//! shopper may continue, leave explicitly, or fall silent until time runs out. Times to continue
//! are log-normal, so some are very long. Speed, variance and silence are drawn again for each
//! sale, so no control law can know them.
//!
//! The control law's benchmark uses the model in virtual time, and a crowd of `fairline rush` over
//! real sockets.
//!
//! ```
//! use fairline_shopper_model::{live_profile, live_visit};
//!
//! let profile = live_profile(7, 0.4, 5.0);
//! let visit = live_visit(&profile, 7, 0);
//! assert_eq!(visit, live_visit(&profile, 7, 0), "a seed repeats its crowd");
//! ```

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Seconds to claim a token, to redeem it, and to begin a payment: the defaults of the admin form.
pub const LIMITS_S: [f64; 3] = [15.0, 120.0, 300.0];
/// The share of payments that succeed.
const SUCCEEDS: f64 = 0.97;

/// A shopper's decision at one step of a visit, in seconds from the beginning of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VisitStep {
    /// Continues after this time.
    GoesOn(f64),
    /// Leaves explicitly after this time.
    Leaves(f64),
    /// Does nothing more.
    FallsSilent,
}

/// One shopper's visit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Visit {
    /// The decisions to claim, to redeem, and to begin the payment.
    pub steps: [VisitStep; 3],
    /// Duration of the payment, in seconds.
    pub payment_s: f64,
    /// Whether the payment succeeds.
    pub succeeds: bool,
}

impl Visit {
    /// Seconds from the admission until the payment begins, if it ever does.
    #[must_use]
    pub fn pays_after_s(&self) -> Option<f64> {
        self.steps.iter().try_fold(0.0, |sum, step| match step {
            VisitStep::GoesOn(after_s) => Some(sum + after_s),
            VisitStep::Leaves(_) | VisitStep::FallsSilent => None,
        })
    }

    /// Seconds from the admission until the order, if there will be one.
    #[must_use]
    pub fn buys_after_s(&self) -> Option<f64> {
        self.pays_after_s().filter(|_| self.succeeds).map(|after_s| after_s + self.payment_s)
    }
}

/// A log-normal time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LogNormalTime {
    median_s: f64,
    sigma: f64,
}

/// The behaviour parameters of a sale's shoppers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShopperProfile {
    /// Probability of going on at each step.
    goes_on: [f64; 3],
    times: [LogNormalTime; 3],
    /// Probability of leaving explicitly, and the mean time until then at each step, in seconds.
    leaves_explicitly: f64,
    leaves_after_s: [f64; 3],
    /// Whether a shopper can also leave explicitly in checkout.
    can_cancel: bool,
    /// Minimum duration of a payment, and its mean beyond that, in seconds.
    payment_s: [f64; 2],
    /// Probability that it succeeds.
    succeeds: f64,
    limits_s: [f64; 3],
}

/// Divides a purchase probability among the steps: exponents, whose sum is one.
const PARTS: [f64; 3] = [0.15, 0.35, 0.5];

impl ShopperProfile {
    /// Draws the parameters of a sale; the `chance` of a purchase is given.
    #[must_use]
    pub fn draw(chance: f64, dice: &mut StdRng) -> Self {
        let mut between = |low: f64, high: f64| dice.random_range(low..high);
        let mut profile = Self {
            goes_on: [0.0; 3],
            times: [
                LogNormalTime { median_s: between(0.8, 2.0), sigma: between(0.4, 0.8) },
                LogNormalTime { median_s: between(6.0, 18.0), sigma: between(0.6, 1.0) },
                LogNormalTime { median_s: between(35.0, 80.0), sigma: between(0.5, 0.9) },
            ],
            leaves_explicitly: between(0.2, 0.7),
            leaves_after_s: [5.0, between(10.0, 30.0), between(20.0, 60.0)],
            can_cancel: true,
            payment_s: [1.0, between(1.5, 4.0)],
            succeeds: SUCCEEDS,
            limits_s: LIMITS_S,
        };
        profile.set_chance(chance);
        profile
    }

    /// The same people with another purchase probability.
    #[must_use]
    pub fn with_chance(mut self, chance: f64) -> Self {
        self.set_chance(chance);
        self
    }

    /// The behaviour of a `fairline rush` crowd, sped up so that a sale takes minutes. Payments
    /// take no time and succeed. A shopper who gives up in checkout falls silent, since a hold
    /// can't be released.
    #[must_use]
    pub fn live(mut self, chance: f64, faster: f64) -> Self {
        self.times.iter_mut().for_each(|time| time.median_s /= faster);
        self.leaves_after_s.iter_mut().for_each(|after_s| *after_s /= faster);
        self.limits_s.iter_mut().for_each(|limit_s| *limit_s /= faster);
        (self.can_cancel, self.payment_s, self.succeeds) = (false, [0.0, 0.0], 1.0);
        self.with_chance(chance)
    }

    /// The time limit of each step, in seconds.
    #[must_use]
    pub fn limits_s(&self) -> [f64; 3] {
        self.limits_s
    }

    fn set_chance(&mut self, chance: f64) {
        let chance = (chance / self.succeeds).min(1.0);
        self.goes_on = PARTS.map(|part| chance.powf(part));
    }

    /// Draws a visit.
    pub fn visit(&self, dice: &mut StdRng) -> Visit {
        let steps = std::array::from_fn(|at| {
            if dice.random::<f64>() < self.goes_on[at] {
                return VisitStep::GoesOn(self.times[at].draw(self.limits_s[at], dice));
            }
            let leaves_after_s = -self.leaves_after_s[at] * (1.0 - dice.random::<f64>()).ln();
            // A shopper who never saw the page can't leave explicitly.
            let can_leave = at > 0 && (at < 2 || self.can_cancel);
            let leaves = can_leave && dice.random::<f64>() < self.leaves_explicitly;
            if leaves && leaves_after_s < self.limits_s[at] {
                VisitStep::Leaves(leaves_after_s)
            } else {
                VisitStep::FallsSilent
            }
        });
        let [least_s, more_s] = self.payment_s;
        let payment_s = (least_s - more_s * (1.0 - dice.random::<f64>()).ln()).min(30.0);
        Visit { steps, payment_s, succeeds: dice.random::<f64>() < self.succeeds }
    }
}

impl LogNormalTime {
    /// Draws a time below `limit_s`.
    fn draw(&self, limit_s: f64, dice: &mut StdRng) -> f64 {
        loop {
            // The Box–Muller transform.
            let (u, v): (f64, f64) = (1.0 - dice.random::<f64>(), dice.random());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let time_s = self.median_s * (self.sigma * normal).exp();
            if time_s < limit_s {
                return time_s;
            }
        }
    }
}

/// The parameters of a seed's crowd, sped up by a factor.
#[must_use]
pub fn live_profile(seed: u64, chance: f64, faster: f64) -> ShopperProfile {
    ShopperProfile::draw(chance, &mut StdRng::seed_from_u64(seed)).live(chance, faster)
}

/// The visit of the shopper at this place of the crowd's line, from 0.
#[must_use]
pub fn live_visit(profile: &ShopperProfile, seed: u64, at: u32) -> Visit {
    profile.visit(&mut StdRng::seed_from_u64(seed.wrapping_add((u64::from(at) + 1) << 32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_crowd_which_buys_as_its_profile_says() {
        let profile = live_profile(7, 0.4, 5.0);
        let visits: Vec<Visit> = (0..4_000).map(|index| live_visit(&profile, 7, index)).collect();
        assert_eq!(visits[41], live_visit(&live_profile(7, 0.4, 5.0), 7, 41));
        assert_ne!(visits[41], live_visit(&live_profile(8, 0.4, 5.0), 8, 41));
        let buyers: Vec<f64> = visits.iter().filter_map(Visit::buys_after_s).collect();
        assert!((1_500..1_700).contains(&buyers.len()), "{}", buyers.len());
        let limit_s: f64 = profile.limits_s().iter().sum();
        assert_eq!(limit_s, 87.0);
        assert!(buyers.iter().all(|&after_s| after_s < limit_s));
        assert!(
            visits.iter().all(|visit| !matches!(visit.steps[2], VisitStep::Leaves(_))),
            "a hold can't be cancelled"
        );
    }
}
