//! Items, and the wishes of shoppers.

use std::{fmt, num::NonZeroU8};

/// Maximum number of items of a sale.
pub const ITEMS_MAX: u8 = 200;
/// Maximum number of items in a list of wishes.
pub const WISHES_MAX: usize = 8;

/// An item of a sale, such as a size, a seat category or a bundle: its number in the sale, from 1
/// to [`ITEMS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(NonZeroU8);

impl ItemId {
    /// The item with this number; `None` if there can be none.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        NonZeroU8::new(number).filter(|number| number.get() <= ITEMS_MAX).map(Self)
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The items that a shopper would accept now: any item, or one of a list, the most wanted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Wishes([Option<ItemId>; WISHES_MAX]);

/// Why a list of items is not a list of wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWishes {
    /// It has more than [`WISHES_MAX`] items.
    #[error("a list of wishes has at most {} items", WISHES_MAX)]
    TooMany,
    /// It names an item twice.
    #[error("item {0} is listed twice")]
    Repeated(ItemId),
}

impl Wishes {
    /// Any item: the wishes of a shopper who states none.
    pub const ANY: Self = Self([None; WISHES_MAX]);

    /// The wishes for these items, the most wanted first; without items, for any.
    ///
    /// # Errors
    /// When there are too many items, or one is repeated.
    pub fn of(items: &[ItemId]) -> Result<Self, InvalidWishes> {
        let mut wishes = Self::ANY;
        for (at, &item) in items.iter().enumerate() {
            if items[..at].contains(&item) {
                return Err(InvalidWishes::Repeated(item));
            }
            *wishes.0.get_mut(at).ok_or(InvalidWishes::TooMany)? = Some(item);
        }
        Ok(wishes)
    }

    /// Whether any item will do.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.0[0].is_none()
    }

    /// The listed items, the most wanted first; none if any will do.
    pub fn items(self) -> impl Iterator<Item = ItemId> {
        self.0.into_iter().flatten()
    }

    /// Whether an item is wanted.
    #[must_use]
    pub fn want(self, item: ItemId) -> bool {
        self.is_any() || self.items().any(|wanted| wanted == item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: u8) -> ItemId {
        ItemId::new(number).expect("an item")
    }

    #[test]
    fn wishes_keep_their_order_and_take_eight_bytes() {
        let wishes = Wishes::of(&[item(200), item(3)]).expect("two wishes");
        assert_eq!(wishes.items().collect::<Vec<_>>(), [item(200), item(3)]);
        assert!(wishes.want(item(3)) && !wishes.want(item(4)) && !wishes.is_any());
        assert!(Wishes::ANY.is_any() && Wishes::ANY.want(item(4)));
        assert_eq!(Wishes::of(&[]), Ok(Wishes::ANY));
        assert_eq!(size_of::<Wishes>(), 8);
    }

    #[test]
    fn invalid_wishes_and_items_are_rejected() {
        let all: Vec<ItemId> = (1..=9).map(item).collect();
        assert!(Wishes::of(&all[..WISHES_MAX]).is_ok());
        assert_eq!(Wishes::of(&all), Err(InvalidWishes::TooMany));
        assert_eq!(Wishes::of(&[item(1), item(2), item(1)]), Err(InvalidWishes::Repeated(item(1))));
        assert_eq!([0, 201].map(ItemId::new), [None, None]);
    }
}
