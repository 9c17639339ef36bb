//! Visits: the course of admissions, as counts by stage and age.
//!
//! A visit passes through stages: its token is issued (*called*), a page has it (*claimed*), it was
//! redeemed and its shopper is in checkout (*shopping*); then a payment begins. A visit can leave
//! from any of these stages, explicitly or by timeout. The control law never sees a single visit,
//! only counts by stage and age, so 20,000 visits cost as much as 20.

use serde::{Deserialize, Serialize};

/// Stages before a payment.
pub const STAGES: usize = 3;
/// Age bins of a stage.
pub const BINS: usize = 32;
/// The starts of the age bins, in seconds. They widen with age, since young visits change fast and
/// old ones slowly. The last bin is unbounded.
pub const BIN_STARTS_S: [f64; BINS] = [
    0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 12.5, 15.0, 18.0, 22.0, 27.0, 33.0, 40.0, 48.0, 57.0, 68.0,
    80.0, 95.0, 112.0, 132.0, 156.0, 184.0, 217.0, 256.0, 302.0, 420.0, 840.0,
];
/// The assumed end of the last bin, in seconds.
const LAST_BIN_END_S: f64 = 7_200.0;

/// The stage of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its token is issued and no page has claimed it. Its age counts from the admission.
    Called,
    /// A page has the token. Its age counts from the claim.
    Claimed,
    /// The token was redeemed; no payment is running. Its age counts from the redemption.
    Shopping,
}

/// All stages, in order.
pub const EVERY_STAGE: [Stage; STAGES] = [Stage::Called, Stage::Claimed, Stage::Shopping];

/// Counts of visits by stage and age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByAge(pub [[u32; BINS]; STAGES]);

impl ByAge {
    /// Counts one more visit in `stage` at an age of `age_s` seconds: its current age there, or its
    /// age when it left.
    pub fn count(&mut self, stage: Stage, age_s: f64) {
        let cell = &mut self.0[stage as usize][bin_of(age_s)];
        *cell = cell.saturating_add(1);
    }

    /// Visits in `stage`, of all ages.
    #[must_use]
    pub fn of(&self, stage: Stage) -> u32 {
        self.0[stage as usize].iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Visits in all stages.
    #[must_use]
    pub fn all(&self) -> u32 {
        EVERY_STAGE.iter().fold(0, |sum, &stage| sum.saturating_add(self.of(stage)))
    }
}

/// The bin of an age in seconds.
#[must_use]
pub fn bin_of(age_s: f64) -> usize {
    BIN_STARTS_S.partition_point(|&start| start <= age_s).saturating_sub(1)
}

/// The end of a bin, in seconds.
pub(crate) fn bin_end_s(bin: usize) -> f64 {
    BIN_STARTS_S.get(bin + 1).copied().unwrap_or(LAST_BIN_END_S)
}

/// The age that represents a bin, in seconds.
pub(crate) fn bin_middle_s(bin: usize) -> f64 {
    if bin + 1 == BINS { BIN_STARTS_S[bin] } else { f64::midpoint(BIN_STARTS_S[bin], bin_end_s(bin)) }
}

/// The inputs of a decision about the visits to one sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Visits {
    /// In progress now, by their age in their stage.
    pub under_way: ByAge,
    /// Moved on to the next stage since the last decision, by their age then: claimed, redeemed,
    /// began to pay.
    pub moved_on: ByAge,
    /// Left explicitly since the last decision, by their age then. Excludes timeouts.
    pub left: ByAge,
    /// Turns that lapsed unclaimed since the last decision; they are no longer in progress.
    #[serde(default)]
    pub lapsed: u32,
    /// Running payments.
    pub paying: u32,
    /// Payments since the last decision that ended in an order.
    pub paid: u32,
    /// Payments since the last decision that failed.
    pub failed: u32,
    /// Payments that ended in an order since the last decision, by the number of units; the first
    /// entry is for one unit, the last for [`QUANTITIES`] and more.
    pub quantities: [u32; QUANTITIES],
}

/// Distinguished quantities.
pub const QUANTITIES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_find_their_bins() {
        assert_eq!([-1.0, 0.0, 0.49, 0.5, 2.9, 5.0, 839.0, 840.0, 1e9].map(bin_of), [0, 0, 0, 1, 4, 7, 30, 31, 31]);
        assert_eq!(bin_of(f64::NAN), 0);
        for bin in 0..BINS {
            assert_eq!(bin_of(bin_middle_s(bin)), bin);
        }
    }

    #[test]
    fn visits_are_counted_where_they_are() {
        let mut visits = ByAge::default();
        visits.count(Stage::Called, 0.5);
        visits.count(Stage::Shopping, 30.0);
        visits.count(Stage::Shopping, 3_000.0);
        assert_eq!((visits.of(Stage::Called), visits.of(Stage::Claimed), visits.of(Stage::Shopping)), (1, 0, 2));
        assert_eq!(visits.all(), 3);
    }
}
