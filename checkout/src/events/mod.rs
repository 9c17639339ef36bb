//! Events of sales: the transactional outbox, its relay to the streams, and the consumers.

pub(crate) mod consumer;
pub(crate) mod relay;
pub(crate) mod store;
