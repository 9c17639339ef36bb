//! One tab that runs as a task: an event stream, a poll, or a page without JavaScript. The event
//! loop owns WebSockets; they receive the same messages.

use std::time::Duration;

use fairline_update_policy::{HEARTBEAT_S, Inputs, LineMessage, SentState};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use crate::line::{room::Tab, wait_metrics};

/// How often an otherwise idle stream checks its place.
const CHECK_EVERY: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(HEARTBEAT_S as u64);

/// One tab of one shopper. Dropping it closes the tab.
pub(crate) struct StreamSession {
    /// Wakes the session when the ticket's turn changes.
    turn: watch::Receiver<()>,
    /// Whether the line can be reached; also wakes the session on other shared changes.
    line_reachable: watch::Receiver<bool>,
    tab: Tab,
    sent: SentState,
    started: Instant,
    /// When a heartbeat is due; `None` before the first one.
    heartbeat_at: Option<Instant>,
}

impl StreamSession {
    pub(crate) fn new(tab: Tab) -> Self {
        let turn = tab.room.shoppers.watch(tab.ordinal);
        let line_reachable = tab.room.subscribe();
        Self { turn, line_reachable, tab, sent: SentState::default(), started: Instant::now(), heartbeat_at: None }
    }

    /// Waits for the next message, or until a heartbeat is due: the first one follows the first
    /// messages. After the last message it never completes; see [`Self::is_over`].
    ///
    /// `pages` counts the open connections of this node.
    pub(crate) async fn next_or_heartbeat(&mut self, pages: impl Fn() -> usize) -> LineMessage {
        let due = self.heartbeat_at.unwrap_or_else(Instant::now);
        let message = timeout_at(due, self.next()).await.ok();
        if message.is_none() || self.heartbeat_at.is_some() {
            self.heartbeat_at = Some(Instant::now() + HEARTBEAT);
        }
        message.unwrap_or_else(|| LineMessage::heartbeat(pages()))
    }

    /// Waits for the next message. Cancel-safe.
    async fn next(&mut self) -> LineMessage {
        loop {
            // Marked before the check, so that a later change wakes the session.
            self.turn.mark_unchanged();
            self.line_reachable.mark_unchanged();
            if let Some(message) = self.now() {
                return message;
            }
            // The room and the ticket's entry in it outlive the session, so the channels never
            // close.
            tokio::select! {
                _ = self.turn.changed() => {}
                _ = self.line_reachable.changed() => {}
                () = sleep(CHECK_EVERY), if !self.sent.over() => {}
            }
        }
    }

    /// The next message, if one is due now.
    pub(crate) fn now(&mut self) -> Option<LineMessage> {
        let Tab { room, ordinal } = &self.tab;
        let mut places = Vec::with_capacity(1);
        let snapshot = room.snapshot([*ordinal], &mut places);
        let now = self.started.elapsed();
        let message = self.sent.next(&Inputs {
            ordinal: *ordinal,
            card: &snapshot.card,
            news: snapshot.news,
            line_reachable: snapshot.line_reachable,
            turn: &room.shoppers.turn(*ordinal),
            place: places.pop().flatten(),
            in_draw: snapshot.in_draw,
            forecast: snapshot.forecast,
            now,
        });
        if let Some(message) = &message {
            metrics::counter!("line_messages_total", "type" => message.kind()).increment(1);
        }
        if let Some(waited) = self.sent.take_ended_wait(now) {
            wait_metrics::record(waited);
        }
        message
    }

    /// Whether the last message has been sent.
    pub(crate) fn is_over(&self) -> bool {
        self.sent.over()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::line::{room, shoppers::Browser};

    #[tokio::test(start_paused = true)]
    async fn an_event_stream_carries_a_heartbeat_after_the_first_messages_and_in_silence() {
        let room = Arc::new(room::tests::room());
        let ticket = room::tests::ticket(&room, 3);
        let mut session = StreamSession::new(Tab::open(room, &ticket, Browser::Desktop));
        let (opened, mut received) = (Instant::now(), Vec::new());
        while opened.elapsed() <= HEARTBEAT * 3 {
            let message = session.next_or_heartbeat(|| 2_001).await;
            received.push((opened.elapsed().as_secs(), message.kind()));
            if let LineMessage::Heartbeat { reconnect_within_ms, .. } = message {
                assert_eq!(reconnect_within_ms, 1_000, "depends on the number of pages");
            }
        }
        let heartbeats: Vec<u64> =
            received.iter().filter(|(_, kind)| *kind == "heartbeat").map(|(at_s, _)| *at_s).collect();
        assert_eq!(heartbeats[0], 0, "{received:?}");
        let first = received.iter().position(|(_, kind)| *kind == "heartbeat");
        assert!(first >= Some(2), "the sale and the place precede it: {received:?}");
        let times = received.iter().map(|(at_s, _)| *at_s);
        let longest_s = times.clone().zip(times.skip(1)).map(|(one, next)| next - one).max();
        assert_eq!(longest_s, Some(u64::from(HEARTBEAT_S)), "{received:?}");
    }
}
