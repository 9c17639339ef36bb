//! Reads the ledger of a sale from Postgres. Contains the simulator's only SQL, which never writes.

use std::time::Duration;

use fairline_postgres::connect_for_tool;
use fairline_server::Secret;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    RushError,
    ledger::{Admission, Hold, LedgerRows, Order, Payment, Stock},
};

const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Captured payments that are neither an order nor refunded yet.
const UNSETTLED: &str = "
SELECT count(*)
FROM payments
JOIN holds ON holds.id = payments.hold_id
WHERE holds.sale_id = $1
  AND (payments.state IN ('started', 'authorised', 'refund_due')
       OR (payments.state = 'captured' AND NOT EXISTS (SELECT FROM orders WHERE orders.payment_id = payments.id)))";

const STOCK: &str = "SELECT total, promised, held, sold FROM stock WHERE sale_id = $1 AND item = 1";

const ADMISSIONS: &str = "
SELECT id, line_id AS line, ordinal, rtrim(translate(encode(visitor, 'base64'), '+/', '-_'), '=') AS visitor, quantity, state,
       (extract(epoch FROM issued_at) * 1000000)::bigint AS issued_at_us,
       (extract(epoch FROM claim_by) * 1000000)::bigint AS claim_by_us,
       claimed_at IS NOT NULL AS claimed,
       (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
FROM admissions
WHERE sale_id = $1";

const HOLDS: &str = "
SELECT id, admission_id, rtrim(translate(encode(visitor, 'base64'), '+/', '-_'), '=') AS visitor, quantity, state,
       (extract(epoch FROM created_at) * 1000000)::bigint AS created_at_us
FROM holds
WHERE sale_id = $1 AND admission_id IS NOT NULL";

const PAYMENTS: &str = "
SELECT payments.id, payments.hold_id, payments.state
FROM payments
JOIN holds ON holds.id = payments.hold_id
WHERE holds.sale_id = $1";

const ORDERS: &str = "
SELECT id, payment_id, rtrim(translate(encode(visitor, 'base64'), '+/', '-_'), '=') AS visitor, quantity,
       (extract(epoch FROM paid_at) * 1000000)::bigint AS paid_at_us
FROM orders
WHERE sale_id = $1 AND payment_id IS NOT NULL";

const PUBLISHED_ORDERS: &str = "
SELECT (event->>'order_id')::uuid
FROM outbox, json_array_elements(data) AS event
WHERE sale_id = $1 AND kind = 'PurchaseCompleted'";

/// The database of the sale.
pub(crate) struct SaleDatabase {
    pool: PgPool,
}

impl SaleDatabase {
    /// Connects, and checks that this is the database of the sale.
    pub(crate) async fn of_sale(url: &Secret, sale: Uuid) -> Result<SaleDatabase, RushError> {
        let unreachable = |error: sqlx::Error| RushError::Database(error.to_string());
        let pool = connect_for_tool(url.expose(), 2).await.map_err(unreachable)?;
        let stock: Option<Stock> = sqlx::query_as(STOCK).bind(sale).fetch_optional(&pool).await.map_err(unreachable)?;
        if stock.is_none() {
            return Err(RushError::Database(format!("it has no sale {sale}")));
        }
        Ok(SaleDatabase { pool })
    }

    /// The ledger, as soon as no payment is in progress, or after `within`.
    pub(crate) async fn settled_ledger(&self, sale: Uuid, within: Duration) -> Result<LedgerRows, sqlx::Error> {
        let deadline = Instant::now() + within;
        loop {
            let unsettled = sqlx::query_scalar::<_, i64>(UNSETTLED).bind(sale).fetch_one(&self.pool).await;
            if Instant::now() >= deadline || matches!(unsettled, Ok(0)) {
                return self.ledger(sale).await;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn ledger(&self, sale: Uuid) -> Result<LedgerRows, sqlx::Error> {
        let mut snapshot = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let stock: Stock = sqlx::query_as(STOCK).bind(sale).fetch_one(&mut *snapshot).await?;
        let admissions: Vec<Admission> = sqlx::query_as(ADMISSIONS).bind(sale).fetch_all(&mut *snapshot).await?;
        let holds: Vec<Hold> = sqlx::query_as(HOLDS).bind(sale).fetch_all(&mut *snapshot).await?;
        let payments: Vec<Payment> = sqlx::query_as(PAYMENTS).bind(sale).fetch_all(&mut *snapshot).await?;
        let orders: Vec<Order> = sqlx::query_as(ORDERS).bind(sale).fetch_all(&mut *snapshot).await?;
        let published_orders: Vec<Uuid> =
            sqlx::query_scalar(PUBLISHED_ORDERS).bind(sale).fetch_all(&mut *snapshot).await?;
        snapshot.commit().await?;
        Ok(LedgerRows { stock, admissions, holds, payments, orders, published_orders })
    }
}
