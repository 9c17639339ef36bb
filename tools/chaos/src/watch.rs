//! Reads the history of shoppers while the rush writes it.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use fairline_rush::{HistoryEvent, HistoryEventKind};
use uuid::Uuid;

/// Where a shopper is, as its page shows it.
#[derive(Debug, Clone, Copy, Default)]
struct ShopperView {
    waits: bool,
}

/// A history that grows.
#[derive(Debug)]
pub struct HistoryReader {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    half: String,
    shoppers: HashMap<u32, ShopperView>,
    turns: HashSet<Uuid>,
    events: Vec<HistoryEvent>,
}

impl HistoryReader {
    /// Watches a file, which may not exist yet.
    #[must_use]
    pub fn of(path: &Path) -> HistoryReader {
        HistoryReader {
            path: path.to_owned(),
            reader: None,
            half: String::new(),
            shoppers: HashMap::new(),
            turns: HashSet::new(),
            events: Vec::new(),
        }
    }

    /// Reads what has been written since.
    pub fn read(&mut self) {
        if self.reader.is_none() {
            self.reader = File::open(&self.path).ok().map(BufReader::new);
        }
        let Some(reader) = &mut self.reader else { return };
        // The rest of an incomplete line is read later.
        let mut lines = Vec::new();
        while reader.read_line(&mut self.half).is_ok_and(|read| read > 0) && self.half.ends_with('\n') {
            lines.extend(serde_json::from_str::<HistoryEvent>(&self.half));
            self.half.clear();
        }
        for event in lines {
            self.take(event);
        }
    }

    fn take(&mut self, event: HistoryEvent) {
        let seen = self.shoppers.entry(event.shopper).or_default();
        match &event.what {
            HistoryEventKind::Place { .. } => seen.waits = true,
            HistoryEventKind::Turn { .. } | HistoryEventKind::Over { .. } | HistoryEventKind::Ended { .. } => {
                seen.waits = false
            }
            _ => {}
        }
        if let HistoryEventKind::Turn { admission, .. } = event.what {
            self.turns.insert(admission);
        }
        self.events.push(event);
    }

    /// Waiting shoppers, including those whose page reconnects.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shoppers.values().filter(|seen| seen.waits).count()
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> &[HistoryEvent] {
        &self.events
    }

    /// Admissions that shoppers have seen.
    #[must_use]
    pub fn admitted(&self) -> usize {
        self.turns.len()
    }

    /// When a shopper first received a message of the line after a moment.
    #[must_use]
    pub fn message_after(&self, moment_us: i64) -> Option<i64> {
        let later = self.events.iter().rev().take_while(|event| event.at_us > moment_us - 1_000_000);
        let messages = later.filter(|event| {
            let is_message = matches!(
                event.what,
                HistoryEventKind::Place { .. }
                    | HistoryEventKind::Sale { .. }
                    | HistoryEventKind::Turn { .. }
                    | HistoryEventKind::Over { .. }
                    | HistoryEventKind::Received
            );
            is_message && event.at_us > moment_us
        });
        messages.map(|event| event.at_us).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admission_is_seen_once_and_a_shopper_who_waits_is_counted() {
        let mut watch = HistoryReader::of(Path::new("nowhere"));
        let turn = HistoryEventKind::Turn { admission: Uuid::from_u128(1), expires_s: 9 };
        let place = HistoryEventKind::Place { ordinal: 1 };
        for (at_us, what) in [(1, HistoryEventKind::Connected { room: 0 }), (2, place), (5, turn.clone()), (8, turn)] {
            assert_eq!(watch.waiting(), usize::from(at_us == 5), "{what:?}");
            watch.take(HistoryEvent { at_us, shopper: 3, what });
        }
        assert_eq!((watch.admitted(), watch.message_after(5), watch.message_after(8)), (1, Some(8), None));
    }
}
