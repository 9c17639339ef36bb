//! The statement that reads the agenda of a tick.

use fairline_sale::Status;
use uuid::Uuid;

use crate::{
    controller::{
        agenda::{Agenda, SILENT},
        line::LineRow,
        postgres::LockedSale,
    },
    db::StoreError,
};

/// What a tick has to do.
const AGENDA: &str = "SELECT total, stock.promised, held, sold, admit_now, ARRAY(SELECT kid FROM revoked_keys) AS revoked, \
    coalesce(out.lapses, false) AS lapses, coalesce(out.unsigned, false) AS unsigned, \
    pending.unrecorded IS NOT NULL AS unrecorded, pending.unpublished IS NOT NULL AS unpublished, \
    EXISTS (SELECT FROM ticket_actions WHERE line_id = ANY($2) AND NOT done) AS ticket_actions, pending.removals > 0 AS unpublished_removals, \
    known, here, answered, failed, slow \
    FROM stock JOIN lines ON lines.id = stock.sale_id \
    CROSS JOIN LATERAL (SELECT bool_or($4 OR expires_at <= now() OR (claimed_at IS NULL AND claim_by <= now())) AS lapses, \
        bool_or(NOT kid = ANY($3)) AS unsigned FROM admissions WHERE sale_id = $1 AND state = 'promised') AS out \
    CROSS JOIN LATERAL (SELECT max(unrecorded::text) AS unrecorded, max(coalesce(unpublished, live)::text) AS unpublished, \
        count(removal) AS removals FROM unnest($2, $6) AS line (id, epoch) \
        LEFT JOIN LATERAL (SELECT id AS unrecorded FROM admissions WHERE line_id = line.id AND recorded_state <> state \
            ORDER BY issued_at LIMIT 1) AS to_record ON true \
        LEFT JOIN LATERAL (SELECT id AS unpublished FROM admissions WHERE line_id = line.id \
            AND published_state IS DISTINCT FROM state ORDER BY issued_at LIMIT 1) AS to_publish ON true \
        LEFT JOIN LATERAL (SELECT id AS live FROM admissions WHERE sale_id = $1 AND line_id = line.id \
            AND state = 'promised' AND published_epoch < line.epoch LIMIT 1) AS live_token ON true \
        LEFT JOIN LATERAL (SELECT ordinal AS removal FROM ticket_actions WHERE line_id = line.id AND kind = 'removed' \
            AND published_epoch < line.epoch LIMIT 1) AS to_take_out ON true) AS pending \
    CROSS JOIN LATERAL (SELECT count(*) AS known, count(*) FILTER (WHERE here) AS here, \
        coalesce(sum(answered) FILTER (WHERE here), 0) AS answered, \
        coalesce(sum(failed) FILTER (WHERE here), 0) AS failed, coalesce(sum(slow) FILTER (WHERE here), 0) AS slow \
        FROM (SELECT *, heartbeat_at > clock_timestamp() - make_interval(secs => $5) AS here FROM checkouts) AS heartbeats) AS heartbeats \
    WHERE stock.sale_id = $1 AND item = 1";

impl LockedSale {
    /// See [`LockedLedger::agenda`](crate::controller::ledger::LockedLedger::agenda).
    pub(in crate::controller::postgres) async fn read_agenda(
        &mut self,
        lines: &[&LineRow],
        good_keys: &[String],
    ) -> Result<Agenda, StoreError> {
        let (lines, epochs): (Vec<Uuid>, Vec<i32>) = lines.iter().map(|line| (line.id, line.epoch)).unzip();
        let agenda: Agenda = sqlx::query_as(AGENDA)
            .bind(self.sale.id)
            .bind(lines)
            .bind(good_keys)
            .bind(self.sale.stored_status() == Status::Closed)
            .bind((SILENT + self.sale.unreachable_for(SILENT)).as_secs_f64())
            .bind(epochs)
            .fetch_one(&mut *self.transaction)
            .await?;
        self.sale.take_stock(&agenda);
        Ok(agenda)
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statement_of_the_agenda_matches_its_snapshot() {
        assert_snapshot!("agenda", statement(AGENDA));
    }
}
