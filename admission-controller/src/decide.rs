//! The control law: how many tickets to let in now.
//!
//! Pure: a function of what was observed, with no clock and no I/O. *Guarantee* mode: every admission is backed by units
//! that nobody else has, so whoever redeems in time finds them.

use std::fmt;

/// Unused admissions are carried over for this long at most, in seconds: what a late tick may catch up on. Small, so
/// that a line which filled up while nobody could be let in never bursts.
const CARRIED_S: f64 = 0.5;
/// Admissions of one tick at most; keeps a transaction short.
const BATCH_MAX: u32 = 500;

/// What a tick sees of a sale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Whether shoppers are still showing their tickets to a line that was lost and begun anew.
    pub recovering: bool,
    /// Units that nobody has been promised, holds or has paid for.
    pub free: u32,
    /// Units promised to tokens that are out.
    pub promised: u32,
    /// Units in checkout.
    pub held: u32,
    /// Units that one admission promises at most.
    pub units_per_admission: u32,
    /// People who wait.
    pub waiting: u64,
    /// Admissions a second at most.
    pub rate_cap_per_s: f64,
    /// What the last decision left unused of the cap.
    pub credit: f64,
    /// Seconds since the last decision.
    pub elapsed_s: f64,
}

/// How many to let in, and why not more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Tickets to let in at most.
    pub admissions: u32,
    /// What the cap allows, before any of `admissions` is made; see [`Decision::credit_after`].
    pub credit: f64,
    /// Why not more.
    pub reason: Reason,
}

/// Why no more were let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Everybody who waits has been let in.
    NobodyWaiting,
    /// The cap per second.
    RateCap,
    /// Every unit is out as a token, in checkout or sold; some may still come back.
    AllPromised {
        /// Units out as tokens.
        promised: u32,
        /// Units in checkout.
        held: u32,
    },
    /// Every unit is sold.
    SoldOut,
    /// The line was lost; those who were first in it get the time to show it.
    Recovering,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NobodyWaiting => f.write_str("nobody is waiting"),
            Reason::RateCap => f.write_str("capped by the rate per second"),
            Reason::AllPromised { promised, held } => {
                write!(f, "every unit is taken for now: {promised} out as tokens, {held} in checkout")
            }
            Reason::SoldOut => f.write_str("every unit is sold"),
            Reason::Recovering => f.write_str("the line was lost, and its shoppers are showing their tickets again"),
        }
    }
}

/// Decides how many tickets to let in.
#[must_use]
pub fn decide(seen: &Observation) -> Decision {
    let credit_max = (seen.rate_cap_per_s * CARRIED_S).max(1.0);
    let credit = (seen.credit + seen.rate_cap_per_s * seen.elapsed_s.max(0.0)).clamp(0.0, credit_max);

    let by_stock = seen.free.div_ceil(seen.units_per_admission.max(1));
    // A float that is not negative; beyond u32 it saturates.
    let by_rate = credit as u32;
    let by_line = u32::try_from(seen.waiting).unwrap_or(u32::MAX);
    let admissions = if seen.recovering { 0 } else { by_stock.min(by_rate).min(by_line).min(BATCH_MAX) };

    let reason = if seen.recovering {
        Reason::Recovering
    } else if seen.free == 0 && seen.promised == 0 && seen.held == 0 {
        Reason::SoldOut
    } else if admissions == by_line {
        Reason::NobodyWaiting
    } else if admissions == by_stock {
        Reason::AllPromised { promised: seen.promised + seen.free, held: seen.held }
    } else {
        Reason::RateCap
    };
    Decision { admissions, credit, reason }
}

impl Decision {
    /// What to carry over, once `admitted` have really been let in.
    #[must_use]
    pub fn credit_after(&self, admitted: u32) -> f64 {
        (self.credit - f64::from(admitted)).max(0.0)
    }
}

/// Units that each of `admitted` admissions is promised: the limit, until the free units run out.
pub fn quantities(free: u32, units_per_admission: u32) -> impl Iterator<Item = u32> {
    let mut left = free;
    std::iter::from_fn(move || {
        let quantity = left.min(units_per_admission.max(1));
        left -= quantity;
        (quantity > 0).then_some(quantity)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen() -> Observation {
        Observation {
            recovering: false,
            free: 100,
            promised: 0,
            held: 0,
            units_per_admission: 1,
            waiting: 1000,
            rate_cap_per_s: 10.0,
            credit: 0.0,
            elapsed_s: 0.2,
        }
    }

    #[test]
    fn each_bound_is_obeyed_and_named() {
        let decided = |seen: Observation| (decide(&seen).admissions, decide(&seen).reason);
        assert_eq!(decided(seen()), (2, Reason::RateCap));
        assert_eq!(decided(Observation { waiting: 1, ..seen() }), (1, Reason::NobodyWaiting));
        assert_eq!(decided(Observation { waiting: 0, ..seen() }), (0, Reason::NobodyWaiting));
        let none = Observation { free: 0, promised: 3, held: 4, ..seen() };
        assert_eq!(decided(none), (0, Reason::AllPromised { promised: 3, held: 4 }));
        assert_eq!(decided(Observation { promised: 0, held: 0, ..none }), (0, Reason::SoldOut));
        assert_eq!(decided(Observation { recovering: true, ..seen() }), (0, Reason::Recovering));
        let wide = Observation { free: 10_000, rate_cap_per_s: 1e9, ..seen() };
        assert_eq!(decided(wide), (BATCH_MAX, Reason::RateCap));
    }

    #[test]
    fn a_long_silence_is_no_reason_for_a_burst() {
        let late = Observation { elapsed_s: 3600.0, credit: 1e9, ..seen() };
        assert_eq!(decide(&late).admissions, 5);
    }

    #[test]
    fn a_slow_cap_still_moves() {
        // One admission every ten seconds.
        let mut credit = 0.0;
        let mut admitted = 0;
        for _ in 0..1000 {
            let decision = decide(&Observation { rate_cap_per_s: 0.1, credit, ..seen() });
            credit = decision.credit_after(decision.admissions);
            admitted += decision.admissions;
        }
        assert!((19..=20).contains(&admitted), "{admitted} in 200 s");
    }

    proptest! {
        #[test]
        fn never_more_than_the_stock_the_cap_or_the_line_allows(
            free in 0u32..100_000, per in 1u32..10, waiting in 0u64..1_000_000, rate in 0.01f64..10_000.0,
            credit in 0f64..10_000.0, elapsed in -1f64..100.0,
        ) {
            let seen = Observation { free, units_per_admission: per, waiting, rate_cap_per_s: rate, credit, elapsed_s: elapsed, ..seen() };
            let decision = decide(&seen);
            let n = decision.admissions;
            prop_assert!(u64::from(n) <= waiting);
            prop_assert!(f64::from(n) <= (rate * CARRIED_S).max(1.0));
            let quantities: Vec<u32> = quantities(free, per).take(n as usize).collect();
            prop_assert_eq!(quantities.len(), n as usize, "every admission is backed");
            prop_assert!(quantities.iter().all(|&quantity| (1..=per).contains(&quantity)));
            prop_assert!(quantities.iter().sum::<u32>() <= free);
            prop_assert!(decision.credit_after(n) >= 0.0);
        }

        #[test]
        fn over_a_minute_the_cap_holds(rate in 0.5f64..500.0, ticks in prop::collection::vec(0.01f64..1.0, 1..300)) {
            let (mut credit, mut admitted, mut time) = (0.0, 0u32, 0.0);
            for elapsed_s in ticks {
                let decision = decide(&Observation {
                    free: 1_000_000, waiting: 1_000_000, rate_cap_per_s: rate, credit, elapsed_s, ..seen()
                });
                admitted += decision.admissions;
                credit = decision.credit_after(decision.admissions);
                time += elapsed_s;
            }
            prop_assert!(f64::from(admitted) <= rate * time + 1e-6);
        }
    }
}
