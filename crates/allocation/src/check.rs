//! Checks rounds after the fact, without knowing how many units were free.
//!
//! A round shows what was free: an item that it promises had a free unit at all earlier promises of
//! the round, too.

use std::collections::BTreeMap;

use crate::{
    line::{Line, Number},
    supply::Promise,
};

/// A ticket that a promise has wronged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ticket {} was promised item {}, but {wrong}", .by.number, .by.item)]
pub struct UnfairPromise {
    /// The promise.
    pub by: Promise,
    /// Which ticket it wronged, and how.
    pub wrong: Unfairness,
}

/// How a ticket was wronged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfairness {
    /// This earlier ticket wanted the item, and was still waiting.
    #[error("ticket {0} was ahead, wanted it and was still waiting")]
    PassedOver(Number),
    /// The round had promised this ticket a less wanted item, although the item was free.
    #[error("ticket {0}, which wanted it more, had just been promised another item")]
    WorseItem(Number),
    /// The ticket itself does not want the item.
    #[error("does not want it")]
    Unwanted,
}

impl UnfairPromise {
    /// The ticket.
    #[must_use]
    pub fn ticket(&self) -> Number {
        match self.wrong {
            Unfairness::PassedOver(ticket) | Unfairness::WorseItem(ticket) => ticket,
            Unfairness::Unwanted => self.by.number,
        }
    }
}

/// Takes the promises of a round to the tickets of a line, in order. The promised tickets leave the
/// line. The caller must check that they waited.
///
/// # Errors
/// At the first promise that wronged a ticket, with the first ticket that it wronged.
pub fn check(line: &mut Line, round: &[Promise]) -> Result<(), UnfairPromise> {
    // For each item, the first ticket of the round that wanted it more than the one it got.
    let mut missed = BTreeMap::new();
    for &by in round {
        let Promise { number, item, .. } = by;
        let passed_over = line.first_wanting(item).filter(|&first| first < number).map(Unfairness::PassedOver);
        let worse = missed.get(&item).copied().map(Unfairness::WorseItem);
        let request = line.leave(number);
        let unwanted = request.filter(|request| !request.wishes.want(item) || !line.leads_to(item));
        let wrongs = [passed_over, worse, unwanted.map(|_| Unfairness::Unwanted)].into_iter().flatten();
        if let Some(wronged) = wrongs.map(|wrong| UnfairPromise { by, wrong }).min_by_key(UnfairPromise::ticket) {
            return Err(wronged);
        }
        let wanted = request.iter().flat_map(|request| request.wishes.items());
        for preferred in wanted.take_while(|&wanted| wanted != item).filter(|&wanted| line.leads_to(wanted)) {
            let first = missed.entry(preferred).or_insert(number);
            *first = number.min(*first);
        }
    }
    Ok(())
}
