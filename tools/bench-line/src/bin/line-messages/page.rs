//! What a page shows, by the rule of `docs/line-protocol.md`, without code of the waiting room.

use std::time::Duration;

use fairline_sale::Status;

use fairline_update_policy::LineMessage;

#[derive(Default)]
pub(crate) struct ModelPage {
    countdown: Option<PageCountdown>,
    grown: u64,
}

struct PageCountdown {
    place: u64,
    at_s: f64,
    rate_per_s: f64,
    ceiling: u64,
    recalled: u64,
}

impl ModelPage {
    /// The place that it shows, if it shows one.
    pub(crate) fn shown(&self, now: Duration) -> Option<u64> {
        self.countdown.as_ref().map(|countdown| {
            let counted =
                (countdown.place as f64 - countdown.rate_per_s * (now.as_secs_f64() - countdown.at_s)).max(0.0).floor();
            countdown.ceiling.min(counted as u64)
        })
    }

    /// Places by which returning shoppers may have let it grow since the last call.
    pub(crate) fn may_have_grown(&mut self) -> u64 {
        std::mem::take(&mut self.grown)
    }

    pub(crate) fn receive(&mut self, message: &LineMessage, now: Duration) {
        let shown = self.shown(now);
        match message {
            LineMessage::Place { place, recalled, rate_per_s, .. } => {
                let back = self.countdown.as_ref().map_or(0, |countdown| recalled.saturating_sub(countdown.recalled));
                self.grown += back;
                self.countdown = Some(PageCountdown {
                    place: *place,
                    at_s: now.as_secs_f64(),
                    rate_per_s: rate_per_s.unwrap_or_default(),
                    ceiling: shown.map_or(*place, |shown| shown + back),
                    recalled: *recalled,
                });
            }
            LineMessage::Sale { sale } if sale.status != Status::Open => self.stop(shown),
            LineMessage::Reconnecting { .. } => self.stop(shown),
            LineMessage::Draw { .. } | LineMessage::Turn { .. } | LineMessage::Over { .. } => self.countdown = None,
            LineMessage::Sale { .. } | LineMessage::Heartbeat { .. } => {}
        }
    }

    fn stop(&mut self, shown: Option<u64>) {
        if let (Some(countdown), Some(shown)) = (&mut self.countdown, shown) {
            (countdown.ceiling, countdown.rate_per_s) = (shown, 0.0);
        }
    }
}
