//! What a page shows, and when that is worth a message. Pure: time is passed in.
//!
//! A page counts down by itself, at the rate that it was told. The node knows what it shows, by the rule that
//! `docs/line-protocol.md` gives (its twin is `web/src/shopper/countdown.ts`), and speaks only when that is wrong.

use std::time::Duration;

use fairline_line::view::Place;

/// A page is told its place no more often than this, unless something happens.
const BETWEEN_MS: u32 = 250;
/// With so few people ahead, a place that is wrong by one is put right, too,
const FEW_AHEAD: u32 = 20;
/// this long after the last time, in milliseconds.
const BETWEEN_FEW_MS: u32 = 1000;
/// Between two ticks of the controller a line stands still, and the countdown goes on: what it does for so long, in
/// seconds, is no error.
const TICK_S: f64 = 0.3;

/// What a page was told of its place, and what it therefore shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Countdown {
    /// When, since the node started, in milliseconds. Starts over after 49 days; only differences count.
    at_ms: u32,
    /// People ahead.
    place: u32,
    /// What it does not show more than.
    ceiling: u32,
    /// People ahead who had come back; only more of them let the page show more.
    recalled: u32,
    /// The fewest of them since then.
    recalled_min: u32,
    /// Places per second; 0: it stands still.
    rate_per_s: f32,
}

/// Why a page has to hear its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// It is not there.
    Elsewhere,
    /// People ahead have come back, some after others had been served: the page learns first how few there were between.
    Recalled {
        /// The fewest.
        min: u32,
    },
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A clock of 32 bits, in milliseconds.
pub fn milliseconds(now: Duration) -> u32 {
    // Only the low bits, on purpose.
    now.as_millis() as u32
}

/// How many places a page may be wrong by that has so many people ahead: one, or one in a hundred.
pub fn tolerated(ahead: u64) -> f64 {
    (ahead as f64 / 100.0).max(1.0)
}

impl Countdown {
    /// What a page knows that is told a place, and was told `before`.
    pub fn new(before: Option<&Self>, now: Duration, place: Place, rate_per_s: f64) -> Self {
        let (ahead, recalled) = (small(place.ahead), small(place.recalled));
        let ceiling =
            before.map_or(ahead, |before| before.shown(now).saturating_add(recalled.saturating_sub(before.recalled)));
        Self {
            at_ms: milliseconds(now),
            place: ahead,
            ceiling,
            recalled,
            recalled_min: recalled,
            rate_per_s: rate_per_s as f32,
        }
    }

    /// The page has stopped to count down: it heard that the sale is not open, or that the line is out of reach.
    pub fn stop(&mut self, now: Duration) {
        let shown = self.shown(now);
        (self.ceiling, self.rate_per_s) = (shown, 0.0);
    }

    /// How long ago, in milliseconds.
    pub fn age_ms(&self, now: Duration) -> u32 {
        milliseconds(now).wrapping_sub(self.at_ms)
    }

    pub fn rate_per_s(&self) -> f64 {
        f64::from(self.rate_per_s)
    }

    /// `floor(max(0, place − rate × seconds since))`.
    fn counted(&self, now: Duration) -> u32 {
        let counted = f64::from(self.place) - self.rate_per_s() * f64::from(self.age_ms(now)) / 1000.0;
        // Saturates at 0.
        counted.floor() as u32
    }

    /// What the page shows.
    pub fn shown(&self, now: Duration) -> u32 {
        self.counted(now).min(self.ceiling)
    }

    /// Why the page has to hear that it is at this place, if it has to.
    pub fn wrong(&mut self, now: Duration, place: Place) -> Option<Correction> {
        let (ahead, recalled) = (small(place.ahead), small(place.recalled));
        self.recalled_min = self.recalled_min.min(recalled);
        let tolerated = tolerated(place.ahead);
        let (age_ms, shown) = (self.age_ms(now), self.shown(now));
        let few = ahead < FEW_AHEAD && age_ms >= BETWEEN_FEW_MS;
        let below = f64::from(ahead) - f64::from(shown);
        if recalled > self.recalled_min && (below > tolerated || few && below >= 1.0) {
            // A message that names fewer of them than the last lets nothing grow, so growth is said in two.
            return Some(match self.recalled_min < self.recalled {
                true => Correction::Recalled { min: self.recalled_min },
                false => Correction::Elsewhere,
            });
        }
        let above = -below;
        // How far the countdown is ahead of the line: that, a message can end.
        let runs_ahead = f64::from(ahead) - f64::from(self.counted(now));
        let wrong = above > tolerated || runs_ahead > tolerated + self.rate_per_s() * TICK_S;
        (age_ms >= BETWEEN_MS && wrong || few && above >= 1.0).then_some(Correction::Elsewhere)
    }
}
