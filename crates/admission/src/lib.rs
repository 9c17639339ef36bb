//! The control law of admissions: how many tickets to admit now, and why not more.
//!
//! Pure: no clock, no I/O and no randomness. [`decide`] is a function of an [`Observation`], which
//! includes the state from the last decision. Any controller can therefore make the next decision
//! of any sale, and a simulator can run the same law in virtual time. `docs/admission.md` describes
//! the law, its justification and its weaknesses.

mod decide;
mod lanes;
mod learner;
mod pace;
mod tail;
mod visits;

pub use decide::{BATCH_MAX, Decision, Expected, Memory, Mode, Observation, Reason, Stock, Terms, decide, quantities};
pub use lanes::{LANES_MAX, Lane, Turns};
pub use learner::{Learned, Prior};
pub use pace::{Health, LATE_MAX_S, Pace, Trouble};
pub use visits::{BIN_STARTS_S, BINS, ByAge, QUANTITIES, STAGES, Stage, Visits, bin_of};
