//! What shoppers do once they are let in: the model of behaviour.
//!
//! Everybody's visit is drawn before the sale, in the order of the line, so that every policy meets the same people.
//! A visit is called, claims, redeems, thinks, and pays; at each of the first three steps a shopper may go on, leave by
//! saying so, or fall silent until time runs out. Times to go on are log-normal, so some take very long. How fast, how
//! varied and how silent the shoppers of a sale are is drawn anew for each sale: no policy can know.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Seconds in which a token has to be claimed, redeemed, and its visit to begin a payment: what the admin's form
/// proposes.
pub(crate) const LIMITS_S: [f64; 3] = [15.0, 120.0, 300.0];
/// Payments that succeed.
const SUCCEEDS: f64 = 0.97;

/// What somebody does at one step of a visit, in seconds from its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    GoesOn(f64),
    Leaves(f64),
    FallsSilent,
}

/// One shopper's visit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Visit {
    /// To claim, to redeem, to begin the payment.
    pub(crate) steps: [Step; 3],
    /// How long the payment runs, in seconds.
    pub(crate) payment_s: f64,
    /// Whether it succeeds.
    pub(crate) succeeds: bool,
}

impl Visit {
    /// Seconds from the admission until the payment begins, if it ever does.
    pub(crate) fn pays_after_s(&self) -> Option<f64> {
        self.steps.iter().try_fold(0.0, |sum, step| match step {
            Step::GoesOn(after_s) => Some(sum + after_s),
            Step::Leaves(_) | Step::FallsSilent => None,
        })
    }

    /// Seconds from the admission until an order, if there will be one.
    pub(crate) fn buys_after_s(&self) -> Option<f64> {
        self.pays_after_s().filter(|_| self.succeeds).map(|after_s| after_s + self.payment_s)
    }
}

/// A time that is log-normal.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Time {
    median_s: f64,
    sigma: f64,
}

/// How the shoppers of a sale behave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Manners {
    /// Chances to go on at each step.
    goes_on: [f64; 3],
    times: [Time; 3],
    /// Chance to say so when leaving, and how long that takes in the mean, in seconds, at each step.
    says: f64,
    leaves_after_s: [f64; 3],
    payment_s: f64,
}

/// How a purchase chance is made up of the steps: exponents, whose sum is one.
const PARTS: [f64; 3] = [0.15, 0.35, 0.5];

impl Manners {
    /// Draws the manners of a sale; `chance` of a purchase is part of the setting.
    pub(crate) fn draw(chance: f64, dice: &mut StdRng) -> Self {
        let mut between = |low: f64, high: f64| dice.random_range(low..high);
        let mut manners = Self {
            goes_on: [0.0; 3],
            times: [
                Time { median_s: between(0.8, 2.0), sigma: between(0.4, 0.8) },
                Time { median_s: between(6.0, 18.0), sigma: between(0.6, 1.0) },
                Time { median_s: between(35.0, 80.0), sigma: between(0.5, 0.9) },
            ],
            says: between(0.2, 0.7),
            leaves_after_s: [5.0, between(10.0, 30.0), between(20.0, 60.0)],
            payment_s: between(1.5, 4.0),
        };
        manners.set_chance(chance);
        manners
    }

    /// The same people with another chance to buy.
    pub(crate) fn with_chance(mut self, chance: f64) -> Self {
        self.set_chance(chance);
        self
    }

    fn set_chance(&mut self, chance: f64) {
        let chance = (chance / SUCCEEDS).min(1.0);
        self.goes_on = PARTS.map(|part| chance.powf(part));
    }

    fn visit(&self, dice: &mut StdRng) -> Visit {
        let steps = std::array::from_fn(|at| {
            if dice.random::<f64>() < self.goes_on[at] {
                return Step::GoesOn(self.times[at].draw(LIMITS_S[at], dice));
            }
            let leaves_after_s = -self.leaves_after_s[at] * (1.0 - dice.random::<f64>()).ln();
            // Whoever never saw the page can't say anything.
            let says = at > 0 && dice.random::<f64>() < self.says;
            if says && leaves_after_s < LIMITS_S[at] { Step::Leaves(leaves_after_s) } else { Step::FallsSilent }
        });
        let payment_s = 1.0 - self.payment_s * (1.0 - dice.random::<f64>()).ln();
        Visit { steps, payment_s: payment_s.min(30.0), succeeds: dice.random::<f64>() < SUCCEEDS }
    }
}

impl Time {
    /// Draws a time below `limit_s`.
    fn draw(&self, limit_s: f64, dice: &mut StdRng) -> f64 {
        loop {
            // Box and Muller.
            let (u, v): (f64, f64) = (1.0 - dice.random::<f64>(), dice.random());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let time_s = self.median_s * (self.sigma * normal).exp();
            if time_s < limit_s {
                return time_s;
            }
        }
    }
}

/// The people of a line, in its order.
pub(crate) struct Crowd {
    visits: Vec<Visit>,
    manners: Manners,
    /// How they behave after so many buyers have passed.
    shift: Option<(usize, Manners)>,
    buyers: usize,
    dice: StdRng,
}

/// A sale's setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Setting {
    pub(crate) stock: u32,
    /// Chance that a shopper who is let in buys.
    pub(crate) chance: f64,
    /// Factor of the chance of those who come after half of the buyers that the stock has room for.
    pub(crate) shift: f64,
}

impl Crowd {
    /// The crowd of a seed, and the manners of an earlier sale of the same kind, whose chance was another by a tenth at most.
    pub(crate) fn of(setting: &Setting, seed: u64) -> (Self, Self) {
        let mut dice =
            StdRng::seed_from_u64(seed ^ (u64::from(setting.stock) << 32) ^ ((setting.chance * 1000.0) as u64) << 20);
        let manners = Manners::draw(setting.chance, &mut dice);
        let factor = dice.random_range(0.9..1.1);
        let earlier = manners.with_chance((setting.chance * factor).min(0.96));
        let shift = (setting.shift != 1.0).then(|| {
            let after = manners.with_chance((setting.chance * setting.shift).min(0.96));
            (setting.stock as usize / 2, after)
        });
        let earlier = Self::new(earlier, None, StdRng::seed_from_u64(dice.random()));
        (Self::new(manners, shift, dice), earlier)
    }

    fn new(manners: Manners, shift: Option<(usize, Manners)>, dice: StdRng) -> Self {
        Self { visits: Vec::new(), manners, shift, buyers: 0, dice }
    }

    /// The visit of whoever is `at`-th in the line, from 0.
    pub(crate) fn visit(&mut self, at: usize) -> Visit {
        while self.visits.len() <= at {
            let manners = match self.shift {
                Some((buyers, after)) if self.buyers >= buyers => after,
                _ => self.manners,
            };
            let visit = manners.visit(&mut self.dice);
            self.buyers += usize::from(visit.buys_after_s().is_some());
            self.visits.push(visit);
        }
        self.visits[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_buy_as_the_setting_says_and_after_the_shift_twice_as_many() {
        let setting = Setting { stock: 4_000, chance: 0.3, shift: 2.0 };
        let (mut crowd, _) = Crowd::of(&setting, 7);
        let mut buyers =
            |from: usize, to: usize| (from..to).filter(|&at| crowd.visit(at).buys_after_s().is_some()).count();
        assert!((1_700..1_900).contains(&buyers(0, 6_000)));
        assert!((2_850..3_150).contains(&buyers(8_000, 13_000)));
    }

    #[test]
    fn a_seed_is_a_crowd() {
        let setting = Setting { stock: 200, chance: 0.5, shift: 1.0 };
        let first = |seed: u64| (0..50).map(|at| Crowd::of(&setting, seed).0.visit(at)).collect::<Vec<_>>();
        assert!(first(1) == first(1) && first(1) != first(2));
    }
}
