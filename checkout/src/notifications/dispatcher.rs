//! The notification dispatcher sends each notification at most once, in the background.
//!
//! - A notification is stored before it is sent, under its subject, so that a repeated event
//!   creates only one.
//! - It is marked as being sent before a channel receives it. If the channel or this process then
//!   stops responding, it may have arrived and is not sent again.
//! - A temporary rejection is retried. An outdated notification is given up.

use std::time::Duration;

use fairline_notification_channels::{Channels, SendError};
use fairline_server::Shutdown;
use fairline_telemetry::{Operation, OperationKind, SpanReport, within};
use futures_util::future::join_all;
use rand::RngExt as _;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::{
    auth::caller::Callers,
    db::StoreError,
    notifications::{
        notification::{DueNotification, SendOutcome, Sender},
        store::NotificationStore,
    },
};

const EVERY: Duration = Duration::from_millis(500);
/// A round that takes longer counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(120);
/// Notifications that one process sends at the same time.
const AT_ONCE: i64 = 16;
/// How long a channel may take for one notification.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// Pauses before the second and each further attempt, in seconds, ± 10 %. After the last one, the
/// notification is given up.
const RETRY_AFTER_S: [f64; 7] = [5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 7200.0];

/// The state of notifications.
#[derive(Clone)]
pub(crate) struct Notifications {
    pub(crate) store: NotificationStore,
    pub(crate) channels: Channels,
    /// Their key derives the codes of sign-ins.
    pub(crate) callers: Callers,
    pub(crate) sender: Sender,
    pub(crate) shutdown: Shutdown,
}

impl Notifications {
    /// Sends notifications until the process ends.
    pub(crate) fn start(&self) {
        let notifications = self.clone();
        self.shutdown.keep("notifications-sent", STALLED_AFTER, move |stop| {
            let notifications = notifications.clone();
            async move {
                let mut rounds = stop.rounds(EVERY);
                while rounds.next().await {
                    if let Err(error) = notifications.send_due().await {
                        metrics::counter!("checkout_notification_failures_total").increment(1);
                        warn!(%error, "send notifications failed; they will be retried");
                    }
                }
            }
        });
    }

    /// Sends due notifications in groups until none is left or the process stops.
    async fn send_due(&self) -> Result<(), StoreError> {
        loop {
            fairline_server::report_alive();
            let due = self.store.take_notifications(AT_ONCE).await?;
            let sent = due.iter().map(|notification| within(notification.trace, self.send(notification)));
            for recorded in join_all(sent).await {
                recorded?;
            }
            if due.len() < AT_ONCE as usize || self.shutdown.is_triggered() {
                return Ok(());
            }
        }
    }

    async fn send(&self, notification: &DueNotification) -> Result<(), StoreError> {
        let operation = Operation::begin(OperationKind::Client);
        let channel = self.channels.to(notification.address.kind());
        let outcome = match (channel, notification.content.render(&self.sender, self.callers.accounts())) {
            (Some(channel), Some(message)) => {
                let sent =
                    timeout(SEND_TIMEOUT, channel.send(&notification.subject, notification.address.as_str(), &message));
                let late = |_| Err(SendError::Silent(format!("no response within {} s", SEND_TIMEOUT.as_secs())));
                let sent = operation.run(sent).await.unwrap_or_else(late);
                if let Err(SendError::Gone(_)) = &sent {
                    self.store.forget_subscription(&notification.address).await?;
                }
                judge(sent, notification.attempts, rand::rng().random())
            }
            (None, _) => SendOutcome::GivenUp("no channel is configured for the address".to_owned()),
            (_, None) => SendOutcome::GivenUp("render text failed".to_owned()),
        };
        let word = outcome.as_str();
        metrics::counter!("checkout_notifications_total", "outcome" => word).increment(1);
        operation.end(word, outcome != SendOutcome::Sent, || SpanReport::named("send notification"));
        match &outcome {
            SendOutcome::Sent => info!(subject = notification.subject, "notification sent"),
            SendOutcome::Unknown(reason) | SendOutcome::GivenUp(reason) | SendOutcome::Retry { reason, .. } => {
                warn!(subject = notification.subject, reason, outcome = word, "send notification failed");
            }
        }
        self.store.record_sending(notification, &outcome).await
    }
}

/// The next state after an attempt, given the number of attempts. `jitter` is from 0 to 1.
fn judge(sent: Result<(), SendError>, attempts: i32, jitter: f64) -> SendOutcome {
    match sent {
        Ok(()) => SendOutcome::Sent,
        Err(SendError::Silent(reason)) => SendOutcome::Unknown(reason),
        Err(SendError::Refused(reason) | SendError::Gone(reason)) => SendOutcome::GivenUp(reason),
        Err(SendError::NotNow(reason)) => {
            match usize::try_from(attempts - 1).ok().and_then(|nth| RETRY_AFTER_S.get(nth)) {
                Some(seconds) => {
                    SendOutcome::Retry { reason, after: Duration::from_secs_f64(seconds * (0.9 + 0.2 * jitter)) }
                }
                None => SendOutcome::GivenUp(reason),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_notification_that_certainly_did_not_arrive_is_sent_again() {
        assert_eq!(judge(Ok(()), 1, 0.5), SendOutcome::Sent);
        assert_eq!(judge(Err(SendError::Silent("…".to_owned())), 1, 0.5), SendOutcome::Unknown("…".to_owned()));
        assert_eq!(judge(Err(SendError::Refused("no".to_owned())), 1, 0.5), SendOutcome::GivenUp("no".to_owned()));
        let not_now = |attempts| judge(Err(SendError::NotNow("busy".to_owned())), attempts, 0.5);
        for (attempts, seconds) in (1..).zip(RETRY_AFTER_S) {
            let after = Duration::from_secs_f64(seconds);
            assert_eq!(not_now(attempts), SendOutcome::Retry { reason: "busy".to_owned(), after });
        }
        assert_eq!(not_now(8), SendOutcome::GivenUp("busy".to_owned()));
    }
}
