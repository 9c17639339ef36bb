//! The statements of the port with their arguments, and their answers as text.

use std::{fmt::Debug, time::Duration};

use admission_controller::testing::{
    LineRow, LockedLedger, PastTurns, Recorder, SaleRow, SkippedTickets, StoreError, TickResult, TicketAction,
    UnpublishedAdmission,
};
use fairline_admission::Memory;
use fairline_line::{
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_record::Hash;
use fairline_sale::{Status, VisitorId};
use fairline_simulate::sale::moment;

/// A statement, of the line at a position. Tickets are ordinals.
#[derive(Debug, Clone)]
pub(crate) enum Statement {
    Agenda(Vec<String>),
    Visits,
    Prior,
    SetStatus(Status),
    /// The age of the claims, in ms.
    Lapse(u64),
    SignAgain(Vec<String>, String),
    /// The memory, and whether visits were taken in, and whether the sale is settled.
    StoreTick(Option<f64>, bool, bool),
    /// Pages could not claim their turns until this time, in ms.
    Unreachable(i64),
    TakeClaims(usize, Vec<(Ordinal, Claim)>),
    Unservable(usize, Vec<Ordinal>),
    Admit(usize, Vec<(Ordinal, VisitorId, u32)>, String),
    StorePosition(usize, Ordinal, Box<Upcoming>),
    Number,
    BeginEpoch(usize, Home),
    /// Reads what is to be published, and the tickets again.
    Unpublished(usize, Vec<Ordinal>),
    /// Marks what was read, but every nth.
    MarkPublished(usize, usize, bool),
    PastTurns(usize),
    MarkRepublished(usize),
    /// Takes joins into the record, which is written later.
    Record(usize, Box<Upcoming>),
    RecordRemoved(usize, Vec<Ordinal>),
    WriteRecord(usize),
    TakeOver(usize),
    Seed,
    MarkDrawn(usize, Ordinal),
    UnrecordedRemovals(usize),
    UnpublishedRemovals(usize, Vec<Ordinal>),
    Preferred(usize),
    MarkDone(usize, TicketAction, Vec<Ordinal>),
    MarkRemovalsPublished(usize, Vec<Ordinal>),
    StoreAdmitNow(u32),
    TakeOutAtLimit(usize, Vec<(Ordinal, VisitorId)>),
    TakeBackAtLimit,
    LeftOfLimit(Vec<VisitorId>),
}

/// One side of a transaction, with what its tick has in hand.
pub(crate) struct Side<L> {
    pub(crate) ledger: L,
    pub(crate) lines: Vec<LineRow>,
    records: Vec<Recorder>,
    unpublished: Vec<UnpublishedAdmission>,
    past: PastTurns,
    keys: String,
    /// The clock was set back: the order of requests by it differs from that of the requests.
    went_back: bool,
}

fn done(_: ()) -> String {
    String::new()
}

fn text(answer: impl Debug) -> String {
    format!("{answer:?}")
}

fn sorted<T: Ord + Debug>(found: impl IntoIterator<Item = T>) -> String {
    let mut found: Vec<T> = found.into_iter().collect();
    found.sort_unstable();
    text(found)
}

/// Without the id, which each side gives itself.
fn without_id(row: &UnpublishedAdmission) -> String {
    text(UnpublishedAdmission { id: uuid::Uuid::nil(), ..row.clone() })
}

fn published(rows: &[UnpublishedAdmission]) -> String {
    let keys: Vec<_> = rows.iter().map(|row| (row.state != "promised", row.issued_at, row.ordinal)).collect();
    format!("{keys:?} {}", sorted(rows.iter().map(without_id)))
}

impl<L: LockedLedger> Side<L> {
    pub(crate) fn new((ledger, lines): (L, Vec<LineRow>), keys: &str, went_back: bool) -> Self {
        let sale: &SaleRow = &ledger;
        let records = lines.iter().map(|line| line.open_record(sale)).collect();
        let (unpublished, past, keys) = (Vec::new(), PastTurns::default(), keys.to_owned());
        Self { ledger, lines, records, unpublished, past, keys, went_back }
    }

    /// Executes a statement.
    pub(crate) async fn apply(&mut self, statement: &Statement) -> Result<String, StoreError> {
        match statement {
            Statement::Agenda(good) => {
                let lines: Vec<&LineRow> = self.lines.iter().collect();
                let mut agenda = self.ledger.agenda(&lines, good).await?;
                agenda.revoked.retain(|kid| kid.starts_with(&self.keys));
                agenda.revoked.sort_unstable();
                Ok(text((agenda, self.ledger.stock())))
            }
            Statement::Visits => Ok(text(self.ledger.visits().await?.1)),
            // Its numbers are rounded when they are stored.
            Statement::Prior => self.ledger.prior().await.map(|_| String::new()),
            Statement::SetStatus(to) => {
                let moved = self.ledger.set_status(*to).await?;
                Ok(text((moved, self.ledger.stored_status())))
            }
            Statement::Lapse(age_ms) => Ok(text(self.ledger.lapse(Duration::from_millis(*age_ms)).await?)),
            Statement::SignAgain(good, kid) => self.ledger.sign_again(good, kid).await.map(done),
            Statement::StoreTick(..) => self.store_tick(statement).await,
            Statement::Unreachable(until_ms) => {
                self.ledger.was_unreachable(moment(*until_ms));
                Ok(String::new())
            }
            Statement::Number => {
                let mut lines: Vec<&mut LineRow> = self.lines.iter_mut().collect();
                self.ledger.number_publications(&mut lines).await?;
                Ok(text(self.lines.iter().map(|line| line.publication).collect::<Vec<_>>()))
            }
            Statement::Seed => Ok(text(self.ledger.seed().await?)),
            Statement::StoreAdmitNow(left) => self.ledger.store_admit_now(*left).await.map(done),
            Statement::TakeBackAtLimit => {
                let lines: Vec<&LineRow> = self.lines.iter().collect();
                Ok(text(self.ledger.take_back_at_limit(&lines).await?))
            }
            Statement::LeftOfLimit(visitors) => Ok(sorted(self.ledger.left_of_limit(visitors).await?)),
            _ => self.apply_to_line(statement).await,
        }
    }

    async fn store_tick(&mut self, statement: &Statement) -> Result<String, StoreError> {
        let Statement::StoreTick(admitted, observes, settled) = statement else { return Ok(String::new()) };
        let memory = admitted.map(|admitted| Memory { admitted, ..Memory::default() });
        let observed_until = observes.then_some(self.ledger.now);
        let ticked = TickResult { memory: memory.as_ref(), why: "a reason", observed_until, settled: *settled };
        self.ledger.store_tick(&ticked).await.map(done)
    }

    async fn apply_to_line(&mut self, statement: &Statement) -> Result<String, StoreError> {
        let Self { ledger, lines, records, .. } = self;
        match statement {
            Statement::TakeClaims(at, claims) => ledger.take_claims(&lines[*at], claims).await.map(done),
            Statement::Unservable(at, tickets) => {
                let SkippedTickets { passed_over, unrecorded, lapsed } =
                    ledger.unservable_tickets(&lines[*at], tickets).await?;
                Ok([sorted(passed_over), sorted(unrecorded), sorted(lapsed)].join(" "))
            }
            Statement::Admit(at, tickets, kid) => Ok(text(ledger.admit(&lines[*at], tickets, kid).await?)),
            Statement::StorePosition(at, cursor, seen) => {
                ledger.store_position(&mut lines[*at], *cursor, seen).await.map(done)
            }
            Statement::BeginEpoch(at, redis) => {
                let line = &mut lines[*at];
                ledger.begin_epoch(line, redis).await?;
                records[*at].epoch(line.epoch(), line.above());
                Ok(text((line.epoch, line.above, line.expected, line.rapid_epochs)))
            }
            Statement::Record(at, seen) => {
                records[*at].take_in(seen);
                Ok(String::new())
            }
            Statement::RecordRemoved(at, tickets) => {
                records[*at].removed(tickets);
                Ok(String::new())
            }
            Statement::WriteRecord(at) => {
                ledger.write_record(&mut lines[*at], &records[*at]).await?;
                Ok(text((lines[*at].record_seq, &lines[*at].recorded_tickets)))
            }
            Statement::TakeOver(at) => Ok(text(ledger.take_over(&lines[*at]).await?)),
            Statement::MarkDrawn(at, pool) => ledger.mark_drawn(&mut lines[*at], *pool, Hash([3; 32])).await.map(done),
            Statement::TakeOutAtLimit(at, tickets) => Ok(sorted(ledger.take_out_at_limit(&lines[*at], tickets).await?)),
            _ => self.publish(statement).await,
        }
    }

    /// Publications and actions on tickets.
    async fn publish(&mut self, statement: &Statement) -> Result<String, StoreError> {
        let Self { ledger, lines, unpublished, past, went_back, .. } = self;
        match statement {
            Statement::Unpublished(at, again) => {
                *unpublished = ledger.unpublished(&lines[*at], again).await?;
                let answer = published(unpublished);
                unpublished.sort_by_cached_key(without_id);
                Ok(answer)
            }
            Statement::MarkPublished(at, nth, begins) => {
                let rows = std::mem::take(unpublished);
                let rows: Vec<_> = rows.into_iter().enumerate().filter(|(row, _)| (row + 1) % nth != 0).collect();
                let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
                ledger.mark_published(&mut lines[*at], &rows, *begins).await.map(done)
            }
            Statement::PastTurns(at) => {
                *past = ledger.past_turns(&lines[*at]).await?;
                Ok(text(&*past))
            }
            Statement::MarkRepublished(at) => ledger.mark_republished(&mut lines[*at], past).await.map(done),
            Statement::UnrecordedRemovals(at) => Ok(sorted(ledger.unrecorded_removals(&lines[*at]).await?)),
            Statement::UnpublishedRemovals(at, again) => {
                Ok(sorted(ledger.unpublished_removals(&lines[*at], again).await?))
            }
            Statement::Preferred(at) => {
                let preferred = ledger.preferred(&lines[*at]).await?;
                Ok(if *went_back { sorted(preferred) } else { text(preferred) })
            }
            Statement::MarkDone(at, what, tickets) => ledger.mark_done(&lines[*at], *what, tickets).await.map(done),
            Statement::MarkRemovalsPublished(at, tickets) => {
                ledger.mark_removals_published(&lines[*at], tickets).await.map(done)
            }
            other => unreachable!("{other:?} has no line"),
        }
    }
}
