//! How a room wakes the WebSocket event loop: coalesced and level-triggered, without a queue.
//!
//! A room keeps one record of its changes, which the loop takes and clears. The record holds no
//! messages: the loop reads the room's state at that time.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fairline_line::ticket::Ordinal;
use mio::{Registry, Token, Waker};

/// Turns that the record lists, at most; beyond them any turn may have changed.
const TURNS_MAX: usize = 1024;

/// Wakes the loop once for any number of reasons.
pub(crate) struct LoopWaker {
    woken: AtomicBool,
    waker: Waker,
}

impl LoopWaker {
    /// # Errors
    /// When the operating system provides no waker.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { woken: AtomicBool::new(false), waker: Waker::new(registry, token)? })
    }

    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            // The loop's next poll finds the change.
            tracing::warn!(%error, "wake event loop failed");
            self.woken.store(false, Ordering::Release);
        }
    }

    /// Must be called before the reasons are read, so that no later one is missed.
    pub(crate) fn reset(&self) {
        self.woken.store(false, Ordering::Release);
    }
}

/// What has changed in a room since the loop last read it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// A change that every page receives immediately.
    pub(crate) news: bool,
    /// The line has moved: places have changed.
    pub(crate) moved: bool,
    /// Tickets whose turns have changed.
    pub(crate) turns: Vec<Ordinal>,
    /// Whether more turns have changed than are listed.
    pub(crate) any_turn: bool,
}

/// The pending changes of one room.
#[derive(Default)]
pub(crate) struct WakeUp {
    pending: Mutex<Pending>,
    waker: Option<Arc<LoopWaker>>,
}

impl WakeUp {
    pub(crate) fn new(waker: Arc<LoopWaker>) -> Self {
        Self { pending: Mutex::default(), waker: Some(waker) }
    }

    /// Something that every page receives immediately.
    pub(crate) fn news(&self) {
        self.note(|pending| pending.news = true);
    }

    /// Records that the line has moved.
    pub(crate) fn moved(&self) {
        self.note(|pending| pending.moved = true);
    }

    /// Records that a ticket's turn has changed.
    pub(crate) fn turn(&self, ordinal: Ordinal) {
        self.note(|pending| match pending.turns.len() {
            TURNS_MAX.. => pending.any_turn = true,
            _ => pending.turns.push(ordinal),
        });
    }

    fn note(&self, write: impl FnOnce(&mut Pending)) {
        write(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    /// Takes and clears the pending changes.
    pub(crate) fn take(&self) -> Pending {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_changes_fits_one_small_record() {
        let wake_up = WakeUp::default();
        for ordinal in 1..=5000 {
            wake_up.moved();
            wake_up.turn(ordinal);
        }
        let pending = wake_up.take();
        assert!(pending.moved && pending.any_turn && !pending.news);
        assert_eq!(pending.turns.len(), TURNS_MAX);
        assert_eq!(wake_up.take(), Pending::default());
        wake_up.news();
        wake_up.turn(7);
        assert_eq!(wake_up.take(), Pending { news: true, turns: vec![7], ..Pending::default() });
    }
}
