//! Shopper identity: tickets in cookies, and accounts that the merchant asserts.
//!
//! Verifies signatures only: it calls no store, and a ticket needs no look-up.

pub(crate) mod account;
pub(crate) mod ticket;
