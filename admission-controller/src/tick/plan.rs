//! What is to become of a sale in one tick: all of it is read and decided before a row of an admission is locked.

use std::collections::HashSet;

use fairline_admission::{Decision, Lane, Observation, Visits, decide, quantities};
use fairline_line::{
    store::{Upcoming, UpcomingQuery},
    ticket::Ordinal,
};
use fairline_record::entry::TICKETS_MAX;
use fairline_sale::{Status, VisitorId};
use time::OffsetDateTime;

use super::{TickError, Ticker};
use crate::{
    draw, epochs, explain,
    ledger::{DeskStatements as _, Ledger, LimitStatements as _, LineStatements as _, Locked as _, NotServed},
    lifecycle,
    record::{Kept, Recorder},
    store::{Agenda, Intervention, LineRow, StoreError},
};

/// Tickets that one look takes in beyond the cursor at most, and looks at one line that one tick takes: runs of departed
/// tickets cost nothing, unless a draw has shuffled them.
const REACH: u64 = 5000;
const LOOKS_MAX: usize = 8;

/// What is to become of a sale that is open, in one tick: all of it is read and decided before anything is written.
#[derive(Default)]
pub(super) struct Plan {
    /// The cursors of its lines, once that has been done.
    pub(super) cursors: Vec<Ordinal>,
    /// Who is let in of each line before all others, with how many units, and who in order, look by look.
    pub(super) preferred: Vec<Vec<(Ordinal, VisitorId, u32)>>,
    pub(super) served: Vec<Vec<Served>>,
    /// Where preferred admissions go in the record of each line.
    preferred_at: Vec<Kept>,
    /// Tickets whose turns Redis does not know as they are, line by line: it has given them as next.
    pub(super) again: Vec<Vec<Ordinal>>,
    /// The key that their tokens are signed with.
    pub(super) kid: String,
    pub(super) decision: Option<Decision>,
    /// As many an operator wanted in at once.
    pub(super) at_once: u32,
    pub(super) observed_till: Option<OffsetDateTime>,
    /// Whether tickets were taken out, since their shoppers have as many units as one may.
    pub(super) takes_out: bool,
    /// The record lags behind.
    pub(super) lags: bool,
    /// Why no more were let in.
    pub(super) why: String,
}

/// Who is let in of those that one look at a line has found, and how far the line moves with that.
pub(super) struct Served {
    /// Where these admissions go in the record: before what was heard later.
    place: Kept,
    pub(super) tickets: Vec<(Ordinal, VisitorId, u32)>,
    pub(super) cursor: Ordinal,
}

impl<L: Ledger> Ticker<L> {
    /// What is to be done next for a sale: nothing, the draw, or to let people in. The draw is made here.
    pub(super) async fn plan(
        &self,
        sale: &mut L::Locked,
        agenda: &Agenda,
        records: &mut [Recorder],
        seen: &[Upcoming],
        elapsed_s: f64,
    ) -> Result<Plan, TickError> {
        let mut plan = Plan {
            cursors: sale.lines.iter().map(LineRow::cursor).collect(),
            again: vec![Vec::new(); sale.lines.len()],
            ..Plan::default()
        };
        // Also while it is paused: what happens then is not to be taken for what happens in one tick later.
        let mut visits = Visits::default();
        if matches!(sale.row.stored_status(), Status::Open | Status::Paused) {
            let (seen, till) = sale.visits().await?;
            (visits, plan.observed_till) = (seen, Some(till));
        }
        let lacks_draw = |(line, seen): (&LineRow, &Upcoming)| line.drawn().is_some_and(|(pool, _)| pool != seen.drawn);
        plan.why = if sale.row.stored_status() != Status::Open || lifecycle::has_ended(sale.row.now, sale.row.ends_at) {
            "the sale is not open".to_owned()
        } else if sale.lines.iter().any(|line| sale.row.draw_is_due(line)) {
            draw::make(sale, records, &self.line).await?;
            "the draw is being made".to_owned()
        } else if sale.lines.iter().zip(seen).any(lacks_draw) {
            "Redis is being given the draw".to_owned()
        } else if let Some(key) = self.keys.signs(&agenda.revoked) {
            key.kid().clone_into(&mut plan.kid);
            return self.plan_admissions(sale, agenda, records, seen, (&visits, elapsed_s), plan).await;
        } else {
            "every signing key is revoked: give the controllers another".to_owned()
        };
        Ok(plan)
    }

    /// Who is let in: as many as the control law says, of each line those who are next.
    async fn plan_admissions(
        &self,
        sale: &mut L::Locked,
        agenda: &Agenda,
        records: &mut [Recorder],
        seen: &[Upcoming],
        (visits, elapsed_s): (&Visits, f64),
        mut plan: Plan,
    ) -> Result<Plan, TickError> {
        let units = sale.row.units_per_admission();
        // Tickets that an operator prefers; in yield mode, too, only for free units.
        let mut first = quantities(sale.row.free(), units);
        let mut promised = 0;
        for (at, record) in records.iter_mut().enumerate() {
            let mut wanted = if agenda.interventions { sale.preferred(at).await? } else { Vec::new() };
            wanted.retain(|&(ordinal, _)| record.knows(ordinal));
            let may = self.who_may(sale, at, record, &wanted, &mut plan.takes_out).await?;
            let tickets = may.into_iter().zip(first.by_ref());
            plan.preferred
                .push(tickets.map(|((ordinal, visitor, most), units)| (ordinal, visitor, units.min(most))).collect());
            plan.preferred_at.push(record.keep_place());
            promised += plan.preferred[at].iter().map(|ticket| ticket.2).sum::<u32>();
        }
        let prior = sale.prior().await?;
        let row = &sale.row;
        let mut stock = row.stock();
        stock.promised = stock.promised.saturating_add(promised);
        let recovers = |(line, seen): (&LineRow, &Upcoming)| epochs::recovers_until(line, seen, row.now).is_some();
        // What the lanes leave is the own line's share.
        let own = 1.0 - sale.lines.iter().filter_map(|line| line.share).sum::<f64>();
        let share = |line: &LineRow| line.share.unwrap_or(own.max(0.0));
        let lanes: Vec<Lane> = sale
            .lines
            .iter()
            .zip(seen)
            .map(|(line, seen)| Lane { waiting: seen.waiting, share: share(line) })
            .collect();
        let (terms, memory) = (row.terms(), row.memory());
        let observation = Observation {
            terms: &terms,
            stock,
            lanes: &lanes,
            visits,
            checkout: agenda.checkout(),
            recovering: sale.lines.iter().zip(seen).any(recovers),
            at_once: agenda.at_once(),
            elapsed_s,
            prior: &prior,
            memory: &memory,
        };
        let decision = decide(&observation);
        // In yield mode more is promised than there is.
        let mut quantities = quantities(if row.is_yield() { u32::MAX } else { stock.free() }, units);
        let mut planned = 0;
        for (at, &wanted) in decision.by_lane.iter().enumerate() {
            let served = self.plan_next(sale, at, &mut records[at], wanted, &mut quantities, &mut plan).await?;
            planned += served.iter().map(|served| served.tickets.len()).sum::<usize>();
            plan.served.push(served);
        }
        plan.why =
            if plan.lags { "the record is catching up with the line".to_owned() } else { decision.reason.to_string() };
        explain::decision(sale, &observation, &decision, planned, &plan.why);
        (plan.decision, plan.at_once) = (Some(decision), agenda.at_once());
        Ok(plan)
    }

    /// The next of one line, `wanted` at most. Tickets that are not to be served delay no other.
    async fn plan_next(
        &self,
        sale: &mut L::Locked,
        at: usize,
        record: &mut Recorder,
        wanted: u32,
        quantities: &mut impl Iterator<Item = u32>,
        plan: &mut Plan,
    ) -> Result<Vec<Served>, TickError> {
        let line = sale.lines[at].line();
        let (mut served, mut missing) = (Vec::new(), wanted as usize);
        // Redis learns of a commit afterwards, and returns the recalled tickets of an earlier look once more.
        let mut recalled = HashSet::new();
        for _ in 0..LOOKS_MAX {
            // Each look has one entry in the record.
            let most = missing.min(TICKETS_MAX);
            if most == 0 {
                break;
            }
            let cursor = plan.cursors[at];
            let look =
                UpcomingQuery { cursor, wanted: (most + recalled.len()) as u64, reach: REACH, record: record.wants() };
            let mut next = self.line.upcoming(line, &look).await?;
            record.hear(&next);
            plan.lags |= next.lags;
            let mut fresh: Vec<_> =
                next.tickets.iter().filter(|ticket| !recalled.contains(&ticket.0)).copied().collect();
            // Some have departed since the earlier look, so more have come than there is room for: the next tick's.
            if next.lags || fresh.len() > most || (fresh.is_empty() && next.cursor == cursor) {
                break;
            }
            recalled
                .extend(next.tickets.iter().take(usize::try_from(next.recalled).unwrap_or(0)).map(|ticket| ticket.0));
            let ordinals: Vec<Ordinal> = fresh.iter().map(|ticket| ticket.0).collect();
            let NotServed { passed_over, unrecorded, lapsed } = sale.not_to_be_served(at, &ordinals).await?;
            // This tick publishes the lapsed turn, and the next one goes on: until then the cursor stays, with all behind that ticket.
            let barrier = fresh.iter().position(|ticket| lapsed.contains(&ticket.0));
            if let Some(barrier) = barrier {
                fresh.truncate(barrier);
                fresh.retain(|ticket| recalled.contains(&ticket.0));
                next.cursor = cursor;
            }
            plan.again[at].extend(&passed_over);
            record.removed(&unrecorded);
            sale.note_done(at, Intervention::Remove, &unrecorded).await?;
            let preferred = &plan.preferred[at];
            fresh.retain(|(ordinal, _)| {
                !passed_over.contains(ordinal) && !preferred.iter().any(|ticket| ticket.0 == *ordinal)
            });
            let may = self.who_may(sale, at, record, &fresh, &mut plan.takes_out).await?;
            let tickets: Vec<_> = may
                .into_iter()
                .zip(quantities.by_ref())
                .map(|((ordinal, visitor, most), units)| (ordinal, visitor, units.min(most)))
                .collect();
            missing -= tickets.len();
            plan.cursors[at] = next.cursor;
            served.push(Served { place: record.keep_place(), tickets, cursor: next.cursor });
            if barrier.is_some() {
                break;
            }
        }
        Ok(served)
    }

    /// Those of some tickets whose shoppers may have more units of the sale, and how many. The others are taken out.
    async fn who_may(
        &self,
        sale: &mut L::Locked,
        at: usize,
        record: &mut Recorder,
        tickets: &[(Ordinal, VisitorId)],
        takes_out: &mut bool,
    ) -> Result<Vec<(Ordinal, VisitorId, u32)>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let visitors: Vec<VisitorId> = tickets.iter().map(|ticket| ticket.1).collect();
        let left = sale.left_of_limit(&visitors).await?;
        let units = |visitor: &VisitorId| left.get(visitor).copied().unwrap_or(u32::MAX);
        let at_limit: Vec<_> = tickets.iter().filter(|ticket| units(&ticket.1) == 0).copied().collect();
        let taken_out = sale.take_out_at_limit(at, &at_limit).await?;
        *takes_out |= !taken_out.is_empty();
        record.removed(&taken_out);
        let may = tickets.iter().map(|&(ordinal, visitor)| (ordinal, visitor, units(&visitor)));
        Ok(may.filter(|ticket| ticket.2 > 0).collect())
    }

    /// Lets in whom the plan says. Gives how many in order, and how many before all others.
    pub(super) async fn let_in(
        &self,
        sale: &mut L::Locked,
        plan: &Plan,
        records: &mut [Recorder],
    ) -> Result<(u32, u32), TickError> {
        let (mut admitted, mut preferred) = (0, 0);
        let count = |made: &[Ordinal]| u32::try_from(made.len()).unwrap_or(u32::MAX);
        for (at, tickets) in plan.preferred.iter().enumerate().filter(|(_, tickets)| !tickets.is_empty()) {
            let made = sale.admit(at, tickets, &plan.kid).await?;
            records[at].preferred(plan.preferred_at[at], &made);
            // A ticket with a token has had its turn.
            let served: Vec<Ordinal> = tickets.iter().map(|ticket| ticket.0).collect();
            sale.note_done(at, Intervention::Prefer, &served).await?;
            preferred += count(&made);
        }
        for (at, served) in plan.served.iter().enumerate() {
            let mut cursor = sale.lines[at].cursor();
            for Served { place, tickets, cursor: next } in served {
                let made = sale.admit(at, tickets, &plan.kid).await?;
                if !made.is_empty() || *next > cursor {
                    records[at].admitted(*place, &made, *next);
                }
                admitted += count(&made);
                cursor = *next;
            }
        }
        Ok((admitted, preferred))
    }
}
