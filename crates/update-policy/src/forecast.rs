//! Estimates how fast a line moves, and the resulting wait. Pure: time is passed in.
//!
//! The shoppers ahead of a place are admitted at a rate *r* and give up at a rate *δ* each, so that
//! *N* of them are gone after *t = ln(1 + δN / r) / δ*: the fluid limit of a queue with impatient
//! customers (W. Whitt, "Fluid models for multiserver queues with abandonments", Operations
//! Research 54, 2006; O. Garnett, A. Mandelbaum and M. Reiman, "Designing a call center with
//! impatient customers", M&SOM 4, 2002). The wait is assumed log-normal around it. Its relative
//! variance has three parts: chance in who is admitted or gives up (Poisson, *1/(N + 1)*), the
//! uncertainty of *r* after *n* admissions (*1/n*), and the unsteadiness of this line beyond that.
//! R. Ibrahim and W. Whitt, "Real-time delay estimation based on delay history", M&SOM 11, 2009,
//! show that the recent past predicts delays better than a model of the service.

use std::time::Duration;

use fairline_sale::{SaleCard, Status};
use strum::IntoStaticStr;

use crate::message::Wait;

/// Time constant of the memory that the estimate uses, in seconds. After this time, an event's
/// weight is a third.
const LONG_S: f64 = 120.0;
/// Time constant of the memory that detects when the estimate is wrong, in seconds.
const SHORT_S: f64 = 10.0;
/// A rate has changed when the short memory deviates from the long one by this many standard
/// deviations.
const CHANGED: f64 = 3.5;
/// Minimum observation time of a line before its rate is published, in seconds.
const WATCHED_MIN_S: f64 = 3.0;
/// A slower line counts as standing still: one admission in twenty minutes.
const SLOWEST_PER_S: f64 = 1.0 / 1200.0;
/// A line has stopped when there was no admission for as long as this many usually take. With
/// random admissions that happens by chance once in four hundred times.
const STOPPED_AFTER: f64 = 6.0;
/// The minimum of that time, in seconds.
const STOPPED_MIN_S: f64 = 1.5;
/// Within this share of the cap, and the uncertainty of few admissions, the countdown uses the cap.
const NEAR_THE_CAP: f64 = 0.02;
/// Admissions that must have been observed for that.
const NEAR_THE_CAP_MIN: f64 = 5.0;
/// From this share of the cap on, the cap limits a line.
const HELD_BY_THE_CAP: f64 = 0.9;
/// Assumed unsteadiness of a line that has not been observed, as a relative deviation, and the
/// bounds of the estimate.
const UNSTEADY: f64 = 0.15;
const UNSTEADY_MIN: f64 = 0.01;
const UNSTEADY_MAX: f64 = 0.6;
/// Pages count down at this share of the line's rate: a message can move a page's place forward but
/// not back.
const SLOWER: f64 = 0.99;
/// Pages count down no faster than the short memory allows, within this many standard deviations.
const SHORTLY: f64 = 2.0;
/// The share of the current departures ahead of a place that is expected until half of the wait is
/// over: they decrease with the number of shoppers ahead.
const DEPARTURES_AHEAD: f64 = 0.75;
/// The prior of the units per admission, and its weight in observed admissions.
const UNITS_EXPECTED: f64 = 0.5;
const UNITS_EXPECTED_WEIGHT: f64 = 20.0;
/// A wait that was beyond the stock is within it again when the stock lasts this much longer.
const BEYOND_STOCK_MARGIN: f64 = 1.1;
/// The quartiles of the normal distribution: half of all waits lie between them.
const HALF: f64 = 0.674;
/// Its fifth and ninety-fifth percentiles: 90 % of waits lie between them.
const NINE_OF_TEN: f64 = 1.645;

/// Events and the time in which they happened, with exponential decay.
#[derive(Debug, Clone, Copy, Default)]
struct DecayedCount {
    events: f64,
    time: f64,
}

impl DecayedCount {
    fn per_time(&self) -> f64 {
        if self.time > 0.0 { (self.events / self.time).max(0.0) } else { 0.0 }
    }

    fn add(&mut self, events: f64, time: f64, kept: f64) {
        self.events = self.events * kept + events;
        self.time = self.time * kept + time;
    }

    /// Scales the number of events.
    fn scale(&mut self, times: f64) {
        self.events *= times;
    }
}

/// A node's observations of the flow of a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flow {
    /// Admissions, by seconds in which admissions were possible.
    long: DecayedCount,
    short: DecayedCount,
    /// Squared deviations of the short memory from the long one, beyond chance, by seconds.
    unsteady: DecayedCount,
    /// Recalled shoppers, who are served before all others, by seconds of the long memory.
    recalls: DecayedCount,
    /// Departures, by person-seconds of waiting.
    departures: DecayedCount,
    /// Units taken, less those released, over the long memory's time.
    taken: f64,
    /// Seconds in which admissions were possible and none was made.
    idle_s: f64,
    /// Since the last update: admissions, recalls, departures less returns in time, and units
    /// taken.
    admitted: f64,
    recalled: f64,
    departed: f64,
    sold: f64,
}

impl Flow {
    /// Counts admissions.
    pub fn admitted(&mut self, shoppers: usize) {
        self.admitted += shoppers as f64;
        if shoppers > 0 {
            self.idle_s = 0.0;
        }
    }

    /// Counts departures.
    pub fn departed(&mut self, shoppers: usize) {
        self.departed += shoppers as f64;
    }

    /// Counts departed shoppers who wait again at their place.
    pub fn returned(&mut self, shoppers: usize) {
        self.departed -= shoppers as f64;
    }

    /// Counts shoppers who wait again after their turns had passed.
    pub fn recalled(&mut self, shoppers: usize) {
        self.recalled += shoppers as f64;
    }

    /// Applies a change of the sale's card. If the rate cap limits the line, a new cap takes effect
    /// on the countdown at once.
    pub fn card_changed(&mut self, before: &SaleCard, after: &SaleCard) {
        let taken = |card: &SaleCard| f64::from(card.total) - f64::from(card.remaining);
        self.sold += taken(after) - taken(before);
        let (old_cap, new_cap) = (before.rate_cap_per_s, after.rate_cap_per_s);
        let rate = self.long.per_time();
        if old_cap == new_cap || rate <= 0.0 {
            return;
        }
        let new_rate = if rate >= HELD_BY_THE_CAP * old_cap { rate * new_cap / old_cap } else { rate.min(new_cap) };
        for memory in [&mut self.long, &mut self.short] {
            memory.scale(new_rate / rate);
        }
    }

    /// Advances the time, with the number of shoppers waiting. Must be called about every second.
    pub fn passed(&mut self, elapsed: Duration, waiting: u64, status: Status) {
        let elapsed_s = elapsed.as_secs_f64();
        if elapsed_s <= 0.0 {
            return;
        }
        let [kept_long, kept_short] = [LONG_S, SHORT_S].map(|memory_s| (-elapsed_s / memory_s).exp());
        let (admitted, recalled, departed, sold) = (self.admitted, self.recalled, self.departed, self.sold);
        (self.admitted, self.recalled, self.departed, self.sold) = (0.0, 0.0, 0.0, 0.0);
        self.departures.add(departed, elapsed_s * waiting as f64, kept_long);
        self.taken = self.taken * kept_long + sold;
        // While no admissions are possible, or no shoppers wait, the rate is neither observed nor
        // decayed.
        if status != Status::Open || (waiting == 0 && admitted == 0.0) {
            self.idle_s = 0.0;
            return;
        }
        self.idle_s += elapsed_s;
        self.recalls.add(recalled, elapsed_s, kept_long);
        self.long.add(admitted, elapsed_s, kept_long);
        self.short.add(admitted, elapsed_s, kept_short);
        let (long, short) = (self.long.per_time(), self.short.per_time());
        if long <= 0.0 {
            return;
        }
        // The variance of a decaying sum with time constant τ is half of that of a count over τ.
        let chance = 0.5 / (long * self.short.time).max(f64::MIN_POSITIVE);
        let differs = (short / long - 1.0).powi(2);
        self.unsteady.add((differs - chance).clamp(-1.0, 1.0) * elapsed_s, elapsed_s, kept_long);
        if differs > CHANGED * CHANGED * chance {
            self.long = self.short;
        }
    }

    /// The forecast that follows from the observations.
    pub fn forecast(&self, card: &SaleCard) -> Forecast {
        let open = card.status == Status::Open;
        let known = open && self.long.time >= WATCHED_MIN_S;
        let seen = self.long.per_time();
        let near_s = NEAR_THE_CAP + 1.0 / (self.long.events.max(0.0) + 1.0);
        let at_the_cap = self.long.events >= NEAR_THE_CAP_MIN && (seen / card.rate_cap_per_s - 1.0).abs() <= near_s;
        let admissions_per_s = match (known, at_the_cap) {
            (false, _) => 0.0,
            (true, true) => card.rate_cap_per_s,
            (true, false) => seen,
        };
        let recalls_per_s = self.recalls.per_time();
        let expected = DecayedCount { events: UNSTEADY * UNSTEADY * SHORT_S, time: SHORT_S };
        let unsteady =
            DecayedCount { events: self.unsteady.events + expected.events, time: self.unsteady.time + expected.time };
        let units_per_admission = (self.taken.max(0.0) + UNITS_EXPECTED * UNITS_EXPECTED_WEIGHT)
            / (self.long.events.max(0.0) + UNITS_EXPECTED_WEIGHT);
        let short = self.short.per_time() * (1.0 + SHORTLY / (2.0 * self.short.events.max(0.5)).sqrt());
        Forecast {
            // Recalled shoppers are admitted before any other place moves up.
            admissions_per_s: (admissions_per_s - recalls_per_s).max(0.0),
            counts_per_s: (SLOWER * admissions_per_s.min(short) - recalls_per_s).max(0.0),
            variance: 1.0 / (self.long.events.max(0.0) + 1.0)
                + unsteady.per_time().clamp(UNSTEADY_MIN * UNSTEADY_MIN, UNSTEADY_MAX * UNSTEADY_MAX),
            departures_per_s: self.departures.per_time(),
            admissions_left: f64::from(card.remaining) / units_per_admission.max(0.01),
            stopped: card.remaining == 0
                || self.idle_s > (STOPPED_AFTER / seen.max(f64::MIN_POSITIVE)).max(STOPPED_MIN_S),
        }
    }
}

/// How a line moves at one moment, for all waiting shoppers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Forecast {
    /// Admissions per second, less recalls; 0 while the sale is not open or nothing is known.
    admissions_per_s: f64,
    /// Admissions per second that pages count down by.
    counts_per_s: f64,
    /// The part of a wait's relative variance that does not depend on the place.
    variance: f64,
    /// The share of waiting shoppers that gives up each second.
    departures_per_s: f64,
    /// Estimated number of admissions for which the remaining units suffice.
    admissions_left: f64,
    /// Whether no unit is left to admit for, or there was no admission for an unusually long time.
    stopped: bool,
}

impl Forecast {
    fn moves(&self) -> bool {
        self.admissions_per_s > SLOWEST_PER_S
    }

    /// Places per second by which a shopper with this many ahead moves up, or `None` while the line
    /// does not move.
    pub fn places_per_s(&self, ahead: u64) -> Option<f64> {
        let admissions = if self.moves() && !self.stopped { self.counts_per_s } else { 0.0 };
        let per_s = admissions + DEPARTURES_AHEAD * self.departures_per_s * ahead as f64;
        (per_s > SLOWEST_PER_S).then_some(per_s)
    }

    /// The median wait of a shopper with this many ahead, in seconds.
    pub fn median_s(&self, ahead: u64) -> Option<f64> {
        let shoppers = ahead as f64 + 1.0;
        let in_turn = shoppers / self.admissions_per_s;
        // ln(1 + x) / x is the reduction by departures; 1 without any.
        let saved = self.departures_per_s * in_turn;
        self.moves().then(|| if saved > 1e-9 { in_turn * saved.ln_1p() / saved } else { in_turn })
    }

    /// The distribution of the wait of a shopper with this many ahead.
    pub fn outlook(&self, ahead: u64) -> Option<WaitOutlook> {
        let median_s = self.median_s(ahead)? as f32;
        let deviation = (1.0 / (ahead as f64 + 1.0) + self.variance).sqrt() as f32;
        Some(WaitOutlook { median_s, deviation })
    }

    /// Whether the remaining units are likely to be gone before a shopper with this many ahead is
    /// admitted: those ahead who will not have given up by then need more admissions than the units
    /// suffice for. The caller passes the previous result for hysteresis: the result must not
    /// change with every unit.
    pub fn is_beyond_stock(&self, ahead: u64, was_beyond: bool) -> bool {
        let admissions = self.median_s(ahead).map_or(ahead as f64 + 1.0, |wait_s| wait_s * self.admissions_per_s);
        admissions > if was_beyond { self.admissions_left / BEYOND_STOCK_MARGIN } else { self.admissions_left }
    }
}

/// A wait, as a log-normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaitOutlook {
    /// The median, in seconds.
    pub median_s: f32,
    /// The standard deviation of its logarithm.
    deviation: f32,
}

/// Which of the published ranges contains a completed wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WaitRange {
    /// The range of half of all waits.
    Half,
    /// Only the range of 90 % of all waits.
    #[strum(serialize = "within_90_percent")]
    NinetyPercent,
    /// Neither.
    Outside,
}

impl WaitRange {
    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl WaitOutlook {
    fn range(&self, deviations: f64) -> (f64, f64) {
        let (median_s, times) = (f64::from(self.median_s), (deviations * f64::from(self.deviation)).exp());
        (median_s / times, median_s * times)
    }

    /// The ranges as sent to a page: whole seconds, rounded outwards.
    pub fn wait(&self) -> Wait {
        let whole = |(from, to): (f64, f64)| (from.floor().min(1e9) as u64, to.ceil().min(1e9) as u64);
        Wait { likely_s: whole(self.range(HALF)), bounds_s: whole(self.range(NINE_OF_TEN)) }
    }

    /// Which range contains a wait of this length.
    pub fn within(&self, waited_s: f64) -> WaitRange {
        let holds = |deviations| {
            let (from, to) = self.range(deviations);
            from <= waited_s && waited_s <= to
        };
        if holds(HALF) {
            WaitRange::Half
        } else if holds(NINE_OF_TEN) {
            WaitRange::NinetyPercent
        } else {
            WaitRange::Outside
        }
    }
}
