//! The lines of a sale in Postgres, as a tick reads and writes them.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use fairline_line::{
    store::{Claim, Home, Upcoming},
    ticket::Ordinal,
};
use fairline_sale::VisitorId;
use uuid::Uuid;

use crate::{
    controller::{
        columns::{ordinal, stored},
        epochs::{self, LineMove},
        ledger::{LineStatements, SkippedTickets},
        line::LineRow,
        postgres::LockedSale,
        turns::{PUBLICATIONS_A_TICK, PUBLISHED_MAX, PastTurns, REPUBLISHED_AT_ONCE, TurnRow, UnpublishedAdmission},
    },
    db::StoreError,
};

/// Turns whose state Redis does not have. LIMIT keeps the look-ups of tickets inside: otherwise
/// the planner may read all admissions of the line.
const UNPUBLISHED: &str = "WITH found AS ( \
    (SELECT id FROM admissions WHERE sale_id = $5 AND line_id = $1 AND state = 'promised' AND published_epoch < $3 LIMIT $2) UNION \
    (SELECT id FROM admissions WHERE line_id = $1 AND published_state IS DISTINCT FROM state \
      ORDER BY state <> 'promised', issued_at, ordinal LIMIT $2) UNION \
    SELECT live.id FROM unnest($4::bigint[]) AS again (ticket), LATERAL ( \
      SELECT id FROM admissions WHERE line_id = $1 AND ordinal = ticket AND state <> 'lapsed' LIMIT 1) AS live) \
    SELECT id, ordinal, visitor, quantity, kid, state, issued_at, claim_by, claimed_at, expires_at, \
    (SELECT count(*) FROM admissions AS other WHERE other.line_id = $1 \
      AND other.ordinal = turn.ordinal AND other.state = 'lapsed' AND NOT other.excused) AS lapses, \
    state = 'lapsed' AND ( \
      (SELECT true FROM admissions AS newer WHERE newer.line_id = $1 AND newer.ordinal = turn.ordinal \
       AND newer.state <> 'lapsed' LIMIT 1) IS NOT NULL OR \
      (SELECT true FROM admissions AS newer WHERE newer.line_id = $1 AND newer.ordinal = turn.ordinal \
       AND newer.state = 'lapsed' AND newer.number > turn.number LIMIT 1) IS NOT NULL) AS superseded \
    FROM admissions AS turn WHERE id = ANY (ARRAY(SELECT id FROM found)) \
    ORDER BY state <> 'promised', issued_at, ordinal LIMIT $2";

#[async_trait]
impl LineStatements for LockedSale {
    async fn take_claims(&mut self, line: &LineRow, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError> {
        let ordinals = |wanted: Claim| -> Vec<i64> {
            let given = claims.iter().filter(|(_, claim)| *claim == wanted);
            given.filter_map(|(ordinal, _)| i64::try_from(*ordinal).ok()).collect()
        };
        let (claimed, left) = (ordinals(Claim::Claimed), ordinals(Claim::Left));
        if !claimed.is_empty() {
            sqlx::query(
                "UPDATE admissions SET claimed_at = now() WHERE sale_id = $3 AND line_id = $1 AND ordinal = ANY($2) \
                 AND state = 'promised' AND claimed_at IS NULL",
            )
            .bind(line.id)
            .bind(claimed)
            .bind(self.sale.id)
            .execute(&mut *self.transaction)
            .await?;
        }
        if !left.is_empty() {
            let units: i64 = sqlx::query_scalar(
                "WITH lapsed AS (UPDATE admissions SET state = 'lapsed', left_at = now() WHERE sale_id = $3 \
                 AND line_id = $1 AND ordinal = ANY($2) AND state = 'promised' RETURNING quantity) \
                 SELECT coalesce(sum(quantity), 0) FROM lapsed",
            )
            .bind(line.id)
            .bind(left)
            .bind(self.sale.id)
            .fetch_one(&mut *self.transaction)
            .await?;
            self.promised -= units;
        }
        Ok(())
    }

    async fn unservable_tickets(&mut self, line: &LineRow, tickets: &[Ordinal]) -> Result<SkippedTickets, StoreError> {
        let numbers: Vec<i64> = tickets.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        let found: Vec<(i64, bool, bool)> = sqlx::query_as(
            // LIMIT keeps the look-ups inside: until the line's rows are in the statistics, the
            // planner reads all of them.
            "SELECT found.* FROM unnest($2::bigint[]) AS wanted (ticket), LATERAL ( \
             (SELECT ordinal, false, false FROM admissions WHERE line_id = $1 AND state <> 'lapsed' AND ordinal = ticket LIMIT 1) \
             UNION ALL (SELECT ordinal, false, true FROM admissions WHERE line_id = $1 AND state = 'lapsed' \
             AND published_state IS DISTINCT FROM state AND ordinal = ticket LIMIT 1) \
             UNION ALL (SELECT ordinal, NOT done, false FROM ticket_actions \
             WHERE line_id = $1 AND kind = 'removed' AND ordinal = ticket LIMIT 1)) AS found",
        )
        .bind(line.id)
        .bind(numbers)
        .fetch_all(&mut *self.transaction)
        .await?;
        let of = |is_lapsed: bool| found.iter().filter(move |found| found.2 == is_lapsed).map(|found| ordinal(found.0));
        let unrecorded = found.iter().filter(|found| found.1).map(|found| ordinal(found.0)).collect();
        Ok(SkippedTickets { passed_over: of(false).collect(), unrecorded, lapsed: of(true).collect() })
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
        let ids: Vec<Uuid> = tickets.iter().map(|_| Uuid::now_v7()).collect();
        let ordinals: Vec<i64> = tickets.iter().filter_map(|ticket| i64::try_from(ticket.0).ok()).collect();
        let visitors: Vec<Vec<u8>> = tickets.iter().map(|ticket| ticket.1.0.to_vec()).collect();
        let quantities: Vec<i32> = tickets.iter().filter_map(|ticket| i32::try_from(ticket.2).ok()).collect();
        let (made, units, first): (Vec<i64>, i64, i64) = sqlx::query_as(
            "WITH made AS (INSERT INTO admissions \
             (id, sale_id, line_id, epoch, ordinal, visitor, quantity, kid, issued_at, claim_by, expires_at) \
             SELECT ticket.id, $1, $10, $2, ordinal, visitor, quantity, $7, moment.now, \
             moment.now + make_interval(secs => $8), moment.now + make_interval(secs => $9) \
             FROM unnest($3::uuid[], $4::bigint[], $5::bytea[], $6::integer[]) AS ticket (id, ordinal, visitor, quantity), \
             (SELECT clock_timestamp() AS now) AS moment \
             ON CONFLICT (line_id, ordinal) WHERE state <> 'lapsed' DO NOTHING RETURNING ordinal, quantity) \
             SELECT coalesce(array_agg(ordinal), '{}'), coalesce(sum(quantity), 0), count(*) FILTER (WHERE NOT EXISTS \
             (SELECT FROM admissions AS earlier WHERE earlier.line_id = $10 AND earlier.ordinal = made.ordinal AND state = 'lapsed')) \
             FROM made",
        )
        .bind(self.sale.id)
        .bind(line.epoch)
        .bind(ids)
        .bind(ordinals)
        .bind(visitors)
        .bind(quantities)
        .bind(kid)
        .bind(f64::from(self.sale.claim_window_s))
        .bind(f64::from(self.sale.token_ttl_s))
        .bind(line.id)
        .fetch_one(&mut *self.transaction)
        .await?;
        let of_line = self.made.entry(line.id).or_default();
        of_line.admissions += i64::try_from(made.len()).unwrap_or(i64::MAX);
        of_line.first += first;
        self.promised += units;
        self.promises |= units > 0;
        let mut made: HashSet<Ordinal> = made.into_iter().map(ordinal).collect();
        Ok(tickets.iter().map(|ticket| ticket.0).filter(|ordinal| made.remove(ordinal)).collect())
    }

    async fn store_position(&mut self, line: &mut LineRow, cursor: Ordinal, seen: &Upcoming) -> Result<(), StoreError> {
        let is_settled = self.sale.now - line.epoch_began_at > epochs::SETTLED;
        let made = self.made.get(&line.id).copied().unwrap_or_default();
        let before = line.clone();
        let granted_ahead = epochs::granted_ahead(if is_settled { 0 } else { line.rapid_epochs() });
        let moved = LineMove { cursor, granted_ahead, admitted: made.admissions, first: made.first };
        line.move_on(&moved, seen, self.sale.now);
        if *line == before {
            return Ok(());
        }
        sqlx::query(
            "UPDATE lines SET joined = joined + $2, waiting = $3, present = $4, cursor = $5, highest_ordinal = $6, granted = $7, \
             admitted = $8, home = $9, recovers_until = $10, nodes = $11 WHERE id = $1",
        )
        .bind(line.id)
        .bind((stored(seen.highest) - before.highest_ordinal).max(0))
        .bind(line.waiting)
        .bind(line.present)
        .bind(line.cursor)
        .bind(line.highest_ordinal)
        .bind(line.granted)
        .bind(line.admitted)
        .bind(&line.home)
        .bind(line.recovers_until)
        .bind(line.nodes)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn number_publications(&mut self, lines: &mut [&mut LineRow]) -> Result<(), StoreError> {
        let numbers: Vec<(Uuid, i64)> = sqlx::query_as(
            "UPDATE lines SET publication = publication + $2 WHERE sale_id = $1 RETURNING id, publication",
        )
        .bind(self.sale.id)
        .bind(PUBLICATIONS_A_TICK)
        .fetch_all(&mut *self.transaction)
        .await?;
        let numbers: HashMap<Uuid, i64> = numbers.into_iter().collect();
        for line in lines {
            line.publication = numbers.get(&line.id).copied().unwrap_or(line.publication);
        }
        Ok(())
    }

    async fn unpublished(
        &mut self,
        line: &LineRow,
        again: &[Ordinal],
    ) -> Result<Vec<UnpublishedAdmission>, StoreError> {
        let again: Vec<i64> = again.iter().filter_map(|&ordinal| i64::try_from(ordinal).ok()).collect();
        Ok(sqlx::query_as(UNPUBLISHED)
            .bind(line.id)
            .bind(PUBLISHED_MAX)
            .bind(line.epoch)
            .bind(again)
            .bind(self.sale.id)
            .fetch_all(&mut *self.transaction)
            .await?)
    }

    async fn begin_epoch(&mut self, line: &mut LineRow, redis: &Home) -> Result<(), StoreError> {
        let before_draw = self.sale.draw_is_due(line);
        line.rapid_epochs = line.rapid_epochs_with_another(self.sale.now);
        line.lose(self.sale.now);
        (line.epoch, line.above) = sqlx::query_as(
            "UPDATE lines SET epoch = greatest(epoch, $4) + 1, above = greatest(granted, $5), \
             cursor = CASE WHEN $3 THEN cursor ELSE greatest(granted, $5) END, highest_ordinal = greatest(granted, $5), \
             granted = greatest(granted, $5) + $2, home = $6, rapid_epochs = $7, \
             republish_below = CASE WHEN epoch > 0 THEN $9::bigint END, \
             waiting = 0, present = 0, nodes = 0, expected = $10, recovers_until = $11, expected_nodes = $12, \
             epoch_began_at = clock_timestamp() + make_interval(secs => $8) WHERE id = $1 RETURNING epoch, above",
        )
        .bind(line.id)
        .bind(epochs::granted_ahead(line.rapid_epochs()))
        .bind(before_draw)
        .bind(i32::try_from(redis.epoch).unwrap_or(i32::MAX - 1))
        .bind(i64::try_from(redis.granted).unwrap_or(0))
        .bind(&redis.run_id)
        .bind(line.rapid_epochs)
        .bind(epochs::PUBLISHED_WITHIN.as_secs_f64())
        .bind(i64::MAX)
        .bind(line.expected)
        .bind(line.recovers_until)
        .bind(line.expected_nodes)
        .fetch_one(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn mark_published(
        &mut self,
        line: &mut LineRow,
        published: &[UnpublishedAdmission],
        begins: bool,
    ) -> Result<(), StoreError> {
        if !published.is_empty() {
            let ids: Vec<Uuid> = published.iter().map(|admission| admission.id).collect();
            let states: Vec<String> = published.iter().map(|admission| admission.state.clone()).collect();
            sqlx::query(
                "UPDATE admissions SET published_state = turn.state, published_epoch = $3 \
                 FROM unnest($1::uuid[], $2::text[]) AS turn (id, state) \
                 WHERE admissions.id = ANY($1) AND admissions.id = turn.id",
            )
            .bind(ids)
            .bind(states)
            .bind(line.epoch)
            .execute(&mut *self.transaction)
            .await?;
        }
        sqlx::query(
            "UPDATE lines SET published_status = $2, \
             epoch_began_at = CASE WHEN $3 THEN clock_timestamp() ELSE epoch_began_at END \
             WHERE id = $1 AND ($3 OR published_status IS DISTINCT FROM $2)",
        )
        .bind(line.id)
        .bind(&self.sale.status)
        .bind(begins)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn past_turns(&mut self, line: &LineRow) -> Result<PastTurns, StoreError> {
        let rows: Vec<TurnRow> = sqlx::query_as(
            "SELECT ordinal, state, claimed, excused FROM ( \
             (SELECT ordinal, state, claimed_at IS NOT NULL AS claimed, excused, number FROM admissions \
              WHERE line_id = $1 AND state <> 'lapsed' AND ordinal < $2 ORDER BY ordinal DESC LIMIT $3) UNION ALL \
             (SELECT ordinal, state, claimed_at IS NOT NULL, excused, number FROM admissions \
              WHERE line_id = $1 AND state = 'lapsed' AND ordinal < $2 ORDER BY ordinal DESC LIMIT $3)) AS turns \
             ORDER BY ordinal DESC, number DESC LIMIT $3",
        )
        .bind(line.id)
        .bind(line.republish_below)
        .bind(REPUBLISHED_AT_ONCE)
        .fetch_all(&mut *self.transaction)
        .await?;
        Ok(PastTurns::of(&rows))
    }

    async fn mark_republished(&mut self, line: &mut LineRow, published: &PastTurns) -> Result<(), StoreError> {
        line.republish_below = published.below();
        sqlx::query("UPDATE lines SET republish_below = $2 WHERE id = $1")
            .bind(line.id)
            .bind(published.below())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statement_of_unpublished_turns_matches_its_snapshot() {
        assert_snapshot!("unpublished", statement(UNPUBLISHED));
    }
}
