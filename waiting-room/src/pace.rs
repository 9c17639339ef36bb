//! How fast the line moves, how long that makes a wait, and how often it is worth saying. Pure: time is passed in.

use std::time::Duration;

use crate::message::Wait;

/// The admission rate as an exponentially weighted moving average over irregular samples.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AdmissionRate {
    per_s: f64,
    /// People let in since the average was last brought up to date.
    pending: u64,
    /// Seconds that it has watched for, to trust a young average no more than it deserves.
    watched_s: f64,
}

/// What is known of a line's speed. Made once for all who are looked at together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forecast {
    /// People let in per second, lately.
    pub(crate) rate_per_s: Option<f64>,
}

/// What happened this long ago weighs a third of what happens now.
const MEMORY_S: f64 = 10.0;

impl AdmissionRate {
    /// So many have been let in.
    pub(crate) fn admitted(&mut self, people: u64) {
        self.pending += people;
    }

    /// Brings the average up to date, `elapsed` after the last time.
    pub(crate) fn passed(&mut self, elapsed: Duration) {
        let elapsed_s = elapsed.as_secs_f64();
        if elapsed_s <= 0.0 {
            return;
        }
        let now_per_s = self.pending as f64 / elapsed_s;
        let kept = (-elapsed_s / MEMORY_S).exp();
        self.per_s = self.per_s * kept + now_per_s * (1.0 - kept);
        self.watched_s += elapsed_s;
        self.pending = 0;
    }

    /// People let in per second, or `None` when too little has been seen to say.
    pub(crate) fn per_s(&self) -> Option<f64> {
        // A young average still lacks what it would have seen before it began.
        let seen = 1.0 - (-self.watched_s / MEMORY_S).exp();
        let per_s = self.per_s / seen;
        (self.watched_s >= 1.0 && per_s > 0.01).then_some(per_s)
    }
}

/// The range that a wait is likely to fall into, with so many people ahead.
pub(crate) fn wait(ahead: u64, rate_per_s: f64) -> Wait {
    let expected_s = (ahead + 1) as f64 / rate_per_s;
    // The relative spread of a Poisson wait shrinks with the number of people; the rate itself drifts.
    let spread = 0.25 + 0.7 / ((ahead + 1) as f64).sqrt();
    let seconds = |s: f64| s.min(1e9) as u64;
    Wait { likely_s: (seconds((expected_s * (1.0 - spread)).max(0.0)), seconds((expected_s * (1.0 + spread)).ceil())) }
}

/// How long after a push of a place the next one is worth sending: each second near the front, up to ten far back.
pub(crate) fn push_after(ahead: u64) -> Duration {
    Duration::from_millis(1000 + (ahead * 10).min(9000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_line_has_a_steady_rate() {
        let mut rate = AdmissionRate::default();
        assert_eq!(rate.per_s(), None);
        for _ in 0..20 {
            rate.admitted(1);
            rate.passed(Duration::from_millis(500));
        }
        let per_s = rate.per_s().expect("ten seconds were seen");
        assert!((per_s - 2.0).abs() < 0.01, "{per_s}");
        for _ in 0..200 {
            rate.passed(Duration::from_secs(1));
        }
        assert_eq!(rate.per_s(), None, "a line that stands still promises nothing");
    }

    #[test]
    fn a_wait_is_a_range_that_holds_the_expected() {
        for ahead in [0, 1, 10, 1000, 1_000_000] {
            for rate in [0.02, 1.0, 50.0] {
                let Wait { likely_s: (from, to) } = wait(ahead, rate);
                let expected = (ahead + 1) as f64 / rate;
                assert!((from as f64) <= expected && expected <= to as f64, "{ahead} {rate}: {from} to {to}");
            }
        }
    }

    #[test]
    fn pushes_are_rarer_far_back_but_never_stop() {
        assert_eq!(push_after(0), Duration::from_secs(1));
        assert_eq!(push_after(u64::from(u32::MAX)), Duration::from_secs(10));
    }
}
