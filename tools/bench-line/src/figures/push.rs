//! The latency from a move of the line until pages receive it. Pure.

use std::collections::HashMap;

use crate::crowd::{Shown, ShownContent};

/// Pages behind the cursor that count as near the front.
const NEAR: u64 = 50;

/// A move of the cursor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CursorMove {
    /// A lower bound of the time of the move.
    pub(super) at_us: u64,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Microseconds from each move until each affected page shows it: those with a new turn, and the
/// next [`NEAR`] whose countdown is wrong by more than one place or one per cent. A page that is
/// never updated counts until `end_us`. Without departures, the place is the distance to the
/// cursor.
pub(super) fn latencies(moves: &[CursorMove], shown: &[(u64, Shown)], end_us: u64) -> Vec<u64> {
    let mut pages: HashMap<u64, Vec<Shown>> = HashMap::new();
    for &(ordinal, shown) in shown {
        pages.entry(ordinal).or_default().push(shown);
    }
    let mut latencies = Vec::new();
    for &CursorMove { at_us, from, to } in moves {
        for ordinal in from + 1..=to + NEAR {
            let Some(page) = pages.get(&ordinal) else { continue };
            let right_at_us = if ordinal <= to {
                page.iter().find(|shown| shown.what == ShownContent::Turn).map(|shown| shown.at_us)
            } else {
                let place = ordinal - to - 1;
                first_shown(page, at_us, place + (place / 100).max(1))
            };
            let latency = right_at_us.unwrap_or(end_us).saturating_sub(at_us);
            if ordinal <= to || latency > 0 {
                latencies.push(latency);
            }
        }
    }
    latencies
}

/// When a page first shows at most this many ahead, from a moment on.
fn first_shown(page: &[Shown], from_us: u64, at_most: u64) -> Option<u64> {
    let next = page.iter().skip(1).map(|shown| Some(shown.at_us)).chain([None]);
    page.iter().zip(next).find_map(|(shown, until_us)| {
        let shown_at_us = match shown.what {
            ShownContent::Turn => shown.at_us,
            ShownContent::Place { ahead, .. } if ahead <= at_most => shown.at_us,
            // It shows the whole part: `at_most` from the moment on when the value is less than one
            // more.
            ShownContent::Place { ahead, rate_per_s } if rate_per_s > 0.0 => {
                shown.at_us + ((ahead - at_most - 1) as f64 / rate_per_s * 1e6) as u64 + 1
            }
            ShownContent::Place { .. } => return None,
        };
        let shown_at_us = shown_at_us.max(from_us);
        until_us.is_none_or(|until_us| shown_at_us < until_us).then_some(shown_at_us)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(at_us: u64, ahead: u64, rate_per_s: f64) -> Shown {
        Shown { at_us, what: ShownContent::Place { ahead, rate_per_s } }
    }

    const fn turn(at_us: u64) -> Shown {
        Shown { at_us, what: ShownContent::Turn }
    }

    const MOVE: CursorMove = CursorMove { at_us: 1_000_000, from: 10, to: 20 };

    #[test]
    fn a_page_receives_its_turn() {
        let shown = [(11, place(0, 0, 0.0)), (11, turn(1_040_000)), (20, place(0, 9, 0.0))];
        assert_eq!(latencies(&[MOVE], &shown, 3_000_000), [40_000, 2_000_000]);
    }

    #[test]
    fn a_page_with_a_right_countdown_is_not_affected() {
        // Ticket 30 was the 19th behind the cursor and is now the 9th; the page has counted down
        // ten per second.
        assert!(latencies(&[MOVE], &[(30, place(0, 19, 10.0))], 3_000_000).is_empty());
        // One place too many is within the tolerance.
        assert!(latencies(&[MOVE], &[(30, place(0, 20, 10.0))], 3_000_000).is_empty());
    }

    #[test]
    fn a_page_with_a_wrong_place_is_affected_until_updated_or_right() {
        // Updated 70 ms later.
        let shown = [(30, place(0, 19, 0.0)), (30, place(1_070_000, 9, 5.0))];
        assert_eq!(latencies(&[MOVE], &shown, 3_000_000), [70_000]);
        // Counts down from 14 to 10 between messages: less than 11 after 300 ms more.
        assert_eq!(latencies(&[MOVE], &[(30, place(0, 24, 10.0))], 3_000_000), [300_001]);
        // Updated with a wrong place first, then with the right one.
        let shown = [(30, place(0, 19, 0.0)), (30, place(1_010_000, 15, 0.0)), (30, place(1_090_000, 10, 0.0))];
        assert_eq!(latencies(&[MOVE], &shown, 3_000_000), [90_000]);
        // Never.
        assert_eq!(latencies(&[MOVE], &[(30, place(0, 19, 0.0))], 3_000_000), [2_000_000]);
    }

    #[test]
    fn only_pages_near_the_front_count() {
        let shown = [(20 + NEAR, place(0, 1_000, 0.0)), (21 + NEAR, place(0, 1_000, 0.0))];
        assert_eq!(latencies(&[MOVE], &shown, 3_000_000).len(), 1);
    }
}
