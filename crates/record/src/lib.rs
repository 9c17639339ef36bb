//! The public record of a sale: who joined, who was there, who was let in, in a chain of hashes that anybody can replay.
//!
//! [`entry`] is what a record consists of, [`draw`] is the shuffle of a sale that begins with one, and [`verify`] replays a
//! record and says whether its order was honest. `docs/verify.md` says what that proves, and what it does not.
//!
//! Pure: it knows no clock, no I/O and no randomness. The controller writes with it what `fairline verify` reads.

pub mod draw;
pub mod entry;
mod hash;
mod ranges;
pub mod verify;

pub use hash::{Hash, NotAHash};
pub use ranges::Ranges;

/// The number of a ticket in its line: 1, 2, 3 …; never reused, never changed.
pub type Ordinal = u64;
