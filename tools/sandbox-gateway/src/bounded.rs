//! A map of bounded size.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Maximum entries.
const ENTRIES_MAX: usize = 100_000;

/// A map that drops its oldest entries.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    pub(crate) entries: HashMap<K, V>,
    oldest_first: VecDeque<K>,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), oldest_first: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.oldest_first.len() >= ENTRIES_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.oldest_first.push_back(key.clone());
        self.entries.insert(key, value);
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(crate) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_dropped() {
        let mut map = Bounded::default();
        for n in 0..=ENTRIES_MAX {
            map.insert(n, ());
        }
        assert_eq!((map.get(&0), map.get(&1), map.entries.len()), (None, Some(&()), ENTRIES_MAX));
    }
}
