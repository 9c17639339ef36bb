//! Units that are held for a shopper.

pub(crate) mod store;
