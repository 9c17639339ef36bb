//! WebSockets of waiting shoppers.
//!
//! - `handshake` takes a connection from hyper; `event_loop` then owns all of them in one thread.
//! - `idle_connection` is one of them, in a slot of the `slab`; `frame` reads and writes RFC 6455.
//!
//! Reads the rooms of `line`. Tasks send the requests of pages to Redis, so that the thread never
//! waits for it.

pub(crate) mod event_loop;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod idle_connection;
pub(crate) mod slab;
