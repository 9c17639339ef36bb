//! The pace of admissions: the cap per second, and the back-off while checkout is in trouble.

use serde::{Deserialize, Serialize};

use crate::visits::{ByAge, Stage, Visits, bin_of};

/// The burst limit: a late tick catches up on at most this many seconds, which is longer than any
/// tick period. Earlier time is lost. Of what a tick could not use, less than one admission is
/// kept: neither an empty line nor a stall accumulates a burst, and the first shopper after it is
/// admitted immediately.
pub const LATE_MAX_S: f64 = 2.0;
/// Seconds after which an unclaimed turn is considered abandoned. It is returned to the rate then,
/// and taken again if a page claims it after all. An age bin begins here.
const CLAIMED_WITHIN_S: f64 = 3.0;
/// Turns are considered abandoned only as far as others are claimed in time: up to
/// `DOUBTED_FOR_EACH` for each turn claimed in about the last `IN_TIME_S` seconds, and at up to
/// `DOUBTED_PART` of the rate. A crowd whose pages are all slow is not affected.
const DOUBTED_FOR_EACH: f64 = 0.67;
const IN_TIME_S: f64 = 30.0;
const DOUBTED_PART: f64 = 0.5;
/// Seconds for which late claims of turns that were returned can delay the line, at most.
const OWED_MAX_S: f64 = 0.5;
/// Checkout is failing when this share of its requests fails, out of at least `REQUESTS_MIN`. With
/// fewer requests, the latency is not representative either.
const FAILING_SHARE: f64 = 0.05;
const REQUESTS_MIN: u32 = 10;
/// The rate is cut to this share, at most once in `CUT_EVERY_S` seconds: earlier admissions have to
/// show their effect first.
const CUT_TO: f64 = 0.5;
const CUT_EVERY_S: f64 = 2.0;
/// While checkout is healthy the rate grows each second by this share of its value at the start of
/// the trouble.
const GROW_PER_S: f64 = 0.05;
/// Below the rate after the first cut, or below this rate per second, it grows by this share of
/// itself each second instead: slow start, as in TCP's congestion control (RFC 5681).
const SLOW_START_PER_S: f64 = 1.0;
const SLOW_START_BELOW_PER_S: f64 = 1.0;
/// Minimum admissions per second during back-off: some requests have to test whether checkout has
/// recovered.
const SLOWEST_PER_S: f64 = 0.2;
/// The most that a tick leaves unused for the next one.
const CREDIT_MAX: f64 = 0.999;
/// Time constant, in seconds, of the rate of recent admissions.
const RECENT_S: f64 = 5.0;

/// The health of checkout since the last decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it can be reached.
    pub reachable: bool,
    /// Requests, successful or failed.
    pub requests: u32,
    /// Requests that failed because of checkout (status 500 and above, or a timeout).
    pub failures: u32,
    /// 95th percentile of the latency in milliseconds; 0 without requests.
    pub latency_p95_ms: f64,
    /// Highest healthy value of that percentile, in milliseconds.
    pub latency_max_ms: f64,
}

impl Default for Health {
    /// Healthy, without requests.
    fn default() -> Self {
        Self { reachable: true, requests: 0, failures: 0, latency_p95_ms: 0.0, latency_max_ms: f64::INFINITY }
    }
}

/// The trouble of checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It does not respond.
    Unreachable,
    /// Too many of its requests fail.
    Failing,
    /// Its responses take too long.
    Slow,
}

impl Health {
    /// The trouble of checkout, if any.
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

/// A rate below the cap, because checkout is or was in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct BackOff {
    /// Admissions a second, now.
    rate_per_s: f64,
    /// Admissions a second when the trouble began.
    began_at_per_s: f64,
    /// Seconds since the last cut.
    since_cut_s: f64,
    /// The current or last trouble.
    trouble: Trouble,
}

/// The state of the pace between ticks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// The part of an admission that the last tick could not use; below 0 if more late claims
    /// arrived than were due.
    credit: f64,
    /// Open turns that were returned to the rate because no page claimed them in time, less what a
    /// line that stood still did not use.
    doubted: f64,
    /// Turns recently claimed in time.
    in_time: f64,
    /// Recent admissions per second.
    recent_per_s: f64,
    back_off: Option<BackOff>,
}

/// The result of the pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PaceLimit {
    pub(crate) admissions: u32,
    /// Set while the back-off, not the cap, is the limit.
    pub(crate) trouble: Option<(Trouble, f64)>,
    rate_per_s: f64,
    earned: f64,
    elapsed_s: f64,
}

impl PaceLimit {
    /// Seconds until one more is earned, if `admitted` are made now.
    pub(crate) fn next_in_s(&self, admitted: u32) -> f64 {
        (1.0 - (self.earned - f64::from(admitted))) / self.rate_per_s
    }
}

impl Pace {
    /// Admissions that `rate_cap_per_s` and checkout's health allow, `elapsed_s` after the last
    /// decision. None while checkout can't be reached.
    pub(crate) fn allow(&mut self, rate_cap_per_s: f64, health: &Health, visits: &Visits, elapsed_s: f64) -> PaceLimit {
        let elapsed_s = elapsed_s.max(0.0);
        self.follow(rate_cap_per_s, health, elapsed_s);
        let rate_per_s = self.back_off.map_or(rate_cap_per_s, |back_off| back_off.rate_per_s.min(rate_cap_per_s));
        let earned =
            self.credit + rate_per_s * elapsed_s.min(LATE_MAX_S) + self.returned_credit(rate_per_s, visits, elapsed_s);
        let earned = earned.clamp(-rate_per_s * OWED_MAX_S, rate_per_s * LATE_MAX_S + 1.0);
        let unreachable = health.trouble() == Some(Trouble::Unreachable);
        PaceLimit {
            // The float is not negative; the cast saturates beyond u32.
            admissions: if unreachable { 0 } else { (earned + 1e-9) as u32 },
            trouble: self.back_off.map(|back_off| (back_off.trouble, rate_per_s)),
            rate_per_s,
            earned,
            elapsed_s,
        }
    }

    /// Records how many of the allowed admissions were made.
    pub(crate) fn note(&mut self, allowed: &PaceLimit, admitted: u32) {
        // Extra admissions that an operator requested do not count against the rate.
        let left = allowed.earned - f64::from(admitted.min(allowed.admissions));
        self.credit = left.min(CREDIT_MAX);
        // What is dropped makes up for turns that were returned too early: if a page claims one
        // after a standstill, it is not charged again.
        self.doubted = (self.doubted - (left - self.credit)).max(0.0);
        if allowed.elapsed_s > 0.0 {
            let weight = 1.0 - (-allowed.elapsed_s / RECENT_S).exp();
            self.recent_per_s += (f64::from(admitted) / allowed.elapsed_s - self.recent_per_s) * weight;
        }
    }

    /// Turns since the last decision that lapsed unclaimed or are now considered abandoned, less
    /// those that were claimed after all.
    fn returned_credit(&mut self, rate_per_s: f64, visits: &Visits, elapsed_s: f64) -> f64 {
        let called = |counts: &ByAge| {
            let (in_time, late) = counts.0[Stage::Called as usize].split_at(bin_of(CLAIMED_WITHIN_S));
            [in_time, late].map(|counts| counts.iter().copied().map(f64::from).sum::<f64>())
        };
        self.in_time = self.in_time * (-elapsed_s / IN_TIME_S).exp() + called(&visits.moved_on)[0];
        let most = self.doubted + rate_per_s * DOUBTED_PART * elapsed_s.min(LATE_MAX_S);
        let doubted = called(&visits.under_way)[1].min(self.in_time * DOUBTED_FOR_EACH).min(most);
        let before = std::mem::replace(&mut self.doubted, doubted);
        doubted - before + f64::from(visits.lapsed) + called(&visits.left)[1]
    }

    /// Additive increase, multiplicative decrease, with a slow start.
    fn follow(&mut self, rate_cap_per_s: f64, health: &Health, elapsed_s: f64) {
        match (health.trouble(), &mut self.back_off) {
            (Some(trouble), None) => {
                let most = rate_cap_per_s.max(SLOWEST_PER_S);
                // A line that did not move shows nothing about the capacity of checkout.
                let began_at_per_s = self.recent_per_s.clamp(SLOW_START_BELOW_PER_S.min(most), most);
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
                let starts_below = (back_off.began_at_per_s * CUT_TO).max(SLOW_START_BELOW_PER_S);
                let grown_per_s = if back_off.rate_per_s < starts_below {
                    back_off.rate_per_s * SLOW_START_PER_S
                } else {
                    back_off.began_at_per_s * GROW_PER_S
                };
                back_off.rate_per_s += grown_per_s * elapsed_s.min(LATE_MAX_S);
                // Well above the rate at which the trouble began: the trouble is over, whatever the
                // cap.
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
        let allowed = pace.allow(cap, health, &Visits::default(), elapsed_s);
        pace.note(&allowed, allowed.admissions);
        allowed.admissions
    }

    #[test]
    fn a_cap_below_one_admission_per_tick_still_admits() {
        let mut pace = Pace::default();
        let admitted: u32 = (0..1000).map(|_| tick(&mut pace, 0.1, &Health::default(), 0.2)).sum();
        assert!((19..=20).contains(&admitted), "{admitted} in 200 s at one in ten");
    }

    #[test]
    fn neither_an_empty_line_nor_a_stall_saves_up_a_burst() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            let allowed = pace.allow(10.0, &Health::default(), &Visits::default(), 0.2);
            pace.note(&allowed, 0);
        }
        assert_eq!(tick(&mut pace, 10.0, &Health::default(), 0.2), 2);
        assert_eq!(tick(&mut pace, 10.0, &Health::default(), 3600.0), 20, "two seconds' worth");
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
        // From 25 to 50 a second within two, then 5 more each second.
        let back: Vec<u32> = (0..20).map(|_| a_second(&mut pace, &well)).collect();
        assert!((45..=60).contains(&back[1]), "{back:?}");
        assert!(back[1..].windows(2).all(|pair| pair[1] + 1 >= pair[0] && pair[1] <= pair[0] + 7), "{back:?}");
        assert_eq!(back[19], 100);
    }

    #[test]
    fn a_line_that_backed_off_while_it_stood_still_admits_within_two_seconds() {
        let away = Health { reachable: false, ..Health::default() };
        let mut pace = Pace::default();
        for _ in 0..100 {
            tick(&mut pace, 2.5, &away, 0.2);
        }
        let admitted: Vec<u32> = (0..50).map(|_| tick(&mut pace, 2.5, &Health::default(), 0.2)).collect();
        assert!(admitted[0] == 1 && admitted[1..15].contains(&1), "{admitted:?}");
        assert!(admitted[25..].iter().sum::<u32>() >= 5, "then more than one per second: {admitted:?}");
    }

    #[test]
    fn the_first_shopper_after_a_standstill_is_admitted_at_once() {
        for cap in [0.1, 0.6, 2.5] {
            let mut pace = Pace::default();
            for _ in 0..100 {
                let allowed = pace.allow(cap, &Health::default(), &Visits::default(), 0.2);
                pace.note(&allowed, 0);
            }
            assert_eq!(tick(&mut pace, cap, &Health::default(), 0.2), 1);
        }
    }

    #[test]
    fn an_unreachable_checkout_gets_no_admissions() {
        let away = Health { reachable: false, ..Health::default() };
        let mut pace = Pace::default();
        assert!((0..100).all(|_| tick(&mut pace, 100.0, &away, 0.2) == 0));
        let back: u32 = (0..5).map(|_| tick(&mut pace, 100.0, &Health::default(), 0.2)).sum();
        assert!(back <= 2, "{back} at once");
    }

    #[test]
    fn kinds_of_trouble_are_distinguished() {
        let health = Health { latency_max_ms: 500.0, ..Health::default() };
        assert_eq!(health.trouble(), None);
        assert_eq!(Health { requests: 9, failures: 9, ..health }.trouble(), None, "nine requests are too few");
        assert_eq!(Health { requests: 100, failures: 6, ..health }.trouble(), Some(Trouble::Failing));
        assert_eq!(Health { requests: 9, latency_p95_ms: 501.0, ..health }.trouble(), None, "nor how long they took");
        assert_eq!(Health { requests: 10, latency_p95_ms: 501.0, ..health }.trouble(), Some(Trouble::Slow));
        assert_eq!(Health { reachable: false, ..health }.trouble(), Some(Trouble::Unreachable));
    }

    #[test]
    fn slow_ticks_deliver_the_cap_to_within_a_hundredth_and_never_more() {
        for cap in [3.0, 4.0, 7.0, 10.0, 100.0] {
            let (mut pace, mut time, mut admitted) = (Pace::default(), 0.0, 0);
            for nth in 0..2_000 {
                // From a quick tick to one that another sale, or a slow disk, has delayed for most
                // of two seconds.
                let elapsed_s = [0.2, 0.21, 0.95, 0.2, 1.9][nth % 5];
                admitted += tick(&mut pace, cap, &Health::default(), elapsed_s);
                time += elapsed_s;
                assert!(f64::from(admitted) <= cap * time + 1e-6, "{admitted} in {time} s at {cap}/s");
            }
            assert!(f64::from(admitted) >= cap * time * 0.99, "{admitted} in {time} s at {cap}/s");
        }
    }

    #[test]
    fn a_clock_that_jumps_gives_no_more_than_the_bound_on_bursts() {
        let mut pace = Pace::default();
        tick(&mut pace, 10.0, &Health::default(), 0.2);
        assert_eq!(tick(&mut pace, 10.0, &Health::default(), 25.0), 20);
        assert_eq!(tick(&mut pace, 10.0, &Health::default(), -25.0), 0);
        assert_eq!(tick(&mut pace, 10.0, &Health::default(), 0.2), 2, "and nothing is owed");
    }

    /// The claims per second of a line in which `ghosts` of every `of` shoppers are absent.
    fn claims(cap: f64, ghosts: usize, of: usize, claims_after_s: f64, seconds: usize) -> Vec<u32> {
        const TICK_S: f64 = 0.2;
        const CLAIM_WINDOW_S: f64 = 15.0;
        let (mut pace, mut out, mut nth) = (Pace::default(), Vec::new(), 0);
        let mut claimed = vec![0; seconds];
        for at in 0..seconds * 5 {
            let now_s = at as f64 * TICK_S;
            let mut visits = Visits::default();
            out.retain(|&(since_s, is_ghost): &(f64, bool)| {
                let age_s = now_s - since_s;
                if !is_ghost && age_s >= claims_after_s {
                    claimed[at / 5] += 1;
                    visits.moved_on.count(Stage::Called, age_s);
                    return false;
                }
                visits.lapsed += u32::from(age_s >= CLAIM_WINDOW_S);
                if age_s < CLAIM_WINDOW_S {
                    visits.under_way.count(Stage::Called, age_s);
                }
                age_s < CLAIM_WINDOW_S
            });
            let allowed = pace.allow(cap, &Health::default(), &visits, TICK_S);
            pace.note(&allowed, allowed.admissions);
            for _ in 0..allowed.admissions {
                out.push((now_s, nth * ghosts % of < ghosts));
                nth += 1;
            }
        }
        claimed
    }

    #[test]
    fn unclaimed_turns_delay_the_line_by_half_a_minute_at_most() {
        for cap in [4.0, 10.0, 50.0] {
            let claimed = claims(cap, 3, 10, 1.5, 180);
            let sum = |seconds: &[u32]| f64::from(seconds.iter().sum::<u32>());
            let reached = |seconds: &[u32]| sum(seconds) / (cap * seconds.len() as f64);
            assert!(reached(&claimed[..3]) < 0.75, "the control: {:?}", &claimed[..3]);
            assert!(claimed[2..].windows(30).all(|half_a_minute| reached(half_a_minute) >= 0.93), "{claimed:?}");
            assert!(claimed[15..].windows(30).all(|half_a_minute| reached(half_a_minute) >= 0.95), "{claimed:?}");
            // Checkout sees claims; these keep to the cap within the burst limit.
            for from in 0..claimed.len() {
                for to in from + 1..=claimed.len() {
                    let most = cap * ((to - from) as f64 + LATE_MAX_S) + 1.0;
                    assert!(sum(&claimed[from..to]) <= most, "{claimed:?}");
                }
            }
        }
    }

    #[test]
    fn turns_that_are_claimed_after_a_standstill_do_not_delay_the_line() {
        let step = |pace: &mut Pace, visits: &Visits, stands: bool| {
            let allowed = pace.allow(2.5, &Health::default(), visits, 0.1);
            pace.note(&allowed, if stands { 0 } else { allowed.admissions });
            allowed.admissions
        };
        for (stands_for_ticks, admitted) in [(0, 0), (60, 1)] {
            let (mut pace, mut visits) = (Pace::default(), Visits::default());
            (0..20).for_each(|_| visits.moved_on.count(Stage::Called, 1.0));
            step(&mut pace, &visits, false);
            // Ten turns are returned to the rate, since no page claims them.
            visits.moved_on = ByAge::default();
            (0..10).for_each(|_| visits.under_way.count(Stage::Called, 5.0));
            for _ in 0..80 {
                step(&mut pace, &visits, false);
            }
            for _ in 0..stands_for_ticks {
                step(&mut pace, &visits, true);
            }
            let mut claimed = Visits::default();
            (0..10).for_each(|_| claimed.moved_on.count(Stage::Called, 12.0));
            assert_eq!(step(&mut pace, &claimed, false), admitted, "after {stands_for_ticks} ticks");
        }
    }

    #[test]
    fn pages_that_are_all_slow_get_no_more_turns_than_the_cap() {
        let claimed = claims(10.0, 0, 1, 10.0, 120);
        let sum = |seconds: &[u32]| seconds.iter().sum::<u32>();
        let goes_on = |minute: &[u32]| (598..=602).contains(&sum(minute));
        assert!(claimed[10..].windows(60).all(goes_on), "slow pages are not doubted: {claimed:?}");
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_the_cap(
            cap in 0.05f64..500.0, ticks in prop::collection::vec((0.01f64..2.0, any::<bool>()), 1..200), from in 0usize..200,
        ) {
            let mut pace = Pace::default();
            let (mut admitted, mut time) = (0u32, 0.0);
            for (at, (elapsed_s, uses)) in ticks.into_iter().enumerate() {
                let allowed = pace.allow(cap, &Health::default(), &Visits::default(), elapsed_s);
                let n = if uses { allowed.admissions } else { 0 };
                pace.note(&allowed, n);
                if at >= from {
                    admitted += n;
                    time += elapsed_s;
                }
            }
            prop_assert!(f64::from(admitted) <= cap * time + 1.0 + 1e-6);
        }
    }
}
