//! The lines that this node follows, and the shoppers who are connected to it.
//!
//! - `rooms` follows the changes of every line, one `room` per sale; `room_sync` keeps a room up to
//!   date. `room_calls` keeps rooms from waiting for each other.
//! - `shoppers` holds the connected tickets; `grace` is how long a disconnected one keeps its
//!   place.
//! - `joins`, `resumes` and `absences` call Redis in `batches`.
//! - `wake_up` notifies the WebSocket event loop of changes in a room. `wait_metrics` measure the
//!   waits that pages showed.
//!
//! Calls Redis through `fairline-line`. Does not depend on HTTP, sockets or streams.

pub(crate) mod absences;
pub(crate) mod batches;
pub(crate) mod grace;
pub(crate) mod joins;
pub(crate) mod resumes;
pub(crate) mod room;
pub(crate) mod room_calls;
pub(crate) mod room_sync;
pub(crate) mod rooms;
pub(crate) mod shoppers;
pub(crate) mod wait_metrics;
pub(crate) mod wake_up;
