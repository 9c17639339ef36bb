//! How fast a line moves, and how long that makes a wait. Pure: time is passed in.
//!
//! The people ahead of a place are let in at a rate *r* and give up at a rate *δ* each, so that *N* of them are gone after
//! *t = ln(1 + δN / r) / δ*: the fluid limit of a queue with impatient customers (W. Whitt, "Fluid models for multiserver
//! queues with abandonments", Operations Research 54, 2006; O. Garnett, A. Mandelbaum and M. Reiman, "Designing a call
//! center with impatient customers", M&SOM 4, 2002). Around it the wait is taken as log-normal. The relative variance has
//! three parts: chance in who is let in or gives up (Poisson, *1/(N + 1)*), what so few admissions say about *r* (*1/n*),
//! and how unsteady this line has been beyond that. That the recent past tells more than a model of the service does is
//! the lesson of R. Ibrahim and W. Whitt, "Real-time delay estimation based on delay history", M&SOM 11, 2009.

use std::time::Duration;

use fairline_sale::{SaleCard, Status};

use crate::message::Wait;

/// What happened this long ago weighs a third of what happens now, in seconds: in the memory that is believed,
const LONG_S: f64 = 120.0;
/// and in the one that notices when that has become wrong.
const SHORT_S: f64 = 10.0;
/// A rate has changed when the short memory is so many standard deviations away from the long one.
const CHANGED: f64 = 3.5;
/// How long a line is watched before it is said how fast it moves, in seconds.
const WATCHED_MIN_S: f64 = 3.0;
/// Slower than this a line stands still: one in twenty minutes.
const SLOWEST_PER_S: f64 = 1.0 / 1200.0;
/// A line has come to a stop when nobody has been let in for as long as usually so many are; in chance admissions that
/// happens by itself once in four hundred times.
const STOPPED_AFTER: f64 = 6.0;
/// And for no less than this, in seconds.
const STOPPED_MIN_S: f64 = 1.5;
/// Within this share of the cap, and what few admissions leave open, it is the cap that sets the countdown.
const NEAR_THE_CAP: f64 = 0.02;
/// So many admissions have to be seen for that.
const NEAR_THE_CAP_MIN: f64 = 5.0;
/// From this share of the cap on, a line is held back by it.
const HELD_BY_THE_CAP: f64 = 0.9;
/// How unsteady a line is taken for that has not been watched yet, as a relative deviation, and the bounds of what can
/// be learnt.
const UNSTEADY: f64 = 0.15;
const UNSTEADY_MIN: f64 = 0.01;
const UNSTEADY_MAX: f64 = 0.6;
/// A page can be told that it is further than it shows, but not that it is less far: it counts down a little slower than
/// the line moves,
const SLOWER: f64 = 0.99;
/// and no faster than the short memory allows, give or take so many standard deviations.
const SHORTLY: f64 = 2.0;
/// Of the departures ahead of a place, so many are counted on for the time until half of the way is done: they become
/// fewer as the people ahead do.
const DEPARTURES_AHEAD: f64 = 0.75;
/// Before it has been seen how many units an admission takes, half of one; and that is worth so many admissions seen.
const UNITS_EXPECTED: f64 = 0.5;
const UNITS_EXPECTED_WEIGHT: f64 = 20.0;
/// A wait that was beyond the stock is again within it when the stock lasts this much longer.
const BEYOND_STOCK_MARGIN: f64 = 1.1;
/// Quartiles of the normal distribution: half of all waits lie between.
const HALF: f64 = 0.674;
/// Its fifth and ninety-fifth percentiles: nine of ten waits lie between.
const NINE_OF_TEN: f64 = 1.645;

/// Events and the time in which they happened, of which the past fades.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    events: f64,
    time: f64,
}

impl Memory {
    fn per_time(&self) -> f64 {
        if self.time > 0.0 { (self.events / self.time).max(0.0) } else { 0.0 }
    }

    fn add(&mut self, events: f64, time: f64, kept: f64) {
        self.events = self.events * kept + events;
        self.time = self.time * kept + time;
    }

    /// As if so many times as many had happened.
    fn scale(&mut self, times: f64) {
        self.events *= times;
    }
}

/// What a node has seen of the flow of a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flow {
    /// People let in, by seconds in which they could have been.
    long: Memory,
    short: Memory,
    /// Squares of how much the short memory differs from the long one, beyond what chance does, by seconds.
    unsteady: Memory,
    /// People who came back after their turns and are served before all others, by seconds of the long memory.
    recalls: Memory,
    /// People who gave up, by seconds that people waited.
    departures: Memory,
    /// Units taken, less those that came back, over the long memory's time.
    taken: f64,
    /// Seconds in which somebody could have been let in, and nobody has been.
    idle_s: f64,
    /// Since the last beat: people let in, people recalled, people who gave up less those who came back in time, units
    /// taken.
    admitted: f64,
    recalled: f64,
    departed: f64,
    sold: f64,
}

impl Flow {
    /// So many have been let in.
    pub fn admitted(&mut self, people: usize) {
        self.admitted += people as f64;
        if people > 0 {
            self.idle_s = 0.0;
        }
    }

    /// So many have given up.
    pub fn departed(&mut self, people: usize) {
        self.departed += people as f64;
    }

    /// So many of those who had given up wait again where they were.
    pub fn returned(&mut self, people: usize) {
        self.departed -= people as f64;
    }

    /// So many wait again whose turns had passed.
    pub fn recalled(&mut self, people: usize) {
        self.recalled += people as f64;
    }

    /// The sale's facts have changed. A line that is held back by its rate cap takes the next one's countdown at once.
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

    /// Time has passed in which so many waited. To be called every second or so.
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
        // While nobody can be let in, or nobody wants to be, how fast people are is neither seen nor forgotten.
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
        // Of a sum with a memory of τ the variance is half of that of a count over τ.
        let chance = 0.5 / (long * self.short.time).max(f64::MIN_POSITIVE);
        let differs = (short / long - 1.0).powi(2);
        self.unsteady.add((differs - chance).clamp(-1.0, 1.0) * elapsed_s, elapsed_s, kept_long);
        if differs > CHANGED * CHANGED * chance {
            self.long = self.short;
        }
    }

    /// What that says to those who wait.
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
        let expected = Memory { events: UNSTEADY * UNSTEADY * SHORT_S, time: SHORT_S };
        let unsteady =
            Memory { events: self.unsteady.events + expected.events, time: self.unsteady.time + expected.time };
        let units_per_admission = (self.taken.max(0.0) + UNITS_EXPECTED * UNITS_EXPECTED_WEIGHT)
            / (self.long.events.max(0.0) + UNITS_EXPECTED_WEIGHT);
        let short = self.short.per_time() * (1.0 + SHORTLY / (2.0 * self.short.events.max(0.5)).sqrt());
        Forecast {
            // Those who are recalled are let in before anybody else moves up.
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

/// What is known of how a line moves, at one moment, for everybody who waits in it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Forecast {
    /// People let in per second, less those who are recalled; 0 while the sale is not open or nothing is known.
    admissions_per_s: f64,
    /// People let in per second that pages count on.
    counts_per_s: f64,
    /// The part of a wait's relative variance that does not depend on the place.
    variance: f64,
    /// The share of those who wait that gives up each second.
    departures_per_s: f64,
    /// Admissions that the remaining units will do for, as far as can be seen.
    admissions_left: f64,
    /// No unit is left to let anybody in for, or nobody has been let in for surprisingly long.
    stopped: bool,
}

impl Forecast {
    fn moves(&self) -> bool {
        self.admissions_per_s > SLOWEST_PER_S
    }

    /// Places per second by which somebody with so many ahead moves up, or `None` while the line stands still.
    pub fn places_per_s(&self, ahead: u64) -> Option<f64> {
        let admissions = if self.moves() && !self.stopped { self.counts_per_s } else { 0.0 };
        let per_s = admissions + DEPARTURES_AHEAD * self.departures_per_s * ahead as f64;
        (per_s > SLOWEST_PER_S).then_some(per_s)
    }

    /// The wait of somebody with so many ahead, in seconds: as likely longer as shorter.
    pub fn median_s(&self, ahead: u64) -> Option<f64> {
        let people = ahead as f64 + 1.0;
        let in_turn = people / self.admissions_per_s;
        // ln(1 + x) / x is what departures save; 1 without any.
        let saved = self.departures_per_s * in_turn;
        self.moves().then(|| if saved > 1e-9 { in_turn * saved.ln_1p() / saved } else { in_turn })
    }

    /// The wait of somebody with so many ahead, with its chances.
    pub fn outlook(&self, ahead: u64) -> Option<WaitOutlook> {
        let median_s = self.median_s(ahead)? as f32;
        let deviation = (1.0 / (ahead as f64 + 1.0) + self.variance).sqrt() as f32;
        Some(WaitOutlook { median_s, deviation })
    }

    /// Whether the remaining units are likely to be gone before somebody with so many ahead is let in: those ahead who
    /// will not have given up by then need more admissions than the units will do for. `told` is what was said before;
    /// it does not change with every unit.
    pub fn is_beyond_stock(&self, ahead: u64, told: bool) -> bool {
        let admissions = self.median_s(ahead).map_or(ahead as f64 + 1.0, |wait_s| wait_s * self.admissions_per_s);
        admissions > if told { self.admissions_left / BEYOND_STOCK_MARGIN } else { self.admissions_left }
    }
}

/// A wait, as a log-normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaitOutlook {
    /// As likely longer as shorter, in seconds.
    pub median_s: f32,
    /// The standard deviation of its logarithm.
    deviation: f32,
}

/// Where a wait has ended, among the ranges that were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// In that of half of all waits.
    Half,
    /// In that of nine of ten, but not in the other.
    NineOfTen,
    /// In neither.
    Outside,
}

impl Within {
    /// What metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Within::Half => "half",
            Within::NineOfTen => "nine_of_ten",
            Within::Outside => "outside",
        }
    }
}

impl WaitOutlook {
    fn range(&self, deviations: f64) -> (f64, f64) {
        let (median_s, times) = (f64::from(self.median_s), (deviations * f64::from(self.deviation)).exp());
        (median_s / times, median_s * times)
    }

    /// The ranges as a page is told them: whole seconds, of which nothing is cut off.
    pub fn wait(&self) -> Wait {
        let whole = |(from, to): (f64, f64)| (from.floor().min(1e9) as u64, to.ceil().min(1e9) as u64);
        Wait { likely_s: whole(self.range(HALF)), bounds_s: whole(self.range(NINE_OF_TEN)) }
    }

    /// Where a wait of so many seconds has ended.
    pub fn within(&self, waited_s: f64) -> Within {
        let holds = |deviations| {
            let (from, to) = self.range(deviations);
            from <= waited_s && waited_s <= to
        };
        if holds(HALF) {
            Within::Half
        } else if holds(NINE_OF_TEN) {
            Within::NineOfTen
        } else {
            Within::Outside
        }
    }
}
