//! The draw: shuffles all shoppers who joined before the opening with a key that no single party
//! can choose.
//!
//! Before the sale the shop commits to a secret seed by publishing its SHA-256. When the sale
//! opens, the key is
//!
//! ```text
//! key = HMAC-SHA-256(seed, "fairline draw" ‖ head)
//! ```
//!
//! where *head* is the hash of the record's last entry. Without the seed, the shuffle can't be
//! predicted. With the seed, it can't be known before the last shopper has joined, since every join
//! changes the head. Afterwards the seed is published, and anyone can repeat the shuffle.
//!
//! The algorithm is R. Durstenfeld's ("Algorithm 235: Random permutation", CACM 7, 1964; Knuth's
//! Algorithm P, TAOCP 2, 3.4.2). Its random numbers come from `SHA-256(key ‖ counter)`, as in R.
//! Rivest's reference sampler for election audits (2011) and RFC 3797. It is preferred to a cipher
//! with cycle walking because a third party can reimplement it in twenty lines of any language and
//! compare the result.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{Hash, Ordinal};

/// Maximum number of tickets in a draw: as many as a line may have.
pub const POOL_MAX: u64 = 1 << 24;

/// The commitment to a seed, which the shop publishes before the sale.
#[must_use]
pub fn commitment(seed: &[u8; 32]) -> Hash {
    Hash::of(&[seed])
}

/// The key of a draw, from the seed and the head of the record at the opening.
#[must_use]
pub fn key(seed: &[u8; 32], head: Hash) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(seed).expect("HMAC takes keys of any length");
    mac.update(b"fairline draw");
    mac.update(&head.0);
    Hash(mac.finalize().into_bytes().into())
}

/// Too many tickets to shuffle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a draw of {0} tickets is beyond the {POOL_MAX} that a line may have")]
pub struct PoolTooLarge(pub u64);

/// A completed draw: maps the tickets in the pool to their numbers. Tickets beyond the pool joined
/// later; their number is their ordinal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// The ordinals by number, from 1.
    ordinals: Vec<u32>,
    /// The numbers by ordinal, from 1.
    numbers: Vec<u32>,
}

impl Draw {
    /// Shuffles the ordinals `1..=pool`.
    ///
    /// # Errors
    /// When that is more than [`POOL_MAX`].
    pub fn new(key: Hash, pool: Ordinal) -> Result<Self, PoolTooLarge> {
        let count = u32::try_from(pool).ok().filter(|_| pool <= POOL_MAX).ok_or(PoolTooLarge(pool))?;
        let mut ordinals: Vec<u32> = (1..=count).collect();
        let mut chance = KeyedRandom { key, counter: 0, words: [0; 4], used: 4 };
        for last in (1..ordinals.len()).rev() {
            ordinals.swap(last, chance.up_to(last));
        }
        let mut numbers = vec![0; ordinals.len()];
        for (number, &ordinal) in (1..).zip(&ordinals) {
            numbers[ordinal as usize - 1] = number;
        }
        Ok(Self { ordinals, numbers })
    }

    /// The number of shuffled tickets: the ordinals from 1 to this one.
    #[must_use]
    pub fn pool(&self) -> Ordinal {
        self.ordinals.len() as u64
    }

    /// The number of a ticket in the order of service.
    #[must_use]
    pub fn number_of(&self, ordinal: Ordinal) -> u64 {
        look_up(&self.numbers, ordinal)
    }

    /// The ticket with a number.
    #[must_use]
    pub fn ordinal_at(&self, number: u64) -> Ordinal {
        look_up(&self.ordinals, number)
    }

    /// Both tables as bytes, four per entry in big endian: the number by ordinal, then the ordinal
    /// by number.
    pub fn to_bytes(&self) -> impl Iterator<Item = u8> {
        self.numbers.iter().chain(&self.ordinals).flat_map(|entry| entry.to_be_bytes())
    }
}

fn look_up(table: &[u32], at: u64) -> u64 {
    let index = at.checked_sub(1).and_then(|index| usize::try_from(index).ok());
    index.and_then(|index| table.get(index)).map_or(at, |&found| found.into())
}

/// Deterministic random numbers from a key: 64 bits each in big endian, four from each `SHA-256(key
/// ‖ counter)` with a 64-bit counter that starts at 0.
struct KeyedRandom {
    key: Hash,
    counter: u64,
    words: [u64; 4],
    used: usize,
}

impl KeyedRandom {
    fn word(&mut self) -> u64 {
        if self.used == self.words.len() {
            let Hash(block) = Hash::of(&[&self.key.0, &self.counter.to_be_bytes()]);
            for (word, bytes) in self.words.iter_mut().zip(block.chunks(8)) {
                *word = bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
            }
            (self.counter, self.used) = (self.counter + 1, 0);
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A uniform number in `0..=last`; words beyond the last whole multiple are rejected.
    fn up_to(&mut self, last: usize) -> usize {
        let sides = last as u64 + 1;
        let beyond = u64::MAX - u64::MAX % sides;
        loop {
            let word = self.word();
            if word < beyond {
                return (word % sides) as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_seed_gives_the_known_draw() {
        let seed = [7; 32];
        let key = key(&seed, Hash::of(&[b"head"]));
        let draw = Draw::new(key, 12).expect("small");
        let order: Vec<u64> = (1..=12).map(|number| draw.ordinal_at(number)).collect();
        assert_eq!(order, FIRST_ORDER, "another order would make every published record a lie");
        assert_eq!(commitment(&seed), Hash::of(&[&seed]));
    }

    /// The result of the Python reference implementation in docs/verify.md.
    const FIRST_ORDER: [u64; 12] = [6, 12, 11, 5, 1, 2, 10, 3, 8, 4, 9, 7];

    proptest! {
        #[test]
        fn a_draw_is_a_permutation_of_its_pool_and_changes_no_other_ticket(key: [u8; 32], pool in 0u64..3000) {
            let draw = Draw::new(Hash(key), pool).expect("small");
            prop_assert_eq!(draw.pool(), pool);
            for ordinal in 0..pool + 10 {
                let number = draw.number_of(ordinal);
                prop_assert_eq!(draw.ordinal_at(number), ordinal);
                prop_assert_eq!((1..=pool).contains(&number), (1..=pool).contains(&ordinal));
                if ordinal > pool {
                    prop_assert_eq!(number, ordinal);
                }
            }
            prop_assert_eq!(draw.to_bytes().count() as u64, 8 * pool);
        }
    }

    #[test]
    fn every_order_is_equally_likely() {
        // Five tickets have 120 orders; 60,000 draws yield each about 500 times. With 119 degrees
        // of freedom, chi squared exceeds 180 less than once in 3,000 times. The keys are fixed.
        let mut counts = std::collections::BTreeMap::<Vec<u64>, u32>::new();
        for n in 0u32..60_000 {
            let draw = Draw::new(Hash::of(&[&n.to_be_bytes()]), 5).expect("small");
            *counts.entry((1..=5).map(|number| draw.ordinal_at(number)).collect()).or_default() += 1;
        }
        assert_eq!(counts.len(), 120);
        let chi_squared: f64 = counts.values().map(|&count| (f64::from(count) - 500.0).powi(2) / 500.0).sum();
        assert!(chi_squared < 180.0, "{chi_squared}");
    }

    #[test]
    fn the_pool_of_a_draw_has_a_bound() {
        assert_eq!(Draw::new(Hash::default(), POOL_MAX + 1), Err(PoolTooLarge(POOL_MAX + 1)));
    }
}
