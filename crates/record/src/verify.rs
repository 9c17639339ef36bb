//! Replays a record to check that its order was honest, and where it was not.
//!
//! A [`Verifier`] checks the hash chain and the saved heads, and collects one ticket's story.
//! `line` is a minimal reimplementation of the line, and each entry has to agree with it.

mod line;

use fairline_sale::{LineOrder, SaleId, Status, VisitorId};
use time::OffsetDateTime;

use self::line::ReplayedLine;
use crate::{
    Hash, Ordinal,
    draw::{self, Draw},
    entry::{Entry, Head, RecordEvent, receipt},
};

/// Maximum number of events reported for one ticket.
const STORY_MAX: usize = 200;

/// The first invalid entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {why}")]
pub struct InvalidRecord {
    /// The number of the entry.
    pub seq: u64,
    /// Why it is invalid.
    pub why: String,
}

/// A ticket to look up in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The ticket's number.
    pub ordinal: Ordinal,
    /// The visitor who holds it.
    pub visitor: VisitorId,
}

/// The result of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The sale.
    pub sale: SaleId,
    /// The order in which its line was served.
    pub order: LineOrder,
    /// The last entry.
    pub head: Head,
    /// The final status of the sale.
    pub status: Status,
    /// Tickets issued.
    pub joined: u64,
    /// Turns given.
    pub admitted: u64,
    /// Turns that an operator gave before all others; included in `admitted`.
    pub preferred: u64,
    /// Tickets that an operator removed from the line.
    pub removed: u64,
    /// Turns used.
    pub redeemed: u64,
    /// Turns lapsed.
    pub lapsed: u64,
    /// How often Redis lost the line.
    pub losses: u32,
    /// For a completed draw: the number of shuffled tickets.
    pub pool: Option<Ordinal>,
    /// The events of the requested ticket, with their entry and time.
    pub story: Vec<(u64, OffsetDateTime, String)>,
}

/// Replays a record, entry by entry.
///
/// ```
/// use fairline_record::{
///     entry::{Body, Entry, Head, RecordEvent},
///     verify::Verifier,
/// };
/// use fairline_sale::LineOrder;
/// use time::OffsetDateTime;
///
/// let sale = "3c6f7a52-0f5e-4c0e-9a39-6b8d3f5f6f10".parse().expect("a UUID");
/// let event = RecordEvent::Sale { sale, order: LineOrder::Fifo, commitment: None };
/// let entry = Entry::after(Head::default(), &Body { at: OffsetDateTime::UNIX_EPOCH, event });
///
/// let mut verifier = Verifier::new(None, Vec::new());
/// verifier.take(&entry.to_line().expect("JSON"))?;
/// assert_eq!(verifier.finish()?.sale, sale);
/// # Ok::<(), fairline_record::verify::InvalidRecord>(())
/// ```
#[derive(Debug)]
pub struct Verifier {
    head: Head,
    line: ReplayedLine,
    pins: Vec<Head>,
    holder: Option<Holder>,
    story: Vec<(u64, OffsetDateTime, String)>,
    counts: TicketCounts,
}

#[derive(Debug, Default)]
struct TicketCounts {
    admitted: u64,
    preferred: u64,
    removed: u64,
    redeemed: u64,
    lapsed: u64,
}

impl Verifier {
    /// Starts before the first entry. Collects the story of the `holder`'s ticket. Each of `pins`
    /// is a saved head, which the record must contain.
    #[must_use]
    pub fn new(holder: Option<Holder>, pins: Vec<Head>) -> Self {
        Self {
            head: Head::default(),
            line: ReplayedLine::default(),
            pins,
            holder,
            story: Vec::new(),
            counts: TicketCounts::default(),
        }
    }

    /// Processes the next entry, as a line.
    ///
    /// # Errors
    /// When the line is not an entry, breaks the chain, or shows a dishonest order. Later entries
    /// can't be trusted.
    pub fn take(&mut self, line: &str) -> Result<(), InvalidRecord> {
        let seq = self.head.seq + 1;
        let fault = |why: String| InvalidRecord { seq, why };
        let entry = Entry::from_line(line).map_err(|error| fault(error.to_string()))?;
        if entry.head.seq != seq {
            return Err(fault(format!("an entry is missing, or out of place: its own number is {}", entry.head.seq)));
        }
        if self.head.after(&entry.body) != entry.head {
            return Err(fault("its hash is not that of the entry before and of its body".to_owned()));
        }
        if self.pins.iter().any(|pin| pin.seq == seq && pin.hash != entry.head.hash) {
            return Err(fault(
                "another entry was here when its hash was kept: the record has been rewritten".to_owned(),
            ));
        }
        let body = entry.read().map_err(|error| fault(error.to_string()))?;
        self.record_story(seq, body.at, &body.event).map_err(fault)?;
        self.line.take(self.head.hash, &body.event).map_err(fault)?;
        match &body.event {
            RecordEvent::Admitted { ordinals, .. } => self.counts.admitted += ordinals.len() as u64,
            RecordEvent::Preferred { ordinals } => {
                self.counts.admitted += ordinals.len() as u64;
                self.counts.preferred += ordinals.len() as u64;
            }
            RecordEvent::Removed { ordinals } => self.counts.removed += ordinals.len() as u64,
            RecordEvent::Redeemed { ordinals } => self.counts.redeemed += ordinals.len() as u64,
            RecordEvent::Lapsed { ordinals } => self.counts.lapsed += ordinals.len() as u64,
            _ => {}
        }
        self.head = entry.head;
        Ok(())
    }

    /// The verdict on the complete record.
    ///
    /// # Errors
    /// When the record is empty, ends before a saved head, or does not contain the holder's ticket.
    pub fn finish(self) -> Result<Verdict, InvalidRecord> {
        let fault = |why: String| InvalidRecord { seq: self.head.seq + 1, why };
        let sale = self.line.sale.ok_or_else(|| fault("the record is empty".to_owned()))?;
        if let Some(pin) = self.pins.iter().find(|pin| pin.seq > self.head.seq) {
            return Err(fault(format!(
                "the record ends here, and went on to entry {} when its hash was kept",
                pin.seq
            )));
        }
        if let Some(holder) = self.holder.filter(|holder| !self.line.joined.contains(holder.ordinal)) {
            return Err(fault(format!("the record ends here, and does not contain ticket {}", holder.ordinal)));
        }
        Ok(Verdict {
            sale,
            order: self.line.order,
            head: self.head,
            status: self.line.status.unwrap_or(Status::Scheduled),
            joined: self.line.joined.len(),
            admitted: self.counts.admitted,
            preferred: self.counts.preferred,
            removed: self.counts.removed,
            redeemed: self.counts.redeemed,
            lapsed: self.counts.lapsed,
            losses: self.line.lives.saturating_sub(1),
            pool: self.line.draw.as_ref().map(Draw::pool),
            story: self.story,
        })
    }

    /// Records what an entry shows about the holder's ticket.
    fn record_story(&mut self, seq: u64, at: OffsetDateTime, event: &RecordEvent) -> Result<(), String> {
        let Some(Holder { ordinal, visitor }) = self.holder else { return Ok(()) };
        let own = |sale: Option<SaleId>, found: Option<&Hash>| {
            let genuine = sale.zip(found).is_some_and(|(sale, found)| receipt(sale, ordinal, visitor) == *found);
            let stolen =
                || format!("ticket {ordinal} is another visitor's in this record, not the one of this receipt");
            genuine.then_some(()).ok_or_else(stolen)
        };
        let here = |ordinals: &[Ordinal]| ordinals.contains(&ordinal);
        let step = match event {
            RecordEvent::Joined { first, receipts } => {
                let at = ordinal.checked_sub(*first).and_then(|at| usize::try_from(at).ok());
                let Some(found) = at.and_then(|at| receipts.0.get(at)) else { return Ok(()) };
                own(self.line.sale, Some(found))?;
                "joined".to_owned()
            }
            RecordEvent::Shown { ordinals, receipts } => {
                let Some(at) = ordinals.iter().position(|shown| *shown == ordinal) else { return Ok(()) };
                own(self.line.sale, receipts.0.get(at))?;
                "was presented after the line was lost, and had joined before".to_owned()
            }
            RecordEvent::Departed { ordinals } if here(ordinals) => {
                "departed: silent for longer than the grace period".to_owned()
            }
            RecordEvent::Left { ordinals } if here(ordinals) => "left".to_owned(),
            RecordEvent::Returned { ordinals } if here(ordinals) => "was back before its turn".to_owned(),
            RecordEvent::Recalled { ordinals } if here(ordinals) => {
                "was back after its turn, to be served next".to_owned()
            }
            RecordEvent::Drawn { pool, seed } if ordinal <= *pool => {
                let draw = Draw::new(draw::key(&seed.0, self.head.hash), *pool).map_err(|error| error.to_string())?;
                format!("drew number {} of {pool}", draw.number_of(ordinal))
            }
            RecordEvent::Admitted { ordinals, .. } if here(ordinals) => "was admitted".to_owned(),
            RecordEvent::Removed { ordinals } if here(ordinals) => {
                "was removed from the line, by an operator or at the limit per shopper".to_owned()
            }
            RecordEvent::Preferred { ordinals } if here(ordinals) => {
                "was admitted before all others by an operator".to_owned()
            }
            RecordEvent::Lapsed { ordinals } if here(ordinals) => "let its turn lapse".to_owned(),
            RecordEvent::Redeemed { ordinals } if here(ordinals) => "used its turn".to_owned(),
            _ => return Ok(()),
        };
        if self.story.len() < STORY_MAX {
            self.story.push((seq, at, step));
        }
        Ok(())
    }
}
