//! The rows of the ledger, as far as the line and its admissions need them. The rows of a sale and of its lines are the
//! controller's own types.

use std::collections::BTreeMap;

use admission_controller::simulated::{LineRow, SaleRow};
use fairline_line::ticket::Ordinal;
pub use fairline_sale::AdmissionState as State;
use fairline_sale::{Status, VisitorId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sale::{self, Terms};

/// An admission.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Like no other's, not even one's that a restored database has forgotten.
    pub id: Uuid,
    /// The position of its line among the sale's.
    pub line: usize,
    /// Whose.
    pub ordinal: Ordinal,
    /// Whose ticket that is.
    pub visitor: VisitorId,
    /// How many units.
    pub quantity: u32,
    /// The key of its token.
    pub kid: String,
    /// What became of it.
    pub state: State,
    /// When it was made.
    pub issued_at: OffsetDateTime,
    /// Until when a page has to claim it.
    pub claim_by: OffsetDateTime,
    /// Until when it can be redeemed.
    pub expires_at: OffsetDateTime,
    /// When a page did.
    pub claimed_at: Option<OffsetDateTime>,
    /// It lapsed by no fault of its shopper's: an operator took it back, or no controller was there to hear a claim.
    pub excused: bool,
    /// What `excused` has to be: for the checks, since a bug may set `excused` wrongly.
    pub faultless: bool,
    /// What is published of it, and in which epoch.
    pub published: Option<State>,
    /// The epoch in which it was published.
    pub published_epoch: i32,
    /// What the record has of it.
    pub recorded: State,
}

/// A hold of units in checkout.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// Of which admission.
    pub admission: Uuid,
    /// Whose.
    pub visitor: VisitorId,
    /// Of how many units.
    pub quantity: u32,
    /// Until when it can be paid.
    pub until: OffsetDateTime,
    /// It is neither paid nor lapsed.
    pub open: bool,
    /// Its units went back.
    pub lapsed: bool,
}

/// A ticket that was taken out of the line, or is to be let in before all others.
#[derive(Debug, Clone)]
pub struct Intervened {
    /// The position of its line among the sale's.
    pub line: usize,
    /// Whose.
    pub ordinal: Ordinal,
    /// Whose ticket that is.
    pub visitor: VisitorId,
    /// Taken out; preferred otherwise.
    pub removed: bool,
    /// By the limit per shopper.
    pub at_limit: bool,
    /// The record has it, or the turn has come.
    pub done: bool,
    /// The epoch in which it was published.
    pub told_epoch: i32,
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
    /// What operators, and the limit per shopper, want of tickets.
    pub interventions: Vec<Intervened>,
    /// The units that each visitor has.
    pub units: BTreeMap<VisitorId, u32>,
    /// Tickets to be let in at once.
    pub admit_now: u32,
    /// The keys whose tokens are not to be believed.
    pub revoked: Vec<String>,
    /// Grows with every change of the row of the sale.
    pub version: u64,
    /// The entries of each line's record.
    pub record: Vec<Vec<String>>,
}

/// Units of a column.
pub fn units(stored: i32) -> u32 {
    u32::try_from(stored).unwrap_or(0)
}

impl Tables {
    /// A sale without shoppers.
    pub fn new(terms: &Terms) -> Self {
        let lines: Vec<LineRow> = sale::lines();
        Self {
            row: sale::row(terms),
            record: vec![Vec::new(); lines.len()],
            lines,
            admissions: Vec::new(),
            holds: Vec::new(),
            interventions: Vec::new(),
            units: BTreeMap::new(),
            admit_now: 0,
            revoked: Vec::new(),
            version: 0,
        }
    }

    /// The newest admission of each ticket, by line and ordinal.
    #[must_use]
    pub fn newest(&self) -> BTreeMap<(usize, Ordinal), &Admission> {
        self.admissions.iter().map(|admission| ((admission.line, admission.ordinal), admission)).collect()
    }

    /// Whether the sale lets people in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.row.stored_status() == Status::Open
    }
}
