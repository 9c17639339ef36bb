//! Sets of ordinals with prefix counts: how many have departed, or are recalled, between two ordinals, in O(log n).
//!
//! One bit a ticket, and a Fenwick tree (P. Fenwick, "A new data structure for cumulative frequency tables", 1994) of
//! one count per 64 tickets: a million shoppers are 188 kB.

use crate::ticket::Ordinal;

/// A set of ordinals that can be counted by range.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ordinals {
    words: Vec<u64>,
    /// `sums[i]` counts the bits of the words `i - lowbit(i) .. i`; one-based, index 0 unused.
    sums: Vec<u32>,
}

/// Ordinals beyond this are not ordinals but an attack on our memory: 16 million tickets a line, 3 MB.
const ORDINAL_MAX: Ordinal = 1 << 24;

impl Ordinals {
    /// Reads Redis's bitmap: bit `n`, from the most significant bit of the first byte, is ordinal `n`.
    pub(crate) fn from_bitmap(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_be_bytes(word).reverse_bits()
        });
        let words: Vec<u64> = words.collect();
        let mut sums = vec![0; words.len() + 1];
        for at in 1..=words.len() {
            sums[at] += words[at - 1].count_ones();
            let parent = at + lowest_bit(at);
            if parent <= words.len() {
                sums[parent] += sums[at];
            }
        }
        Self { words, sums }
    }

    pub(crate) fn contains(&self, ordinal: Ordinal) -> bool {
        let (word, bit) = split(ordinal);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn len(&self) -> u64 {
        self.up_to(ORDINAL_MAX)
    }

    pub(crate) fn insert(&mut self, ordinal: Ordinal) {
        if ordinal > ORDINAL_MAX || self.contains(ordinal) {
            return;
        }
        let (word, bit) = split(ordinal);
        if word >= self.words.len() {
            self.grow(word + 1);
        }
        self.words[word] |= bit;
        self.add(word, 1);
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, ordinal: Ordinal) -> bool {
        let there = self.contains(ordinal);
        if there {
            let (word, bit) = split(ordinal);
            self.words[word] &= !bit;
            self.add(word, -1);
        }
        there
    }

    /// How many are in `(after, up_to]`.
    pub(crate) fn between(&self, after: Ordinal, up_to: Ordinal) -> u64 {
        self.up_to(up_to) - self.up_to(after)
    }

    /// How many are in `[0, ordinal]`.
    fn up_to(&self, ordinal: Ordinal) -> u64 {
        let (word, bit) = split(ordinal);
        let mut at = word.min(self.words.len());
        let mut sum = self.words.get(word).map_or(0, |word| u64::from((word & (bit | (bit - 1))).count_ones()));
        while at > 0 {
            sum += u64::from(self.sums[at]);
            at -= lowest_bit(at);
        }
        sum
    }

    fn add(&mut self, word: usize, by: i32) {
        let mut at = word + 1;
        while at < self.sums.len() {
            self.sums[at] = self.sums[at].wrapping_add_signed(by);
            at += lowest_bit(at);
        }
    }

    fn grow(&mut self, words: usize) {
        self.words.resize(words.next_power_of_two(), 0);
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.reverse_bits().to_be_bytes()).collect();
        *self = Self::from_bitmap(&bytes);
    }
}

fn split(ordinal: Ordinal) -> (usize, u64) {
    (usize::try_from(ordinal / 64).unwrap_or(usize::MAX), 1 << (ordinal % 64))
}

fn lowest_bit(at: usize) -> usize {
    at & at.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_agree_with_a_set(
            steps in prop::collection::vec((0u64..2000, any::<bool>()), 0..200), after in 0u64..2100, more in 0u64..2100,
        ) {
            let (mut ordinals, mut set) = (Ordinals::default(), BTreeSet::new());
            for (ordinal, inserts) in steps {
                if inserts { ordinals.insert(ordinal); set.insert(ordinal); }
                else { ordinals.remove(ordinal); set.remove(&ordinal); }
            }
            let up_to = after + more;
            prop_assert_eq!(ordinals.between(after, up_to), set.range(after + 1..=up_to).count() as u64);
            for ordinal in 0..2000 {
                prop_assert_eq!(ordinals.contains(ordinal), set.contains(&ordinal));
            }
        }
    }

    #[test]
    fn memory_has_a_bound() {
        let mut ordinals = Ordinals::default();
        ordinals.insert(ORDINAL_MAX + 1);
        assert!(ordinals.words.is_empty());
        ordinals.insert(ORDINAL_MAX);
        assert_eq!(ordinals.between(0, u64::MAX), 1);
    }
}
