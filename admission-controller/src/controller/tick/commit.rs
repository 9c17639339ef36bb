//! The writes of a tick. From their first on, rows of admissions are locked, and the tick waits for
//! Postgres only.

use std::time::Duration;

use fairline_admission::{BATCH_MAX, Reason};
use fairline_line::ticket::Ordinal;
use fairline_sale::Status;
use tracing::info;

use super::{
    Ticker,
    known::{IdleState, KnownSale},
    lines::{CommittedLine, ServedTickets, TickLine},
    plan::TickPlan,
};
use crate::{
    controller::{
        agenda::Agenda,
        decision_metrics,
        error::TickError,
        ledger::{Ledger, LimitStatements as _, LineStatements as _, LockedLedger, RecordStatements as _},
        line::{LineRow, present},
        sale::{SaleRow, TickResult},
        ticket_actions::TicketAction,
    },
    db::StoreError,
};

/// How often an unchanged sale is published again: Redis may have lost only the list of sales.
const PUBLISHED_AGAIN: Duration = Duration::from_secs(5);

/// What a tick has read and decided before it writes.
pub(super) struct PreparedTick {
    /// When the lines were read from Redis.
    pub(super) read_at: Duration,
    pub(super) agenda: Agenda,
    pub(super) rest: Option<IdleState>,
    pub(super) plan: TickPlan,
}

/// What a tick has committed.
pub(super) struct CommittedTick {
    pub(super) lines: Vec<CommittedLine>,
    /// Whether it must be published.
    pub(super) publishes: bool,
    pub(super) rest: Option<IdleState>,
    /// How long the rate cap allows no further admission.
    pub(super) none_due_for: Option<Duration>,
    pub(super) settled: bool,
}

/// What has happened to turns of a sale.
struct EndedTurns {
    /// Pages have claimed turns, or given them back.
    claimed: bool,
    /// Turns have lapsed.
    lapsed: bool,
    /// The record may lack ended turns.
    unrecorded: bool,
}

impl CommittedTick {
    pub(super) fn begins_an_epoch(&self) -> bool {
        self.lines.iter().any(|line| line.begins.is_some())
    }

    /// Whether the lines are as the last tick has left them.
    pub(super) fn is_unchanged(&self, known: &KnownSale) -> bool {
        self.lines.iter().map(|line| &line.known.seen).eq(known.lines.iter().map(|line| &line.seen))
    }
}

impl<L: Ledger> Ticker<L> {
    /// Ends turns, makes the planned admissions, moves the lines, and commits.
    pub(super) async fn commit(
        &self,
        mut sale: L::LockedLedger,
        mut lines: Vec<TickLine>,
        prepared: PreparedTick,
        known: &KnownSale,
    ) -> Result<CommittedTick, TickError> {
        let PreparedTick { read_at, agenda, rest, plan } = prepared;
        let ended = self.end_turns(&mut sale, &lines, &agenda, read_at).await?;
        self.sign_again(&mut sale, &agenda).await?;
        record_ended(&mut sale, &mut lines, &agenda, &ended).await?;
        let admitted = admit(&mut sale, &mut lines, &plan).await?;
        move_on(&mut sale, &mut lines).await?;
        // What was learnt from a sale is kept, however long it stays sold out.
        let decision = plan.decision.filter(|decision| decision.reason != Reason::SoldOut);
        let none_due_for = decision.as_ref().and_then(|decision| decision.none_due_for(admitted));
        let memory = decision.map(|decision| decision.remember(admitted));
        let moved = ended.lapsed || ended.claimed || admitted > 0;
        let settled = !moved && is_settled(&sale, &agenda, &lines);
        let stale = rest.is_none() && known.published_at.is_none_or(|at| self.clock.since(at) > PUBLISHED_AGAIN);
        let has_news = moved || stale || has_news(&agenda, &lines);
        let ticked =
            TickResult { memory: memory.as_ref(), why: &plan.why, observed_until: plan.observed_until, settled };
        sale.store_tick(&ticked).await?;
        for TickLine { row, record, .. } in &mut lines {
            sale.write_record(row, record).await?;
        }
        let is_published = |TickLine { row, .. }: &TickLine| {
            known.published.get(&row.line()).is_some_and(|published| published.is_current(&sale, row))
        };
        let publishes = !settled && (has_news || !lines.iter().all(is_published));
        if publishes {
            let mut rows: Vec<&mut LineRow> = lines.iter_mut().map(|line| &mut line.row).collect();
            sale.number_publications(&mut rows).await?;
        }
        decision_metrics::admitted(&sale, admitted);
        sale.commit().await?;
        let lines = lines.into_iter().map(TickLine::committed).collect();
        Ok(CommittedTick { lines, publishes, rest: rest.filter(|_| !publishes), none_due_for, settled })
    }

    /// Applies claims, expires tokens, and revokes those of shoppers who have reached the limit.
    async fn end_turns(
        &self,
        sale: &mut L::LockedLedger,
        lines: &[TickLine],
        agenda: &Agenda,
        read_at: Duration,
    ) -> Result<EndedTurns, StoreError> {
        let (mut claimed, mut lapsed) = (false, false);
        for TickLine { row, seen, .. } in lines.iter().filter(|line| !line.seen.claims.is_empty()) {
            sale.take_claims(row, &seen.claims).await?;
            claimed = true;
        }
        if agenda.lapses {
            lapsed = sale.lapse(self.clock.since(read_at)).await?;
        }
        // Turns that were redeemed since the agenda was read are recorded in this tick too, so they
        // count here.
        let unrecorded = agenda.unrecorded || lapsed || claimed;
        if unrecorded {
            lapsed |= sale.take_back_at_limit(&TickLine::rows(lines)).await?;
        }
        Ok(EndedTurns { claimed, lapsed, unrecorded })
    }

    /// Assigns a valid key to the tokens whose key is not.
    async fn sign_again(&self, sale: &mut L::LockedLedger, agenda: &Agenda) -> Result<(), StoreError> {
        let revoked = &agenda.revoked;
        if let Some(key) = self.keys.signs(revoked)
            && (agenda.unsigned || !revoked.is_empty())
        {
            sale.sign_again(&self.keys.good(revoked), key.kid()).await?;
        }
        Ok(())
    }
}

/// Records ended turns and removals. The removal of a ticket that the record lacks is recorded
/// after the ticket.
async fn record_ended<S: LockedLedger>(
    sale: &mut S,
    lines: &mut [TickLine],
    agenda: &Agenda,
    ended: &EndedTurns,
) -> Result<(), StoreError> {
    for line in lines {
        let TickLine { row, record, ended_at, .. } = line;
        if ended.unrecorded {
            let (lapsed, redeemed) = sale.take_over(row).await?;
            record.over(*ended_at, &lapsed, &redeemed);
            line.stop_at(&lapsed);
        }
        let TickLine { row, record, .. } = line;
        if agenda.ticket_actions || ended.lapsed {
            let mut unrecorded = sale.unrecorded_removals(row).await?;
            unrecorded.retain(|&ordinal| record.knows(ordinal));
            record.removed(&unrecorded);
            sale.mark_done(row, TicketAction::Remove, &unrecorded).await?;
        }
    }
    Ok(())
}

/// Makes the planned admissions. Returns their number.
async fn admit<S: LockedLedger>(sale: &mut S, lines: &mut [TickLine], plan: &TickPlan) -> Result<u32, StoreError> {
    let preferred = admit_preferred(sale, lines, &plan.kid).await?;
    let served = admit_in_order(sale, lines, &plan.kid).await?;
    if plan.at_once > 0 {
        // Extra admissions without a shopper or a unit are dropped; what exceeds a batch follows.
        let left = if served == BATCH_MAX { plan.at_once.saturating_sub(served) } else { 0 };
        sale.store_admit_now(left).await?;
    }
    Ok(served.saturating_add(preferred))
}

/// Admits the tickets that come before all others.
async fn admit_preferred<S: LockedLedger>(sale: &mut S, lines: &mut [TickLine], kid: &str) -> Result<u32, StoreError> {
    let mut admitted = 0;
    for line in lines.iter_mut().filter(|line| !line.preferred.is_empty()) {
        let made = sale.admit(&line.row, &line.preferred, kid).await?;
        if let Some(place) = line.preferred_at {
            line.record.preferred(place, &made);
        }
        // A ticket with a token has had its turn.
        let served: Vec<Ordinal> = line.preferred.iter().map(|ticket| ticket.0).collect();
        sale.mark_done(&line.row, TicketAction::Prefer, &served).await?;
        admitted += count(&made);
    }
    Ok(admitted)
}

/// Admits the tickets that are served in order.
async fn admit_in_order<S: LockedLedger>(sale: &mut S, lines: &mut [TickLine], kid: &str) -> Result<u32, StoreError> {
    let mut admitted = 0;
    for TickLine { row, record, served, .. } in lines {
        let mut cursor = row.cursor();
        for ServedTickets { place, tickets, cursor: next, .. } in served {
            let made = sale.admit(row, tickets, kid).await?;
            if !made.is_empty() || *next > cursor {
                record.admitted(*place, &made, *next);
            }
            admitted += count(&made);
            cursor = *next;
        }
    }
    Ok(admitted)
}

fn count(made: &[Ordinal]) -> u32 {
    u32::try_from(made.len()).unwrap_or(u32::MAX)
}

/// Moves the lines on.
async fn move_on<S: LockedLedger>(sale: &mut S, lines: &mut [TickLine]) -> Result<(), StoreError> {
    for TickLine { row, seen, cursor, .. } in lines {
        let recovers = row.recovers_until.is_some();
        sale.store_position(row, *cursor, seen).await?;
        if recovers && row.recovers_until.is_none() {
            let (present, expected) = (present(seen), row.expected);
            info!(line = %row.line(), present, expected, waiting = seen.waiting, "shoppers of a lost line are back");
        }
    }
    Ok(())
}

/// Whether a sale in which no turn has changed is closed, and Redis and the record are complete.
fn is_settled(sale: &SaleRow, agenda: &Agenda, lines: &[TickLine]) -> bool {
    let is_complete = |TickLine { row, record, .. }: &TickLine| {
        record.is_empty() && !row.is_republishing() && row.published_status.as_deref() == Some(sale.status.as_str())
    };
    let is_open = agenda.lapses || agenda.unrecorded || agenda.unpublished;
    sale.stored_status() == Status::Closed && !is_open && lines.iter().all(is_complete)
}

/// Whether there is something to publish beside the cards, the cursors, and turns that have just
/// changed.
fn has_news(agenda: &Agenda, lines: &[TickLine]) -> bool {
    let has_turns = |line: &TickLine| line.takes_out || !line.again.is_empty() || line.row.is_republishing();
    agenda.unpublished || agenda.unsigned || agenda.unpublished_removals || lines.iter().any(has_turns)
}
