//! How sales go, about once a second.

use fairline_sale::SaleId;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// Samples of one answer at most; more are thinned out evenly.
const SAMPLES_MAX: i64 = 2000;
/// Samples are kept for so many days.
const KEPT_DAYS: i32 = 90;
/// Samples forgotten at once at most.
const FORGOTTEN_MAX: i64 = 50_000;

/// How a sale stood at a moment; a row of `samples`.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct SampleRow {
    pub at: OffsetDateTime,
    pub waiting: i64,
    pub present: i64,
    pub inside: i64,
    pub total: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
    pub joined: i64,
    pub admitted: i64,
    pub orders: i64,
    pub highest: i64,
    pub likely_wait_s: Option<i64>,
}

impl Store {
    /// Takes a sample of every sale that is or was of late ticked: where something has changed, and every ten seconds
    /// elsewhere. Of several controllers, one does in each second.
    pub async fn sample(&self) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO samples (sale_id, at, waiting, present, inside, total, promised, held, sold, joined, admitted, \
             orders, highest, likely_wait_s) \
             SELECT sales.id, date_trunc('second', now()), line.waiting, line.present, visits.inside, stock.total, stock.promised, \
             stock.held, stock.sold, line.joined, line.admitted, stock.orders, own.highest_ordinal, \
             CASE WHEN line.admitted > past.admitted THEN \
             (line.waiting * extract(epoch FROM now() - past.at) / (line.admitted - past.admitted))::bigint END \
             FROM (SELECT id AS sampled FROM sales WHERE status <> 'closed' UNION \
                SELECT sale_id FROM stock WHERE active_at > now() - interval '2 hours') AS sampled \
             JOIN sales ON sales.id = sampled JOIN stock ON stock.sale_id = sales.id JOIN lines AS own ON own.id = sales.id \
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
                    line.admitted, stock.orders) \
                IS DISTINCT FROM (last.waiting, last.present, last.inside, last.total, last.promised, last.held, last.sold, \
                    last.joined, last.admitted, last.orders)) \
             ON CONFLICT DO NOTHING",
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets some of the samples that were kept long enough.
    pub async fn forget_old_samples(&self) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM samples WHERE ctid = ANY (ARRAY (SELECT ctid FROM samples \
             WHERE at < now() - make_interval(days => $1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        )
        .bind(KEPT_DAYS)
        .bind(FORGOTTEN_MAX)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The samples of a sale after a moment, the oldest first: the last of them, and of the others as many as fit.
    pub async fn samples(&self, sale: SaleId, after: OffsetDateTime) -> Result<Vec<SampleRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, highest, \
             likely_wait_s FROM (SELECT *, row_number() OVER (ORDER BY at DESC) - 1 AS nth, \
                count(*) OVER () AS all_of_them FROM samples WHERE sale_id = $1 AND at > $2) AS numbered \
             WHERE nth % ((all_of_them + $3 - 1) / $3) = 0 ORDER BY at",
        )
        .bind(sale.0)
        .bind(after)
        .bind(SAMPLES_MAX)
        .fetch_all(&self.pool)
        .await?)
    }
}
