//! Counts inversions of an order, computes percentiles, and writes counts as text. Pure.

use std::fmt::Display;

/// A count with its noun, or its noun and verb, in the singular or the plural.
///
/// ```
/// use fairline_rush::counted;
///
/// assert_eq!(counted(1, "turn", "turns"), "1 turn");
/// assert_eq!(counted(0, "turn", "turns"), "0 turns");
/// ```
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let noun = if count == N::from(1) { one } else { many };
    format!("{count} {noun}")
}

/// Counts the inversions in `order`: pairs whose earlier element is greater than the later one.
///
/// Uses merge sort, so a hundred thousand admissions take a few milliseconds.
#[must_use]
pub fn inversions<T: Ord + Copy>(order: &[T]) -> u64 {
    let mut items = order.to_vec();
    let mut spare = items.clone();
    sort_and_count(&mut items, &mut spare)
}

fn sort_and_count<T: Ord + Copy>(items: &mut [T], spare: &mut [T]) -> u64 {
    let half = items.len() / 2;
    if half == 0 {
        return 0;
    }
    let (left, right) = items.split_at_mut(half);
    let (left_spare, right_spare) = spare.split_at_mut(half);
    let mut count = sort_and_count(left, left_spare) + sort_and_count(right, right_spare);
    let (mut l, mut r) = (0, 0);
    for slot in spare.iter_mut() {
        let take_left = r == right.len() || (l < left.len() && left[l] <= right[r]);
        if take_left {
            *slot = left[l];
            l += 1;
        } else {
            // Every element still on the left is greater than this one, and came before it.
            count += (left.len() - l) as u64;
            *slot = right[r];
            r += 1;
        }
    }
    items.copy_from_slice(spare);
    count
}

/// The percentile of `values` by nearest rank; `None` if there are none. Sorts `values`.
#[must_use]
pub fn percentile(values: &mut [f64], percent: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 50.0), Some(50.0));
        assert_eq!(percentile(&mut values, 99.0), Some(99.0));
        assert_eq!(percentile(&mut values, 100.0), Some(100.0));
        assert_eq!(percentile(&mut [3.0], 99.0), Some(3.0));
        assert_eq!(percentile(&mut [], 99.0), None);
    }

    #[test]
    fn a_reversed_line_is_all_inversions() {
        let reversed: Vec<u32> = (0..1_000).rev().collect();
        assert_eq!(inversions(&reversed), 1_000 * 999 / 2);
    }

    proptest! {
        #[test]
        fn inversions_agree_with_a_count_of_every_pair(order in proptest::collection::vec(0_u8..20, 0..60)) {
            let mut pairs = 0;
            for (at, earlier) in order.iter().enumerate() {
                pairs += order[at + 1..].iter().filter(|later| *later < earlier).count() as u64;
            }
            prop_assert_eq!(inversions(&order), pairs);
        }

        #[test]
        fn a_sorted_line_has_none(mut order in proptest::collection::vec(any::<u64>(), 0..200)) {
            order.sort_unstable();
            prop_assert_eq!(inversions(&order), 0);
        }
    }
}
