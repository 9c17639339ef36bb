//! One connected console: sends updates until the session, the connection or the process ends.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use fairline_sale::SaleId;
use time::OffsetDateTime;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{service::Live, update::LiveUpdate};
use crate::{auth::operator::Operator, error::CommonError};

/// How often the data is read again.
const READ_EVERY: Duration = Duration::from_millis(500);
/// How often the session and the connection are checked.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Without a change for this long, a console receives a heartbeat, so that silence means a fault.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
/// A browser that accepts no message for this long counts as disconnected.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The close code when a session has ended.
const SESSION_ENDED: u16 = 4401;

pub(super) struct ConsoleConnection {
    pub(super) live: Live,
    pub(super) operator: Operator,
    /// The sale that is shown; all sales if it is `None`.
    pub(super) sale: Option<SaleId>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What a console has received.
#[derive(Clone, Default)]
struct SentUpdates {
    /// The last message about the sale or the sales.
    sales: String,
    rehearsal: String,
    sampled_at: Option<OffsetDateTime>,
}

impl ConsoleConnection {
    pub(super) async fn run(self, mut socket: WebSocket) {
        let shutdown = self.live.consoles.shutdown.clone();
        let mut timer = interval(READ_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut sent, mut checked_at, mut sent_at) = (SentUpdates::default(), Instant::now(), Instant::now());
        let close = loop {
            tokio::select! {
                () = shutdown.triggered() => break close_code::AWAY,
                received = socket.recv() => match received {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                },
                _ = timer.tick() => {}
            }
            if checked_at.elapsed() >= CHECK_EVERY {
                checked_at = Instant::now();
                if !self.live.auth.is_still_valid(&self.operator).await {
                    break SESSION_ENDED;
                }
                if send(&mut socket, Message::Ping(Vec::new().into())).await.is_none() {
                    return;
                }
            }
            // If the database does not respond, the next round tries again. Meanwhile no heartbeat
            // is sent, and the page shows when it received the last update.
            let mut next = sent.clone();
            let Ok(mut updates) = self.updates(&mut next).await else { continue };
            sent = next;
            if updates.is_empty() && sent_at.elapsed() >= HEARTBEAT_EVERY {
                updates.extend(serde_json::to_string(&LiveUpdate::Heartbeat));
            }
            if !updates.is_empty() {
                sent_at = Instant::now();
            }
            for text in updates {
                if send(&mut socket, Message::Text(Utf8Bytes::from(text))).await.is_none() {
                    return;
                }
            }
        };
        send(&mut socket, Message::Close(Some(CloseFrame { code: close, reason: Utf8Bytes::default() }))).await;
    }

    /// What has changed since the last update.
    async fn updates(&self, sent: &mut SentUpdates) -> Result<Vec<String>, CommonError> {
        let mut updates = Vec::new();
        let Some(sale) = self.sale else {
            let sales = self.live.sales.list(None, None).await?;
            updates.extend(unless_sent(&mut sent.sales, &LiveUpdate::Sales { sales }));
            return Ok(updates);
        };
        let shown = self.live.sales.show(&sale.to_string()).await?;
        if sent.sales.is_empty() {
            updates.extend(serde_json::to_string(&LiveUpdate::Stage { is_set: self.live.has_stage }));
        }
        updates.extend(unless_sent(&mut sent.sales, &LiveUpdate::Sale { sale: Box::new(shown) }));
        let after = sent.sampled_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let samples = self.live.samples(sale, after).await?;
        let is_first = sent.sampled_at.is_none();
        sent.sampled_at = samples.last().map(|sample| sample.at).or(Some(after));
        if is_first || !samples.is_empty() {
            updates.extend(serde_json::to_string(&LiveUpdate::Samples { samples }));
        }
        if let Some(rehearsal) = self.live.rehearsals.rehearsals(sale).await?.into_iter().next() {
            let rehearsal = LiveUpdate::Rehearsal { rehearsal: rehearsal.into() };
            updates.extend(unless_sent(&mut sent.rehearsal, &rehearsal));
        }
        Ok(updates)
    }
}

/// An update as text, unless it equals the last one.
fn unless_sent(last: &mut String, update: &LiveUpdate) -> Option<String> {
    let text = serde_json::to_string(update).ok().filter(|text| text != last)?;
    last.clone_from(&text);
    Some(text)
}

/// `None` if the browser has disconnected.
async fn send(socket: &mut WebSocket, message: Message) -> Option<()> {
    timeout(SEND_WITHIN, socket.send(message)).await.ok()?.ok()
}
