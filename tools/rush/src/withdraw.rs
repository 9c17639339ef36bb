//! A shopper who changes its mind at the checkout: cancels the order, or withdraws a payment that
//! the gateway may be about to authorise. Neither may be charged afterwards.

use std::time::Duration;

use hyper::{Method, StatusCode, header};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    history::HistoryEventKind,
    http::request,
    messages::{Order, OrderStatus},
    shopper::Shopper,
};

/// Longest time for which the shopper waits for its payment. It may end before the payment begins.
const WAITS_UP_TO: Duration = Duration::from_secs(1);
/// Slow payments: a response after two seconds, a bank that takes three.
const SLOW_METHODS: [&str; 2] = ["tok_slow", "tok_action"];

impl Shopper<'_> {
    /// Cancels the order at once, or sends a payment and then cancels the order or withdraws the
    /// payment. Returns the status of the order.
    pub(crate) async fn changes_its_mind(&mut self, order: Uuid) -> OrderStatus {
        let [pays, cancels] = [(); 2].map(|()| self.plan.dice.below(3) > 0);
        if pays {
            let method = SLOW_METHODS[self.plan.dice.below(2) as usize];
            let (target, patience) = (self.next_checkout(), self.plan.dice.up_to(WAITS_UP_TO));
            self.note(HistoryEventKind::PaySent { order });
            // The shopper continues, whether or not there is a response.
            let _ = timeout(patience, self.post_payment(&target, order, method)).await;
        }
        self.withdraw(order, cancels || !pays).await
    }

    /// Cancels an order, or withdraws its payment, until there is a response. Returns the status of
    /// the order.
    async fn withdraw(&mut self, order: Uuid, cancels: bool) -> OrderStatus {
        let (method, path) = if cancels {
            (Method::POST, format!("/api/orders/{order}/cancel"))
        } else {
            (Method::DELETE, format!("/api/orders/{order}/payment"))
        };
        loop {
            let target = self.next_checkout();
            let cookie = self.cookie_header().unwrap_or_default();
            let headers = [(header::COOKIE, cookie.as_str())];
            self.note(HistoryEventKind::WithdrawalSent { order });
            let answer = self.caller.call(&target, request(&target, method.clone(), &path, &headers, None)).await;
            let retry_after = match answer {
                Ok(answer) if answer.status == StatusCode::OK => match answer.read::<Order>() {
                    Some(Order { status, .. }) => {
                        self.note(HistoryEventKind::Withdrawn { order });
                        return status;
                    }
                    None => self.asked_for_patience("withdrawal", &answer),
                },
                // The bank has approved the payment, or the hold has expired.
                Ok(answer) if answer.status == StatusCode::CONFLICT => return self.watch(order, None).await,
                Ok(answer) => self.asked_for_patience("withdrawal", &answer),
                Err(_) => None,
            };
            self.pause(retry_after).await;
        }
    }
}
