//! A sale's lock, and the statements of a tick that concern the sale as a whole.
//!
//! The row of a sale's own line is the lock of the sale, with all its lines: its holder decides,
//! publishes, or neither. It is taken with SKIP LOCKED, so any number of controllers share the
//! sales and none waits for another. Lock order: lines, admissions, stock, counters.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    time::Duration,
};

use async_trait::async_trait;
use fairline_admission::{Prior, Visits};
use fairline_events::EventKind;
use fairline_postgres::Transaction;
use fairline_sale::{SaleId, Status};
use time::OffsetDateTime;
use uuid::Uuid;

use super::lines_of;
use crate::{
    controller::{
        agenda::Agenda,
        ledger::{Ledger, LockedLedger},
        lifecycle,
        line::LineRow,
        sale::{OPENS_SOON_S, RunningSale, SaleRow, TickResult},
    },
    db::{Database, StoreError, event_data},
};

/// Every query of a [`SaleRow`] reads these columns from these tables.
macro_rules! sale_rows {
    ($rest:literal) => {
        concat!(
            "SELECT sales.*, sha256(seed) AS commitment, CASE WHEN drawn IS NOT NULL THEN seed END AS revealed_seed, \
             stock.total, stock.promised, stock.held, stock.sold, prior::text AS prior, memory::text AS memory, ticked_at, \
             observed_at, unreachable_from, unreachable_until, last_decision, coalesce(sample.inside, 0) AS inside, coalesce(sample.orders, 0) AS orders, \
             sales.status NOT IN ('scheduled', 'closed') OR sale_can_open(sales.id) AS can_open, clock_timestamp() AS now \
             FROM lines JOIN sales ON sales.id = lines.id JOIN stock ON stock.sale_id = sales.id AND item = 1 \
             LEFT JOIN LATERAL (SELECT inside, orders FROM samples WHERE sale_id = sales.id ORDER BY at DESC LIMIT 1) AS sample ON true ",
            $rest
        )
    };
}
pub(crate) use sale_rows;

/// A sale, locked with its lines.
pub struct LockedSale {
    pub(super) transaction: Transaction,
    pub(super) sale: SaleRow,
    /// The admissions that this transaction has made, by the id of the line.
    pub(super) made: HashMap<Uuid, NewAdmissions>,
    /// The change of the promised units, and whether any are promised. The commit applies it, since
    /// the stock is locked last.
    pub(super) promised: i64,
    pub(super) promises: bool,
    /// The event that the commit writes.
    event: Option<EventKind>,
}

/// Admissions that a transaction has made in one line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NewAdmissions {
    pub(super) admissions: i64,
    /// Of these, the ones of tickets that had none before.
    pub(super) first: i64,
}

impl Deref for LockedSale {
    type Target = SaleRow;

    fn deref(&self) -> &SaleRow {
        &self.sale
    }
}

impl DerefMut for LockedSale {
    fn deref_mut(&mut self) -> &mut SaleRow {
        &mut self.sale
    }
}

/// The ledger of the ticks.
#[derive(Clone)]
pub struct LedgerStore(pub(crate) Database);

#[async_trait]
impl Ledger for LedgerStore {
    type LockedLedger = LockedSale;

    async fn running(&self) -> Result<Vec<RunningSale>, StoreError> {
        let running = sqlx::query_as(
            "SELECT lines.id, sales.xmin::text AS version, status = 'scheduled' AND opens_at < clock_timestamp() + make_interval(secs => $1) \
             OR status <> 'closed' AND ends_at < clock_timestamp() AS is_due \
             FROM lines JOIN sales ON sales.id = lines.id WHERE lines.id = lines.sale_id AND NOT settled",
        );
        Ok(running.bind(OPENS_SOON_S).fetch_all(&self.0.pool).await?)
    }

    async fn lock(&self, sale: SaleId, waits: bool) -> Result<Option<(LockedSale, Vec<LineRow>)>, StoreError> {
        let mut transaction = self.0.pool.begin().await?;
        if waits {
            // A statement that waits reads the sale and the stock as they were before.
            let lock = sqlx::query("SELECT FROM lines WHERE id = $1 FOR UPDATE");
            lock.bind(sale.0).execute(&mut *transaction).await?;
        }
        let row = sqlx::query_as(sale_rows!("WHERE lines.id = $1 FOR UPDATE OF lines SKIP LOCKED"));
        let row: Option<SaleRow> = row.bind(sale.0).fetch_optional(&mut *transaction).await?;
        let Some(sale) = row else { return Ok(None) };
        let lines = lines_of(&mut *transaction, &[sale.id]).await?;
        let made = HashMap::new();
        Ok(Some((LockedSale { transaction, sale, made, promised: 0, promises: false, event: None }, lines)))
    }
}

#[async_trait]
impl LockedLedger for LockedSale {
    async fn agenda(&mut self, lines: &[&LineRow], good_keys: &[String]) -> Result<Agenda, StoreError> {
        self.read_agenda(lines, good_keys).await
    }

    async fn visits(&mut self) -> Result<(Visits, OffsetDateTime), StoreError> {
        self.read_visits().await
    }

    async fn prior(&mut self) -> Result<Prior, StoreError> {
        self.read_prior().await
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        if self.promised != 0 || self.event.is_some() {
            sqlx::query(concat!(
                "WITH stocked AS (UPDATE stock SET promised = promised + $2::integer, \
                 overbook = CASE WHEN $3 THEN greatest(0, promised + $2::integer + held + sold - total) ELSE overbook END \
                 WHERE sale_id = $1 AND item = 1 RETURNING sale_id) \
                 INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, number_events(sale_id, 1), $4, ",
                event_data!(),
                " FROM stocked WHERE $4::text IS NOT NULL"
            ))
            .bind(self.sale.id)
            .bind(self.promised)
            .bind(self.promises && self.sale.is_yield())
            .bind(self.event.map(EventKind::as_str))
            .execute(&mut *self.transaction)
            .await?;
        }
        Ok(self.transaction.commit().await?)
    }

    async fn set_status(&mut self, to: Status) -> Result<bool, StoreError> {
        let moved = sqlx::query("UPDATE sales SET status = $3 WHERE id = $1 AND status = $2")
            .bind(self.sale.id)
            .bind(&self.sale.status)
            .bind(to.as_stored())
            .execute(&mut *self.transaction)
            .await?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        self.event = Some(lifecycle::event_of(self.sale.stored_status(), to));
        to.as_stored().clone_into(&mut self.sale.status);
        Ok(true)
    }

    async fn lapse(&mut self, claims_age: Duration) -> Result<bool, StoreError> {
        let (lapsed, units): (i64, i64) = sqlx::query_as(
            "WITH lapsed AS (UPDATE admissions SET state = 'lapsed', \
             excused = claimed_at IS NULL AND coalesce(claim_by > $4 AND issued_at < $5, false) \
             WHERE sale_id = $1 AND state = 'promised' AND ($2 OR expires_at <= now() \
             OR (claimed_at IS NULL AND claim_by <= now() - make_interval(secs => $3))) RETURNING quantity) \
             SELECT count(*), coalesce(sum(quantity), 0) FROM lapsed",
        )
        .bind(self.sale.id)
        .bind(self.sale.stored_status() == Status::Closed)
        .bind(claims_age.as_secs_f64())
        .bind(self.sale.unreachable_from)
        .bind(self.sale.unreachable_until)
        .fetch_one(&mut *self.transaction)
        .await?;
        self.promised -= units;
        Ok(lapsed > 0)
    }

    async fn sign_again(&mut self, good: &[String], kid: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE admissions SET kid = $3, published_state = NULL \
             WHERE sale_id = $1 AND state = 'promised' AND NOT kid = ANY($2)",
        )
        .bind(self.sale.id)
        .bind(good)
        .bind(kid)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn store_tick(&mut self, ticked: &TickResult<'_>) -> Result<(), StoreError> {
        let memory = ticked.memory.and_then(|memory| serde_json::to_string(memory).ok());
        sqlx::query(
            "UPDATE lines SET memory = coalesce($2::jsonb, memory), last_decision = $3, ticked_at = $4, \
             observed_at = coalesce($5, observed_at), settled = $6, unreachable_from = $7, unreachable_until = $8 WHERE id = $1",
        )
        .bind(self.sale.id)
        .bind(memory)
        .bind(ticked.why)
        .bind(self.sale.now)
        .bind(ticked.observed_until)
        .bind(ticked.settled)
        .bind(self.sale.unreachable_from)
        .bind(self.sale.unreachable_until)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
