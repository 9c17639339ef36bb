//! Keeps one room up to date: reads its state from the line, and reports presence to the line.
//!
//! Owns no task and no clock, so that the simulation runs the same code; [`super::rooms`] schedules
//! it.

use std::time::Duration;

use fairline_line::{
    change::{Change, Revision},
    store::{LineError, LineStore, NodeReport, ResumedTurns},
    ticket::Ticket,
};
use tracing::{debug, info, warn};

use crate::line::{grace::Grace, room::Room, shoppers::Browser};

/// How often a node reports its connected shoppers, at most.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// The same, at least, with a short grace period.
const REPORT_EVERY_MIN: Duration = Duration::from_millis(100);

/// Tickets presented to the line in one call, at most.
const PRESENTED_AT_ONCE: usize = 1000;

/// Presents tickets of one sale to the line in order, and notifies their tabs of their turns.
pub(crate) async fn resume(store: &LineStore, room: &Room, tickets: &[Ticket]) -> Result<(), LineError> {
    let ResumedTurns { turns, revision } = store.resume(room.sale, tickets).await?;
    for (ticket, turn) in tickets.iter().zip(turns) {
        room.resumed(ticket.ordinal, turn, revision);
    }
    Ok(())
}

/// A node's access to the line.
#[derive(Clone)]
pub(crate) struct RoomSync {
    pub(crate) store: LineStore,
    pub(crate) grace: Grace,
    /// The unique name of this node.
    pub(crate) node: String,
}

impl RoomSync {
    /// Applies a change of the line and does the work that follows from it.
    pub(crate) async fn apply(&self, room: &Room, at: Revision, change: Change) {
        let follow_up = room.apply(at, change);
        if follow_up.gap {
            self.restart(room).await;
        }
        if follow_up.drawn {
            self.learn_draw(room, at).await;
        }
        self.present(room, &follow_up.resume).await;
    }

    /// Reads the numbers of the draw that was made at a revision.
    async fn learn_draw(&self, room: &Room, at: Revision) {
        match self.store.numbers(room.sale).await {
            Ok(numbers) => room.draw(at, numbers),
            // The next check finds the line unreachable and reloads it with the numbers.
            Err(error) => {
                warn!(sale = %room.sale, %error, "read draw failed");
                room.set_line_reachable(false);
            }
        }
    }

    /// Reloads a room from a snapshot and presents every connected ticket: the room missed changes
    /// to them, and a line that was restarted does not have them yet. The report that follows lets
    /// a lost line stop waiting for the shoppers of this node.
    async fn restart(&self, room: &Room) {
        match self.store.snapshot(room.sale).await {
            Ok(snapshot) => {
                let epoch = snapshot.revision.epoch;
                room.restart(snapshot);
                if self.present(room, &room.shoppers.connected()).await {
                    room.set_presented_in(epoch);
                    if let Err(error) = self.report(room).await {
                        debug!(sale = %room.sale, %error, "report connected shoppers failed");
                    }
                }
            }
            // The controller restarts the line within a tick.
            Err(error) => {
                warn!(sale = %room.sale, %error, "read line snapshot failed");
                room.set_line_reachable(false);
            }
        }
    }

    /// Returns whether all were presented.
    async fn present(&self, room: &Room, tickets: &[Ticket]) -> bool {
        for tickets in tickets.chunks(PRESENTED_AT_ONCE) {
            if let Err(error) = resume(&self.store, room, tickets).await {
                // The next check finds the line unreachable or changed, and presents all tickets
                // again.
                warn!(sale = %room.sale, %error, tickets = tickets.len(), "present tickets to the line failed");
                room.set_line_reachable(false);
                return false;
            }
        }
        true
    }

    /// Reloads a room that lacks changes published before the last check. Returns the current
    /// revision.
    pub(crate) async fn check(&self, room: &Room, expected: Revision) -> Revision {
        match self.store.revision(room.sale).await {
            Ok(at) => {
                if !room.is_line_reachable() || room.revision() < expected || room.revision().epoch != at.epoch {
                    info!(sale = %room.sale, epoch = at.epoch, "line reloaded");
                    self.restart(room).await;
                }
                at
            }
            Err(error) => {
                if room.is_line_reachable() {
                    warn!(sale = %room.sale, %error, "line unreachable");
                    metrics::counter!("line_unreachable_total").increment(1);
                }
                room.set_line_reachable(false);
                Revision::default()
            }
        }
    }

    /// Reports the connected shoppers, and starts the grace period of those connected to no node.
    pub(crate) async fn answer_roll_call(&self, room: &Room) -> Result<(), LineError> {
        self.report(room).await?;
        let grace = self.grace.of(&room.card(), Browser::Desktop);
        let mut after = 0;
        loop {
            // The browser of a shopper who is connected to no node is unknown.
            after = self.store.roll_call(room.sale, grace, after).await?;
            if after == 0 {
                return Ok(());
            }
        }
    }

    /// How often to report the connected shoppers of a room.
    pub(crate) fn report_every(&self, room: &Room) -> Duration {
        let grace = self.grace.of(&room.card(), Browser::Desktop);
        REPORT_EVERY.min(grace / 4).max(REPORT_EVERY_MIN)
    }

    async fn report(&self, room: &Room) -> Result<(), LineError> {
        let up_for = self.report_every(room) * 3;
        let node = NodeReport { name: &self.node, up_for, connected: room.shoppers.bitmap() };
        self.store.present(room.sale, room.presented_in(), node).await
    }

    /// Reports shoppers whose last tab has closed.
    pub(crate) async fn report_gone(&self, room: &Room) {
        let gone = room.shoppers.take_gone();
        for browser in [Browser::Desktop, Browser::Phone] {
            let gone = gone.iter().filter(|gone| gone.1 == browser);
            let ordinals: Vec<_> = gone.map(|(ordinal, _)| *ordinal).collect();
            if ordinals.is_empty() {
                continue;
            }
            let grace = self.grace.of(&room.card(), browser);
            if let Err(error) = self.store.absent(room.sale, grace, true, &ordinals).await {
                warn!(sale = %room.sale, %error, "write absences failed; will retry");
                room.shoppers.put_back_gone(ordinals.into_iter().map(|ordinal| (ordinal, browser)));
            }
        }
    }
}
