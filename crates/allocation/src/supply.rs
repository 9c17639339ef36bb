//! A round of allocation.

use std::{cmp::Reverse, collections::BTreeMap, num::NonZeroU32};

use crate::{
    line::{Line, Number},
    wishes::{ItemId, Wishes},
};

/// The units of an item that can be promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Units that may be promised now.
    pub free: u32,
    /// Maximum number of units per shopper.
    pub per_shopper: NonZeroU32,
}

/// Units of an item for the holder of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// The ticket.
    pub number: Number,
    /// The item.
    pub item: ItemId,
    /// How many units.
    pub units: u32,
}

/// The units that can be promised in a round. During a round no units come free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supply(BTreeMap<ItemId, Offer>);

impl FromIterator<(ItemId, Offer)> for Supply {
    fn from_iter<I: IntoIterator<Item = (ItemId, Offer)>>(offers: I) -> Self {
        Self(offers.into_iter().collect())
    }
}

impl Supply {
    /// The free units of an item.
    #[must_use]
    pub fn free(&self, item: ItemId) -> u32 {
        self.0.get(&item).map_or(0, |offer| offer.free)
    }

    /// Serves the next ticket of a line: the first that wants an item with a free unit. The ticket
    /// leaves the line. The caller decides how many are served, and of several lines, which is
    /// next.
    pub fn serve(&mut self, line: &mut Line) -> Option<Promise> {
        let available = self.0.iter().filter(|(_, offer)| offer.free > 0);
        // Tickets that this round has passed over want none of these: no unit comes free in it.
        let number = available.filter_map(|(&item, _)| line.first_wanting(item)).min()?;
        let request = line.request(number)?;
        let item = self.choose(line, request.wishes)?;
        let offer = self.0.get_mut(&item)?;
        let units = request.units.min(offer.per_shopper).get().min(offer.free);
        offer.free -= units;
        line.leave(number);
        Some(Promise { number, item, units })
    }

    /// The most wanted item that has a free unit. To a ticket that wants any, the one with the most
    /// free units, which others miss least; of equal ones the first.
    fn choose(&self, line: &Line, wishes: Wishes) -> Option<ItemId> {
        let is_available = |item: &ItemId| line.leads_to(*item) && self.free(*item) > 0;
        if wishes.is_any() {
            let items = self.0.keys().copied().filter(is_available);
            items.max_by_key(|&item| (self.free(item), Reverse(item)))
        } else {
            wishes.items().find(is_available)
        }
    }
}
