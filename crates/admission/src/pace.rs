//! How fast: the cap per second, and the back-off while checkout suffers.

use serde::{Deserialize, Serialize};

/// A tick that comes late catches up on this much at most, in seconds. What lies further back is lost, and so is whatever
/// a tick did not use but for a part of one admission: so neither an empty line nor a stall saves up a burst.
const LATE_MAX_S: f64 = 0.5;
/// Checkout is failing when so many of its requests do, out of so many at least; of fewer, no latency is typical either.
const FAILING_SHARE: f64 = 0.05;
const REQUESTS_MIN: u32 = 10;
/// The rate is cut to this share, at most once in so many seconds: what was just let in has to show its effect first.
const CUT_TO: f64 = 0.5;
const CUT_EVERY_S: f64 = 2.0;
/// While checkout is well the rate grows by this share, each second, of what it was when the trouble began.
const GROW_PER_S: f64 = 0.05;
/// Never slower than this, an admission a second: something has to find out whether checkout is well again.
const SLOWEST_PER_S: f64 = 0.2;
/// The rate of recent admissions is a mean over about so many seconds.
const RECENT_S: f64 = 5.0;

/// How checkout has been since the last decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it can be reached at all.
    pub reachable: bool,
    /// Requests that it answered, or failed to.
    pub requests: u32,
    /// Requests that failed for a reason of its own (a status of 500 and above, or no answer in time).
    pub failures: u32,
    /// The latency that 95 of 100 requests stay below, in milliseconds; 0 without requests.
    pub latency_p95_ms: f64,
    /// The highest such latency that counts as well, in milliseconds.
    pub latency_max_ms: f64,
}

impl Default for Health {
    /// Well, and without a word.
    fn default() -> Self {
        Self { reachable: true, requests: 0, failures: 0, latency_p95_ms: 0.0, latency_max_ms: f64::INFINITY }
    }
}

/// What checkout suffers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It does not answer.
    Unreachable,
    /// Too many of its requests fail.
    Failing,
    /// Its answers take too long.
    Slow,
}

impl Health {
    /// What checkout suffers from, if from anything.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        if !self.reachable {
            Some(Trouble::Unreachable)
        } else if self.requests >= REQUESTS_MIN && f64::from(self.failures) > f64::from(self.requests) * FAILING_SHARE {
            Some(Trouble::Failing)
        } else if self.requests >= REQUESTS_MIN && self.latency_p95_ms > self.latency_max_ms {
            Some(Trouble::Slow)
        } else {
            None
        }
    }
}

/// A rate below the cap, since checkout suffers or has suffered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackOff {
    /// Admissions a second, now.
    rate_per_s: f64,
    /// Admissions a second when the trouble began.
    began_at_per_s: f64,
    /// Seconds since the last cut.
    since_cut_s: f64,
    /// What the trouble is, or was.
    trouble: Trouble,
}

/// What the pace remembers between ticks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// The part of one admission that the last tick could not use.
    credit: f64,
    /// Admissions a second, of late.
    recent_per_s: f64,
    back_off: Option<BackOff>,
}

/// What the pace allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) admissions: u32,
    /// Set while the back-off, and not the cap, is what limits.
    pub(crate) trouble: Option<(Trouble, f64)>,
    earned: f64,
    elapsed_s: f64,
}

impl Pace {
    /// Admissions that `rate_cap_per_s` and checkout's health allow, `elapsed_s` after the last decision. Nobody is let in
    /// while checkout can't be reached.
    pub(crate) fn allow(&mut self, rate_cap_per_s: f64, health: &Health, elapsed_s: f64) -> Allowed {
        let elapsed_s = elapsed_s.max(0.0);
        self.follow(rate_cap_per_s, health, elapsed_s);
        let rate_per_s = self.back_off.map_or(rate_cap_per_s, |back_off| back_off.rate_per_s.min(rate_cap_per_s));
        let earned = self.credit + rate_per_s * elapsed_s.min(LATE_MAX_S);
        let unreachable = health.trouble() == Some(Trouble::Unreachable);
        Allowed {
            // A float that is not negative; beyond u32 it saturates.
            admissions: if unreachable { 0 } else { (earned + 1e-9) as u32 },
            trouble: self.back_off.map(|back_off| (back_off.trouble, rate_per_s)),
            earned,
            elapsed_s,
        }
    }

    /// Notes how many were let in of what was allowed.
    pub(crate) fn note(&mut self, allowed: &Allowed, admitted: u32) {
        let left = (allowed.earned - f64::from(admitted)).max(0.0);
        self.credit = if left < 1.0 { left } else { 0.0 };
        if allowed.elapsed_s > 0.0 {
            let weight = 1.0 - (-allowed.elapsed_s / RECENT_S).exp();
            self.recent_per_s += (f64::from(admitted) / allowed.elapsed_s - self.recent_per_s) * weight;
        }
    }

    /// Additive increase, multiplicative decrease.
    fn follow(&mut self, rate_cap_per_s: f64, health: &Health, elapsed_s: f64) {
        match (health.trouble(), &mut self.back_off) {
            (Some(trouble), None) => {
                let began_at_per_s = self.recent_per_s.clamp(SLOWEST_PER_S, rate_cap_per_s.max(SLOWEST_PER_S));
                let rate_per_s = (began_at_per_s * CUT_TO).max(SLOWEST_PER_S);
                self.back_off = Some(BackOff { rate_per_s, began_at_per_s, since_cut_s: 0.0, trouble });
            }
            (Some(trouble), Some(back_off)) => {
                back_off.trouble = trouble;
                back_off.since_cut_s += elapsed_s;
                if back_off.since_cut_s >= CUT_EVERY_S {
                    back_off.since_cut_s = 0.0;
                    back_off.rate_per_s = (back_off.rate_per_s * CUT_TO).max(SLOWEST_PER_S);
                }
            }
            (None, Some(back_off)) => {
                back_off.since_cut_s += elapsed_s;
                back_off.rate_per_s += back_off.began_at_per_s * GROW_PER_S * elapsed_s.min(LATE_MAX_S);
                // Well past what it bore before: the trouble is over, whatever the cap.
                if back_off.rate_per_s >= rate_cap_per_s || back_off.rate_per_s >= 2.0 * back_off.began_at_per_s {
                    self.back_off = None;
                }
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tick(pace: &mut Pace, cap: f64, health: &Health, elapsed_s: f64) -> u32 {
        let allowed = pace.allow(cap, health, elapsed_s);
        pace.note(&allowed, allowed.admissions);
        allowed.admissions
    }

    #[test]
    fn a_slow_cap_still_moves() {
        let mut pace = Pace::default();
        let admitted: u32 = (0..1000).map(|_| tick(&mut pace, 0.1, &Health::default(), 0.2)).sum();
        assert!((19..=20).contains(&admitted), "{admitted} in 200 s at one in ten");
    }

    #[test]
    fn neither_an_empty_line_nor_a_stall_saves_up_a_burst() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            let allowed = pace.allow(10.0, &Health::default(), 0.2);
            pace.note(&allowed, 0);
        }
        assert_eq!(tick(&mut pace, 10.0, &Health::default(), 0.2), 2);
        assert_eq!(tick(&mut pace, 10.0, &Health::default(), 3600.0), 5);
    }

    #[test]
    fn back_off_halves_and_comes_back_in_steps() {
        let well = Health { latency_max_ms: 500.0, ..Health::default() };
        let slow = Health { requests: 100, latency_p95_ms: 900.0, ..well };
        let mut pace = Pace::default();
        for _ in 0..150 {
            tick(&mut pace, 100.0, &well, 0.2);
        }
        let a_second =
            |pace: &mut Pace, health: &Health| -> u32 { (0..5).map(|_| tick(pace, 100.0, health, 0.2)).sum() };
        assert_eq!(a_second(&mut pace, &well), 100);
        assert!((45..=55).contains(&a_second(&mut pace, &slow)));
        a_second(&mut pace, &slow);
        assert!((20..=30).contains(&a_second(&mut pace, &slow)));
        let back: Vec<u32> = (0..20).map(|_| a_second(&mut pace, &well)).collect();
        assert!(back.windows(2).all(|pair| pair[1] + 1 >= pair[0] && pair[1] <= pair[0] + 7), "{back:?}");
        assert_eq!(back[19], 100);
    }

    #[test]
    fn nobody_comes_to_a_checkout_that_is_away() {
        let away = Health { reachable: false, ..Health::default() };
        let mut pace = Pace::default();
        assert!((0..100).all(|_| tick(&mut pace, 100.0, &away, 0.2) == 0));
        let back: u32 = (0..5).map(|_| tick(&mut pace, 100.0, &Health::default(), 0.2)).sum();
        assert!(back <= 2, "{back} at once");
    }

    #[test]
    fn trouble_is_told_apart() {
        let health = Health { latency_max_ms: 500.0, ..Health::default() };
        assert_eq!(health.trouble(), None);
        assert_eq!(Health { requests: 9, failures: 9, ..health }.trouble(), None, "nine requests say nothing yet");
        assert_eq!(Health { requests: 100, failures: 6, ..health }.trouble(), Some(Trouble::Failing));
        assert_eq!(Health { requests: 9, latency_p95_ms: 501.0, ..health }.trouble(), None, "nor how long they took");
        assert_eq!(Health { requests: 10, latency_p95_ms: 501.0, ..health }.trouble(), Some(Trouble::Slow));
        assert_eq!(Health { reachable: false, ..health }.trouble(), Some(Trouble::Unreachable));
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_the_cap(
            cap in 0.05f64..500.0, ticks in prop::collection::vec((0.01f64..2.0, any::<bool>()), 1..200), from in 0usize..200,
        ) {
            let mut pace = Pace::default();
            let (mut admitted, mut time) = (0u32, 0.0);
            for (at, (elapsed_s, uses)) in ticks.into_iter().enumerate() {
                let allowed = pace.allow(cap, &Health::default(), elapsed_s);
                let n = if uses { allowed.admissions } else { 0 };
                pace.note(&allowed, n);
                if at >= from {
                    admitted += n;
                    time += elapsed_s.min(LATE_MAX_S);
                }
            }
            prop_assert!(f64::from(admitted) <= cap * time + 1.0 + 1e-6);
        }
    }
}
