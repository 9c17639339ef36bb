//! The people of a sale. All visits are drawn before the sale, in the order of the line, so that
//! every policy meets the same people.

use fairline_shopper_model::{ShopperProfile, Visit, live_profile, live_visit};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// The people of a line, in order.
pub(crate) struct SimulatedCrowd {
    visits: Vec<Visit>,
    profile: ShopperProfile,
    /// Their behaviour after this number of buyers.
    shift: Option<(usize, ShopperProfile)>,
    buyers: usize,
    dice: StdRng,
}

/// A sale's setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SaleSetting {
    pub(crate) stock: u32,
    /// Probability that an admitted shopper buys.
    pub(crate) chance: f64,
    /// Factor of that probability for people after half of the buyers that the stock suffices for.
    pub(crate) shift: f64,
}

impl SimulatedCrowd {
    /// The crowd of a seed, and that of an earlier sale of the same kind, whose probability
    /// differed by up to a tenth.
    pub(crate) fn of(setting: &SaleSetting, seed: u64) -> (Self, Self) {
        let mut dice =
            StdRng::seed_from_u64(seed ^ (u64::from(setting.stock) << 32) ^ ((setting.chance * 1000.0) as u64) << 20);
        let profile = ShopperProfile::draw(setting.chance, &mut dice);
        let factor = dice.random_range(0.9..1.1);
        let earlier = profile.with_chance((setting.chance * factor).min(0.96));
        let shift = (setting.shift != 1.0).then(|| {
            let after = profile.with_chance((setting.chance * setting.shift).min(0.96));
            (setting.stock as usize / 2, after)
        });
        let earlier = Self::new(earlier, None, StdRng::seed_from_u64(dice.random()));
        (Self::new(profile, shift, dice), earlier)
    }

    fn new(profile: ShopperProfile, shift: Option<(usize, ShopperProfile)>, dice: StdRng) -> Self {
        Self { visits: Vec::new(), profile, shift, buyers: 0, dice }
    }

    /// The crowd that a rush of this seed sends to a live sale: the same people, in the same order.
    pub(crate) fn live(seed: u64, chance: f64, faster: f64, people: u32) -> Self {
        let profile = live_profile(seed, chance, faster);
        let visits = (0..people).map(|at| live_visit(&profile, seed, at)).collect();
        Self { visits, ..Self::new(profile, None, StdRng::seed_from_u64(seed)) }
    }

    /// The time limit of each step of a visit, in seconds.
    pub(crate) fn limits_s(&self) -> [f64; 3] {
        self.profile.limits_s()
    }

    /// The visit of the shopper at this place of the line, from 0.
    pub(crate) fn visit(&mut self, at: usize) -> Visit {
        while self.visits.len() <= at {
            let profile = match self.shift {
                Some((buyers, after)) if self.buyers >= buyers => after,
                _ => self.profile,
            };
            let visit = profile.visit(&mut self.dice);
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
    fn the_share_of_buyers_is_the_setting_and_doubles_after_the_shift() {
        let setting = SaleSetting { stock: 4_000, chance: 0.3, shift: 2.0 };
        let (mut crowd, _) = SimulatedCrowd::of(&setting, 7);
        let mut buyers =
            |from: usize, to: usize| (from..to).filter(|&at| crowd.visit(at).buys_after_s().is_some()).count();
        assert!((1_700..1_900).contains(&buyers(0, 6_000)));
        assert!((2_850..3_150).contains(&buyers(8_000, 13_000)));
    }

    #[test]
    fn a_seed_always_gives_the_same_crowd() {
        let setting = SaleSetting { stock: 200, chance: 0.5, shift: 1.0 };
        let first = |seed: u64| (0..50).map(|at| SimulatedCrowd::of(&setting, seed).0.visit(at)).collect::<Vec<_>>();
        assert!(first(1) == first(1) && first(1) != first(2));
    }
}
