//! Expiry of holds.

pub(crate) mod store;
