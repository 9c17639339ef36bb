//! Payments: from the request to pay to an order or a refund, and the port to the payment gateway.

pub(crate) mod gateway;
pub(crate) mod refunds;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod settlement;
pub(crate) mod store;
