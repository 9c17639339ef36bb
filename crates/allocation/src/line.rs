//! The waiting tickets of a line, indexed by what they want.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use crate::wishes::{ItemId, Wishes};

/// The number of a ticket: its place in the order of service, which never changes.
pub type Number = u64;

/// The request of a ticket's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The items.
    pub wishes: Wishes,
    /// Maximum number of units within the limits of the sale.
    pub units: NonZeroU32,
}

/// The waiting tickets of a line. Those that were passed over and those that were recalled wait
/// among the others, by their numbers.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// The items that the line leads to; `None`: all of the sale.
    items: Option<BTreeSet<ItemId>>,
    requests: BTreeMap<Number, Request>,
    /// The tickets that want an item; under `None`, those that want any.
    wanting: BTreeMap<Option<ItemId>, BTreeSet<Number>>,
}

impl Line {
    /// An empty line that leads to these items only, as a lane may.
    #[must_use]
    pub fn to(items: BTreeSet<ItemId>) -> Self {
        Self { items: Some(items), ..Self::default() }
    }

    /// Whether the line leads to an item.
    #[must_use]
    pub fn leads_to(&self, item: ItemId) -> bool {
        self.items.as_ref().is_none_or(|items| items.contains(&item))
    }

    /// Adds a waiting ticket, or changes the request of one.
    pub fn wait(&mut self, number: Number, request: Request) {
        self.leave(number);
        for wanted in wanted(request.wishes) {
            self.wanting.entry(wanted).or_default().insert(number);
        }
        self.requests.insert(number, request);
    }

    /// Removes a ticket. Returns its request, if it waited.
    pub fn leave(&mut self, number: Number) -> Option<Request> {
        let request = self.requests.remove(&number)?;
        for wanted in wanted(request.wishes) {
            if let Some(numbers) = self.wanting.get_mut(&wanted) {
                numbers.remove(&number);
            }
        }
        Some(request)
    }

    /// The request of a waiting ticket.
    #[must_use]
    pub fn request(&self, number: Number) -> Option<Request> {
        self.requests.get(&number).copied()
    }

    /// The first waiting ticket that wants an item and may have it.
    #[must_use]
    pub fn first_wanting(&self, item: ItemId) -> Option<Number> {
        if !self.leads_to(item) {
            return None;
        }
        let first = |wanted| self.wanting.get(&wanted)?.first().copied();
        [None, Some(item)].into_iter().filter_map(first).min()
    }
}

/// The entries of the index that have a ticket with these wishes.
fn wanted(wishes: Wishes) -> impl Iterator<Item = Option<ItemId>> {
    wishes.is_any().then_some(None).into_iter().chain(wishes.items().map(Some))
}
