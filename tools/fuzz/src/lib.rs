//! Fuzzing of every parser that faces the network, on stable Rust.
//!
//! A *target* is a function that panics where a parser panics or breaks its promise. Its *corpus*
//! is a folder of inputs, `corpus/TARGET/`. Inputs are mutated from the corpus by proptest
//! strategies, so an input that fails is shrunk by proptest. This crate owns the mutations, the
//! runs and the targets of the shared crates; each service lists its own in `testing.rs`.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use fairline_fuzz::{Corpus, run};
//!
//! fn never_empty(bytes: &[u8]) {
//!     assert!(!bytes.is_empty());
//! }
//! let corpus = Corpus::new(vec![b"an input".to_vec()]);
//! let outcome = run(("never-empty", never_empty), &corpus, 7, Duration::from_secs(1));
//! assert_eq!(outcome.crash.expect("a crash").input, b"");
//! ```

mod corpus;
mod input;
mod run;
mod shared;

pub use corpus::Corpus;
pub use run::{Crash, FuzzOutcome, run};

/// A function that is called with any bytes, and its name.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets: of the shared crates, then of each service.
#[must_use]
pub fn targets() -> Vec<FuzzTarget> {
    [
        shared::TARGETS,
        waiting_room::testing::TARGETS,
        checkout::testing::TARGETS,
        admission_controller::testing::TARGETS,
    ]
    .concat()
}
