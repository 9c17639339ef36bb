//! What a page shows, by the rule of `docs/line-protocol.md`. Nothing of the waiting room is in here.

use std::time::Duration;

use fairline_sale::Status;

use fairline_update_policy::LineMessage;

#[derive(Default)]
pub(crate) struct Page {
    told: Option<Countdown>,
    grown: u64,
}

struct Countdown {
    place: u64,
    at_s: f64,
    rate_per_s: f64,
    ceiling: u64,
    recalled: u64,
}

impl Page {
    /// The place that it shows, if it shows one.
    pub(crate) fn shown(&self, now: Duration) -> Option<u64> {
        self.told.as_ref().map(|told| {
            let counted = (told.place as f64 - told.rate_per_s * (now.as_secs_f64() - told.at_s)).max(0.0).floor();
            told.ceiling.min(counted as u64)
        })
    }

    /// By how many places people who came back may have let it grow since the last time that this was asked.
    pub(crate) fn may_have_grown(&mut self) -> u64 {
        std::mem::take(&mut self.grown)
    }

    pub(crate) fn hear(&mut self, message: &LineMessage, now: Duration) {
        let shown = self.shown(now);
        match message {
            LineMessage::Place { place, recalled, rate_per_s, .. } => {
                let back = self.told.as_ref().map_or(0, |told| recalled.saturating_sub(told.recalled));
                self.grown += back;
                self.told = Some(Countdown {
                    place: *place,
                    at_s: now.as_secs_f64(),
                    rate_per_s: rate_per_s.unwrap_or_default(),
                    ceiling: shown.map_or(*place, |shown| shown + back),
                    recalled: *recalled,
                });
            }
            LineMessage::Sale { sale } if sale.status != Status::Open => self.stop(shown),
            LineMessage::Reconnecting { .. } => self.stop(shown),
            LineMessage::Draw { .. } | LineMessage::Turn { .. } | LineMessage::Over { .. } => self.told = None,
            LineMessage::Sale { .. } | LineMessage::Heartbeat { .. } => {}
        }
    }

    fn stop(&mut self, shown: Option<u64>) {
        if let (Some(told), Some(shown)) = (&mut self.told, shown) {
            (told.ceiling, told.rate_per_s) = (shown, 0.0);
        }
    }
}
