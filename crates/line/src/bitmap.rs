//! Sets of ordinals with prefix counts: how many departed or recalled tickets lie between two
//! ordinals, in constant time.
//!
//! - One bit for each ordinal, and the count before each block of 512 bits, a cache line (*rank* in
//!   G. Jacobson, "Space-efficient static trees and graphs", 1989). Counting reads one block.
//! - A change updates the counts of all later blocks: 2,000 adjacent numbers for a million
//!   ordinals, which is cheaper than the pointers of a tree. A million ordinals are 133 kB.

use crate::ticket::Ordinal;

/// Words of a block.
const BLOCK: usize = 8;
/// Larger ordinals are ignored, to bound memory: 16 million tickets a line are 2 MB.
const ORDINAL_MAX: Ordinal = 1 << 24;

/// A set of ordinals that can be counted by range.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ordinals {
    /// Whole blocks.
    words: Vec<u64>,
    /// How many are in the blocks before each.
    before: Vec<u32>,
    len: u32,
}

impl Ordinals {
    /// Reads a bitmap of Redis: bit `n`, from the most significant bit of the first byte, is
    /// ordinal `n`.
    pub(crate) fn from_bitmap(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_be_bytes(word).reverse_bits()
        });
        Self::from_words(words.collect())
    }

    fn from_words(words: Vec<u64>) -> Self {
        let mut set = Self { words, ..Self::default() };
        set.words.resize(set.words.len().next_multiple_of(BLOCK), 0);
        for block in set.words.chunks(BLOCK) {
            set.before.push(set.len);
            set.len += block.iter().map(|word| word.count_ones()).sum::<u32>();
        }
        set
    }

    pub(crate) fn contains(&self, ordinal: Ordinal) -> bool {
        let (word, bit) = split(ordinal);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len.into()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Ordinal> {
        let bits = |word: u64| (0..64).filter(move |bit| word >> bit & 1 == 1);
        (0..).zip(&self.words).flat_map(move |(at, &word)| bits(word).map(move |bit| at * 64 + bit))
    }

    pub(crate) fn insert(&mut self, ordinal: Ordinal) {
        if ordinal > ORDINAL_MAX || self.contains(ordinal) {
            return;
        }
        let (word, bit) = split(ordinal);
        if word >= self.words.len() {
            self.words.resize((word + 1).next_multiple_of(BLOCK), 0);
            self.before.resize(self.words.len() / BLOCK, self.len);
        }
        self.words[word] |= bit;
        self.len += 1;
        self.before[word / BLOCK + 1..].iter_mut().for_each(|count| *count += 1);
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, ordinal: Ordinal) -> bool {
        let there = self.contains(ordinal);
        if there {
            let (word, bit) = split(ordinal);
            self.words[word] &= !bit;
            self.len -= 1;
            self.before[word / BLOCK + 1..].iter_mut().for_each(|count| *count -= 1);
        }
        there
    }

    /// How many are in `(after, up_to]`.
    pub(crate) fn between(&self, after: Ordinal, up_to: Ordinal) -> u64 {
        // Most sets are empty most of the time.
        if self.len == 0 { 0 } else { self.up_to(up_to) - self.up_to(after) }
    }

    /// How many are in `[0, ordinal]`.
    fn up_to(&self, ordinal: Ordinal) -> u64 {
        let (word, bit) = split(ordinal);
        if word >= self.words.len() {
            return self.len();
        }
        let first = word - word % BLOCK;
        let whole: u32 = self.words[first..word].iter().map(|word| word.count_ones()).sum();
        let part = (self.words[word] & (bit | (bit - 1))).count_ones();
        u64::from(self.before[word / BLOCK] + whole + part)
    }
}

impl FromIterator<Ordinal> for Ordinals {
    /// Counts once for all, not for each.
    fn from_iter<I: IntoIterator<Item = Ordinal>>(ordinals: I) -> Self {
        let mut words = Vec::new();
        for ordinal in ordinals.into_iter().filter(|ordinal| *ordinal <= ORDINAL_MAX) {
            let (word, bit) = split(ordinal);
            words.resize(words.len().max(word + 1), 0);
            words[word] |= bit;
        }
        Self::from_words(words)
    }
}

fn split(ordinal: Ordinal) -> (usize, u64) {
    (usize::try_from(ordinal / 64).unwrap_or(usize::MAX), 1 << (ordinal % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_agree_with_a_set(
            steps in prop::collection::vec((0u64..2000, any::<bool>()), 0..200), after in 0u64..2100, more in 1u64..2100,
        ) {
            let (mut ordinals, mut set) = (Ordinals::default(), BTreeSet::new());
            for (ordinal, inserts) in steps {
                if inserts { ordinals.insert(ordinal); set.insert(ordinal); }
                else { ordinals.remove(ordinal); set.remove(&ordinal); }
            }
            let up_to = after + more;
            prop_assert_eq!(ordinals.between(after, up_to), set.range(after + 1..=up_to).count() as u64);
            prop_assert_eq!(ordinals.len(), set.len() as u64);
            for ordinal in 0..2000 {
                prop_assert_eq!(ordinals.contains(ordinal), set.contains(&ordinal));
            }
            prop_assert!(ordinals.iter().eq(set.iter().copied()));
            let again: Ordinals = set.iter().copied().collect();
            prop_assert_eq!(again.between(after, up_to), ordinals.between(after, up_to));
        }
    }

    #[test]
    fn ordinals_beyond_the_bound_are_ignored() {
        let mut ordinals = Ordinals::default();
        ordinals.insert(ORDINAL_MAX + 1);
        assert!(ordinals.words.is_empty());
        ordinals.insert(ORDINAL_MAX);
        assert_eq!(ordinals.between(0, u64::MAX), 1);
    }
}
