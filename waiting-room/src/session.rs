//! One tab of one shopper: what it hears, whichever way it is connected.

use std::sync::Arc;

use fairline_line::{change::Turn, ticket::Ticket};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    message::LineMessage,
    pace,
    room::Room,
    speech::{Facts, Said},
};

/// One tab of one shopper. Dropping it closes the tab.
pub(crate) struct Session {
    room: Arc<Room>,
    ticket: Ticket,
    /// `None` only while dropping.
    turn: Option<watch::Receiver<Turn>>,
    /// Whether the line can be reached; also wakes us when there are other news.
    in_touch: watch::Receiver<bool>,
    said: Said,
    /// When a change of place, or of the number of remaining units, is worth a message again.
    place_due: Instant,
}

impl Session {
    /// Opens a tab. From here on nothing that happens to the ticket is missed.
    pub(crate) fn enter(room: Arc<Room>, ticket: Ticket) -> Self {
        let turn = Some(room.enter(ticket));
        let in_touch = room.subscribe();
        Self { room, ticket, turn, in_touch, said: Said::default(), place_due: Instant::now() }
    }

    pub(crate) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// What has become of the ticket's turn.
    pub(crate) fn turn(&self) -> Turn {
        self.turn.as_ref().map_or(Turn::Waiting, |turn| turn.borrow().clone())
    }

    /// Waits for the next message. After the last one it waits for ever; see [`Self::is_over`].
    pub(crate) async fn next(&mut self) -> LineMessage {
        loop {
            if let Some(message) = self.now() {
                return message;
            }
            let Some(turn) = self.turn.as_mut() else { std::future::pending().await };
            // The room outlives its sessions, so the channels never close.
            tokio::select! {
                _ = turn.changed() => {}
                _ = self.in_touch.changed() => {}
                () = sleep_until(self.place_due), if !self.said.over => {}
            }
        }
    }

    /// The next message, if there is one already.
    pub(crate) fn now(&mut self) -> Option<LineMessage> {
        let due = self.place_due <= Instant::now();
        let facts = self.facts();
        let message = self.said.next(&facts, due);
        if due || matches!(message, Some(LineMessage::Place { .. })) {
            self.place_due = Instant::now() + pace::push_after(self.said.ahead());
        }
        if let Some(message) = &message {
            metrics::counter!("line_messages_total", "type" => kind(message)).increment(1);
        }
        message
    }

    /// Whether the last message has been said.
    pub(crate) fn is_over(&self) -> bool {
        self.said.over
    }

    fn facts(&mut self) -> Facts {
        let turn = self.turn.as_mut().map_or(Turn::Waiting, |turn| turn.borrow_and_update().clone());
        Facts {
            ordinal: self.ticket.ordinal,
            card: self.room.card(),
            in_touch: *self.in_touch.borrow_and_update(),
            turn,
            place: self.room.place(self.ticket.ordinal),
            rate_per_s: self.room.rate_per_s(),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.room.exit(self.ticket.ordinal, turn);
        }
    }
}

fn kind(message: &LineMessage) -> &'static str {
    match message {
        LineMessage::Place { .. } => "place",
        LineMessage::Sale { .. } => "sale",
        LineMessage::Turn { .. } => "turn",
        LineMessage::Over { .. } => "over",
        LineMessage::Reconnecting { .. } => "reconnecting",
    }
}
