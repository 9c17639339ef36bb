//! The presence of clients that poll. Such a client is disconnected between two requests, so each
//! request restarts its grace period.

use std::time::Duration;

use axum::http::HeaderMap;
use fairline_line::ticket::Ticket;

use super::error::RoomError;
use crate::line::{absences::Absences, grace::Grace, room::Room, shoppers::Browser};

/// Starts the grace periods of clients that poll.
pub(crate) struct Polls {
    pub(crate) absences: Absences,
    pub(crate) grace: Grace,
}

impl Polls {
    /// Starts the grace period of a ticket, which lasts `at_least` that long.
    pub(super) async fn start_grace(
        &self,
        room: &Room,
        ticket: &Ticket,
        headers: &HeaderMap,
        at_least: Duration,
    ) -> Result<(), RoomError> {
        let grace = self.grace.of(&room.card(), Browser::of(headers)).max(at_least);
        Ok(self.absences.note(ticket, grace).await?)
    }
}
