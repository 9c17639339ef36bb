//! The statements of operators' ticket actions, and of the limit per shopper.

use std::collections::{HashMap, HashSet};

use admission_controller::testing::{LimitStatements, LineRow, StoreError, TicketAction, TicketActionStatements};
use async_trait::async_trait;
use fairline_line::ticket::Ordinal;
use fairline_sale::VisitorId;

use super::{
    super::{Ledger, State, Tables, TicketActionRow, tables::units},
    Session, sum,
};

fn ticket_actions(ledger: &mut Ledger) -> &mut Vec<TicketActionRow> {
    match &mut ledger.transaction {
        Some(own) => &mut own.ticket_actions,
        // Not reached: a statement has a transaction.
        None => &mut ledger.tables.ticket_actions,
    }
}

fn at_limit(tables: &Tables, visitor: VisitorId) -> bool {
    let most = units(tables.row.per_shopper_limit);
    tables.units.get(&visitor).is_some_and(|&units| units >= most)
}

#[async_trait]
impl TicketActionStatements for Session {
    async fn unrecorded_removals(&mut self, line: &LineRow) -> Result<Vec<Ordinal>, StoreError> {
        self.statement(move |_, ledger, _| {
            let at = ledger.position(line);
            let wanted = ticket_actions(ledger).iter().filter(|row| row.line == at && row.removed && !row.done);
            wanted.map(|row| row.ordinal).collect()
        })
        .await
    }

    async fn unpublished_removals(
        &mut self,
        line: &LineRow,
        again: &[Ordinal],
    ) -> Result<Vec<(Ordinal, bool)>, StoreError> {
        let again = again.to_vec();
        self.statement(move |_, ledger, _| {
            let (at, epoch) = (ledger.position(line), line.epoch);
            let unpublished = |row: &&TicketActionRow| {
                row.line == at && row.removed && (row.published_epoch < epoch || again.contains(&row.ordinal))
            };
            ticket_actions(ledger).iter().filter(unpublished).map(|row| (row.ordinal, row.at_limit)).collect()
        })
        .await
    }

    async fn preferred(&mut self, line: &LineRow) -> Result<Vec<(Ordinal, VisitorId)>, StoreError> {
        self.statement(move |_, ledger, _| {
            let at = ledger.position(line);
            let wanted = ticket_actions(ledger).iter().filter(|row| row.line == at && !row.removed && !row.done);
            wanted.map(|row| (row.ordinal, row.visitor)).collect()
        })
        .await
    }

    async fn mark_done(&mut self, line: &LineRow, what: TicketAction, tickets: &[Ordinal]) -> Result<(), StoreError> {
        let tickets = tickets.to_vec();
        self.statement(move |_, ledger, _| {
            let at = ledger.position(line);
            for row in ticket_actions(ledger) {
                let is_of_kind = row.removed == (what == TicketAction::Remove);
                row.done |= row.line == at && is_of_kind && tickets.contains(&row.ordinal);
            }
        })
        .await
    }

    async fn mark_removals_published(&mut self, line: &LineRow, tickets: &[Ordinal]) -> Result<(), StoreError> {
        let tickets = tickets.to_vec();
        self.statement(move |_, ledger, _| {
            let (at, epoch) = (ledger.position(line), line.epoch);
            for row in ticket_actions(ledger) {
                if row.line == at && row.removed && tickets.contains(&row.ordinal) {
                    row.published_epoch = epoch;
                }
            }
        })
        .await
    }

    async fn store_admit_now(&mut self, left: u32) -> Result<(), StoreError> {
        self.statement(move |_, ledger, _| {
            if let Some(transaction) = &mut ledger.transaction {
                transaction.admit_now = Some(left);
            }
        })
        .await
    }
}

#[async_trait]
impl LimitStatements for Session {
    async fn take_out_at_limit(
        &mut self,
        line: &LineRow,
        tickets: &[(Ordinal, VisitorId)],
    ) -> Result<Vec<Ordinal>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let tickets = tickets.to_vec();
        self.statement(move |_, ledger, _| {
            let at = ledger.position(line);
            let out: Vec<_> = tickets.into_iter().filter(|&(_, visitor)| at_limit(&ledger.tables, visitor)).collect();
            let mut taken_out = Vec::new();
            for (ordinal, visitor) in out {
                let known = ticket_actions(ledger)
                    .iter_mut()
                    .find(|row| row.line == at && row.removed && row.ordinal == ordinal);
                match known {
                    Some(row) if row.done => continue,
                    Some(row) => row.done = true,
                    None => {
                        let new = TicketActionRow {
                            line: at,
                            ordinal,
                            visitor,
                            removed: true,
                            at_limit: true,
                            done: true,
                            published_epoch: 0,
                        };
                        ticket_actions(ledger).push(new);
                    }
                }
                taken_out.push(ordinal);
            }
            taken_out
        })
        .await
    }

    async fn take_back_at_limit(&mut self, _: &[&LineRow]) -> Result<bool, StoreError> {
        self.statement(|own, ledger, _| {
            let news = ledger.seen().map(|(_, row)| row);
            let news = news.filter(|row| row.state == State::Redeemed && row.recorded != row.state);
            let at_limit_now: HashSet<VisitorId> =
                news.map(|row| row.visitor).filter(|&visitor| at_limit(&ledger.tables, visitor)).collect();
            let lapsed = ledger.update(
                |row| row.state == State::Promised && at_limit_now.contains(&row.visitor),
                |row| row.state = State::Lapsed,
            );
            own.promised -= sum(&lapsed);
            for row in &lapsed {
                let known = ticket_actions(ledger)
                    .iter()
                    .any(|known| known.line == row.line && known.removed && known.ordinal == row.ordinal);
                if !known {
                    ticket_actions(ledger).push(TicketActionRow {
                        line: row.line,
                        ordinal: row.ordinal,
                        visitor: row.visitor,
                        removed: true,
                        at_limit: true,
                        done: false,
                        published_epoch: 0,
                    });
                }
            }
            !lapsed.is_empty()
        })
        .await
    }

    async fn left_of_limit(&mut self, visitors: &[VisitorId]) -> Result<HashMap<VisitorId, u32>, StoreError> {
        let visitors = visitors.to_vec();
        self.statement(move |_, ledger, _| {
            let most = units(ledger.tables.row.per_shopper_limit);
            let left = |visitor: VisitorId| {
                let units = ledger.tables.units.get(&visitor).copied().filter(|&units| units > 0)?;
                Some((visitor, most.saturating_sub(units)))
            };
            visitors.into_iter().filter_map(left).collect()
        })
        .await
    }
}
