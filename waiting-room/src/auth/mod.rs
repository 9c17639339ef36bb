//! Who a shopper is: tickets in cookies, and accounts that the merchant asserts.

pub(crate) mod account;
pub(crate) mod ticket;
