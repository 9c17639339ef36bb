//! Authentication of shoppers through accounts that the shop asserts.

pub(crate) mod account;
