//! Place arithmetic: a local view of one line, from which any place is computed without a call.
//!
//! Pure: no Redis, no clock. A node applies a snapshot and then every change, in order.

use std::sync::Arc;

use crate::{bitmap::Ordinals, change::Change, ticket::Ordinal};

/// The numbers of the tickets that a draw has shuffled. The number of every other ticket is its
/// ordinal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers(Arc<[u32]>);

impl Numbers {
    /// Reads the numbers by ordinal, from 1 on, as four bytes of big endian each.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.as_chunks().0.iter().map(|entry| u32::from_be_bytes(*entry)).collect())
    }

    /// The number of a ticket.
    #[must_use]
    pub fn of(&self, ordinal: Ordinal) -> u64 {
        let index = ordinal.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.0.get(index)).map_or(ordinal, |&number| number.into())
    }
}

/// A view of one line at one revision.
///
/// All arithmetic uses numbers: ordinals are translated on entry.
///
/// ```
/// use fairline_line::{change::Change, places::LineView};
///
/// let mut view = LineView::new(1, 0, 5);
/// assert_eq!(view.place(4).map(|place| place.ahead), Some(3));
/// view.apply(&Change::Departed { ordinals: vec![2] });
/// assert_eq!(view.place(4).map(|place| place.ahead), Some(2));
/// ```
#[derive(Debug, Clone, Default)]
pub struct LineView {
    epoch: u32,
    numbers: Numbers,
    cursor: u64,
    highest: Ordinal,
    departed: Ordinals,
    recalled: Ordinals,
    /// Departed and back, beyond the cursor: these make a place grow, and nothing else does.
    returned: Ordinals,
}

/// The place of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Shoppers ahead: 0 for the one who is next.
    pub ahead: u64,
    /// How many of them had departed and came back. Nothing else makes a place grow.
    pub recalled: u64,
    /// Shoppers behind.
    pub behind: u64,
}

impl LineView {
    /// The view of a line that no shopper has left, before a draw or without one.
    #[must_use]
    pub fn new(epoch: u32, cursor: u64, highest: Ordinal) -> Self {
        Self { epoch, cursor, highest, ..Self::default() }
    }

    /// The same view with the departed tickets. They are a bitmap of Redis: bit `n` (from the most
    /// significant bit of the first byte) for ordinal `n`.
    #[must_use]
    pub fn with_departed(mut self, bitmap: &[u8]) -> Self {
        self.departed = Ordinals::from_bitmap(bitmap);
        self
    }

    /// The same view with the numbers of the recalled tickets.
    #[must_use]
    pub fn with_recalled(mut self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.recalled = numbers.into_iter().collect();
        self
    }

    /// The same view with the numbers of a draw.
    #[must_use]
    pub fn drawn(mut self, numbers: Numbers) -> Self {
        self.draw(numbers);
        self
    }

    /// Applies the numbers of a draw. No ticket has been admitted yet, unless this view had them
    /// before.
    pub fn draw(&mut self, numbers: Numbers) {
        for set in [&mut self.departed, &mut self.returned] {
            *set = set.iter().map(|ordinal| numbers.of(ordinal)).collect();
        }
        self.numbers = numbers;
    }

    /// Whether a draw has given numbers.
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        !self.numbers.0.is_empty()
    }

    /// Whether the turn of a ticket has come.
    #[must_use]
    pub fn has_passed(&self, ordinal: Ordinal) -> bool {
        self.numbers.of(ordinal) <= self.cursor
    }

    /// The line's epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The highest number whose turn has come.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The highest ordinal that this view has seen.
    #[must_use]
    pub fn highest(&self) -> Ordinal {
        self.highest
    }

    /// Shoppers who wait in this line.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.recalled.len() + self.live_after(self.cursor)
    }

    /// The place of a ticket, or `None` if it does not wait: it has had its turn, or has departed.
    ///
    /// `ahead = number − cursor − 1 − departed in (cursor, number) + recalled`, since recalled
    /// tickets are served before the numbers beyond the cursor, and among themselves by number.
    #[must_use]
    pub fn place(&self, ordinal: Ordinal) -> Option<Place> {
        let number = self.numbers.of(ordinal);
        if number > self.cursor {
            if number > self.highest || self.departed.contains(number) {
                return None;
            }
            let before = (number - 1) - self.cursor - self.departed.between(self.cursor, number - 1);
            let returned = self.returned.between(self.cursor, number - 1);
            Some(Place {
                ahead: before + self.recalled.len(),
                recalled: self.recalled.len() + returned,
                behind: self.live_after(number),
            })
        } else {
            self.recalled.contains(number).then(|| {
                let ahead = self.recalled.between(0, number - 1);
                Place { ahead, recalled: ahead, behind: self.waiting() - ahead - 1 }
            })
        }
    }

    /// Waiting tickets beyond `number`, which is not behind the cursor. A ticket that a restored
    /// database does not have may have departed beyond the highest.
    fn live_after(&self, number: u64) -> u64 {
        if number >= self.highest {
            return 0;
        }
        (self.highest - number) - self.departed.between(number, self.highest)
    }

    /// Notes that this ordinal has been given.
    pub fn given(&mut self, ordinal: Ordinal) {
        self.highest = self.highest.max(ordinal);
    }

    /// Applies one change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Departed { ordinals } | Change::Left { ordinals } => {
                for &ordinal in ordinals {
                    let number = self.numbers.of(ordinal);
                    if number > self.cursor {
                        self.given(ordinal);
                        self.departed.insert(number);
                        self.returned.remove(number);
                    }
                    self.recalled.remove(number);
                }
            }
            Change::Returned { ordinals } => {
                for &ordinal in ordinals {
                    self.given(ordinal);
                    let number = self.numbers.of(ordinal);
                    if self.departed.remove(number) {
                        self.returned.insert(number);
                    }
                }
            }
            Change::Recalled { ordinals } => {
                for &ordinal in ordinals {
                    let number = self.numbers.of(ordinal);
                    self.departed.remove(number);
                    self.recalled.insert(number);
                }
            }
            Change::Moved { cursor, highest, turns } => {
                self.cursor = self.cursor.max(*cursor);
                self.highest = self.highest.max(*highest);
                for (ordinal, _) in turns {
                    self.recalled.remove(self.numbers.of(*ordinal));
                }
            }
            // The numbers of a draw are read separately: see `draw`.
            Change::Drawn { .. } | Change::Absent { .. } | Change::Card { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The line as plain sets, from which the order of service is listed.
    #[derive(Default)]
    struct Naive {
        cursor: Ordinal,
        highest: Ordinal,
        gone: BTreeSet<Ordinal>,
        recalled: BTreeSet<Ordinal>,
        returned: BTreeSet<Ordinal>,
    }

    impl Naive {
        fn order(&self) -> Vec<Ordinal> {
            let beyond = (self.cursor + 1..=self.highest).filter(|ordinal| !self.gone.contains(ordinal));
            self.recalled.iter().copied().chain(beyond).collect()
        }

        fn place(&self, ordinal: Ordinal) -> Option<Place> {
            let order = self.order();
            let ahead = order.iter().position(|other| *other == ordinal)?;
            let back =
                order[..ahead].iter().filter(|other| self.recalled.contains(other) || self.returned.contains(other));
            Some(Place { ahead: ahead as u64, recalled: back.count() as u64, behind: (order.len() - ahead - 1) as u64 })
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
        fn places_agree_with_the_naive_line_and_grow_by_recalls_alone(steps in prop::collection::vec(step(), 1..40)) {
            let (mut view, mut naive) = (LineView::default(), Naive::default());
            for step in steps {
                let before = view.clone();
                match step {
                    Step::Join(count) => {
                        naive.highest += count;
                        view.given(naive.highest);
                    }
                    Step::Depart(pick) => {
                        let order = naive.order();
                        if order.is_empty() { continue; }
                        let ordinal = order[(pick % order.len() as u64) as usize];
                        if !naive.recalled.remove(&ordinal) { naive.gone.insert(ordinal); }
                        naive.returned.remove(&ordinal);
                        view.apply(&Change::Departed { ordinals: vec![ordinal] });
                    }
                    Step::Return(pick) => {
                        if naive.highest == 0 { continue; }
                        let ordinal = pick % naive.highest + 1;
                        let was_gone = naive.gone.remove(&ordinal);
                        if ordinal <= naive.cursor {
                            naive.recalled.insert(ordinal);
                            view.apply(&Change::Recalled { ordinals: vec![ordinal] });
                        } else if was_gone {
                            naive.returned.insert(ordinal);
                            view.apply(&Change::Returned { ordinals: vec![ordinal] });
                        }
                    }
                    Step::Admit(count) => {
                        let mut turns = Vec::new();
                        for _ in 0..count {
                            let Some(&ordinal) = naive.order().first() else { break };
                            if !naive.recalled.remove(&ordinal) { naive.cursor = ordinal; }
                            turns.push((ordinal, String::new()));
                        }
                        view.apply(&Change::Moved { cursor: naive.cursor, highest: naive.highest, turns });
                    }
                }
                prop_assert_eq!(view.waiting(), naive.order().len() as u64);
                for ordinal in (1..=naive.highest + 1).step_by(1 + naive.highest as usize / 20) {
                    let place = view.place(ordinal);
                    prop_assert_eq!(place, naive.place(ordinal));
                    if let (Some(before), Some(now)) = (before.place(ordinal), place) {
                        prop_assert!(now.ahead <= before.ahead || now.recalled > before.recalled, "{:?} to {:?}", before, now);
                    }
                }
            }
        }
    }

    #[test]
    fn a_snapshot_reads_the_bitmap_of_redis() {
        // SETBIT 1, SETBIT 9: most significant bit first.
        let view = LineView::new(1, 0, 10).with_departed(&[0b0100_0000, 0b0100_0000]).with_recalled([3]);
        assert_eq!(view.place(1), None);
        assert_eq!(view.place(2), Some(Place { ahead: 1, recalled: 1, behind: 7 }));
        assert_eq!(view.place(10), Some(Place { ahead: 8, recalled: 1, behind: 0 }));
    }

    #[test]
    fn a_ticket_that_has_departed_beyond_the_highest_is_counted_nowhere() {
        // SETBIT 15, where ten tickets were given.
        let view = LineView::new(1, 0, 10).with_departed(&[0, 0b0000_0001]);
        assert_eq!(view.waiting(), 10);
        assert_eq!(view.place(10), Some(Place { ahead: 9, recalled: 0, behind: 0 }));
        assert_eq!(view.place(15), None);
    }
}
