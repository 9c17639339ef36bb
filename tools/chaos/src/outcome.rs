//! The outcome of one plan.

use std::fmt;

use fairline_rush::Report;
use serde::{Deserialize, Serialize};

use crate::check::{Exit, Injected, Quiet, Violation};

/// How long a shop took to recover from one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// The kinds of the faults of the round.
    pub kinds: Vec<String>,
    /// Whether servers had to agree on a new primary.
    pub is_fail_over: bool,
    /// From the end of the last fault (for fail-overs, from their beginning) until a ticket was
    /// admitted again and a shopper received a message; none, if no shopper waited.
    pub flows_after_s: Option<f64>,
    /// Until every service reported that it is ready.
    pub ready_after_s: f64,
    /// What limited admissions meanwhile, in the controllers' words, where it took longer than a
    /// second.
    pub limited_by: Vec<String>,
}

/// A recovery is to take no longer: 99 % of them, fail-overs excluded.
pub(crate) const SLOW_S: f64 = 3.0;

impl Recovery {
    /// Whether it took longer than it is to take.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        !self.is_fail_over && self.flows_after_s.is_some_and(|s| s > SLOW_S)
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flows = self.flows_after_s.map_or("no shopper waited".to_owned(), |s| format!("flowed after {s:.2} s"));
        let (ready, kinds) = (self.ready_after_s, self.kinds.join(" + "));
        write!(f, "{flows}, ready after {ready:.2} s: {kinds}; {}", self.limited_by.join(" | "))
    }
}

/// The outcome of one plan.
#[derive(Debug)]
pub struct ShopOutcome {
    /// The faults that were injected.
    pub faults: Vec<Injected>,
    /// How the shop recovered.
    pub recoveries: Vec<Recovery>,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// How much of the sale was without a fault.
    pub quiet: Quiet,
    /// Services that ended unexpectedly, and were started again.
    pub ended: Vec<Exit>,
    /// What the crowd saw.
    pub report: Report,
}
