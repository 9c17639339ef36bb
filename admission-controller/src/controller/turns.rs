//! Admissions and past turns, as they are read for publication. Pure.

use fairline_line::ticket::Ordinal;
use fairline_sale::{AdmissionState, VisitorId};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::columns::{count, ordinal};

/// Turns in one publication at most.
pub const PUBLISHED_MAX: i64 = 500;
/// Publications that one tick may make of a line.
pub const PUBLICATIONS_A_TICK: i64 = 4;
/// Past turns that are published again in one call.
pub const REPUBLISHED_AT_ONCE: i64 = 5000;
/// After this many unclaimed turns a ticket is not recalled again.
const LAPSES_MAX: i64 = 3;

/// An admission whose current state is not published.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns of the schema")]
pub struct UnpublishedAdmission {
    pub id: Uuid,
    pub ordinal: i64,
    pub visitor: Vec<u8>,
    pub quantity: i32,
    /// The key of its token; empty after its revocation, until another key is assigned.
    pub kid: String,
    pub state: String,
    pub issued_at: OffsetDateTime,
    pub claim_by: OffsetDateTime,
    pub claimed_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    /// Lapsed turns of the ticket that are not excused.
    pub lapses: i64,
    /// The ticket has had a later turn, and only that is published.
    pub superseded: bool,
}

/// Past turns of earlier epochs, of some tickets.
#[derive(Debug, Default)]
pub struct PastTurns {
    /// Tickets that have used a turn.
    pub bought: Vec<Ordinal>,
    /// Tickets whose last turn has expired.
    pub expired: Vec<Ordinal>,
    /// Tickets that are recalled, since their turn was not claimed.
    pub lapsed: Vec<Ordinal>,
    below: Option<i64>,
}

/// One turn, as it is published again.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs, reason = "the columns of the schema")]
pub struct TurnRow {
    pub ordinal: i64,
    pub state: String,
    pub claimed: bool,
    pub excused: bool,
}

impl PastTurns {
    /// Reads turns, the newest tickets first, and of each ticket the newest turn first;
    /// [`REPUBLISHED_AT_ONCE`] at most.
    pub fn of(rows: &[TurnRow]) -> Self {
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == REPUBLISHED_AT_ONCE);
        let mut over = Self::default();
        let mut turns = rows.chunk_by(|one, other| one.ordinal == other.ordinal).peekable();
        while let Some(of_ticket) = turns.next() {
            let TurnRow { ordinal: number, claimed, .. } = &of_ticket[0];
            if is_full && turns.peek().is_none() {
                // There may be more of this ticket, so it comes with the next ones.
                over.below = Some(number + 1);
                break;
            }
            let is = |state: AdmissionState| of_ticket.iter().any(|turn| turn.state == state.as_str());
            let missed =
                of_ticket.iter().filter(|turn| turn.state == AdmissionState::Lapsed.as_str() && !turn.excused).count();
            let lapses = i64::try_from(missed).unwrap_or(i64::MAX);
            let outcome = match () {
                // A live token is published with all live tokens.
                () if is(AdmissionState::Promised) => continue,
                () if is(AdmissionState::Redeemed) => &mut over.bought,
                () if *claimed || lapses >= LAPSES_MAX => &mut over.expired,
                () => &mut over.lapsed,
            };
            outcome.push(ordinal(*number));
        }
        over
    }

    /// Turns of tickets below this one are still to be published; `None`: all are.
    pub fn below(&self) -> Option<i64> {
        self.below
    }
}

impl UnpublishedAdmission {
    /// The ordinal of its ticket.
    pub fn ordinal(&self) -> Ordinal {
        ordinal(self.ordinal)
    }

    /// The promised units.
    pub fn quantity(&self) -> u32 {
        count(self.quantity)
    }

    /// The holder of the ticket.
    pub fn visitor(&self) -> VisitorId {
        let mut id = [0; 16];
        // The schema checks the length.
        id.copy_from_slice(&self.visitor[..16]);
        VisitorId(id)
    }

    /// Whether the turn was not claimed, and the ticket gets another one.
    pub fn may_come_again(&self) -> bool {
        self.claimed_at.is_none() && self.lapses < LAPSES_MAX
    }
}
