//! Fuzzing of every parser that faces the network, on stable Rust.
//!
//! A *target* is a function that panics where a parser panics or breaks its promise. Its *corpus*
//! is a folder of inputs, `corpus/TARGET/`. Inputs are mutated from the corpus by proptest
//! strategies, so an input that fails is shrunk by proptest. This crate owns the mutations, the
//! runs and the targets of the shared crates; each service lists its own in `testing.rs`.

mod corpus;
mod input;
mod run;
mod shared;

pub use corpus::Corpus;
pub use run::{Crash, Outcome, run};

/// A function that is called with any bytes, and its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets: of the shared crates, then of each service.
#[must_use]
pub fn targets() -> Vec<Target> {
    [
        shared::TARGETS,
        waiting_room::testing::TARGETS,
        checkout::testing::TARGETS,
        admission_controller::testing::TARGETS,
    ]
    .concat()
}
