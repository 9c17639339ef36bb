//! The figures of many shops. Pure.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::outcome::{Recovery, SLOW_S, ShopOutcome};

/// A 99th percentile of fewer recoveries is the slowest one.
const PERCENTILE_OF_MIN: usize = 100;

/// The outcome of many shops.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ChaosTotals {
    faults: BTreeMap<String, u64>,
    recoveries: Vec<Recovery>,
    quiet_s: f64,
    whole_s: f64,
    /// Promises that were broken.
    pub violations: u64,
    /// Services that ended unexpectedly.
    pub ended: u64,
    /// Seeds that could not be carried out.
    pub not_carried_out: u64,
}

/// The value below which `percent` of a hundred lie, by nearest rank.
fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

fn row(name: &str, values: &[f64]) -> String {
    let shown = |percent| percentile(values, percent).map_or("–".to_owned(), |value| format!("{value:.2}"));
    format!("  {name:<52} {:>5} {:>7} {:>7} {:>7}\n", values.len(), shown(50.0), shown(99.0), shown(100.0))
}

impl ChaosTotals {
    /// Adds a shop.
    pub fn add(&mut self, outcome: ShopOutcome) {
        for injected in &outcome.faults {
            *self.faults.entry(injected.fault.kind()).or_default() += 1;
        }
        self.recoveries.extend(outcome.recoveries);
        self.quiet_s += outcome.quiet.quiet_s;
        self.whole_s += outcome.quiet.whole_s;
        self.violations += outcome.violations.len() as u64;
        self.ended += outcome.ended.len() as u64;
    }

    /// Adds another run.
    pub fn merge(&mut self, other: ChaosTotals) {
        for (kind, times) in other.faults {
            *self.faults.entry(kind).or_default() += times;
        }
        self.recoveries.extend(other.recoveries);
        self.quiet_s += other.quiet_s;
        self.whole_s += other.whole_s;
        self.violations += other.violations;
        self.ended += other.ended;
        self.not_carried_out += other.not_carried_out;
    }

    /// Whether every seed was carried out, every promise kept, and recoveries were quick.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.not_carried_out == 0 && self.violations == 0 && !self.recovers_slowly()
    }

    /// Whether recoveries took longer than they are to take. Of few, the slowest would decide.
    fn recovers_slowly(&self) -> bool {
        let seconds = self.seconds(false);
        seconds.len() >= PERCENTILE_OF_MIN && percentile(&seconds, 99.0).is_some_and(|s| s > SLOW_S)
    }

    /// Faults that were injected.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    fn seconds(&self, is_fail_over: bool) -> Vec<f64> {
        let those = self.recoveries.iter().filter(|recovery| recovery.is_fail_over == is_fail_over);
        those.filter_map(|recovery| recovery.flows_after_s).collect()
    }

    /// From the end of a fault until admissions and places flowed again, 99 of 100; fail-overs
    /// apart.
    #[must_use]
    pub fn recovery_p99_s(&self) -> Option<f64> {
        percentile(&self.seconds(false), 99.0)
    }

    /// The same, half of them.
    #[must_use]
    pub fn recovery_p50_s(&self) -> Option<f64> {
        percentile(&self.seconds(false), 50.0)
    }

    /// From the beginning of a fail-over until admissions and places flowed again, 99 of 100.
    #[must_use]
    pub fn fail_over_p99_s(&self) -> Option<f64> {
        percentile(&self.seconds(true), 99.0)
    }
}

impl fmt::Display for ChaosTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} faults injected", self.faults())?;
        for (kind, times) in &self.faults {
            writeln!(f, "  {times:>5}  {kind}")?;
        }
        writeln!(f, "recovery in seconds                                    rounds     p50     p99     max")?;
        f.write_str(&row("all but fail-overs, from the end of the last fault", &self.seconds(false)))?;
        f.write_str(&row("fail-overs, from their beginning", &self.seconds(true)))?;
        let ready: Vec<f64> = self.recoveries.iter().map(|recovery| recovery.ready_after_s).collect();
        f.write_str(&row("until every service is ready", &ready))?;
        let mut alone: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for recovery in self.recoveries.iter().filter(|recovery| recovery.kinds.len() == 1) {
            alone.entry(&recovery.kinds[0]).or_default().extend(recovery.flows_after_s);
        }
        for (kind, seconds) in alone {
            f.write_str(&row(&format!("alone: {kind}"), &seconds))?;
        }
        let (quiet_s, whole_s) = (self.quiet_s, self.whole_s);
        writeln!(f, "promises that take time were checked for {quiet_s:.0} s of {whole_s:.0} s")?;
        writeln!(f, "{} services ended unexpectedly, and were started again", self.ended)?;
        writeln!(f, "{} seeds could not be carried out", self.not_carried_out)?;
        if self.recovers_slowly() {
            writeln!(f, "recoveries took longer than {SLOW_S} s at the 99th percentile")?;
        }
        writeln!(f, "{} violations", self.violations)
    }
}

#[cfg(test)]
mod tests {
    use fairline_rush::Report;

    use super::*;
    use crate::{
        check::{Injected, Quiet},
        fault::Fault,
    };

    /// The outcome of rounds: whether each was a fail-over, and how long its recovery took.
    fn outcome(rounds: &[(bool, Option<f64>)]) -> ShopOutcome {
        let recovery = |&(is_fail_over, flows_after_s): &(bool, Option<f64>)| Recovery {
            kinds: vec!["kill".to_owned()],
            is_fail_over,
            flows_after_s,
            ready_after_s: 1.0,
            limited_by: Vec::new(),
        };
        let kill = Injected { fault: Fault::Kill("checkout-1"), began_us: 0, ended_us: 1, recovered_us: 2 };
        ShopOutcome {
            faults: rounds.iter().map(|_| kill.clone()).collect(),
            recoveries: rounds.iter().map(recovery).collect(),
            violations: Vec::new(),
            quiet: Quiet { quiet_s: 124.4, whole_s: 300.0 },
            ended: Vec::new(),
            report: Report::default(),
        }
    }

    #[test]
    fn fail_overs_are_counted_apart_and_rounds_without_waiting_shoppers_are_not() {
        let mut figures = ChaosTotals::default();
        figures.add(outcome(&[(false, Some(0.5)), (false, Some(2.0)), (false, None), (true, Some(9.0))]));
        assert_eq!((figures.recovery_p50_s(), figures.recovery_p99_s()), (Some(0.5), Some(2.0)));
        assert_eq!(figures.fail_over_p99_s(), Some(9.0));
        assert!(figures.to_string().contains("checked for 124 s of 300 s"), "{figures}");
    }

    #[test]
    fn slow_recoveries_are_reported_if_more_than_one_in_a_hundred_is() {
        let with_slow = |slow: usize, of: usize| {
            let mut figures = ChaosTotals::default();
            figures.add(outcome(&vec![(false, Some(0.5)); of - slow]));
            figures.add(outcome(&vec![(false, Some(3.1)); slow]));
            figures
        };
        assert!(with_slow(2, 200).is_well() && with_slow(2, 99).is_well());
        let slow = with_slow(3, 200);
        assert!(!slow.is_well() && slow.to_string().contains("longer than 3 s"), "{slow}");
    }

    #[test]
    fn runs_add_up_and_percentiles_are_those_of_all_recoveries() {
        let mut figures = ChaosTotals::default();
        figures.add(outcome(&[(false, Some(1.0)), (false, Some(2.0)), (true, Some(9.0))]));
        let mut other = ChaosTotals { violations: 1, not_carried_out: 1, ..ChaosTotals::default() };
        other.add(outcome(&[(false, Some(3.0)), (false, Some(4.0)), (false, Some(5.0))]));
        let kept = serde_json::to_vec(&other).expect("JSON");
        figures.merge(serde_json::from_slice(&kept).expect("the same"));
        assert_eq!((figures.faults(), figures.violations, figures.not_carried_out), (6, 1, 1));
        assert_eq!((figures.recovery_p50_s(), figures.recovery_p99_s()), (Some(3.0), Some(5.0)));
        assert_eq!(figures.fail_over_p99_s(), Some(9.0));
        assert!(!figures.is_well() && figures.to_string().contains("checked for 249 s of 600 s"), "{figures}");
    }
}
