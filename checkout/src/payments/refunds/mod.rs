//! Refunds, cancellations and disputes.

pub(crate) mod store;
