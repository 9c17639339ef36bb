//! Sets of ordinals that consist of few long runs, such as the joined tickets.

use crate::Ordinal;

/// A set of ordinals, stored as ordered, disjoint and non-adjacent runs `first..=last`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(Ordinal, Ordinal)>);

impl Ranges {
    /// Parses the output of [`Self::bounds`]; `None` if it is malformed.
    #[must_use]
    pub fn from_bounds(bounds: &[Ordinal]) -> Option<Self> {
        let mut ranges = Self::default();
        for pair in bounds.chunks(2) {
            let [first, last] = *pair else { return None };
            if first > last {
                return None;
            }
            ranges.insert(first, last);
        }
        Some(ranges)
    }

    /// The first and last ordinal of each run, concatenated.
    #[must_use]
    pub fn bounds(&self) -> Vec<Ordinal> {
        self.0.iter().flat_map(|&(first, last)| [first, last]).collect()
    }

    /// Adds `first..=last`.
    pub fn insert(&mut self, first: Ordinal, last: Ordinal) {
        // Merges all runs that it touches.
        let from = self.0.partition_point(|run| run.1.saturating_add(1) < first);
        let to = self.0.partition_point(|run| run.0 <= last.saturating_add(1));
        let touched = &self.0[from..to];
        let first = touched.first().map_or(first, |run| run.0.min(first));
        let last = touched.last().map_or(last, |run| run.1.max(last));
        self.0.splice(from..to, [(first, last)]);
    }

    /// Whether the set contains an ordinal.
    #[must_use]
    pub fn contains(&self, ordinal: Ordinal) -> bool {
        self.touches(ordinal, ordinal)
    }

    /// Whether the set contains any of `first..=last`.
    #[must_use]
    pub fn touches(&self, first: Ordinal, last: Ordinal) -> bool {
        let at = self.0.partition_point(|run| run.1 < first);
        self.0.get(at).is_some_and(|run| run.0 <= last)
    }

    /// The highest ordinal; 0 if the set is empty.
    #[must_use]
    pub fn highest(&self) -> Ordinal {
        self.0.last().map_or(0, |run| run.1)
    }

    /// The number of ordinals.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|&(first, last)| last - first + 1).sum()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_agree_with_a_set(runs in prop::collection::vec((1u64..300, 0u64..20), 0..40), from in 1u64..320, more in 0u64..30) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, more) in runs {
                ranges.insert(first, first + more);
                set.extend(first..=first + more);
            }
            prop_assert_eq!(ranges.len(), set.len() as u64);
            prop_assert_eq!(ranges.highest(), set.last().copied().unwrap_or(0));
            prop_assert_eq!(ranges.is_empty(), set.is_empty());
            prop_assert_eq!(ranges.touches(from, from + more), set.range(from..=from + more).next().is_some());
            prop_assert!((1..320).all(|ordinal| ranges.contains(ordinal) == set.contains(&ordinal)));
            prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "apart, in order: {:?}", ranges);
            prop_assert_eq!(Ranges::from_bounds(&ranges.bounds()), Some(ranges));
        }
    }

    #[test]
    fn invalid_runs_are_rejected() {
        assert_eq!(Ranges::from_bounds(&[1]), None);
        assert_eq!(Ranges::from_bounds(&[2, 1]), None);
    }
}
