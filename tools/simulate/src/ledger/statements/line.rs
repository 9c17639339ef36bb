//! The statements of a sale's lines.

use std::collections::HashMap;

use admission_controller::testing::{
    LineMove, LineRow, LineStatements, PUBLICATIONS_A_TICK, PUBLISHED_MAX, PUBLISHED_WITHIN, PastTurns,
    REPUBLISHED_AT_ONCE, SETTLED, SkippedTickets, StoreError, TurnRow, UnpublishedAdmission,
};
use async_trait::async_trait;
use fairline_line::{
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::VisitorId;
use uuid::Uuid;

use super::{
    super::{Admission, State, TicketActionRow},
    Session, ahead, keep_line, stored, sum,
};
use crate::bugs::Bug;

#[async_trait]
impl LineStatements for Session {
    async fn take_claims(&mut self, line: &LineRow, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError> {
        let ordinals = |wanted: Claim| -> Vec<Ordinal> {
            claims.iter().filter(|claim| claim.1 == wanted).map(|claim| claim.0).collect()
        };
        let (claimed, left) = (ordinals(Claim::Claimed), ordinals(Claim::Left));
        self.statement(move |own, ledger, now| {
            let at = ledger.position(line);
            let is_out = |row: &Admission| row.line == at && row.state == State::Promised;
            ledger.update(
                |row| is_out(row) && claimed.contains(&row.ordinal) && row.claimed_at.is_none(),
                |row| row.claimed_at = Some(now),
            );
            let left = ledger.update(|row| is_out(row) && left.contains(&row.ordinal), |row| row.state = State::Lapsed);
            if !ledger.bugs.has(Bug::LeftUnitsKept) {
                own.promised -= sum(&left);
            }
        })
        .await
    }

    async fn unservable_tickets(&mut self, line: &LineRow, tickets: &[Ordinal]) -> Result<SkippedTickets, StoreError> {
        let tickets = tickets.to_vec();
        self.statement(move |_, ledger, _| {
            let at = ledger.position(line);
            let own = ledger.seen().map(|(_, row)| row);
            let own: Vec<_> = own.filter(|row| row.line == at && tickets.contains(&row.ordinal)).collect();
            let again = ledger.bugs.has(Bug::AdmittedTwice);
            let had = own.iter().filter(|row| row.state != State::Lapsed && !again).map(|row| row.ordinal);
            let lapsed = own.iter().filter(|row| row.state == State::Lapsed && row.published != Some(row.state));
            let checks = !ledger.bugs.has(Bug::RemovalsNotChecked);
            let removed =
                |row: &&TicketActionRow| checks && row.line == at && row.removed && tickets.contains(&row.ordinal);
            let wanted = ledger.transaction.as_ref().map_or(&[][..], |own| &own.ticket_actions);
            let taken_out = wanted.iter().filter(removed);
            let records = !ledger.bugs.has(Bug::RemovalsNotRecorded);
            let unrecorded = taken_out.clone().filter(|row| records && !row.done).map(|row| row.ordinal);
            // More than one, so that another is admitted.
            let passed = tickets.first().filter(|_| tickets.len() > 1 && ledger.bugs.has(Bug::PassedAsRemoved));
            SkippedTickets {
                passed_over: had.chain(taken_out.map(|row| row.ordinal)).chain(passed.copied()).collect(),
                unrecorded: unrecorded.chain(passed.copied()).collect(),
                lapsed: lapsed.filter(|_| !ledger.bugs.has(Bug::AdmitsUnpublished)).map(|row| row.ordinal).collect(),
            }
        })
        .await
    }

    async fn admit(
        &mut self,
        line: &LineRow,
        tickets: &[(Ordinal, VisitorId, u32)],
        kid: &str,
    ) -> Result<Vec<Ordinal>, StoreError> {
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let (tickets, kid) = (tickets.to_vec(), kid.to_owned());
        self.statement(move |own, ledger, _| {
            let at = ledger.position(line);
            let now = ledger.clock(own.postgres.now_ms());
            let after = |seconds: i32| now + time::Duration::seconds(seconds.into());
            let (claim_by, expires_at) = (after(own.sale.claim_window_s), after(own.sale.token_ttl_s));
            let mut made = Vec::new();
            for (ordinal, visitor, quantity) in tickets {
                let of_ticket = |row: &Admission| row.line == at && row.ordinal == ordinal;
                let (mut taken, mut lapsed) = (false, false);
                for (_, row) in ledger.seen().filter(|(_, row)| of_ticket(row)) {
                    taken |= row.state != State::Lapsed;
                    lapsed |= row.state == State::Lapsed;
                }
                if taken && !ledger.bugs.has(Bug::AdmittedTwice) {
                    continue;
                }
                ledger.ids += 1;
                let row = Admission {
                    id: Uuid::from_u128(ledger.ids),
                    line: at,
                    ordinal,
                    visitor,
                    quantity,
                    kid: kid.clone(),
                    state: State::Promised,
                    issued_at: now,
                    claim_by,
                    expires_at,
                    claimed_at: None,
                    excused: false,
                    faultless: false,
                    published: None,
                    published_epoch: 0,
                    recorded: State::Promised,
                };
                if let Some(transaction) = &mut ledger.transaction {
                    transaction.made.push(row);
                }
                *own.made.entry(line.id).or_default() += 1;
                *own.first.entry(line.id).or_default() += i64::from(!lapsed);
                own.promised += i32::try_from(quantity).unwrap_or(0);
                made.push(ordinal);
            }
            made
        })
        .await
    }

    async fn store_position(&mut self, line: &mut LineRow, cursor: Ordinal, seen: &Upcoming) -> Result<(), StoreError> {
        let seen = seen.clone();
        self.statement(move |own, ledger, _| {
            let made = |of: &HashMap<Uuid, i64>| of.get(&line.id).copied().unwrap_or(0);
            let (admitted, first) = (made(&own.made), made(&own.first));
            let is_settled = own.sale.now - line.epoch_began_at > SETTLED;
            let granted_ahead = ahead(ledger, if is_settled { 0 } else { line.rapid_epochs() });
            let moved = LineMove { cursor, granted_ahead, admitted, first };
            line.move_on(&moved, &seen, own.sale.now);
            keep_line(ledger, line);
        })
        .await
    }

    async fn number_publications(&mut self, lines: &mut [&mut LineRow]) -> Result<(), StoreError> {
        self.statement(|_, ledger, _| {
            let reuses = ledger.bugs.has(Bug::NumbersReused);
            let Some(transaction) = &mut ledger.transaction else { return };
            let mut numbers = HashMap::new();
            for (at, own) in transaction.lines.iter_mut().enumerate() {
                numbers.insert(own.id, own.publication + PUBLICATIONS_A_TICK);
                if reuses {
                    ledger.unrecorded_numbers.insert(at, PUBLICATIONS_A_TICK);
                } else {
                    own.publication += PUBLICATIONS_A_TICK;
                }
            }
            for line in lines {
                line.publication = numbers.get(&line.id).copied().unwrap_or(line.publication);
            }
        })
        .await
    }

    async fn unpublished(
        &mut self,
        line: &LineRow,
        again: &[Ordinal],
    ) -> Result<Vec<UnpublishedAdmission>, StoreError> {
        let again = again.to_vec();
        self.statement(move |_, ledger, _| {
            let (at, epoch) = (ledger.position(line), line.epoch);
            let bug = ledger.bugs.has(Bug::OldTurnsRepublished);
            let by_clock = ledger.bugs.has(Bug::NewestByClock);
            let counts = |row: &Admission| !row.excused || ledger.bugs.has(Bug::RevocationsCount);
            // Their positions are the column `number`.
            let rows: Vec<(usize, &Admission)> = ledger.seen().filter(|(_, row)| row.line == at).collect();
            let mut found: Vec<(usize, &Admission)> = rows
                .iter()
                .copied()
                .filter(|(_, row)| {
                    let anew = row.state == State::Promised || bug;
                    row.published != Some(row.state)
                        || (anew && row.published_epoch < epoch)
                        || (again.contains(&row.ordinal) && row.state != State::Lapsed)
                })
                .collect();
            found.sort_by_key(|(_, row)| (row.state != State::Promised, row.issued_at, row.ordinal));
            found.truncate(usize::try_from(PUBLISHED_MAX).unwrap_or(0));
            let unpublished = |(number, row): (usize, &Admission)| {
                let of_ticket = || rows.iter().copied().filter(|(_, other)| other.ordinal == row.ordinal);
                let lapses = of_ticket().filter(|(_, other)| other.state == State::Lapsed && counts(other)).count();
                let is_newer = |(other, newer): (usize, &Admission)| {
                    let is_later = if by_clock { newer.issued_at > row.issued_at } else { other > number };
                    newer.state != State::Lapsed || is_later
                };
                UnpublishedAdmission {
                    id: row.id,
                    ordinal: stored(row.ordinal),
                    visitor: row.visitor.0.to_vec(),
                    quantity: i32::try_from(row.quantity).unwrap_or(0),
                    kid: row.kid.clone(),
                    state: row.state.as_str().to_owned(),
                    issued_at: row.issued_at,
                    claim_by: row.claim_by,
                    claimed_at: row.claimed_at,
                    expires_at: row.expires_at,
                    lapses: stored(lapses as u64),
                    superseded: !bug && row.state == State::Lapsed && of_ticket().any(is_newer),
                }
            };
            found.into_iter().map(unpublished).collect()
        })
        .await
    }

    async fn begin_epoch(&mut self, line: &mut LineRow, redis: &Home) -> Result<(), StoreError> {
        let redis = redis.clone();
        self.statement(move |own, ledger, _| {
            let before_draw = own.sale.draw_is_due(line);
            let now = own.sale.now;
            let clock = ledger.clock(own.postgres.now_ms());
            line.rapid_epochs = line.rapid_epochs_with_another(now);
            line.lose(now);
            line.republish_below = (line.epoch > 0).then_some(i64::MAX);
            line.epoch = line.epoch.max(i32::try_from(redis.epoch).unwrap_or(i32::MAX - 1)) + 1;
            line.above = line.granted.max(i64::try_from(redis.granted).unwrap_or(0));
            if !before_draw {
                line.cursor = line.above;
            }
            line.highest_ordinal = line.above;
            line.granted = line.above + ahead(ledger, line.rapid_epochs());
            line.home = Some(redis.run_id.clone());
            line.epoch_began_at = clock + PUBLISHED_WITHIN;
            keep_line(ledger, line);
        })
        .await
    }

    async fn mark_published(
        &mut self,
        line: &mut LineRow,
        published: &[UnpublishedAdmission],
        begins: bool,
    ) -> Result<(), StoreError> {
        let published: Vec<(Uuid, State)> =
            published.iter().map(|row| (row.id, State::try_from(row.state.as_str()).expect("a state"))).collect();
        self.statement(move |own, ledger, _| {
            let epoch = line.epoch;
            for (id, state) in published {
                ledger.update(|row| row.id == id, |row| (row.published, row.published_epoch) = (Some(state), epoch));
            }
            let clock = ledger.clock(own.postgres.now_ms());
            line.published_status = Some(own.sale.status.clone());
            if begins {
                line.epoch_began_at = clock;
            }
            keep_line(ledger, line);
            let at = ledger.position(line);
            if let Some(transaction) = &mut ledger.transaction {
                transaction.lines[at].publication = line.publication;
                transaction.publishes = true;
            }
        })
        .await
    }

    async fn past_turns(&mut self, line: &LineRow) -> Result<PastTurns, StoreError> {
        self.statement(move |_, ledger, _| {
            let (at, below) = (ledger.position(line), line.republish_below.unwrap_or(0));
            let counts = ledger.bugs.has(Bug::RevocationsCount);
            let is_below = |row: &Admission| row.line == at && stored(row.ordinal) < below;
            let mut rows: Vec<(usize, &Admission)> = ledger.seen().filter(|(_, row)| is_below(row)).collect();
            rows.sort_by_key(|(number, row)| std::cmp::Reverse((row.ordinal, *number)));
            rows.truncate(usize::try_from(REPUBLISHED_AT_ONCE).unwrap_or(0));
            let turn = |(_, row): &(usize, &Admission)| TurnRow {
                ordinal: stored(row.ordinal),
                state: row.state.as_str().to_owned(),
                claimed: row.claimed_at.is_some(),
                excused: row.excused && !counts,
            };
            PastTurns::of(&rows.iter().map(turn).collect::<Vec<_>>())
        })
        .await
    }

    async fn mark_republished(&mut self, line: &mut LineRow, over: &PastTurns) -> Result<(), StoreError> {
        let below = over.below();
        self.statement(move |_, ledger, _| {
            line.republish_below = below;
            keep_line(ledger, line);
        })
        .await
    }
}
