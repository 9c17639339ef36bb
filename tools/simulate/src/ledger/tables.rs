//! The rows of the ledger that the line and its admissions need. The rows of a sale and of its
//! lines are the controller's own types.

use std::collections::BTreeMap;

use admission_controller::testing::{LineRow, SaleRow};
use fairline_line::ticket::Ordinal;
pub use fairline_sale::AdmissionState as State;
use fairline_sale::{Status, VisitorId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sale::{self, StoryTerms};

/// An admission.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Unique, even among rows that a restored database lacks.
    pub id: Uuid,
    /// The position of its line among the sale's.
    pub line: usize,
    /// The ticket.
    pub ordinal: Ordinal,
    /// The holder of the ticket.
    pub visitor: VisitorId,
    /// Number of units.
    pub quantity: u32,
    /// The key of its token.
    pub kid: String,
    /// Its state.
    pub state: State,
    /// When it was made.
    pub issued_at: OffsetDateTime,
    /// The end of the claim window.
    pub claim_by: OffsetDateTime,
    /// When the token expires.
    pub expires_at: OffsetDateTime,
    /// When a page claimed it.
    pub claimed_at: Option<OffsetDateTime>,
    /// It lapsed, but not because of its shopper: an operator revoked it, or no controller could
    /// receive a claim.
    pub excused: bool,
    /// What `excused` must be, for the checks: a bug may set `excused` wrongly.
    pub faultless: bool,
    /// The published state.
    pub published: Option<State>,
    /// The epoch in which it was published.
    pub published_epoch: i32,
    /// The state in the record.
    pub recorded: State,
}

/// A hold of units in checkout.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// Its admission.
    pub admission: Uuid,
    /// Its holder.
    pub visitor: VisitorId,
    /// Number of units.
    pub quantity: u32,
    /// When it expires.
    pub until: OffsetDateTime,
    /// It is neither paid nor expired.
    pub open: bool,
    /// Its units went back.
    pub expired: bool,
}

/// A ticket that was removed from the line, or is to be served before all others.
#[derive(Debug, Clone)]
pub struct TicketActionRow {
    /// The position of its line among the sale's.
    pub line: usize,
    /// The ticket.
    pub ordinal: Ordinal,
    /// The holder of the ticket.
    pub visitor: VisitorId,
    /// Removed; preferred otherwise.
    pub removed: bool,
    /// By the limit per shopper.
    pub at_limit: bool,
    /// The record has it, or the turn has come.
    pub done: bool,
    /// The epoch in which it was published.
    pub published_epoch: i32,
}

/// All tables, as committed.
#[derive(Clone)]
pub struct Tables {
    /// The sale with its stock, and the columns of its own line that the tick leaves.
    pub row: SaleRow,
    /// Its lines.
    pub lines: Vec<LineRow>,
    /// All admissions, in the order in which they were made.
    pub admissions: Vec<Admission>,
    /// All holds.
    pub holds: Vec<Hold>,
    /// Removals and preferences, by operators and by the limit per shopper.
    pub ticket_actions: Vec<TicketActionRow>,
    /// The units that each visitor has.
    pub units: BTreeMap<VisitorId, u32>,
    /// Tickets to be admitted immediately.
    pub admit_now: u32,
    /// Revoked keys.
    pub revoked: Vec<String>,
    /// Grows with every change of the row of the sale.
    pub version: u64,
    /// The entries of each line's record.
    pub record: Vec<Vec<String>>,
}

/// The newest admission of each ticket, by line and ordinal.
pub type Newest<'a> = BTreeMap<(usize, Ordinal), &'a Admission>;

/// Units of a column.
pub fn units(stored: i32) -> u32 {
    u32::try_from(stored).unwrap_or(0)
}

impl Tables {
    /// A sale without shoppers.
    pub fn new(terms: &StoryTerms) -> Self {
        let lines: Vec<LineRow> = sale::lines();
        Self {
            row: sale::row(terms),
            record: vec![Vec::new(); lines.len()],
            lines,
            admissions: Vec::new(),
            holds: Vec::new(),
            ticket_actions: Vec::new(),
            units: BTreeMap::new(),
            admit_now: 0,
            revoked: Vec::new(),
            version: 0,
        }
    }

    /// The newest admission of each ticket, by line and ordinal.
    #[must_use]
    pub fn newest(&self) -> Newest<'_> {
        self.admissions.iter().map(|admission| ((admission.line, admission.ordinal), admission)).collect()
    }

    /// Whether an operator has ever preferred a ticket.
    #[must_use]
    pub fn is_preferred(&self, line: usize, ordinal: Ordinal) -> bool {
        self.ticket_actions.iter().any(|row| !row.removed && (row.line, row.ordinal) == (line, ordinal))
    }

    /// Whether the sale admits shoppers.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.row.stored_status() == Status::Open
    }
}
