//! The countdown of a page: what it shows, and when that justifies a message. Pure: time is passed
//! in.
//!
//! A page counts down between messages, at the rate that it was sent. The node computes what the
//! page shows by the rule in `docs/line-protocol.md` (implemented by the page in
//! `web/src/shopper/countdown.ts`), and sends a message only when that is wrong.

use std::time::Duration;

use fairline_line::places::Place;

/// Minimum interval between two places sent to a page, unless its turn or the sale changes.
const BETWEEN_MS: u32 = 250;
/// With fewer shoppers ahead than this, a place that is wrong by one is corrected, too.
const FEW_AHEAD: u32 = 20;
/// Minimum interval between such corrections, in milliseconds.
const BETWEEN_FEW_MS: u32 = 1000;
/// Between two ticks of the controller the line does not move while the countdown continues. An
/// advance of up to this many seconds is not an error.
const TICK_S: f64 = 0.3;

/// The last place sent to a page, and the countdown that follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Countdown {
    /// Send time in milliseconds since the node started. Wraps after 49 days; only differences
    /// count.
    at_ms: u32,
    /// People ahead.
    place: u32,
    /// The maximum that the page shows.
    ceiling: u32,
    /// Recalled shoppers ahead. The page shows a higher place only if this grows.
    recalled: u32,
    /// The minimum number of recalled shoppers ahead since then.
    recalled_min: u32,
    /// Places per second; 0 while the line does not move.
    rate_per_s: f32,
}

/// Why a page needs a new place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// The shown place is wrong.
    Elsewhere,
    /// People ahead were recalled after others had been served. The page first needs the minimum
    /// number of recalled shoppers in between.
    Recalled {
        /// The minimum.
        min: u32,
    },
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A 32-bit clock in milliseconds.
pub fn milliseconds(now: Duration) -> u32 {
    // Truncation is intended: only the low bits are needed.
    now.as_millis() as u32
}

/// The tolerated error of a place with this many shoppers ahead: one place, or one per cent.
pub fn tolerated(ahead: u64) -> f64 {
    (ahead as f64 / 100.0).max(1.0)
}

impl Countdown {
    /// The countdown of a page that is sent a place after `before`.
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

    /// Stops the countdown: the page was notified that the sale is not open or that the line can't
    /// be reached.
    pub fn stop(&mut self, now: Duration) {
        let shown = self.shown(now);
        (self.ceiling, self.rate_per_s) = (shown, 0.0);
    }

    /// Time since the last message, in milliseconds.
    pub fn age_ms(&self, now: Duration) -> u32 {
        milliseconds(now).wrapping_sub(self.at_ms)
    }

    pub fn rate_per_s(&self) -> f64 {
        f64::from(self.rate_per_s)
    }

    /// `floor(max(0, place − rate × seconds since))`.
    fn counted(&self, now: Duration) -> u32 {
        let counted = f64::from(self.place) - self.rate_per_s() * f64::from(self.age_ms(now)) / 1000.0;
        // The cast saturates at 0.
        counted.floor() as u32
    }

    /// What the page shows.
    pub fn shown(&self, now: Duration) -> u32 {
        self.counted(now).min(self.ceiling)
    }

    /// Why the page needs a message about its place, or `None` if what it shows is correct enough.
    pub fn wrong(&mut self, now: Duration, place: Place) -> Option<Correction> {
        let (ahead, recalled) = (small(place.ahead), small(place.recalled));
        self.recalled_min = self.recalled_min.min(recalled);
        let tolerated = tolerated(place.ahead);
        let (age_ms, shown) = (self.age_ms(now), self.shown(now));
        let few = ahead < FEW_AHEAD && age_ms >= BETWEEN_FEW_MS;
        let below = f64::from(ahead) - f64::from(shown);
        if recalled > self.recalled_min && (below > tolerated || few && below >= 1.0) {
            // A place can grow only if the number of recalled shoppers does, so growth after a
            // decrease takes two messages.
            return Some(match self.recalled_min < self.recalled {
                true => Correction::Recalled { min: self.recalled_min },
                false => Correction::Elsewhere,
            });
        }
        let above = -below;
        // How far the countdown is ahead of the line. A message ends that.
        let runs_ahead = f64::from(ahead) - f64::from(self.counted(now));
        let wrong = above > tolerated || runs_ahead > tolerated + self.rate_per_s() * TICK_S;
        (age_ms >= BETWEEN_MS && wrong || few && above >= 1.0).then_some(Correction::Elsewhere)
    }
}
