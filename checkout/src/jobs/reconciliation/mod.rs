//! Stock reconciliation: comparing counters with rows.

pub(crate) mod store;
