//! The control law of admissions: how many tickets to admit now, and why not more.
//!
//! Pure: no clock, no I/O and no randomness. [`decide()`] is a function of an [`Observation`],
//! which includes the state from the last decision. Any controller can therefore make the next
//! decision of any sale, and a simulator can run the same law in virtual time. `docs/admission.md`
//! describes the law, its justification and its weaknesses.
//!
//! ```
//! use fairline_admission::{
//!     AdmissionMode, Health, Lane, Memory, Observation, Prior, StockCounters, Terms, Visits,
//!     decide,
//! };
//!
//! let terms = Terms {
//!     mode: AdmissionMode::Guarantee,
//!     units_per_admission: 1,
//!     rate_cap_per_s: 10.0,
//!     in_checkout_max: None,
//!     claim_window_s: 15.0,
//!     token_ttl_s: 120.0,
//!     hold_s: 300.0,
//! };
//! let decision = decide(&Observation {
//!     terms: &terms,
//!     stock: StockCounters { total: 100, ..StockCounters::default() },
//!     lanes: &[Lane { waiting: 1_000, share: 1.0 }],
//!     visits: &Visits::default(),
//!     checkout: Health::default(),
//!     recovering: false,
//!     at_once: 0,
//!     elapsed_s: 0.5,
//!     prior: &Prior::cautious(),
//!     memory: &Memory::default(),
//! });
//! assert_eq!(decision.admissions(), 5);
//! assert_eq!(decision.reason.to_string(), "the rate cap of 10 per second");
//! ```

mod decide;
mod lanes;
mod learner;
mod pace;
mod tail_probability;
mod visits;

pub use decide::{
    AdmissionMode, BATCH_MAX, Decision, Expected, Memory, Observation, Reason, StockCounters, Terms, decide, quantities,
};
pub use lanes::{LANES_MAX, Lane, Turns};
pub use learner::{LearnedVisits, Prior};
pub use pace::{Health, LATE_MAX_S, Pace, Trouble};
pub use visits::{BIN_STARTS_S, BINS, ByAge, QUANTITIES, STAGES, Stage, Visits, bin_of};
