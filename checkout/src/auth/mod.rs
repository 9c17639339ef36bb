//! Who calls: tickets, accounts and the merchant, and the keys that admission tokens are verified with.

pub(crate) mod caller;
pub(crate) mod keys;
