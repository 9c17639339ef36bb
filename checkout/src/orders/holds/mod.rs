//! Holds: units reserved for one shopper.

pub(crate) mod store;
