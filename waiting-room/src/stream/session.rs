//! One tab that runs as a task: an event stream, a poll, or a page without JavaScript. The event
//! loop owns WebSockets; they receive the same messages.

use std::time::Duration;

use fairline_update_policy::{Inputs, LineMessage, SentState};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::wait_metrics;
use crate::line::room::Tab;

/// How often an otherwise idle stream checks its place.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// One tab of one shopper. Dropping it closes the tab.
pub(crate) struct StreamSession {
    /// Wakes the session when the ticket's turn changes.
    turn: watch::Receiver<()>,
    /// Whether the line can be reached; also wakes the session on other shared changes.
    in_touch: watch::Receiver<bool>,
    tab: Tab,
    sent: SentState,
    started: Instant,
}

impl StreamSession {
    pub(crate) fn new(tab: Tab) -> Self {
        let turn = tab.room.shoppers.watch(tab.ordinal);
        let in_touch = tab.room.subscribe();
        Self { turn, in_touch, tab, sent: SentState::default(), started: Instant::now() }
    }

    /// Waits for the next message. After the last one it never completes; see [`Self::is_over`].
    pub(crate) async fn next(&mut self) -> LineMessage {
        loop {
            // Marked before the check, so that a later change wakes the session.
            self.turn.mark_unchanged();
            self.in_touch.mark_unchanged();
            if let Some(message) = self.now() {
                return message;
            }
            // The room and the ticket's entry in it outlive the session, so the channels never
            // close.
            tokio::select! {
                _ = self.turn.changed() => {}
                _ = self.in_touch.changed() => {}
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
            in_touch: snapshot.in_touch,
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
