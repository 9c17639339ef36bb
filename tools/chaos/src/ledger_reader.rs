//! Evidence for the checker: the state of the database and of the payment gateway. The only SQL of
//! this tool; it reads, except for the control.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::{FromRow, PgPool, postgres::PgPoolOptions};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

const POLL_EVERY: Duration = Duration::from_millis(500);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Now, in microseconds since 1970.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The stock at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Stock {
    /// Units of the sale.
    pub total: i32,
    /// Promises beyond the stock, which only yield mode makes.
    pub overbook: i32,
    /// Units out as tokens.
    pub promised: i32,
    /// Units in checkout.
    pub held: i32,
    /// Units paid for.
    pub sold: i32,
}

impl Stock {
    /// Units that can be promised; negative while visits in yield mode exceed them.
    #[must_use]
    pub fn free(&self) -> i32 {
        self.total - self.promised - self.held - self.sold
    }

    /// Whether more is promised, held and sold than there is.
    #[must_use]
    pub fn is_oversold(&self) -> bool {
        self.free() + self.overbook < 0 || self.held + self.sold > self.total
    }
}

/// An admission.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct IssuedAdmission {
    /// Its id.
    pub id: Uuid,
    /// Whether the ticket is of the lane.
    pub is_guest: bool,
    /// The ticket's ordinal in its line.
    pub ordinal: i64,
    /// When it was made.
    pub issued_at_us: i64,
    /// When its token expires.
    pub expires_at_us: i64,
}

/// A payment, with its hold and its order.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Payment {
    /// Its id, which the payment gateway has, too.
    pub id: Uuid,
    /// The hold, whose id is the order's.
    pub hold_id: Uuid,
    /// Its state.
    pub state: String,
    /// When it began.
    pub began_us: i64,
    /// The deadline of the hold.
    pub hold_expires_at_us: i64,
    /// Whether there is an order that it paid.
    pub has_order: bool,
}

/// An intent at the payment gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayCharge {
    /// Its id there.
    pub id: String,
    /// The payment in its metadata.
    pub payment: Option<Uuid>,
    /// Its status at Stripe.
    pub status: String,
    /// In minor units.
    pub amount: u64,
    /// Refunded amount.
    pub refunded: u64,
    /// When it was made: the first authorisation.
    pub made_at_us: i64,
    /// When it was captured.
    pub captured_at_us: Option<i64>,
}

impl GatewayCharge {
    /// Whether its money is reserved, or is as soon as the shopper authenticates: it is neither
    /// captured nor released.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        ["requires_capture", "requires_action"].contains(&self.status.as_str())
    }
}

/// The charges in a response of the sandbox, received at this moment.
#[must_use]
pub fn charges(answer: &serde_json::Value, now_us: i64) -> Vec<GatewayCharge> {
    let ago = |ms: &serde_json::Value| Some(now_us - i64::try_from(ms.as_u64()?).ok()? * 1_000);
    let charge = |intent: &serde_json::Value| {
        Some(GatewayCharge {
            id: intent["id"].as_str()?.to_owned(),
            payment: intent["metadata"]["payment"].as_str().and_then(|id| Uuid::parse_str(id).ok()),
            status: intent["status"].as_str()?.to_owned(),
            amount: intent["amount"].as_u64()?,
            refunded: intent["latest_charge"]["amount_refunded"].as_u64().unwrap_or(0),
            made_at_us: ago(&intent["made_ms_ago"])?,
            captured_at_us: ago(&intent["captured_ms_ago"]),
        })
    };
    answer["data"].as_array().into_iter().flatten().filter_map(charge).collect()
}

const STOCK: &str = "SELECT total, overbook, promised, held, sold FROM stock WHERE sale_id = $1 AND item = 1";
const ADMITTED_AFTER: &str = "
SELECT min((extract(epoch FROM issued_at) * 1000000)::bigint)
FROM admissions
WHERE sale_id = $1 AND (extract(epoch FROM issued_at) * 1000000)::bigint > $2";
const ADMISSIONS: &str = "
SELECT id, line_id <> sale_id AS is_guest, ordinal, (extract(epoch FROM issued_at) * 1000000)::bigint AS issued_at_us,
       (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at_us
FROM admissions
WHERE sale_id = $1";
const PAYMENTS: &str = "
SELECT payments.id, payments.hold_id, payments.state,
       (extract(epoch FROM payments.created_at) * 1000000)::bigint AS began_us,
       (extract(epoch FROM holds.expires_at) * 1000000)::bigint AS hold_expires_at_us,
       orders.id IS NOT NULL AS has_order
FROM payments
JOIN holds ON holds.id = payments.hold_id
LEFT JOIN orders ON orders.payment_id = payments.id
WHERE holds.sale_id = $1";

/// The database of the sale.
#[derive(Debug)]
pub struct LedgerReader {
    pool: PgPool,
    sale: Uuid,
}

impl LedgerReader {
    /// Connects.
    ///
    /// # Errors
    /// When the address is not valid.
    pub fn open(url: &str, sale: Uuid) -> Result<LedgerReader, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(2)).connect_lazy(url)?;
        Ok(LedgerReader { pool, sale })
    }

    /// The stock.
    ///
    /// # Errors
    /// When the database is unreachable.
    pub async fn stock(&self) -> Result<Stock, sqlx::Error> {
        let stock = sqlx::query_as(STOCK).bind(self.sale);
        // A stopped database gives no response.
        let stock = timeout(ANSWER_WITHIN, stock.fetch_one(&self.pool)).await;
        stock.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Reads the stock twice a second until it is dropped.
    pub async fn sample(url: String, sale: Uuid, seen: Arc<Mutex<Vec<(i64, Stock)>>>) {
        let Ok(ledger) = LedgerReader::open(&url, sale) else { return };
        loop {
            if let Ok(stock) = ledger.stock().await {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((now_us(), stock));
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// When the first admission after a moment was made, if there is one.
    ///
    /// # Errors
    /// When the database is unreachable.
    pub async fn admitted_after(&self, moment_us: i64) -> Result<Option<i64>, sqlx::Error> {
        let admitted = sqlx::query_scalar(ADMITTED_AFTER).bind(self.sale).bind(moment_us);
        // A stopped database gives no response.
        let admitted = timeout(ANSWER_WITHIN, admitted.fetch_one(&self.pool)).await;
        admitted.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Breaks a promise on purpose, for the control.
    pub(crate) async fn sabotage(&self, statement: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(statement).execute(&self.pool).await.map(drop)
    }

    /// All admissions.
    ///
    /// # Errors
    /// When the database is unreachable.
    pub async fn admissions(&self) -> Result<Vec<IssuedAdmission>, sqlx::Error> {
        sqlx::query_as(ADMISSIONS).bind(self.sale).fetch_all(&self.pool).await
    }

    /// All payments.
    ///
    /// # Errors
    /// When the database is unreachable.
    pub async fn payments(&self) -> Result<Vec<Payment>, sqlx::Error> {
        sqlx::query_as(PAYMENTS).bind(self.sale).fetch_all(&self.pool).await
    }
}
