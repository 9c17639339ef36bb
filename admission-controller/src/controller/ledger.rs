//! What a tick asks of the ledger, statement by statement. Postgres answers in a shop (`store`); the simulation answers in its place.
//!
//! - [`Ledger`] hands out locked sales; [`Locked`] is one transaction on one of them.
//! - Each method is one statement, or a few in one step. What is decided from their answers stands in the tick, in [`Sale`], and in
//!   the methods of its rows, which every ledger shares.
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
    interventions::Intervention,
    record::Recorder,
    sale::{Running, Sale, Ticked},
    turns::{TurnsOver, Unpublished},
};
use crate::db::StoreError;

/// Where sales are kept.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// A sale, locked.
    type Locked: Locked;

    /// The sales that need ticks: all that run or will, and closed ones until Redis and the record have heard all of them.
    async fn running(&self) -> Result<Vec<Running>, StoreError>;

    /// Takes the lock of a sale, or `None` when another controller has it; with `waits`, as soon as that lets go of it.
    async fn lock(&self, sale: SaleId, waits: bool) -> Result<Option<Self::Locked>, StoreError>;
}

/// A locked sale: as it was when the lock was taken, with what this transaction has made of it since.
#[async_trait]
pub trait Locked:
    LineStatements + RecordStatements + InterventionStatements + LimitStatements + DerefMut<Target = Sale> + Send
{
    /// Reads the agenda, and the stock with it, which is not locked: only the holder of this lock takes from what is
    /// free, but for a late payment or a smaller stock, and then the schema refuses the promise and the next tick decides anew.
    async fn agenda(&mut self, good_keys: &[String]) -> Result<Agenda, StoreError>;

    /// The visits of this sale that are under way, and what has become of visits since they were taken in for the last time;
    /// and up to when that is so.
    async fn visits(&mut self) -> Result<(Visits, OffsetDateTime), StoreError>;

    /// What is believed of visits before the sale: what the sale that it is like has taught. It is settled by the first
    /// decision, so that nothing shifts beneath what is learnt after that.
    async fn prior(&mut self) -> Result<Prior, StoreError>;

    /// Moves the sale by the clock; `false` if an operator has just moved it, and this tick knows an older state.
    async fn set_status(&mut self, to: Status) -> Result<bool, StoreError>;

    /// Lapses tokens that ran out, or that no page had claimed in time when the claims were read, so long ago; and all of
    /// a sale that was closed. Gives their units back, and says whether there were any.
    async fn lapse(&mut self, claims_age: Duration) -> Result<bool, StoreError>;

    /// Has the tokens that are out signed with a key, unless theirs is a good one.
    async fn sign_again(&mut self, good: &[String], kid: &str) -> Result<(), StoreError>;

    /// Notes what this tick leaves for the next. The tick counts from when it began, so none of the time is lost.
    async fn note(&mut self, ticked: &Ticked<'_>) -> Result<(), StoreError>;

    /// Commits. The stock is the last row to be locked, and nothing is waited for while it is.
    async fn commit(self) -> Result<(), StoreError>;
}

/// Tickets that are next by what Redis knows, and are not to be admitted.
#[derive(Debug, Default)]
pub struct NotServed {
    /// They have a turn, have used one, or were removed: they are passed over, and their outcome is published again.
    pub passed_over: HashSet<Ordinal>,
    /// Of the removed ones those that the record does not have.
    pub unrecorded: Vec<Ordinal>,
    /// Their turn lapsed, and that is not published. Redis may count them as recalled since before that turn, which the record
    /// does not: no later ticket is admitted until it is published.
    pub lapsed: HashSet<Ordinal>,
}

/// What happens to the line at a position among the sale's.
#[async_trait]
pub trait LineStatements {
    /// Notes what pages have said: tokens that arrived, and tokens that were given back, which lapse at once.
    async fn hear(&mut self, at: usize, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError>;

    /// Which of these tickets, that are next by what Redis knows, are not to be admitted.
    async fn not_to_be_served(&mut self, at: usize, tickets: &[Ordinal]) -> Result<NotServed, StoreError>;

    /// Makes admissions, and promises their units. A ticket that has one already is passed over. Gives those that were
    /// made, in order.
    async fn admit(
        &mut self,
        at: usize,
        tickets: &[(Ordinal, VisitorId, u32)],
        kid: &str,
    ) -> Result<Vec<Ordinal>, StoreError>;

    /// Notes how far a line has moved, and who was seen to wait in it; nothing where that is as it was.
    async fn note_moved(&mut self, at: usize, cursor: Ordinal, seen: &Upcoming) -> Result<(), StoreError>;

    /// Numbers the publications of this commit. No other commit has the same numbers, whichever controller publishes it.
    async fn number_publications(&mut self) -> Result<(), StoreError>;

    /// Admissions whose present state is not published in this epoch: live tokens first, then the
    /// oldest. And the turns of the tickets that are to be published again.
    async fn unpublished(&mut self, at: usize, again: &[Ordinal]) -> Result<Vec<Unpublished>, StoreError>;

    /// Begins a new epoch in a Redis that does not know the line: its ordinals start above all that were granted, also by
    /// the account of that Redis, which knows better than a database that was restored. The cursor passes all earlier
    /// tickets; before a draw it passes none, since they are still in it.
    async fn begin_epoch(&mut self, at: usize, redis: &Home) -> Result<(), StoreError>;

    /// Notes that these admissions are published in their state of then, and that Redis has begun the epoch if that was to be
    /// said: from now on shoppers show their tickets.
    async fn note_published(&mut self, at: usize, published: &[Unpublished], begins: bool) -> Result<(), StoreError>;

    /// The next turns that are over and are to be published again: of the newest tickets first.
    async fn turns_over(&mut self, at: usize) -> Result<TurnsOver, StoreError>;

    /// Notes that these are published again.
    async fn note_retold(&mut self, at: usize, told: &TurnsOver) -> Result<(), StoreError>;
}

/// The record of the line at a position among the sale's.
#[async_trait]
pub trait RecordStatements {
    /// Writes what a tick has to add.
    async fn write_record(&mut self, at: usize, record: Recorder) -> Result<(), StoreError>;

    /// The turns that are over and not in the record yet: those that lapsed, and those that were used.
    async fn take_over(&mut self, at: usize) -> Result<(Vec<Ordinal>, Vec<Ordinal>), StoreError>;

    /// The seed of the draw that is due.
    async fn seed(&mut self) -> Result<[u8; 32], StoreError>;

    /// Notes that the draw is made.
    async fn note_draw(&mut self, at: usize, pool: Ordinal, key: Hash) -> Result<(), StoreError>;
}

/// What operators want of the line at a position among the sale's.
#[async_trait]
pub trait InterventionStatements {
    /// The tickets that were taken out and that the record has not heard of.
    async fn unrecorded_removals(&mut self, at: usize) -> Result<Vec<Ordinal>, StoreError>;

    /// The tickets that were taken out and that Redis has not heard of in this epoch: it still gives them as waiting. And
    /// those among the ones that are to be published again. And of each whether its shopper has as many units as one may.
    async fn untold_removals(&mut self, at: usize, again: &[Ordinal]) -> Result<Vec<(Ordinal, bool)>, StoreError>;

    /// The tickets that are to be let in before all others, in the order in which that was said.
    async fn preferred(&mut self, at: usize) -> Result<Vec<(Ordinal, VisitorId)>, StoreError>;

    /// Notes that what was wanted of these is done.
    async fn note_done(&mut self, at: usize, what: Intervention, tickets: &[Ordinal]) -> Result<(), StoreError>;

    /// Notes that Redis knows that these were taken out.
    async fn note_removals_told(&mut self, at: usize, tickets: &[Ordinal]) -> Result<(), StoreError>;

    /// Admissions at once that an operator has asked for and that are still to be made.
    async fn note_at_once(&mut self, left: u32) -> Result<(), StoreError>;
}

/// The limit per shopper: what the database counts for each is kept when units are redeemed and given back.
#[async_trait]
pub trait LimitStatements {
    /// Takes those tickets of a line out whose holders may have no more of the sale. Gives those that were not out before, which
    /// the record has to hear of.
    async fn take_out_at_limit(
        &mut self,
        at: usize,
        tickets: &[(Ordinal, VisitorId)],
    ) -> Result<Vec<Ordinal>, StoreError>;

    /// Takes back the tokens that are out for visitors whose other turn has just used the limit up; their units are free at once.
    /// Before the record takes over what was redeemed, since that is how these are found. Says whether there were any.
    async fn take_back_at_limit(&mut self) -> Result<bool, StoreError>;

    /// How many units more each of these visitors may have, as far as that is fewer than the sale's limit.
    async fn left_of_limit(&mut self, visitors: &[VisitorId]) -> Result<HashMap<VisitorId, u32>, StoreError>;
}
