//! The lines that this node follows, and the shoppers who are connected here.
//!
//! - `rooms` follows the changes of every line, one `room` per sale; `upkeep` keeps a room true.
//! - `shoppers` are the tickets that are connected; `grace` is how long an absent one keeps its place.
//! - `joins`, `resumes` and `absences` call Redis in `batches`.
//! - `wake_up` tells the WebSocket event loop that a room has changed.
//!
//! Calls Redis through `fairline-line`; knows nothing of HTTP, sockets or streams.

pub(crate) mod absences;
pub(crate) mod batches;
pub(crate) mod grace;
pub(crate) mod joins;
pub(crate) mod resumes;
pub(crate) mod room;
pub(crate) mod rooms;
pub(crate) mod shoppers;
pub(crate) mod upkeep;
pub(crate) mod wake_up;
