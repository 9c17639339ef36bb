//! Who a shopper is, by the word of the shop.

pub(crate) mod account;
