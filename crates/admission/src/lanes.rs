//! Lanes: divides admissions among several lines that lead to the same stock.

use serde::{Deserialize, Serialize};

/// Maximum lanes of a sale.
pub const LANES_MAX: usize = 8;

/// The inputs of a decision about one lane.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Shoppers waiting in it.
    pub waiting: u64,
    /// Its part of the admissions, in proportion to the sum of all lanes' shares. A lane with share
    /// 0 gets what the others leave.
    pub share: f64,
}

/// The state of the lanes between ticks: by how much of an admission each is behind its share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Turns(Vec<f64>);

impl Turns {
    /// Divides `admissions` among the lanes by their shares, and redistributes what a lane can't
    /// use. This is nginx's smooth weighted round robin: among the lanes with waiting shoppers,
    /// none is more than one admission off its share, and an empty lane accumulates no credit.
    pub(crate) fn divide(&mut self, lanes: &[Lane], admissions: u32) -> Vec<u32> {
        let lanes = &lanes[..lanes.len().min(LANES_MAX)];
        self.0.resize(lanes.len(), 0.0);
        let mut given = vec![0; lanes.len()];
        for _ in 0..admissions {
            let waits = |at: usize, given: &[u32]| lanes[at].waiting > u64::from(given[at]);
            let share = |at: usize| if lanes[at].share.is_finite() { lanes[at].share.max(0.0) } else { 0.0 };
            let sum: f64 = (0..lanes.len()).filter(|&at| waits(at, &given)).map(share).sum();
            for at in 0..lanes.len() {
                if waits(at, &given) && sum > 0.0 {
                    self.0[at] += share(at) / sum;
                } else if !waits(at, &given) {
                    self.0[at] = 0.0;
                }
            }
            let next = (0..lanes.len())
                .filter(|&at| waits(at, &given) && (share(at) > 0.0 || sum == 0.0))
                .reduce(|best, at| if self.0[at] > self.0[best] + 1e-9 { at } else { best });
            let Some(next) = next else { break };
            given[next] += 1;
            if sum > 0.0 {
                self.0[next] -= 1.0;
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_kept_over_ticks_and_unused_ones_go_to_the_others() {
        let lanes = [Lane { waiting: 1000, share: 3.0 }, Lane { waiting: 1000, share: 1.0 }];
        let mut turns = Turns::default();
        let mut given = [0, 0];
        for _ in 0..100 {
            let now = turns.divide(&lanes, 1);
            given = [given[0] + now[0], given[1] + now[1]];
        }
        assert_eq!(given, [75, 25]);
        assert_eq!(turns.divide(&[Lane { waiting: 2, ..lanes[0] }, lanes[1]], 10), [2, 8]);
        assert_eq!(turns.divide(&[Lane { waiting: 0, ..lanes[0] }, Lane { waiting: 5, share: 0.0 }], 10), [0, 5]);
        assert_eq!(turns.divide(&[], 10), Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn all_admissions_are_divided_and_no_lane_is_more_than_one_off(
            shares in prop::collection::vec(0.1f64..10.0, 1..LANES_MAX), ticks in prop::collection::vec(0u32..50, 1..50),
        ) {
            let lanes: Vec<Lane> = shares.iter().map(|&share| Lane { waiting: u64::MAX, share }).collect();
            let mut turns = Turns::default();
            let mut given = vec![0u32; lanes.len()];
            for &admissions in &ticks {
                let now = turns.divide(&lanes, admissions);
                prop_assert_eq!(now.iter().sum::<u32>(), admissions);
                given.iter_mut().zip(now).for_each(|(sum, now)| *sum += now);
            }
            let all = f64::from(ticks.iter().sum::<u32>());
            let sum: f64 = shares.iter().sum();
            for (given, share) in given.iter().zip(&shares) {
                prop_assert!((f64::from(*given) - all * share / sum).abs() <= lanes.len() as f64);
            }
        }

        #[test]
        fn work_is_conserved(waiting in prop::collection::vec((0u64..40, 0f64..3.0), 0..LANES_MAX), admissions in 0u32..100) {
            let lanes: Vec<Lane> = waiting.iter().map(|&(waiting, share)| Lane { waiting, share }).collect();
            let given = Turns::default().divide(&lanes, admissions);
            let all: u64 = lanes.iter().map(|lane| lane.waiting).sum();
            prop_assert_eq!(given.iter().map(|&n| u64::from(n)).sum::<u64>(), all.min(u64::from(admissions)));
            prop_assert!(given.iter().zip(&lanes).all(|(&given, lane)| u64::from(given) <= lane.waiting));
        }
    }
}
