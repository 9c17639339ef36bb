//! A bounded cache in two generations. When the young generation is full, it replaces the old one.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// Holds at least `N` entries, and at most twice as many.
pub struct GenerationalCache<K, V, const N: usize> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V, const N: usize> Default for GenerationalCache<K, V, N> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash, V, const N: usize> GenerationalCache<K, V, N> {
    /// A value.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Adds a value, or replaces it.
    pub fn keep(&mut self, key: K, value: V) {
        if self.young.len() == N {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_holds_at_least_n_entries_and_at_most_twice_as_many() {
        let mut recent = GenerationalCache::<u32, u32, 10>::default();
        for number in 0..=20 {
            recent.keep(number, number * 2);
        }
        assert_eq!((recent.young.len(), recent.old.len()), (1, 10));
        assert_eq!((recent.get(&20), recent.get(&10), recent.get(&9)), (Some(&40), Some(&20), None));
        recent.keep(20, 7);
        assert_eq!(recent.get(&20), Some(&7), "what is newer counts");
    }
}
