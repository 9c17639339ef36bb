//! What happened in a sale: the transactional outbox, its relay to the streams, and the consumers of the streams.

pub(crate) mod consumer;
pub(crate) mod relay;
pub(crate) mod store;
