//! Place arithmetic: a local view of one line, from which any place is computed without asking anybody.
//!
//! Pure: it knows no Redis, no clock. A node feeds it a snapshot and then every change, in order.

use std::collections::BTreeSet;

use crate::{bitmap::Departures, change::Change, ticket::Ordinal};

/// A view of one line at one revision.
#[derive(Debug, Clone, Default)]
pub struct LineView {
    epoch: u32,
    cursor: Ordinal,
    highest: Ordinal,
    departed: Departures,
    recalled: BTreeSet<Ordinal>,
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// People ahead: 0 for the one who is next.
    pub ahead: u64,
    /// People behind.
    pub behind: u64,
}

impl LineView {
    /// The view that a snapshot shows. `departed` is Redis's bitmap: bit `n` (from the most significant bit of the
    /// first byte) for ordinal `n`.
    #[must_use]
    pub fn new(
        epoch: u32,
        cursor: Ordinal,
        highest: Ordinal,
        departed: &[u8],
        recalled: impl IntoIterator<Item = Ordinal>,
    ) -> Self {
        Self {
            epoch,
            cursor,
            highest,
            departed: Departures::from_bitmap(departed),
            recalled: recalled.into_iter().collect(),
        }
    }

    /// Which life of the line this is.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The highest ordinal whose turn has come.
    #[must_use]
    pub fn cursor(&self) -> Ordinal {
        self.cursor
    }

    /// The highest ordinal that this view has seen.
    #[must_use]
    pub fn highest(&self) -> Ordinal {
        self.highest
    }

    /// People who wait in this line.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.recalled.len() as u64 + self.live_after(self.cursor)
    }

    /// Where a ticket stands, or `None` when it does not wait: it has had its turn, or it has departed.
    ///
    /// `ahead = ordinal − cursor − 1 − departed in (cursor, ordinal) + recalled`, since every recalled ticket is served
    /// before the ordinals beyond the cursor; among themselves recalled tickets go by ordinal.
    #[must_use]
    pub fn place(&self, ordinal: Ordinal) -> Option<Place> {
        if ordinal > self.cursor {
            if ordinal > self.highest || self.departed.contains(ordinal) {
                return None;
            }
            let before = (ordinal - 1) - self.cursor - self.departed.between(self.cursor, ordinal - 1);
            Some(Place { ahead: before + self.recalled.len() as u64, behind: self.live_after(ordinal) })
        } else {
            self.recalled.contains(&ordinal).then(|| {
                let ahead = self.recalled.range(..ordinal).count() as u64;
                Place { ahead, behind: self.waiting() - ahead - 1 }
            })
        }
    }

    /// Waiting tickets beyond `ordinal`, which is not behind the cursor.
    fn live_after(&self, ordinal: Ordinal) -> u64 {
        (self.highest - ordinal) - self.departed.between(ordinal, self.highest)
    }

    /// Takes one change in.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Joined { highest } => self.highest = self.highest.max(*highest),
            Change::Departed { ordinals } | Change::Left { ordinals } => {
                for &ordinal in ordinals {
                    if ordinal > self.cursor {
                        self.departed.insert(ordinal);
                    }
                    self.recalled.remove(&ordinal);
                }
            }
            Change::Returned { ordinals } => {
                for &ordinal in ordinals {
                    self.departed.remove(ordinal);
                }
            }
            Change::Recalled { ordinals } => {
                for &ordinal in ordinals {
                    self.departed.remove(ordinal);
                    self.recalled.insert(ordinal);
                }
            }
            Change::Moved { cursor, highest, turns } => {
                self.cursor = self.cursor.max(*cursor);
                self.highest = self.highest.max(*highest);
                for (ordinal, _) in turns {
                    self.recalled.remove(ordinal);
                }
            }
            Change::Absent { .. } | Change::Card { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The line as a child would write it down: who waits, in the order of service.
    #[derive(Default)]
    struct Naive {
        cursor: Ordinal,
        highest: Ordinal,
        gone: BTreeSet<Ordinal>,
        recalled: BTreeSet<Ordinal>,
    }

    impl Naive {
        fn order(&self) -> Vec<Ordinal> {
            let beyond = (self.cursor + 1..=self.highest).filter(|ordinal| !self.gone.contains(ordinal));
            self.recalled.iter().copied().chain(beyond).collect()
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Join(u64),
        Depart(u64),
        Return(u64),
        Admit(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1u64..200).prop_map(Step::Join),
            any::<u64>().prop_map(Step::Depart),
            any::<u64>().prop_map(Step::Return),
            (0u64..50).prop_map(Step::Admit),
        ]
    }

    proptest! {
        #[test]
        fn places_agree_with_the_naive_line(steps in prop::collection::vec(step(), 1..80)) {
            let (mut view, mut naive) = (LineView::default(), Naive::default());
            for step in steps {
                let change = match step {
                    Step::Join(count) => {
                        naive.highest += count;
                        Change::Joined { highest: naive.highest }
                    }
                    Step::Depart(pick) => {
                        let order = naive.order();
                        if order.is_empty() { continue; }
                        let ordinal = order[(pick % order.len() as u64) as usize];
                        if !naive.recalled.remove(&ordinal) { naive.gone.insert(ordinal); }
                        Change::Departed { ordinals: vec![ordinal] }
                    }
                    Step::Return(pick) => {
                        if naive.highest == 0 { continue; }
                        let ordinal = pick % naive.highest + 1;
                        if ordinal > naive.cursor {
                            if !naive.gone.remove(&ordinal) { continue; }
                            Change::Returned { ordinals: vec![ordinal] }
                        } else {
                            naive.gone.remove(&ordinal);
                            naive.recalled.insert(ordinal);
                            Change::Recalled { ordinals: vec![ordinal] }
                        }
                    }
                    Step::Admit(count) => {
                        let mut turns = Vec::new();
                        for _ in 0..count {
                            let Some(&ordinal) = naive.order().first() else { break };
                            if !naive.recalled.remove(&ordinal) { naive.cursor = ordinal; }
                            turns.push((ordinal, String::new()));
                        }
                        Change::Moved { cursor: naive.cursor, highest: naive.highest, turns }
                    }
                };
                view.apply(&change);
                let order = naive.order();
                prop_assert_eq!(view.waiting(), order.len() as u64);
                for (ahead, &ordinal) in order.iter().enumerate() {
                    let place = Place { ahead: ahead as u64, behind: (order.len() - ahead - 1) as u64 };
                    prop_assert_eq!(view.place(ordinal), Some(place));
                }
                let waiting: BTreeSet<_> = order.into_iter().collect();
                for ordinal in 1..=naive.highest + 1 {
                    prop_assert_eq!(view.place(ordinal).is_some(), waiting.contains(&ordinal));
                }
            }
        }
    }

    #[test]
    fn a_snapshot_reads_redis_bits() {
        // SETBIT 1, SETBIT 9: most significant bit first.
        let view = LineView::new(1, 0, 10, &[0b0100_0000, 0b0100_0000], [3]);
        assert_eq!(view.place(1), None);
        assert_eq!(view.place(2), Some(Place { ahead: 1, behind: 7 }));
        assert_eq!(view.place(10), Some(Place { ahead: 8, behind: 0 }));
    }
}
