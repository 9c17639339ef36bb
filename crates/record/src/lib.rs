//! The public record of a sale: who joined, was present and was admitted, in a hash chain that
//! anyone can replay.
//!
//! - `entry`: the entries of a record.
//! - `draw`: the shuffle of a sale that begins with a draw.
//! - `verify`: replays a record and checks that its order was honest. `docs/verify.md` describes
//!   what that proves, and what it does not.
//!
//! Pure: no clock, no I/O and no randomness. The controller writes records with it; `fairline
//! verify` reads them.

pub mod draw;
pub mod entry;
mod hash;
mod ranges;
pub mod verify;

pub use hash::{Hash, InvalidHash};
pub use ranges::Ranges;

/// The number of a ticket in its line: 1, 2, 3 …; never reused or changed.
pub type Ordinal = u64;
