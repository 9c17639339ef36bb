//! A slab: values under small, reused indices. It grows by pages and never moves a value, so a
//! sudden crowd leaves no outgrown copies in memory.

/// Slots per page.
const PAGE: usize = 128;

/// Values under small, reused indices.
pub(crate) struct Slab<T> {
    pages: Vec<Box<[Option<T>]>>,
    free: Vec<usize>,
    count: usize,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Stores a value and returns its index.
    pub(crate) fn insert(&mut self, thing: T) -> usize {
        if self.free.is_empty() {
            let first = self.pages.len() * PAGE;
            self.pages.push(std::iter::repeat_with(|| None).take(PAGE).collect());
            self.free.extend((first..first + PAGE).rev());
        }
        let slot = self.free.pop().expect("a page of free slots was added");
        self.pages[slot / PAGE][slot % PAGE] = Some(thing);
        self.count += 1;
        slot
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&T> {
        self.pages.get(slot / PAGE)?[slot % PAGE].as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.pages.get_mut(slot / PAGE)?[slot % PAGE].as_mut()
    }

    pub(crate) fn remove(&mut self, slot: usize) -> Option<T> {
        let thing = self.pages.get_mut(slot / PAGE)?[slot % PAGE].take()?;
        self.free.push(slot);
        self.count -= 1;
        if self.count == 0 {
            // The slab is empty: release the memory.
            (self.pages, self.free) = (Vec::new(), Vec::new());
        }
        Some(thing)
    }

    /// The indices in use.
    pub(crate) fn taken(&self) -> impl Iterator<Item = usize> {
        let things = self.pages.iter().flatten().enumerate();
        things.filter_map(|(slot, thing)| thing.as_ref().map(|_| slot))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_slab_agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..600)) {
            let (mut slots, mut map) = (Slab::new(), HashMap::new());
            for (number, (inserts, pick)) in steps.into_iter().enumerate() {
                if inserts || map.is_empty() {
                    let slot = slots.insert(number);
                    prop_assert_eq!(map.insert(slot, number), None, "a slot is given once at a time");
                } else {
                    let slot = *map.keys().nth(pick.index(map.len())).expect("not empty");
                    prop_assert_eq!(slots.remove(slot), map.remove(&slot));
                    prop_assert_eq!(slots.remove(slot), None);
                }
                prop_assert_eq!((slots.len(), slots.is_empty()), (map.len(), map.is_empty()));
            }
            let mut taken: Vec<_> = map.keys().copied().collect();
            taken.sort_unstable();
            prop_assert_eq!(slots.taken().collect::<Vec<_>>(), taken);
            prop_assert_eq!(slots.values_mut().count(), map.len());
            for slot in 0..700 {
                prop_assert_eq!(slots.get(slot), map.get(&slot));
                prop_assert_eq!(slots.get_mut(slot), map.get_mut(&slot));
            }
        }
    }
}
