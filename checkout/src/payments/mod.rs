//! Payments: from the request to pay to an order or a refund, and the events of the payment
//! gateway.

pub(crate) mod error;
pub(crate) mod gateway_events;
pub(crate) mod refunds;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod settlement;
pub(crate) mod store;
