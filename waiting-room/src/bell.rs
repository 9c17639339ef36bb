//! The bell of a room: how the sockets in the hall learn that there is something to hear, without a queue.
//!
//! What has happened is noted in one place a room, and forgotten when the hall picks it up: however much happens in
//! between, it is one note. What there is to hear is not in the note; the hall looks at the room as it is by then.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fairline_line::ticket::Ordinal;
use mio::{Registry, Token, Waker};

/// Turns that one note names at most; beyond them it says that anybody's may have changed.
const TURNS_MAX: usize = 1024;

/// Wakes the hall, once for any number of reasons.
pub(crate) struct Pull {
    pulled: AtomicBool,
    waker: Waker,
}

impl Pull {
    /// # Errors
    /// When the system gives no more wakers.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { pulled: AtomicBool::new(false), waker: Waker::new(registry, token)? })
    }

    pub(crate) fn pull(&self) {
        if !self.pulled.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            // The hall looks by itself a little later.
            tracing::warn!(%error, "the hall could not be woken");
            self.pulled.store(false, Ordering::Release);
        }
    }

    /// To be called before looking for the reasons, so that none that comes later is missed.
    pub(crate) fn heard(&self) {
        self.pulled.store(false, Ordering::Release);
    }
}

/// What has happened in a room since the hall last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// Something that everybody hears at once.
    pub(crate) news: bool,
    /// The line has moved: places have changed.
    pub(crate) moved: bool,
    /// Tickets whose turns have changed.
    pub(crate) turns: Vec<Ordinal>,
    /// More turns have changed than were noted.
    pub(crate) any_turn: bool,
}

/// The bell of one room.
#[derive(Default)]
pub(crate) struct Bell {
    note: Mutex<Note>,
    pull: Option<Arc<Pull>>,
}

impl Bell {
    pub(crate) fn new(pull: Arc<Pull>) -> Self {
        Self { note: Mutex::default(), pull: Some(pull) }
    }

    /// Something that everybody hears at once.
    pub(crate) fn news(&self) {
        self.ring(|note| note.news = true);
    }

    /// The line has moved.
    pub(crate) fn moved(&self) {
        self.ring(|note| note.moved = true);
    }

    /// A ticket's turn has changed.
    pub(crate) fn turn(&self, ordinal: Ordinal) {
        self.ring(|note| match note.turns.len() {
            TURNS_MAX.. => note.any_turn = true,
            _ => note.turns.push(ordinal),
        });
    }

    fn ring(&self, write: impl FnOnce(&mut Note)) {
        write(&mut self.note.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(pull) = &self.pull {
            pull.pull();
        }
    }

    /// What has happened, once.
    pub(crate) fn take(&self) -> Note {
        std::mem::take(&mut self.note.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_happens_it_is_one_small_note() {
        let bell = Bell::default();
        for ordinal in 1..=5000 {
            bell.moved();
            bell.turn(ordinal);
        }
        let note = bell.take();
        assert!(note.moved && note.any_turn && !note.news);
        assert_eq!(note.turns.len(), TURNS_MAX);
        assert_eq!(bell.take(), Note::default());
        bell.news();
        bell.turn(7);
        assert_eq!(bell.take(), Note { news: true, turns: vec![7], ..Note::default() });
    }
}
