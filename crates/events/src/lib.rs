//! What happens in a sale, for whoever wants to hear of it.
//!
//! A service writes an event into the outbox of its database, in the transaction of its cause; [`event`] is what it says,
//! [`stream`] where it goes from there. Events of a sale are numbered 1, 2, 3 … without a gap, in the order of their commits.

pub mod event;
#[cfg(feature = "schema")]
pub mod schema;
pub mod stream;

pub use event::{Event, Kind};
pub use stream::EventStream;
