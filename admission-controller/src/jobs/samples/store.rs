//! Samples of how sales go, about once a second.

use crate::db::{Database, StoreError};

/// Days for which samples are kept.
const KEPT_DAYS: i32 = 90;
/// Samples that one statement deletes at most.
const FORGOTTEN_MAX: i64 = 50_000;

/// Takes a sample of every sale that has changed, or has had none for ten seconds.
const SAMPLE: &str = "INSERT INTO samples (sale_id, at, waiting, present, inside, total, promised, held, sold, joined, admitted, \
     orders, highest, likely_wait_s) \
     SELECT sales.id, date_trunc('second', now()), line.waiting, line.present, visits.inside, stock.total, stock.promised, \
     stock.held, stock.sold, line.joined, line.admitted, counters.orders, own.highest_ordinal, \
     CASE WHEN line.admitted > past.admitted THEN \
     (line.waiting * extract(epoch FROM now() - past.at) / (line.admitted - past.admitted))::bigint END \
     FROM (SELECT id AS sampled FROM sales WHERE status <> 'closed' UNION \
        SELECT sale_id FROM sale_counters WHERE active_at > now() - interval '2 hours') AS sampled \
     JOIN sales ON sales.id = sampled JOIN stock ON stock.sale_id = sales.id AND item = 1 \
     JOIN sale_counters AS counters ON counters.sale_id = sales.id JOIN lines AS own ON own.id = sales.id \
     CROSS JOIN LATERAL (SELECT sum(waiting)::bigint AS waiting, sum(present)::bigint AS present, \
        sum(joined)::bigint AS joined, sum(admitted)::bigint AS admitted FROM lines WHERE sale_id = sales.id) AS line \
     CROSS JOIN LATERAL (SELECT (SELECT count(*) FROM admissions WHERE sale_id = sales.id AND state = 'promised') \
        + (SELECT count(*) FROM holds WHERE sale_id = sales.id AND state IN ('promised', 'held')) AS inside) AS visits \
     LEFT JOIN LATERAL (SELECT * FROM samples WHERE sale_id = sales.id ORDER BY at DESC LIMIT 1) AS last ON true \
     LEFT JOIN LATERAL (SELECT at, admitted FROM samples WHERE sale_id = sales.id \
        AND at <= now() - interval '30 seconds' ORDER BY at DESC LIMIT 1) AS past ON true \
     WHERE own.ticked_at > now() - interval '1 hour' AND (status <> 'scheduled' OR line.joined > 0) \
     AND (last.at IS NULL OR last.at < now() - interval '10 seconds' \
        OR (line.waiting, line.present, visits.inside, stock.total, stock.promised, stock.held, stock.sold, line.joined, \
            line.admitted, counters.orders) \
        IS DISTINCT FROM (last.waiting, last.present, last.inside, last.total, last.promised, last.held, last.sold, \
            last.joined, last.admitted, last.orders)) \
     ON CONFLICT DO NOTHING";

/// The samples of all sales.
#[derive(Clone)]
pub(crate) struct SampleStore(pub(crate) Database);

impl SampleStore {
    /// Takes a sample of every sale that was ticked recently: after a change, and otherwise every
    /// ten seconds. Of several controllers, one writes it in each second.
    pub async fn sample(&self) -> Result<(), StoreError> {
        sqlx::query(SAMPLE).execute(&self.0.pool).await?;
        Ok(())
    }

    /// Deletes some of the old samples.
    pub async fn delete_old_samples(&self) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM samples WHERE ctid = ANY (ARRAY (SELECT ctid FROM samples \
             WHERE at < now() - make_interval(days => $1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        )
        .bind(KEPT_DAYS)
        .bind(FORGOTTEN_MAX)
        .execute(&self.0.pool)
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
    fn the_statement_of_a_sample_matches_its_snapshot() {
        assert_snapshot!("sample", statement(SAMPLE));
    }
}
