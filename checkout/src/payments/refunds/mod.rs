//! Refunds, and the requests of operators and the merchant for refunds and cancellations.

pub(crate) mod service;
pub(crate) mod store;
