//! A shopper who has reached the sale's limit and tries to buy more: joins again with the same
//! ticket and uses any turn that results. The line should report the limit immediately, and
//! checkout should sell no more.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::{
    line::{ConnectionEnd, EnteredLine, LineConnection},
    messages::{LineMessage, Over, claims},
    shopper::Shopper,
};

/// A shopper who receives no response for this long gives up.
const TRIES_FOR: Duration = Duration::from_secs(60);

impl Shopper<'_> {
    /// Tries until there is a response. Earlier purchases stay the outcome of the visit.
    pub(crate) async fn attempts_to_exceed_limit(&mut self) {
        let limit = self.crowd.job.per_shopper_limit;
        let has_all = self.record.paid.is_some_and(|paid| limit > 0 && paid.units >= limit);
        // An invitation has one turn, regardless of the limit.
        if !has_all || self.crowd.job.line(self.plan.index).1.is_some() {
            return;
        }
        let deadline = Instant::now() + TRIES_FOR;
        while let Ok(false) = timeout_at(deadline, self.tries_once()).await {
            self.pause(None).await;
        }
    }

    /// Tries once. Returns whether there was a response.
    async fn tries_once(&mut self) -> bool {
        let entrance = self.entrance(true);
        let EnteredLine { mut line, cookies } = match LineConnection::enter(self.plan.transport, entrance).await {
            Ok(entered) => entered,
            Err(lost) => return matches!(lost, ConnectionEnd::SaleOver),
        };
        self.keep_cookies(cookies);
        loop {
            match line.next().await {
                Ok(LineMessage::Over { outcome: Over::Limit }) => {
                    self.record.notified_of_limit = true;
                    return true;
                }
                // The line has not yet processed the use of the first turn.
                Ok(LineMessage::Over { outcome: Over::Bought }) => return false,
                Ok(LineMessage::Over { .. }) => return true,
                Ok(LineMessage::Turn { token }) => {
                    let Some(claims) = claims(&token) else { return true };
                    if self.record.turns.iter().any(|turn| turn.admission == claims.jti) {
                        continue;
                    }
                    let _ = line.claim().await;
                    match self.buys_more(&token).await {
                        Some(is_bought) => {
                            self.record.over_limit += u32::from(is_bought);
                            self.record.notified_of_limit |= !is_bought;
                            return true;
                        }
                        None => return false,
                    }
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}
