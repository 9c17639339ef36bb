//! What keeps one room true: what a node asks of the line for it, and tells the line of it.
//!
//! Owns no task and no clock, so that the simulation runs the very same code: [`super::rooms`] says when.

use std::time::Duration;

use fairline_line::{
    change::{Change, Revision},
    store::{LineError, LineStore, Resumed},
    ticket::Ticket,
};
use tracing::{info, warn};

use crate::line::{grace::Grace, room::Room, shoppers::Browser};

/// Tickets that are presented to the line in one call at most.
const PRESENTED_AT_ONCE: usize = 1000;

/// Presents tickets of one sale to the line, in its order, and tells their tabs what has become of their turns.
pub(crate) async fn resume(store: &LineStore, room: &Room, tickets: &[Ticket]) -> Result<(), LineError> {
    let Resumed { turns, revision } = store.resume(room.sale, tickets).await?;
    for (ticket, turn) in tickets.iter().zip(turns) {
        room.resumed(ticket.ordinal, turn, revision);
    }
    Ok(())
}

/// What a node asks and tells the line with.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) store: LineStore,
    pub(crate) grace: Grace,
    /// The name of this node, like no other's.
    pub(crate) node: String,
}

impl Upkeep {
    /// Takes in a change of the line, and does what follows from it.
    pub(crate) async fn take_in(&self, room: &Room, at: Revision, change: Change) {
        let follow_up = room.apply(at, change);
        if follow_up.gap {
            self.restart(room).await;
        }
        if follow_up.drawn {
            self.learn_draw(room).await;
        }
        self.present(room, &follow_up.resume).await;
    }

    /// Reads the numbers of a draw that was made.
    async fn learn_draw(&self, room: &Room) {
        match self.store.numbers(room.sale).await {
            Ok(numbers) => room.draw(numbers),
            // The next beat finds the line out of reach, and reads it anew, with the numbers.
            Err(error) => {
                warn!(sale = %room.sale, %error, "reading the draw failed");
                room.set_in_touch(false);
            }
        }
    }

    /// Starts a room over from a snapshot, and presents every ticket that is connected here: what happened to them
    /// meanwhile was missed, and a line that was begun anew learns of them.
    async fn restart(&self, room: &Room) {
        match self.store.snapshot(room.sale).await {
            Ok(snapshot) => {
                room.restart(snapshot);
                self.present(room, &room.shoppers.connected()).await;
            }
            // The controller begins the line anew within a tick.
            Err(error) => {
                warn!(sale = %room.sale, %error, "reading a snapshot of the line failed");
                room.set_in_touch(false);
            }
        }
    }

    async fn present(&self, room: &Room, tickets: &[Ticket]) {
        for tickets in tickets.chunks(PRESENTED_AT_ONCE) {
            if let Err(error) = resume(&self.store, room, tickets).await {
                // The next beat finds the line out of reach or changed, and all are presented again.
                warn!(sale = %room.sale, %error, tickets = tickets.len(), "presenting tickets to the line failed");
                room.set_in_touch(false);
                return;
            }
        }
    }

    /// Restarts a room that has not heard what the line had said by the last look. Gives what it has said by now.
    pub(crate) async fn look_after(&self, room: &Room, expected: Revision) -> Revision {
        match self.store.revision(room.sale).await {
            Ok(at) => {
                if !room.is_in_touch() || room.revision() < expected || room.revision().epoch != at.epoch {
                    info!(sale = %room.sale, epoch = at.epoch, "line reloaded");
                    self.restart(room).await;
                }
                at
            }
            Err(error) => {
                if room.is_in_touch() {
                    warn!(sale = %room.sale, %error, "line unreachable");
                    metrics::counter!("line_losses_of_touch_total").increment(1);
                }
                room.set_in_touch(false);
                Revision::default()
            }
        }
    }

    /// Says who is connected here, and has those who are connected nowhere start their grace period.
    pub(crate) async fn answer_roll_call(
        &self,
        room: &Room,
        grace: Duration,
        up_for: Duration,
    ) -> Result<(), LineError> {
        self.store.present(room.sale, &self.node, up_for, room.shoppers.bitmap()).await?;
        let mut after = 0;
        loop {
            // Nobody knows any more what those who are found nowhere looked at the line with.
            after = self.store.roll_call(room.sale, grace, after).await?;
            if after == 0 {
                return Ok(());
            }
        }
    }

    /// Tells the line whose last tab has closed.
    pub(crate) async fn tell_gone(&self, room: &Room) {
        let gone = room.shoppers.take_gone();
        for browser in [Browser::Desk, Browser::Phone] {
            let gone = gone.iter().filter(|gone| gone.1 == browser);
            let ordinals: Vec<_> = gone.map(|(ordinal, _)| *ordinal).collect();
            if ordinals.is_empty() {
                continue;
            }
            let grace = self.grace.of(&room.card(), browser);
            if let Err(error) = self.store.absent(room.sale, grace, true, &ordinals).await {
                warn!(sale = %room.sale, %error, "writing absences failed; they will be retried");
                room.shoppers.put_back_gone(ordinals.into_iter().map(|ordinal| (ordinal, browser)));
            }
        }
    }
}
