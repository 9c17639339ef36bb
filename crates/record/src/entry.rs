//! The entries of a record. Each carries the hash of all entries before it.
//!
//! An entry is one line of JSON:
//!
//! ```json
//! {"seq":7,"hash":"9f86d0…","body":{"at":"2026-11-27T09:00:00Z","kind":"left","ordinals":[12]}}
//! ```
//!
//! `hash` is `SHA-256(hash of the previous entry ‖ seq ‖ body)`, with 32 zero bytes before the
//! first entry, `seq` as eight bytes in big endian, and `body` exactly as written: verification
//! needs no canonical form.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::{Hash, Ordinal};

/// Maximum number of tickets per entry; keeps a line of the record below 50 kB.
pub const TICKETS_MAX: usize = 1000;

/// The content of an entry, and when it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// The time, by the clock of the controller's database.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What happened.
    #[serde(flatten)]
    pub event: RecordEvent,
}

/// An event of a line, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RecordEvent {
    /// The first entry: the immutable facts of the sale.
    Sale {
        /// The sale.
        sale: SaleId,
        /// The order in which its line is served.
        order: LineOrder,
        /// For a draw: the SHA-256 of its seed.
        commitment: Option<Hash>,
    },
    /// The sale opened, paused, or ended. Before that it is *scheduled*.
    Status {
        /// The new status.
        status: Status,
    },
    /// An epoch of the line began: the first, or a new one after Redis lost the line. Presence is
    /// reset; waiting shoppers present their tickets again.
    Epoch {
        /// The number of the epoch.
        epoch: u32,
        /// All ordinals of this epoch are higher.
        above: Ordinal,
    },
    /// Tickets were issued.
    Joined {
        /// The first ordinal; the others follow without a gap.
        first: Ordinal,
        /// The receipt of each ticket: see [`receipt`].
        receipts: Receipts,
    },
    /// Tickets were presented that a lost Redis had issued and the record did not contain.
    Shown {
        /// The tickets.
        ordinals: Vec<Ordinal>,
        /// The receipt of each ticket.
        receipts: Receipts,
    },
    /// Shoppers were disconnected for longer than the grace period.
    Departed {
        /// Their tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Shoppers gave up their places.
    Left {
        /// Their tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Departed shoppers returned before their turn.
    Returned {
        /// Their tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Shoppers returned after their turn had passed, and are served next.
    Recalled {
        /// Their tickets.
        ordinals: Vec<Ordinal>,
    },
    /// The draw was made, with the hash of the previous entry as its head.
    Drawn {
        /// The ordinals from 1 to this one were shuffled.
        pool: Ordinal,
        /// The seed, which is now public.
        seed: Hash,
    },
    /// Tickets were admitted, in this order.
    Admitted {
        /// The tickets.
        ordinals: Vec<Ordinal>,
        /// The highest number whose turn has come, after this entry.
        cursor: u64,
    },
    /// An operator removed tickets from the line.
    Removed {
        /// The tickets.
        ordinals: Vec<Ordinal>,
    },
    /// An operator had tickets admitted before all others.
    Preferred {
        /// The tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Turns ended without a purchase; their units were released.
    Lapsed {
        /// Their tickets.
        ordinals: Vec<Ordinal>,
    },
    /// Turns were used.
    Redeemed {
        /// Their tickets.
        ordinals: Vec<Ordinal>,
    },
}

/// Receipts, which bind tickets to their holders without revealing them, in order. As text: 32
/// bytes each, base64url.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts(pub Vec<Hash>);

impl Serialize for Receipts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|receipt| receipt.0).collect();
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Receipts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)?;
        let (receipts, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(de::Error::custom("receipts are 32 bytes each"));
        }
        Ok(Self(receipts.iter().copied().map(Hash).collect()))
    }
}

/// The receipt of a ticket: `SHA-256("fairline receipt" ‖ sale ‖ ordinal ‖ visitor)`, with the 16
/// bytes of the sale's UUID, eight bytes in big endian, and 16 bytes. The visitor id has 128 random
/// bits, so it can't be derived from the receipt.
#[must_use]
pub fn receipt(sale: SaleId, ordinal: Ordinal, visitor: VisitorId) -> Hash {
    Hash::of(&[b"fairline receipt", sale.0.as_bytes(), &ordinal.to_be_bytes(), &visitor.0])
}

/// The head of a record: its last entry. A saved head proves later that nothing before it was
/// changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub seq: u64,
    /// Its hash; zeros before the first.
    pub hash: Hash,
}

impl Head {
    /// The head after one more entry with this body.
    #[must_use]
    pub fn after(self, body: &str) -> Self {
        let seq = self.seq + 1;
        Self { seq, hash: Hash::of(&[&self.hash.0, &seq.to_be_bytes(), body.as_bytes()]) }
    }
}

/// One entry as stored. Its body is text, so that it never changes by a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The head of the record with this entry.
    pub head: Head,
    /// The content, as JSON.
    pub body: String,
}

/// An entry as a line.
#[derive(Serialize, Deserialize)]
struct EntryLine<'a> {
    seq: u64,
    hash: Hash,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// A line that is not an entry.
#[derive(Debug, thiserror::Error)]
#[error("not an entry of a record: {0}")]
pub struct InvalidEntry(#[from] serde_json::Error);

impl Entry {
    /// The entry that follows a head.
    #[must_use]
    pub fn after(head: Head, body: &Body) -> Self {
        let body = serde_json::to_string(body).expect("numbers, dates and words");
        Self { head: head.after(&body), body }
    }

    /// The entry as a line, without the line break.
    ///
    /// # Errors
    /// When the body is not JSON.
    pub fn to_line(&self) -> Result<String, InvalidEntry> {
        let body = serde_json::from_str(&self.body)?;
        Ok(serde_json::to_string(&EntryLine { seq: self.head.seq, hash: self.head.hash, body })?)
    }

    /// Parses a line. Does not check its hash: see [`Head::after`].
    ///
    /// # Errors
    /// When it is not an entry.
    pub fn from_line(line: &str) -> Result<Self, InvalidEntry> {
        let EntryLine { seq, hash, body } = serde_json::from_str(line)?;
        Ok(Self { head: Head { seq, hash }, body: body.get().to_owned() })
    }

    /// Parses the body.
    ///
    /// # Errors
    /// When it is not a valid body.
    pub fn read(&self) -> Result<Body, InvalidEntry> {
        Ok(serde_json::from_str(&self.body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(event: RecordEvent) -> Body {
        Body { at: OffsetDateTime::UNIX_EPOCH, event }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_its_hash_is_what_a_shell_computes() {
        let first = Entry::after(Head::default(), &body(RecordEvent::Left { ordinals: vec![12] }));
        let line = first.to_line().expect("JSON");
        // printf '\0…(32)\0\0\0\0\0\0\0\1{"at":…}' | sha256sum
        let text = r#"{"at":"1970-01-01T00:00:00Z","kind":"left","ordinals":[12]}"#;
        assert_eq!(line, format!(r#"{{"seq":1,"hash":"{}","body":{text}}}"#, first.head.hash));
        assert_eq!(first.head.hash, Hash::of(&[&[0; 32], &[0, 0, 0, 0, 0, 0, 0, 1], text.as_bytes()]));
        let read = Entry::from_line(&line).expect("an entry");
        assert_eq!(read, first);
        assert_eq!(read.read().expect("a body"), body(RecordEvent::Left { ordinals: vec![12] }));
    }

    #[test]
    fn every_event_round_trips() {
        let sale: SaleId = "00000000-0000-0000-0000-000000000001".parse().expect("a UUID");
        let some = Hash::of(&[b"some"]);
        let receipts = || Receipts(vec![receipt(sale, 1, VisitorId([1; 16])), some]);
        let ordinals = || vec![3, 1];
        for event in [
            RecordEvent::Sale { sale, order: LineOrder::Draw, commitment: Some(some) },
            RecordEvent::Status { status: Status::Open },
            RecordEvent::Epoch { epoch: 2, above: 100_006 },
            RecordEvent::Joined { first: 1, receipts: receipts() },
            RecordEvent::Shown { ordinals: ordinals(), receipts: receipts() },
            RecordEvent::Departed { ordinals: ordinals() },
            RecordEvent::Left { ordinals: ordinals() },
            RecordEvent::Returned { ordinals: ordinals() },
            RecordEvent::Recalled { ordinals: ordinals() },
            RecordEvent::Drawn { pool: 2, seed: some },
            RecordEvent::Admitted { ordinals: ordinals(), cursor: 3 },
            RecordEvent::Lapsed { ordinals: ordinals() },
            RecordEvent::Redeemed { ordinals: ordinals() },
        ] {
            let entry = Entry::after(Head::default(), &body(event.clone()));
            let read = Entry::from_line(&entry.to_line().expect("JSON")).expect("an entry");
            assert_eq!(read.read().expect("a body").event, event);
        }
    }

    #[test]
    fn invalid_entries_are_rejected() {
        for wrong in ["", "{}", r#"{"seq":1,"hash":"00","body":{}}"#, "[1]"] {
            assert!(Entry::from_line(wrong).is_err(), "{wrong}");
        }
        let entry = Entry {
            head: Head::default(),
            body: r#"{"at":"1970-01-01T00:00:00Z","kind":"joined","first":1,"receipts":"AAAA"}"#.to_owned(),
        };
        assert!(entry.read().is_err(), "a receipt is 32 bytes");
    }
}
