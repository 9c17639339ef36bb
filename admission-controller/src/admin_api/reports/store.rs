//! The figures of a report, counted from the rows of a sale.

use fairline_sale::SaleId;
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::db::{Database, StoreError};

/// Tickets whose wait is measured at most; of a longer line, every second, third … one.
const WAITS_MAX: i64 = 50_000;

/// The number of tickets that reached each step.
#[derive(Debug, FromRow)]
pub struct Funnel {
    pub joined: i64,
    pub admitted: i64,
    pub claimed: i64,
    pub redeemed: i64,
    pub paid: i64,
    /// Tickets whose token was given back.
    pub left: i64,
}

/// Orders, refunds and disputes.
#[derive(Debug, FromRow)]
pub struct Bought {
    pub paid: i64,
    pub units: i64,
    pub refunded: i64,
    pub refunded_units: i64,
    pub expired: i64,
    pub cancelled: i64,
    /// Orders that a bank disputes or has disputed.
    pub disputed: i64,
    pub revenue_minor: i64,
    pub refunded_minor: i64,
    /// The disputed amount that banks have taken back and not returned.
    pub disputed_minor: i64,
}

/// A minute of a sale.
#[derive(Debug, FromRow)]
pub struct Minute {
    pub at: OffsetDateTime,
    pub joined: i64,
    pub admitted: i64,
    pub orders: i64,
}

/// What reports count.
#[derive(Clone)]
pub(crate) struct ReportStore(pub(crate) Database);

impl ReportStore {
    pub async fn funnel(&self, sale: SaleId) -> Result<Funnel, StoreError> {
        Ok(sqlx::query_as(
            // In two parts, each of which has an index by line.
            "SELECT (SELECT coalesce(sum(joined), 0)::bigint FROM lines WHERE sale_id = $1) AS joined, \
             count(*) AS admitted, count(*) FILTER (WHERE claimed) AS claimed, count(*) FILTER (WHERE redeemed) AS redeemed, \
             (SELECT count(*) FROM orders JOIN holds USING (id) WHERE orders.sale_id = $1 AND admission_id IS NOT NULL) AS paid, \
             count(*) FILTER (WHERE has_left) AS left \
             FROM (SELECT bool_or(claimed_at IS NOT NULL OR state = 'redeemed') AS claimed, bool_or(state = 'redeemed') AS redeemed, \
                bool_or(left_at IS NOT NULL) AS has_left FROM ( \
                    SELECT * FROM admissions WHERE line_id = ANY (ARRAY (SELECT id FROM lines WHERE sale_id = $1)) AND state <> 'lapsed' \
                    UNION ALL \
                    SELECT * FROM admissions WHERE line_id = ANY (ARRAY (SELECT id FROM lines WHERE sale_id = $1)) AND state = 'lapsed' \
                ) AS made GROUP BY line_id, ordinal) AS tickets",
        )
        .bind(sale.0)
        .fetch_one(&self.0.pool)
        .await?)
    }

    pub async fn bought(&self, sale: SaleId) -> Result<Bought, StoreError> {
        Ok(sqlx::query_as(
            "WITH moved AS (SELECT payments.id, disputed_minor, dispute, \
                CASE payments.state WHEN 'refunded' THEN payments.amount_minor ELSE refunded_minor END AS back_minor \
                FROM payments JOIN holds ON holds.id = hold_id WHERE sale_id = $1 AND payments.state IN ('captured', 'refunded')), \
             paid AS (SELECT orders.*, coalesce(back_minor, 0) AS back_minor, coalesce(disputed_minor, 0) AS disputed_minor, \
                coalesce(back_minor >= amount_minor, false) AS refunded, dispute IS NOT NULL AS disputed \
                FROM orders LEFT JOIN moved ON moved.id = payment_id WHERE orders.sale_id = $1) \
             SELECT count(*) AS paid, coalesce(sum(quantity), 0)::bigint AS units, \
             count(*) FILTER (WHERE refunded) AS refunded, \
             coalesce(sum(quantity) FILTER (WHERE refunded), 0)::bigint AS refunded_units, \
             count(*) FILTER (WHERE disputed) AS disputed, \
             (SELECT count(*) FROM holds WHERE sale_id = $1 AND state = 'expired' AND cancelled_at IS NULL) AS expired, \
             (SELECT count(*) FROM holds WHERE sale_id = $1 AND cancelled_at IS NOT NULL) AS cancelled, \
             coalesce(sum(greatest(amount_minor - back_minor - disputed_minor, 0)), 0)::bigint AS revenue_minor, \
             (SELECT coalesce(sum(back_minor), 0) FROM moved)::bigint AS refunded_minor, \
             coalesce(sum(disputed_minor), 0)::bigint AS disputed_minor FROM paid",
        )
        .bind(sale.0)
        .fetch_one(&self.0.pool)
        .await?)
    }

    /// Seconds that tickets of the sale's own line have waited: from when they were given, or from
    /// the opening if that was later, to the first admission. Sorted.
    pub async fn waits(&self, sale: SaleId) -> Result<Vec<f64>, StoreError> {
        Ok(sqlx::query_scalar(
            // One pass over both, from the highest ordinal down: the earliest moment so far is when
            // the ordinal had been given.
            "WITH marks AS (SELECT highest AS number, min(at) AS given_at, NULL::timestamptz AS served_at FROM samples \
                WHERE sale_id = $1 GROUP BY highest \
                UNION ALL SELECT ordinal, NULL, min(issued_at) FROM ( \
                    SELECT ordinal, issued_at FROM admissions WHERE line_id = $1 AND state <> 'lapsed' UNION ALL \
                    SELECT ordinal, issued_at FROM admissions WHERE line_id = $1 AND state = 'lapsed') AS made \
                WHERE ordinal % (1 + (SELECT highest_ordinal FROM lines WHERE id = $1) / $2) = 0 GROUP BY ordinal), \
             waited AS (SELECT served_at, min(given_at) OVER (ORDER BY number DESC) AS given_at FROM marks) \
             SELECT greatest(0, extract(epoch FROM served_at - greatest(given_at, opens_at)))::double precision AS wait_s \
             FROM waited CROSS JOIN sales WHERE sales.id = $1 AND served_at IS NOT NULL AND given_at IS NOT NULL ORDER BY wait_s",
        )
        .bind(sale.0)
        .bind(WAITS_MAX)
        .fetch_all(&self.0.pool)
        .await?)
    }

    /// Joins, admissions and orders by minute, of the last day with samples.
    pub async fn minutes(&self, sale: SaleId) -> Result<Vec<Minute>, StoreError> {
        let mut minutes: Vec<Minute> = sqlx::query_as(
            "SELECT at, joined - lag(joined, 1, 0) OVER by_time AS joined, admitted - lag(admitted, 1, 0) OVER by_time AS admitted, \
             orders - lag(orders, 1, 0) OVER by_time AS orders \
             FROM (SELECT date_trunc('minute', at) AS at, max(joined) AS joined, max(admitted) AS admitted, max(orders) AS orders \
                FROM samples WHERE sale_id = $1 GROUP BY 1) AS minutes \
             WINDOW by_time AS (ORDER BY at) ORDER BY at DESC LIMIT 1440",
        )
        .bind(sale.0)
        .fetch_all(&self.0.pool)
        .await?;
        minutes.reverse();
        Ok(minutes)
    }
}
