//! Faults and their repair.

use std::sync::Arc;

use admission_controller::lifecycle::Action;
use fairline_line::store::LineStore;

use super::{UNSUBSCRIBED_MS, World, timeout};
use crate::{
    bugs::Bug,
    event::{CONTROLLERS, NODES, ProcessIndex, StoryFault},
    gate::Gate,
    sale::SALE,
    server::complete,
};

impl World {
    pub(super) fn inject(&mut self, fault: &StoryFault) {
        let now = self.now.get();
        match fault {
            StoryFault::Lost(process, slot) => {
                if let Some(task) = self.processes[*process].tasks.get_mut(slot) {
                    task.lost = true;
                }
            }
            StoryFault::ResponseLost(process, slot) => {
                if let Some((id, request)) = self.call_of(*process, *slot) {
                    let _ = self.deliver(*process, &request);
                    self.gate.answer(id, Err(timeout()));
                }
            }
            StoryFault::Late(process, slot) => {
                if let Some((id, request)) = self.call_of(*process, *slot) {
                    self.keep_late(*process, request);
                    self.gate.answer(id, Err(timeout()));
                }
            }
            StoryFault::Repeated(process, slot) => {
                if let Some((_, request)) = self.call_of(*process, *slot) {
                    // Joins arrive twice more: before and after a fail-over, for example.
                    if request.function.ends_with("_join") {
                        self.keep_late(*process, request.clone());
                    }
                    self.keep_late(*process, request);
                }
            }
            StoryFault::Arrives(at) => {
                if !self.late.is_empty() {
                    let (process, request) = self.late.remove(at % self.late.len());
                    let _ = self.deliver(process, &request);
                }
            }
            StoryFault::Restart(keeps) => self.servers[self.primary].restart(*keeps),
            StoryFault::FailOver(lost) => self.fail_over(*lost, u32::MAX),
            StoryFault::Split(lost, who) => self.fail_over(*lost, *who),
            StoryFault::Cut(process) => self.processes[*process].cut = true,
            StoryFault::Kill(process) => self.kill(*process),
            StoryFault::Pause(process, ms) => self.processes[*process].paused_until_ms = now + ms,
            StoryFault::Unsubscribed(process) => {
                let own = &mut self.processes[*process];
                own.unsubscribed_until_ms = now + UNSUBSCRIBED_MS;
                own.inside.borrow_mut().inbox.clear();
            }
            StoryFault::RedisClock(ms) => self.servers[self.primary].clock_off_ms += ms,
            StoryFault::DatabaseClock(ms) => self.ledger().jump_clock(*ms, now),
            StoryFault::Backup => {
                let backup = self.ledger().backup();
                self.backup = Some(backup);
            }
            StoryFault::Restore => self.restore(),
        }
    }

    /// Restores the database as `fairline restore` does: its copy, every line raised above what
    /// Redis has, and Redis without the line. Controllers restart, as none runs meanwhile.
    pub(super) fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        (0..CONTROLLERS).for_each(|process| self.kill(process));
        let server = self.primary;
        let (now, gate) = (self.now.get(), Gate::default());
        let line = LineStore::over(Arc::new(gate.clone()));
        let Ok(home) = complete(&gate, &mut self.servers[server], now, line.home(SALE)) else { return };
        {
            let mut ledger = self.ledger();
            ledger.restore(&backup);
            ledger.raise(0, &home);
        }
        if self.ledger().bugs.has(Bug::RestoreKeepsTurns) {
            return;
        }
        // The operator repeats the command until it succeeds.
        complete(&gate, &mut self.servers[server], now, line.delete(SALE)).expect("Redis answers");
    }

    /// The other Redis becomes the primary of these processes; the old one stays primary for the
    /// rest.
    pub(super) fn fail_over(&mut self, lost: usize, who: u32) {
        if self.split {
            return;
        }
        let (old, new) = (self.primary, 1 - self.primary);
        let [first, second] = &mut self.servers;
        if new == 1 {
            second.take_over(first, lost)
        } else {
            first.take_over(second, lost)
        }
        for (process, own) in self.processes.iter_mut().enumerate() {
            own.server = if who >> process & 1 == 1 { new } else { old };
        }
        self.primary = new;
        self.split = self.processes.iter().any(|own| own.server == old);
    }

    /// All processes use one primary.
    pub(super) fn reunite(&mut self) {
        self.processes.iter_mut().for_each(|own| own.server = self.primary);
        self.split = false;
    }

    pub(super) fn kill(&mut self, process: ProcessIndex) {
        let slots: Vec<u8> = self.processes[process].tasks.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.stop(process, slot));
        for shopper in 0..self.shoppers.len() {
            let own = &mut self.shoppers[shopper];
            own.pending = own.pending.filter(|&node| node != process);
            if own.node == Some(process) {
                self.close(shopper);
            }
        }
        self.processes[process].paused_until_ms = 0;
        self.start(process);
    }

    /// Ends all faults.
    pub(crate) fn end_faults(&mut self, apart: bool) {
        for own in &mut self.processes {
            (own.cut, own.paused_until_ms, own.unsubscribed_until_ms) = (false, 0, 0);
        }
        self.unchecked = [true; NODES];
        if !apart {
            self.reunite();
        }
        self.late.clear();
        if self.is_paused() {
            let now = self.now.get();
            self.ledger().act(now, Action::Resume);
        }
    }
}
