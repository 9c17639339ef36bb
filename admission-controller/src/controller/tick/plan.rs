//! The plan of a tick for a sale. It is complete before a row of an admission is locked.

use std::collections::HashSet;

use fairline_admission::{Decision, Lane, Observation, Visits, decide, quantities};
use fairline_line::{store::UpcomingQuery, ticket::Ordinal};
use fairline_record::entry::TICKETS_MAX;
use fairline_sale::{Status, VisitorId};
use time::OffsetDateTime;

use super::{
    Ticker, draw,
    lines::{AdmittedTicket, ServedTickets, TickLine},
};
use crate::{
    controller::{
        agenda::Agenda,
        decision_metrics::{self, DecisionReport},
        epochs,
        error::TickError,
        ledger::{Ledger, LineStatements as _, LockedLedger, SkippedTickets, TicketActionStatements as _},
        lifecycle,
        ticket_actions::TicketAction,
    },
    db::StoreError,
};

/// How far beyond the cursor one query takes tickets in. Runs of departed tickets cost nothing,
/// unless a draw has shuffled them.
const REACH: u64 = 5000;
/// Queries for one line in one tick at most.
const QUERIES_MAX: usize = 8;

/// The plan of a tick for a sale. Each [`TickLine`] has its own part.
#[derive(Default)]
pub(super) struct TickPlan {
    /// The name of the key that signs the tokens.
    pub(super) kid: String,
    pub(super) decision: Option<Decision>,
    /// Extra admissions that an operator has requested.
    pub(super) at_once: u32,
    pub(super) observed_until: Option<OffsetDateTime>,
    /// What limits admissions.
    pub(super) why: String,
    visits: Visits,
    elapsed_s: f64,
}

impl<L: Ledger> Ticker<L> {
    /// The next step of a sale: nothing, the draw, or admissions. The draw is made here.
    pub(super) async fn plan(
        &self,
        sale: &mut L::LockedLedger,
        agenda: &Agenda,
        lines: &mut [TickLine],
        elapsed_s: f64,
    ) -> Result<TickPlan, TickError> {
        let mut plan = TickPlan { elapsed_s, ..TickPlan::default() };
        // Visits are also taken in during a pause, so that they don't count as those of a single
        // tick afterwards.
        if matches!(sale.stored_status(), Status::Open | Status::Paused) {
            let (visits, until) = sale.visits().await?;
            (plan.visits, plan.observed_until) = (visits, Some(until));
        }
        let lacks_draw = |line: &TickLine| line.row.drawn().is_some_and(|(pool, _)| pool != line.seen.drawn);
        plan.why = if sale.stored_status() == Status::Scheduled && !sale.can_open {
            "its items: this version sells one item per sale".to_owned()
        } else if sale.stored_status() != Status::Open || lifecycle::has_ended(sale.now, sale.ends_at) {
            "the status: the sale is not open".to_owned()
        } else if lines.iter().any(|line| sale.draw_is_due(&line.row)) {
            draw::make(sale, lines, &self.line).await?;
            "the draw, which is being made".to_owned()
        } else if lines.iter().any(lacks_draw) {
            "the draw, which is being published".to_owned()
        } else if let Some(key) = self.keys.signs(&agenda.revoked) {
            key.kid().clone_into(&mut plan.kid);
            return self.plan_admissions(sale, agenda, lines, plan).await;
        } else {
            "the keys: every signing key is revoked, so the controllers need another one".to_owned()
        };
        Ok(plan)
    }

    /// Plans as many admissions as the control law allows: of each line, the next tickets.
    async fn plan_admissions(
        &self,
        sale: &mut L::LockedLedger,
        agenda: &Agenda,
        lines: &mut [TickLine],
        mut plan: TickPlan,
    ) -> Result<TickPlan, TickError> {
        let units = sale.units_per_admission();
        let promised = plan_preferred(sale, agenda, lines).await?;
        let prior = sale.prior().await?;
        let mut stock = sale.stock();
        stock.promised = stock.promised.saturating_add(promised);
        let recovers = |line: &TickLine| epochs::recovers_until(&line.row, &line.seen, sale.now).is_some();
        let lanes = lanes(lines);
        let (terms, memory) = (sale.terms(), sale.memory());
        let observation = Observation {
            terms: &terms,
            stock,
            lanes: &lanes,
            visits: &plan.visits,
            checkout: agenda.checkout(),
            recovering: lines.iter().any(recovers),
            at_once: agenda.at_once(),
            elapsed_s: plan.elapsed_s,
            prior: &prior,
            memory: &memory,
        };
        let decision = decide(&observation);
        // In yield mode more is promised than there is.
        let mut quantities = quantities(if sale.is_yield() { u32::MAX } else { stock.free() }, units);
        for (line, &wanted) in lines.iter_mut().zip(&decision.by_lane) {
            self.plan_next(sale, line, wanted, &mut quantities).await?;
        }
        let lags = lines.iter().any(|line| line.lags);
        let planned = lines.iter().flat_map(|line| &line.served).map(|served| served.tickets.len()).sum();
        plan.why = if lags {
            "the record, which is catching up with the line".to_owned()
        } else {
            decision.reason.to_string()
        };
        let waiting: Vec<_> = lines.iter().map(|line| (&line.row, line.seen.waiting)).collect();
        let decided =
            DecisionReport { observation: &observation, decision: &decision, lines: &waiting, planned, why: &plan.why };
        decision_metrics::decision(sale, &decided);
        (plan.decision, plan.at_once) = (Some(decision), agenda.at_once());
        Ok(plan)
    }

    /// Plans the next tickets of one line, `wanted` at most. Tickets that are not to be served
    /// delay no other.
    async fn plan_next(
        &self,
        sale: &mut L::LockedLedger,
        line: &mut TickLine,
        wanted: u32,
        quantities: &mut impl Iterator<Item = u32>,
    ) -> Result<(), TickError> {
        let mut missing = wanted as usize;
        // Redis learns of a commit afterwards, and returns the recalled tickets of an earlier query
        // once more.
        let mut recalled = HashSet::new();
        for _ in 0..QUERIES_MAX {
            // Each query has one entry in the record.
            let most = missing.min(TICKETS_MAX);
            if most == 0 {
                break;
            }
            let cursor = line.cursor;
            let wanted = (most + recalled.len()) as u64;
            let query = UpcomingQuery { cursor, wanted, reach: REACH, record: line.record.wants() };
            let mut next = self.line.upcoming(line.row.line(), &query).await?;
            line.record.take_in(&next);
            line.lags |= next.lags;
            let mut fresh: Vec<_> =
                next.tickets.iter().filter(|ticket| !recalled.contains(&ticket.0)).copied().collect();
            // Some have departed since the earlier query, so it returned more than are wanted. The
            // next tick serves them.
            if next.lags || fresh.len() > most || (fresh.is_empty() && next.cursor == cursor) {
                break;
            }
            recalled
                .extend(next.tickets.iter().take(usize::try_from(next.recalled).unwrap_or(0)).map(|ticket| ticket.0));
            let ordinals: Vec<Ordinal> = fresh.iter().map(|ticket| ticket.0).collect();
            let SkippedTickets { passed_over, unrecorded, lapsed } =
                sale.unservable_tickets(&line.row, &ordinals).await?;
            // This tick publishes the lapsed turn, and the next one continues: until then the
            // cursor stays, with all behind that ticket.
            let barrier = fresh.iter().position(|ticket| lapsed.contains(&ticket.0));
            if let Some(barrier) = barrier {
                fresh.truncate(barrier);
                fresh.retain(|ticket| recalled.contains(&ticket.0));
                next.cursor = cursor;
            }
            line.again.extend(&passed_over);
            line.record.removed(&unrecorded);
            sale.mark_done(&line.row, TicketAction::Remove, &unrecorded).await?;
            fresh.retain(|(ordinal, _)| {
                !passed_over.contains(ordinal) && !line.preferred.iter().any(|ticket| ticket.0 == *ordinal)
            });
            let tickets = with_quantities(within_limit(sale, line, &fresh).await?, quantities);
            missing -= tickets.len();
            line.cursor = next.cursor;
            let place = line.record.keep_place();
            line.served.push(ServedTickets { place, tickets, passed_over, cursor: next.cursor });
            if barrier.is_some() {
                break;
            }
        }
        Ok(())
    }
}

/// Plans the tickets that an operator prefers; in yield mode, too, only for free units. Returns the
/// units that are promised to them.
async fn plan_preferred<S: LockedLedger>(
    sale: &mut S,
    agenda: &Agenda,
    lines: &mut [TickLine],
) -> Result<u32, StoreError> {
    let mut quantities = quantities(sale.free(), sale.units_per_admission());
    let mut promised = 0;
    for line in lines {
        let mut wanted = if agenda.ticket_actions { sale.preferred(&line.row).await? } else { Vec::new() };
        wanted.retain(|&(ordinal, _)| line.record.knows(ordinal));
        let allowed = within_limit(sale, line, &wanted).await?;
        line.preferred = with_quantities(allowed, &mut quantities);
        line.preferred_at = Some(line.record.keep_place());
        promised += line.preferred.iter().map(|ticket| ticket.2).sum::<u32>();
    }
    Ok(promised)
}

/// The lines as the control law sees them. The own line has the share that the lanes leave.
fn lanes(lines: &[TickLine]) -> Vec<Lane> {
    let own = 1.0 - lines.iter().filter_map(|line| line.row.share).sum::<f64>();
    let lane = |TickLine { row, seen, .. }: &TickLine| Lane {
        waiting: seen.waiting,
        share: row.share.unwrap_or(own.max(0.0)),
    };
    lines.iter().map(lane).collect()
}

/// The tickets whose shoppers may have more units of the sale, and how many. The others are
/// removed.
async fn within_limit<S: LockedLedger>(
    sale: &mut S,
    line: &mut TickLine,
    tickets: &[(Ordinal, VisitorId)],
) -> Result<Vec<AdmittedTicket>, StoreError> {
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let visitors: Vec<VisitorId> = tickets.iter().map(|ticket| ticket.1).collect();
    let left = sale.left_of_limit(&visitors).await?;
    let units = |visitor: &VisitorId| left.get(visitor).copied().unwrap_or(u32::MAX);
    let at_limit: Vec<_> = tickets.iter().filter(|ticket| units(&ticket.1) == 0).copied().collect();
    let taken_out = sale.take_out_at_limit(&line.row, &at_limit).await?;
    line.takes_out |= !taken_out.is_empty();
    line.record.removed(&taken_out);
    let allowed = tickets.iter().map(|&(ordinal, visitor)| (ordinal, visitor, units(&visitor)));
    Ok(allowed.filter(|ticket| ticket.2 > 0).collect())
}

/// Gives each ticket the next quantity, but not more units than its shopper may have.
fn with_quantities(allowed: Vec<AdmittedTicket>, quantities: &mut impl Iterator<Item = u32>) -> Vec<AdmittedTicket> {
    let tickets = allowed.into_iter().zip(quantities);
    tickets.map(|((ordinal, visitor, most), units)| (ordinal, visitor, units.min(most))).collect()
}
