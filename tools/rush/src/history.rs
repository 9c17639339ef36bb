//! The history of each shopper with times, as one JSON document per line, for checking the
//! promises.
//!
//! It is bounded: a maximum number of lines per shopper, and repeated messages at most four times a
//! second.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use crate::{clock::now_us, messages::SaleStatus};

/// Maximum events per shopper.
const EVENTS_MAX: u32 = 10_000;
/// Maximum events in the queue.
pub(crate) const EVENTS_BUFFERED: usize = 65_536;
/// Minimum interval between repeated places and heartbeats.
const REPEATED_AFTER: Duration = Duration::from_millis(250);

/// An event of one shopper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Time in microseconds since 1970, by the shopper's clock.
    pub at_us: i64,
    /// The shopper, from 0.
    pub shopper: u32,
    /// The event.
    #[serde(flatten)]
    pub what: HistoryEventKind,
}

/// The kind of event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum HistoryEventKind {
    /// Connected to the line through this waiting room, by its position among those configured.
    Connected {
        /// The position.
        room: usize,
    },
    /// The connection ended, or the shopper closed it.
    Disconnected,
    /// A message that changes nothing on the page.
    Received,
    /// The public facts of the sale.
    Sale {
        /// Its status.
        status: SaleStatus,
    },
    /// A place.
    Place {
        /// The ticket's ordinal.
        ordinal: u64,
    },
    /// A turn.
    Turn {
        /// The admission.
        admission: Uuid,
        /// When the token expires, in seconds since 1970.
        expires_s: i64,
    },
    /// The line ended for this shopper.
    Over {
        /// The outcome.
        outcome: String,
    },
    /// The token was sent to a checkout.
    RedeemSent {
        /// The admission.
        admission: Uuid,
    },
    /// The checkout's response.
    RedeemAnswered {
        /// The admission.
        admission: Uuid,
        /// `held`, `used`, `unanswered`, or the rejection.
        answer: String,
    },
    /// A payment was sent.
    PaySent {
        /// The order.
        order: Uuid,
    },
    /// A request to withdraw the payment of an order, or to cancel the order, was sent.
    WithdrawalSent {
        /// The order.
        order: Uuid,
    },
    /// A checkout confirmed that no payment of an order is pending.
    Withdrawn {
        /// The order.
        order: Uuid,
    },
    /// The status of an order, as a checkout showed it.
    Order {
        /// The order.
        order: Uuid,
        /// Its status.
        status: String,
    },
    /// The visit is over.
    Ended {
        /// The outcome; `None` if the shopper never received one.
        outcome: Option<String>,
    },
}

impl HistoryEventKind {
    fn is_repetition(&self, of: &HistoryEventKind) -> bool {
        use HistoryEventKind::{Place, Received, Sale};
        matches!(self, Received | Sale { .. } | Place { .. }) && self == of
    }
}

/// Sends the events of one shopper.
#[derive(Debug)]
pub(crate) struct HistorySender {
    shopper: u32,
    kept: u32,
    last: Option<(Instant, HistoryEventKind)>,
}

impl HistorySender {
    pub(crate) fn of(shopper: u32) -> HistorySender {
        HistorySender { shopper, kept: 0, last: None }
    }

    /// Records an event, unless it repeats the last one.
    pub(crate) fn note(&mut self, history: &History, what: HistoryEventKind) {
        let Some(sender) = &history.sender else { return };
        let is_repeated =
            |(at, last): &(Instant, HistoryEventKind)| what.is_repetition(last) && at.elapsed() < REPEATED_AFTER;
        if self.last.as_ref().is_some_and(is_repeated) {
            return;
        }
        let event = HistoryEvent { at_us: now_us(), shopper: self.shopper, what: what.clone() };
        if self.kept < EVENTS_MAX && sender.try_send(event).is_ok() {
            self.kept += 1;
            self.last = Some((Instant::now(), what));
        } else {
            history.lost.fetch_add(1, Relaxed);
        }
    }
}

/// The history of the shoppers of one process, if it is recorded.
#[derive(Debug, Default)]
pub(crate) struct History {
    sender: Option<mpsc::Sender<HistoryEvent>>,
    lost: AtomicU64,
}

impl History {
    pub(crate) fn to(sender: mpsc::Sender<HistoryEvent>) -> History {
        History { sender: Some(sender), lost: AtomicU64::new(0) }
    }

    /// Number of events that were dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

/// The history file. Written events are readable at once.
#[derive(Debug)]
pub(crate) struct HistoryFile(BufWriter<File>);

impl HistoryFile {
    pub(crate) fn create(path: &Path) -> io::Result<HistoryFile> {
        Ok(HistoryFile(BufWriter::new(File::create(path)?)))
    }

    pub(crate) fn write(&mut self, events: &[HistoryEvent]) -> io::Result<()> {
        for event in events {
            serde_json::to_writer(&mut self.0, event)?;
            self.0.write_all(b"\n")?;
        }
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_is_read_back() {
        let what = HistoryEventKind::Turn { admission: Uuid::nil(), expires_s: 5 };
        let event = HistoryEvent { at_us: 1, shopper: 2, what };
        let line = serde_json::to_string(&event).expect("JSON");
        let expected =
            r#"{"at_us":1,"shopper":2,"what":"turn","admission":"00000000-0000-0000-0000-000000000000","expires_s":5}"#;
        assert_eq!(line, expected);
        assert_eq!(serde_json::from_str::<HistoryEvent>(&line).expect("an event"), event);
    }

    #[tokio::test]
    async fn repetitions_are_omitted_and_lost_events_are_counted() {
        let (sender, mut events) = mpsc::channel(3);
        let (history, mut diary) = (History::to(sender), HistorySender::of(7));
        let place = |ordinal| HistoryEventKind::Place { ordinal };
        for what in [place(1), place(1), place(2), HistoryEventKind::Disconnected, HistoryEventKind::Disconnected] {
            diary.note(&history, what);
        }
        drop(history.sender);
        let mut kept = Vec::new();
        while let Some(event) = events.recv().await {
            kept.push(event.what);
        }
        assert_eq!(kept, [place(1), place(2), HistoryEventKind::Disconnected]);
        assert_eq!(history.lost.load(Relaxed), 1);
    }
}
