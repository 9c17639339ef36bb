//! Events of a sale, for all consumers.
//!
//! A service writes an event to its database's outbox in the transaction of its cause. [`event`]
//! defines the event, [`stream`] delivers it. Events of a sale are numbered 1, 2, 3 … without a
//! gap, in commit order.

pub mod event;
#[cfg(feature = "schema")]
pub mod schema;
pub mod stream;

pub use event::{Event, EventKind};
pub use stream::EventStream;
