//! A real Postgres in virtual time, with the stores of the controller and of checkout.
//!
//! `now()` and `clock_timestamp()` are functions of the schema `public`, which is searched first:
//! the statements and the schema read a table that the test writes.

use std::{sync::atomic::AtomicU64, time::Duration};

use admission_controller::testing::{DirectLedger, LineRow, SaleRow};
use checkout::testing::DirectHolds;
use fairline_private_servers::testing::database_url;
use fairline_sale::SaleId;
use fairline_simulate::sale::{SEED, moment};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

use crate::rows::ROWS;

/// An operator who finds a row locked gives up after this many ms.
const LOCK_MS: u64 = 20;
/// How long a condition may take that another session brings about.
const WITHIN: Duration = Duration::from_secs(20);

/// `now()` is the time at which the transaction began.
const CLOCK: &str = "CREATE TABLE virtual_clock (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
    set_at timestamptz NOT NULL, shows timestamptz NOT NULL); \
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
    $$ SELECT shows FROM public.virtual_clock ORDER BY id DESC LIMIT 1 $$; \
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS \
    $$ SELECT shows FROM public.virtual_clock WHERE set_at <= pg_catalog.now() ORDER BY id DESC LIMIT 1 $$; \
    CREATE FUNCTION ms(timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS \
    $$ SELECT round(extract(epoch FROM $1) * 1000)::bigint $$; \
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$";

const CREATE: &str = "WITH sale AS (INSERT INTO sales (id, slug, name, price_minor, currency, per_shopper_limit, \
        status, rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, recall_window_s, opens_at, created_at, line_order, seed) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING id), \
    item AS (INSERT INTO items (sale_id, item) SELECT id, 1 FROM sale), \
    counters AS (INSERT INTO sale_counters (sale_id) VALUES ($1)) \
    INSERT INTO stock (sale_id, item, total) VALUES ($1, 1, $17)";

/// A payment: only its effect on the hold and the stock. `tools/simulate/tests/money` has the rest.
const PAY: &str = "WITH paid AS (UPDATE holds SET state = 'paid' WHERE admission_id = $1 AND state = 'held' \
    RETURNING sale_id, quantity) UPDATE stock SET held = held - paid.quantity, sold = sold + paid.quantity \
    FROM paid WHERE stock.sale_id = paid.sale_id";

/// Sessions of the ticks, of which one may be in a transaction.
const TICKS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ticks'";
const WAITING: &str = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name = 'ticks' AND wait_event_type = 'Lock')";

pub(crate) struct Shop {
    pool: PgPool,
    pub(crate) ledger: DirectLedger,
    pub(crate) holds: DirectHolds,
    pub(crate) sales: AtomicU64,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let url = tokio::task::spawn_blocking(database_url).await.expect("a database");
        let first = PgPoolOptions::new().max_connections(1).connect(&url).await.expect("a connection");
        sqlx::raw_sql(CLOCK).execute(&first).await.expect("a clock");
        first.close().await;
        let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.expect("a connection");
        let shop = Self {
            ledger: DirectLedger::open(&url, &impatient(&url)).expect("a URL"),
            holds: DirectHolds::open(&url).expect("a URL"),
            sales: AtomicU64::new(0),
            pool,
        };
        shop.set_clock(0).await;
        sqlx::migrate!("../../migrations").run(&shop.pool).await.expect("a schema");
        shop
    }

    /// Sets the clock, in ms.
    pub(crate) async fn set_clock(&self, ms: i64) {
        let set = sqlx::query("INSERT INTO virtual_clock (set_at, shows) VALUES (pg_catalog.clock_timestamp(), $1)");
        set.bind(moment(ms)).execute(&self.pool).await.expect("a clock");
    }

    /// Creates a sale with its lines.
    pub(crate) async fn create(&self, row: &SaleRow, lines: &[LineRow]) {
        let create = sqlx::query(CREATE)
            .bind(row.id)
            .bind(&row.slug)
            .bind(&row.name)
            .bind(row.price_minor)
            .bind(&row.currency)
            .bind(row.per_shopper_limit)
            .bind(&row.status)
            .bind(row.rate_cap_per_s)
            .bind(row.token_ttl_s)
            .bind(row.claim_window_s)
            .bind(row.hold_s)
            .bind(row.recall_window_s)
            .bind(row.opens_at)
            .bind(row.created_at)
            .bind(&row.line_order)
            .bind(row.commitment.as_ref().map(|_| SEED.to_vec()))
            .bind(row.total);
        create.execute(&self.pool).await.expect("a sale");
        for line in lines {
            let create = sqlx::query(
                "INSERT INTO lines (id, sale_id, lane, share, invitation_key, epoch_began_at, ticked_at, observed_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(line.id)
            .bind(line.sale_id)
            .bind(&line.lane)
            .bind(line.share)
            .bind(&line.invitation_key)
            .bind(line.epoch_began_at)
            .bind(row.ticked_at)
            .bind(row.observed_at);
            create.execute(&self.pool).await.expect("a line");
        }
    }

    /// The committed rows of a sale, as JSON.
    pub(crate) async fn rows(&self, sale: SaleId, keys: &str) -> serde_json::Value {
        let rows = sqlx::query_scalar(ROWS).bind(sale.0).bind(keys);
        let rows: String = rows.fetch_one(&self.pool).await.expect("the rows");
        serde_json::from_str(&rows).expect("JSON")
    }

    /// The ids of the admissions, in the order in which they were made.
    pub(crate) async fn admissions(&self, sale: SaleId) -> Vec<Uuid> {
        let ids = sqlx::query_scalar("SELECT id FROM admissions WHERE sale_id = $1 ORDER BY number").bind(sale.0);
        ids.fetch_all(&self.pool).await.expect("admissions")
    }

    pub(crate) async fn pay(&self, admission: Uuid) {
        sqlx::query(PAY).bind(admission).execute(&self.pool).await.expect("a payment");
    }

    /// Ends the sessions that are in a transaction of a tick.
    pub(crate) async fn break_sessions(&self) {
        let ends =
            AssertSqlSafe(format!("SELECT pg_terminate_backend(pid) {TICKS} AND state LIKE 'idle in transaction%'"));
        sqlx::query(ends).execute(&self.pool).await.expect("sessions end");
    }

    /// Waits until no transaction of a tick is open, or being rolled back.
    pub(crate) async fn rolled_back(&self) {
        self.waits_for(&format!("SELECT NOT EXISTS (SELECT {TICKS} AND state <> 'idle')")).await;
    }

    /// Waits until a tick waits for a lock.
    pub(crate) async fn queued(&self) {
        self.waits_for(&format!("SELECT {WAITING}")).await;
    }

    /// Waits until no tick waits for a lock.
    pub(crate) async fn dequeued(&self) {
        self.waits_for(&format!("SELECT NOT {WAITING}")).await;
    }

    async fn waits_for(&self, condition: &str) {
        let holds = async {
            let is_so = || sqlx::query_scalar::<_, bool>(AssertSqlSafe(condition.to_owned())).fetch_one(&self.pool);
            while !is_so().await.expect("a condition") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, holds).await.unwrap_or_else(|_| panic!("not so within {WITHIN:?}: {condition}"));
    }
}

/// The URL of sessions that wait for a lock only briefly.
fn impatient(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[lock_timeout]={LOCK_MS}")
}
