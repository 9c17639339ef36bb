//! Progress: while a unit is free and a shopper waits with an open page, one is admitted within
//! [`PROGRESS_MS`]. It is checked while every task runs until it sleeps, so that no delay is one of
//! the scheduler.
//!
//! Shoppers count who wait where they can be served: at nodes that reach the Redis which has the
//! line, if a controller reaches it, too. With two primaries that is the side that keeps the line;
//! the shoppers of the other side are served once the primaries are reunited.
//!
//! While a fault is under way, [`World::hindrance`] names it, and the limit is [`HINDERED_MS`].

use super::{CONTROLLERS, World};

/// The promised second, and the checks and ticks by which a change that was just missed is noticed:
/// of a node 0.5 s, of a controller at rest 0.5 s. It contains the period of the lowest rate cap.
const PROGRESS_MS: u64 = 2000;
/// The limit while a fault is under way, in ms: the recovery of a lost line, 10 s at most, the
/// fence before it, and some ticks.
const HINDERED_MS: u64 = 13_000;
/// Epochs of a series that begin without delay.
const AT_ONCE: u32 = 2;

/// Since when a shopper could have been admitted, in ms.
#[derive(Default)]
pub(crate) struct Progress {
    since_ms: Option<u64>,
    /// The same, without a fault under way.
    unhindered_since_ms: Option<u64>,
}

impl World {
    /// The Redis that has the line, if a controller reaches it.
    fn line_at(&self) -> Option<usize> {
        let home = self.home_of(&self.ledger().tables.lines[0])?;
        self.reached().contains(&home).then_some(home)
    }

    /// The Redis of each controller.
    fn reached(&self) -> [usize; CONTROLLERS] {
        std::array::from_fn(|process| self.server_of(process))
    }

    /// Whether the line was lost after a series of epochs, which are delayed more and more. No
    /// shopper can be admitted meanwhile, and no unit is returned.
    pub(crate) fn pauses(&self) -> bool {
        let rapid_epochs = self.ledger().tables.lines[0].rapid_epochs();
        rapid_epochs > AT_ONCE && self.line_at().is_none()
    }

    /// Whether a unit is free, and a shopper waits where the line is, or where every controller is
    /// and the line will be.
    fn can_admit(&self) -> bool {
        let is_free = {
            let tables = &self.ledger().tables;
            tables.is_open() && tables.row.free() > 0
        };
        let reached = self.reached();
        let only = reached.iter().all(|&server| server == reached[0]).then_some(reached[0]);
        let Some(server) = self.line_at().or(only).filter(|_| is_free) else { return false };
        let is_there =
            |shopper: &usize| self.shoppers[*shopper].node.is_some_and(|node| self.server_of(node) == server);
        (0..self.shoppers.len()).filter(is_there).any(|shopper| self.waits(shopper))
    }

    /// The fault that is under way, or from which the line recovers.
    fn hindrance(&self) -> Option<&'static str> {
        let mut processes = self.processes.iter().enumerate();
        if processes.any(|(process, own)| self.is_in_trouble(process) || own.tasks.values().any(|task| task.lost)) {
            return Some("a process is cut off or paused, or has lost a call");
        }
        if self.line_at().is_none() {
            return Some("the line is lost");
        }
        self.ledger().recovers(self.now.get()).then_some("the line waits for its shoppers")
    }

    /// Checks that shoppers are admitted. Returns whether one can be.
    /// `faults_ended`: a fault that is still under way ends without an event.
    pub(crate) fn check_progress(&mut self, faults_ended: bool) -> bool {
        if !self.can_admit() || self.pauses() {
            self.progress = Progress::default();
            return false;
        }
        let (now, hindrance) = (self.now.get(), self.hindrance());
        let since = *self.progress.since_ms.get_or_insert(now);
        let (since, limit_ms) = if hindrance.is_some() {
            self.progress.unhindered_since_ms = None;
            (since, if faults_ended { HINDERED_MS } else { u64::MAX / 2 })
        } else {
            (*self.progress.unhindered_since_ms.get_or_insert(now), PROGRESS_MS)
        };
        let (admitted_at, free, why) = {
            let ledger = self.ledger();
            let row = &ledger.tables.row;
            (ledger.admitted_at_ms, row.free(), row.last_decision.clone().unwrap_or_default())
        };
        if now > since.max(admitted_at) + limit_ms {
            let fault = hindrance.unwrap_or("no fault is under way");
            self.breaks(format!(
                "no progress: {free} units are free, shoppers wait, {fault}, and none is admitted: {why}"
            ));
        }
        true
    }
}
