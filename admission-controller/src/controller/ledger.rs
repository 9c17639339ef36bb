//! The port to the ledger: the statements of a tick. The service implements it with Postgres, the
//! simulation in memory.
//!
//! - [`Ledger`] hands out locked sales; [`LockedLedger`] is one transaction on one of them.
//! - Each method is one statement, or a few in one step. Decisions from their results are made in
//!   the tick and in the methods of the rows, which both ledgers share.
//! - The tick owns the rows of the lines. A statement takes the row of its line, and changes in it
//!   what the rest of the transaction reads.
//! - A transaction that is dropped without a commit is rolled back.

use std::{
    collections::{HashMap, HashSet},
    ops::DerefMut,
    time::Duration,
};

use async_trait::async_trait;
use fairline_admission::{Prior, Visits};
use fairline_line::{
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_record::Hash;
use fairline_sale::{SaleId, Status, VisitorId};
use time::OffsetDateTime;

use super::{
    agenda::Agenda,
    line::LineRow,
    record::Recorder,
    sale::{RunningSale, SaleRow, TickResult},
    ticket_actions::TicketAction,
    turns::{PastTurns, UnpublishedAdmission},
};
use crate::db::StoreError;

/// Where sales are kept.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// A sale, locked.
    type LockedLedger: LockedLedger;

    /// The sales that need ticks: scheduled and running ones, and closed ones until Redis and the
    /// record are complete.
    async fn running(&self) -> Result<Vec<RunningSale>, StoreError>;

    /// Locks a sale, and returns it with its lines: its own first, then the lanes. `None` if
    /// another controller has the lock; with `waits`, as soon as that releases it.
    async fn lock(&self, sale: SaleId, waits: bool) -> Result<Option<(Self::LockedLedger, Vec<LineRow>)>, StoreError>;
}

/// A locked sale: its row as it was when the lock was taken, with the changes of this transaction.
#[async_trait]
pub trait LockedLedger:
    LineStatements + RecordStatements + TicketActionStatements + LimitStatements + DerefMut<Target = SaleRow> + Send
{
    /// Reads the agenda and the stock, which is not locked. Only a late payment or a smaller stock
    /// takes free units meanwhile; then the schema rejects the promise, and the next tick decides
    /// again.
    async fn agenda(&mut self, lines: &[&LineRow], good_keys: &[String]) -> Result<Agenda, StoreError>;

    /// The visits under way, and the outcomes of visits since they were last taken in; and up to
    /// which time.
    async fn visits(&mut self) -> Result<(Visits, OffsetDateTime), StoreError>;

    /// The prior about visits, learnt from the prior sale. The first decision fixes it, so that it
    /// does not change while more is learnt.
    async fn prior(&mut self) -> Result<Prior, StoreError>;

    /// Changes the status by the clock. `false` if an operator has just changed it.
    async fn set_status(&mut self, to: Status) -> Result<bool, StoreError>;

    /// Lapses expired tokens, those that were not claimed in time when the claims were read,
    /// `claims_age` ago, and all of a closed sale. Releases their units. Returns whether there were
    /// any.
    async fn lapse(&mut self, claims_age: Duration) -> Result<bool, StoreError>;

    /// Assigns a key to the outstanding tokens whose key is not valid.
    async fn sign_again(&mut self, good: &[String], kid: &str) -> Result<(), StoreError>;

    /// Stores the state for the next tick. The tick counts from its beginning, so no time is lost.
    async fn store_tick(&mut self, ticked: &TickResult<'_>) -> Result<(), StoreError>;

    /// Commits. The stock is the last row to be locked, and the transaction does not wait while it
    /// is.
    async fn commit(self) -> Result<(), StoreError>;
}

/// Tickets that Redis returns as next, and that are not to be admitted.
#[derive(Debug, Default)]
pub struct SkippedTickets {
    /// Tickets with a current or used turn, and removed ones. They are passed over, and their turns
    /// are published again.
    pub passed_over: HashSet<Ordinal>,
    /// The removed tickets whose removal is not in the record.
    pub unrecorded: Vec<Ordinal>,
    /// Tickets whose lapsed turn is not published. Redis may count them as recalled since before
    /// that turn, which the record does not: no later ticket is admitted until it is published.
    pub lapsed: HashSet<Ordinal>,
}

/// The statements of one line of the sale.
#[async_trait]
pub trait LineStatements {
    /// Applies the claims of pages: tokens that were received, and tokens that were returned, which
    /// expire immediately.
    async fn take_claims(&mut self, line: &LineRow, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError>;

    /// Which of these tickets, which Redis returned as next, are not to be admitted.
    async fn unservable_tickets(&mut self, line: &LineRow, tickets: &[Ordinal]) -> Result<SkippedTickets, StoreError>;

    /// Makes admissions, and promises their units. A ticket that has one already is passed over.
    /// Returns the admitted ordinals, in order.
    async fn admit(
        &mut self,
        line: &LineRow,
        tickets: &[(Ordinal, VisitorId, u32)],
        kid: &str,
    ) -> Result<Vec<Ordinal>, StoreError>;

    /// Writes how far a line has moved, and how many shoppers wait in it, if that has changed.
    async fn store_position(&mut self, line: &mut LineRow, cursor: Ordinal, seen: &Upcoming) -> Result<(), StoreError>;

    /// Numbers the publications of this commit, of all lines of the sale. No commit of any
    /// controller has the same numbers.
    async fn number_publications(&mut self, lines: &mut [&mut LineRow]) -> Result<(), StoreError>;

    /// Admissions whose current state is not published in this epoch: live tokens first, then the
    /// oldest. And the turns of the tickets that are published again.
    async fn unpublished(&mut self, line: &LineRow, again: &[Ordinal])
    -> Result<Vec<UnpublishedAdmission>, StoreError>;

    /// Begins a new epoch in a Redis that does not have the line. Its ordinals start above all
    /// granted ones, including those that only Redis knows, after a restore of the database. The
    /// cursor passes all earlier tickets, but none before a draw, since they are still in it.
    async fn begin_epoch(&mut self, line: &mut LineRow, redis: &Home) -> Result<(), StoreError>;

    /// Notes that these admissions are published, and with `begins` that Redis has begun the epoch:
    /// from now on shoppers present their tickets.
    async fn mark_published(
        &mut self,
        line: &mut LineRow,
        published: &[UnpublishedAdmission],
        begins: bool,
    ) -> Result<(), StoreError>;

    /// The next past turns that are published again, of the newest tickets first.
    async fn past_turns(&mut self, line: &LineRow) -> Result<PastTurns, StoreError>;

    /// Notes that these turns are published again.
    async fn mark_republished(&mut self, line: &mut LineRow, published: &PastTurns) -> Result<(), StoreError>;
}

/// The record of one line of the sale.
#[async_trait]
pub trait RecordStatements {
    /// Writes the entries of a tick.
    async fn write_record(&mut self, line: &mut LineRow, record: &Recorder) -> Result<(), StoreError>;

    /// Records ended turns that are not in the record yet: lapsed and redeemed ones.
    async fn take_over(&mut self, line: &LineRow) -> Result<(Vec<Ordinal>, Vec<Ordinal>), StoreError>;

    /// The seed of the draw that is due.
    async fn seed(&mut self) -> Result<[u8; 32], StoreError>;

    /// Notes that the draw is made.
    async fn mark_drawn(&mut self, line: &mut LineRow, pool: Ordinal, key: Hash) -> Result<(), StoreError>;
}

/// Ticket actions of operators in one line of the sale.
#[async_trait]
pub trait TicketActionStatements {
    /// Removed tickets whose removal is not in the record.
    async fn unrecorded_removals(&mut self, line: &LineRow) -> Result<Vec<Ordinal>, StoreError>;

    /// Removed tickets whose removal is not published in this epoch, and those among the tickets
    /// that are published again; and of each whether its shopper has reached the limit. Until then
    /// Redis returns them as waiting.
    async fn unpublished_removals(
        &mut self,
        line: &LineRow,
        again: &[Ordinal],
    ) -> Result<Vec<(Ordinal, bool)>, StoreError>;

    /// Tickets that are admitted before all others, in the order of the requests.
    async fn preferred(&mut self, line: &LineRow) -> Result<Vec<(Ordinal, VisitorId)>, StoreError>;

    /// Notes that the actions on these tickets are done.
    async fn mark_done(&mut self, line: &LineRow, what: TicketAction, tickets: &[Ordinal]) -> Result<(), StoreError>;

    /// Notes that the removal of these tickets is published.
    async fn mark_removals_published(&mut self, line: &LineRow, tickets: &[Ordinal]) -> Result<(), StoreError>;

    /// Notes how many extra admissions are still to be made.
    async fn store_admit_now(&mut self, left: u32) -> Result<(), StoreError>;
}

/// The limit per shopper. The database counts each shopper's units when they are redeemed and
/// released.
#[async_trait]
pub trait LimitStatements {
    /// Removes the tickets whose shoppers have reached the limit. Returns those that are not in the
    /// record as removed.
    async fn take_out_at_limit(
        &mut self,
        line: &LineRow,
        tickets: &[(Ordinal, VisitorId)],
    ) -> Result<Vec<Ordinal>, StoreError>;

    /// Revokes the tokens of visitors who have just reached the limit with another turn; their
    /// units are free immediately. It finds them by redeemed turns that are not in the record yet,
    /// so it comes before those are recorded. Returns whether there were any.
    async fn take_back_at_limit(&mut self, lines: &[&LineRow]) -> Result<bool, StoreError>;

    /// How many more units each of these visitors may have, if fewer than the sale's limit.
    async fn left_of_limit(&mut self, visitors: &[VisitorId]) -> Result<HashMap<VisitorId, u32>, StoreError>;
}
