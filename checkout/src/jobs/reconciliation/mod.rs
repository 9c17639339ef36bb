//! Whether the counters of a stock agree with its orders.

pub(crate) mod store;
