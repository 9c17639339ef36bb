//! Transports other than WebSockets: event streams, polls, and pages without JavaScript.
//!
//! Each is a task that reads its room in `line`, and sends what the update policy decides. Calls
//! nothing else.

pub(crate) mod session;
