//! Transports other than WebSockets: event streams, polls, and pages without JavaScript.

pub(crate) mod session;
pub(crate) mod wait_metrics;
