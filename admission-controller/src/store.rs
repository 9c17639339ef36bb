//! The controller's Postgres: the only module with SQL.
//!
//! The row of a sale's own line is the lock of the sale, with all its lines: whoever holds it decides, publishes, or
//! neither. It is taken with SKIP LOCKED, so any number of controllers share the sales and none waits for another. Lock
//! order: lines, admissions, stock.

mod agenda;
mod audit;
mod desk;
mod lanes;
mod lines;
mod operators;
mod orders;
mod people;
mod record;
mod rehearsals;
mod report;
mod retention;
mod samples;
mod tokens;
mod visits;
mod webhooks;

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use async_trait::async_trait;
use fairline_admission::{Memory, Mode, Prior, Stock, Terms, Visits};
use fairline_events::Kind;
use fairline_line::ticket::Ordinal;
use fairline_postgres::{PgPool, PoolOptions, PostgresSettings, Transaction};
use fairline_sale::{SaleId, Status, presented_status};
use fairline_server::StartError;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Settings,
    ledger::{Ledger, Locked},
};

pub use self::{
    agenda::Agenda,
    audit::{AuditRow, By},
    desk::Intervention,
    lanes::{LaneRefused, Lanes},
    lines::{LineRow, PUBLICATIONS_A_TICK, PUBLISHED_MAX, RETOLD_AT_ONCE, TurnRow, TurnsOver, Unpublished, present},
    operators::{Attempt, NewOperator, OPERATORS_MAX, OperatorChange, OperatorRow},
    orders::{OrderRow, OrderSearch, OrderWish, Wished},
    rehearsals::{Beat, RehearsalRow},
    samples::SampleRow,
    tokens::{TOKENS_MAX, TokenRow},
    webhooks::{WEBHOOKS_MAX, WebhookRow},
};

/// How long a statement of the admin API may take: reports read much.
const REPORT: Duration = Duration::from_secs(5);
/// Connections for what other services ask.
const KEY_CONNECTIONS: u32 = 2;
/// A sale that opens within so many seconds is ticked in time.
pub const OPENS_SOON_S: f64 = 10.0;
/// Sales that are listed at once.
pub const SALES_PAGE: usize = 200;

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint of the schema refused it; its name says which promise would have been broken.
    #[error("the database's constraint {0} refused it")]
    Refused(String),
    /// Postgres is down, slow, or out of reach.
    #[error("Postgres does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|database| database.constraint()) {
            Some(constraint) => Self::Refused(constraint.to_owned()),
            None => Self::Unavailable(error),
        }
    }
}

/// Brings the schema up to date, in as long as that takes. Safe to run by several processes at once. A schema that is newer than this
/// program, since another version runs beside it, is left as it is.
///
/// # Errors
/// When Postgres can't be reached or a migration fails.
pub async fn migrate(postgres_url: &str) -> Result<(), StartError> {
    let mut migrator = sqlx::migrate!("../migrations");
    fairline_postgres::migrate(postgres_url, migrator.set_ignore_missing(true)).await
}

/// A sale with its stock, and what its controllers remember, as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[allow(missing_docs, reason = "the columns of the schema")]
pub struct SaleRow {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub price_minor: i64,
    pub currency: String,
    pub per_shopper_limit: i32,
    pub per_account_limit: Option<i32>,
    pub status: String,
    pub message: Option<String>,
    pub rate_cap_per_s: f64,
    pub token_ttl_s: i32,
    pub claim_window_s: i32,
    pub hold_s: i32,
    pub recall_window_s: i32,
    /// Of shoppers who went silent; as long as the waiting rooms are set to, if it is none.
    pub grace_s: Option<i32>,
    pub mode: String,
    pub risk: f64,
    pub opens_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub line_order: String,
    /// The SHA-256 of a draw's seed.
    pub commitment: Option<Vec<u8>>,
    /// The seed, once the draw is made: of all lines at once.
    pub revealed_seed: Option<Vec<u8>>,
    pub total: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
    /// An earlier sale, whose shoppers behaved as this one's are expected to.
    pub like_sale: Option<Uuid>,
    /// What was believed of visits at the first decision, as the control law writes it.
    pub prior: Option<String>,
    /// What the last decision left for the next, likewise.
    pub memory: String,
    pub inside_max: Option<i32>,
    pub ticked_at: OffsetDateTime,
    /// Up to when visits have been taken in.
    pub observed_at: OffsetDateTime,
    /// The last time during which pages could not claim their turns.
    pub away_from: Option<OffsetDateTime>,
    pub away_till: Option<OffsetDateTime>,
    pub last_decision: Option<String>,
    /// Visits under way, and orders paid, as of the last sample.
    pub inside: i64,
    pub orders: i64,
    pub rehearsal_of: Option<Uuid>,
    pub look: serde_json::Value,
    pub time_zone: String,
    /// The database's clock, the only one that decides.
    pub now: OffsetDateTime,
}

/// Every query of a [`SaleRow`] reads these columns from these tables.
macro_rules! sale_rows {
    ($rest:literal) => {
        concat!(
            "SELECT sales.*, sha256(seed) AS commitment, CASE WHEN drawn IS NOT NULL THEN seed END AS revealed_seed, \
             stock.total, stock.promised, stock.held, stock.sold, prior::text AS prior, memory::text AS memory, ticked_at, \
             observed_at, away_from, away_till, last_decision, coalesce(sample.inside, 0) AS inside, coalesce(sample.orders, 0) AS orders, \
             clock_timestamp() AS now \
             FROM lines JOIN sales ON sales.id = lines.id JOIN stock ON stock.sale_id = sales.id \
             LEFT JOIN LATERAL (SELECT inside, orders FROM samples WHERE sale_id = sales.id ORDER BY at DESC LIMIT 1) AS sample ON true ",
            $rest
        )
    };
}

/// Counters and ordinals are checked by the schema to be positive.
fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

fn ordinal(n: i64) -> Ordinal {
    Ordinal::try_from(n).unwrap_or(0)
}

impl SaleRow {
    /// The id of the sale.
    pub fn sale(&self) -> SaleId {
        SaleId(self.id)
    }

    /// The status as stored.
    pub fn stored_status(&self) -> Status {
        Status::from_stored(&self.status)
    }

    /// Units that one shopper may have.
    pub fn units_per_admission(&self) -> u32 {
        count(self.per_shopper_limit)
    }

    /// Units that are out as tokens.
    pub fn promised(&self) -> u32 {
        count(self.promised)
    }

    /// Units that are in checkout.
    pub fn held(&self) -> u32 {
        count(self.held)
    }

    /// Units that are paid for.
    pub fn sold(&self) -> u32 {
        count(self.sold)
    }

    /// All units.
    pub fn total(&self) -> u32 {
        count(self.total)
    }

    /// Whether more is promised than there is, and held only while it is paid for.
    pub fn is_yield(&self) -> bool {
        self.mode == "yield"
    }

    /// The stock.
    pub fn stock(&self) -> Stock {
        Stock { total: self.total(), promised: self.promised(), held: self.held(), sold: self.sold() }
    }

    /// What the sale's owner wants of the control law.
    pub fn terms(&self) -> Terms {
        Terms {
            mode: if self.is_yield() { Mode::Yield { risk: self.risk } } else { Mode::Guarantee },
            units_per_admission: self.units_per_admission(),
            rate_cap_per_s: self.rate_cap_per_s,
            in_checkout_max: self.inside_max.map(count),
            claim_window_s: f64::from(self.claim_window_s),
            token_ttl_s: f64::from(self.token_ttl_s),
            hold_s: f64::from(self.hold_s),
        }
    }

    /// What the last decision left for the next.
    pub fn memory(&self) -> Memory {
        Memory::read(&self.memory)
    }

    /// Units that nobody has been promised, holds or has paid for.
    pub fn free(&self) -> u32 {
        self.total().saturating_sub(self.promised() + self.held() + self.sold())
    }

    /// Units that shoppers are told are left: in yield mode a promise takes none away.
    fn remaining(&self) -> u32 {
        if self.is_yield() { self.total().saturating_sub(self.held() + self.sold()) } else { self.free() }
    }

    /// The stock is as the agenda has it.
    pub fn take_stock(&mut self, agenda: &Agenda) {
        (self.total, self.promised, self.held, self.sold) = (agenda.total, agenda.promised, agenda.held, agenda.sold);
    }

    /// Pages could not claim their turns from the last tick until this moment.
    pub fn was_away(&mut self, till: OffsetDateTime) {
        (self.away_from, self.away_till) = (Some(self.ticked_at), Some(till));
    }

    /// How long ago an outage of the database began that ended within `within`; zero without one.
    /// Checkouts could not report in it.
    pub fn away_for(&self, within: Duration) -> Duration {
        let Some((from, till)) = self.away_from.zip(self.away_till) else { return Duration::ZERO };
        let is_recent = self.now - till < within;
        if is_recent { (self.now - from).try_into().unwrap_or_default() } else { Duration::ZERO }
    }

    /// What the sale is doing, as shoppers and admins see it.
    pub fn shown_status(&self) -> Status {
        if crate::lifecycle::has_ended(self.now, self.ends_at) {
            Status::Closed
        } else {
            presented_status(self.stored_status(), self.total(), self.sold())
        }
    }
}

/// The facts of a sale to be created. Not to be printed: it may hold a secret.
#[derive(Clone)]
pub struct NewSale {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub price_minor: i64,
    pub currency: String,
    pub total: i32,
    pub per_shopper_limit: i32,
    pub per_account_limit: Option<i32>,
    pub rate_cap_per_s: f64,
    pub opens_at: Option<OffsetDateTime>,
    pub ends_at: Option<OffsetDateTime>,
    pub token_ttl_s: i32,
    pub claim_window_s: i32,
    pub hold_s: i32,
    pub recall_window_s: i32,
    pub grace_s: Option<i32>,
    /// The secret seed of a draw; none where the line is served in the order of joining.
    pub seed: Option<[u8; 32]>,
    pub mode: &'static str,
    pub risk: f64,
    pub inside_max: Option<i32>,
    pub like_sale: Option<Uuid>,
    pub look: serde_json::Value,
    pub time_zone: String,
}

/// What an admin changes of a running sale.
#[derive(Debug, Clone, Default)]
pub struct SaleChange {
    pub rate_cap_per_s: Option<f64>,
    pub total: Option<i32>,
    pub recall_window_s: Option<i32>,
    /// `Some(None)`: as long as the waiting rooms are set to.
    pub grace_s: Option<Option<i32>>,
    /// `Some(None)` lifts it.
    pub inside_max: Option<Option<i32>>,
    /// `Some(None)` takes the message back.
    pub message: Option<Option<String>>,
    pub look: Option<serde_json::Value>,
    /// Of a sale that is scheduled.
    pub opens_at: Option<OffsetDateTime>,
    /// Likewise; `Some(None)`: never by the clock.
    pub ends_at: Option<Option<OffsetDateTime>>,
}

/// The controller's database.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
}

/// A sale that needs ticks.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Running {
    /// The id of the sale.
    pub id: Uuid,
    /// Another one after every change of the sale.
    pub version: String,
    /// Its clock is about to open it, or to end it.
    pub is_due: Option<bool>,
}

/// A sale with its lines: its own first, then the lanes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sale {
    /// The row.
    pub row: SaleRow,
    /// The lines.
    pub lines: Vec<LineRow>,
}

/// A sale with its lines, locked.
pub struct LockedSale {
    transaction: Transaction,
    sale: Sale,
    /// Admissions that this transaction has made, line by line, and how many of these are of tickets that had none before.
    made: Vec<i64>,
    first: Vec<i64>,
    /// By how many units it changes those that are promised, and whether it promises any: the stock is locked last.
    promised: i64,
    promises: bool,
    /// What the commit says outside.
    said: Option<Kind>,
}

impl Deref for LockedSale {
    type Target = Sale;

    fn deref(&self) -> &Sale {
        &self.sale
    }
}

impl DerefMut for LockedSale {
    fn deref_mut(&mut self) -> &mut Sale {
        &mut self.sale
    }
}

/// What a tick leaves in the row of a sale's own line.
#[derive(Debug, Default)]
pub struct Ticked<'a> {
    /// What to remember; nothing new if it is none.
    pub memory: Option<&'a Memory>,
    /// Why no more were let in.
    pub why: &'a str,
    /// Visits up to this moment have been taken in.
    pub observed_till: Option<OffsetDateTime>,
    /// Redis and the record have heard of all that happened in the sale, which is closed.
    pub settled: bool,
}

/// The data of an event that says nothing but that it happened, and in which trace: [`Store::begin`] has said it.
macro_rules! nothing_more {
    () => {
        "json_build_array(json_strip_nulls(json_build_object('traceparent', nullif(current_setting('fairline.trace', true), ''))))"
    };
}

/// Writes an event for each sale that a query found: it is numbered in the stock's row, which is locked last.
macro_rules! told {
    ($sales:literal, $kind:literal) => {
        concat!(
            "numbered AS (UPDATE stock SET events = events + 1 FROM ",
            $sales,
            " WHERE sale_id = id RETURNING sale_id, events) \
             INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, events, ",
            $kind,
            ", ",
            nothing_more!(),
            " FROM numbered"
        )
    };
}
use {nothing_more, told};

impl Store {
    /// The connections of those who run sales. Connects when it is first asked for something.
    pub fn connect(settings: &Settings) -> Result<Self, StartError> {
        Self::through(settings, "admission-controller", settings.admin_connections, REPORT)
    }

    /// Those of the ticks, which wait for nobody else.
    pub fn for_ticks(settings: &Settings) -> Result<Self, StartError> {
        let statement = Duration::from_millis(settings.postgres.postgres_statement_ms);
        Self::through(settings, "admission-controller-ticks", settings.tick_connections, statement)
    }

    /// Those of what other services ask: for keys, and whether this one is ready.
    pub fn for_services(settings: &Settings) -> Result<Self, StartError> {
        let statement = Duration::from_millis(settings.postgres.postgres_statement_ms);
        Self::through(settings, "admission-controller-keys", KEY_CONNECTIONS, statement)
    }

    /// The one connection of a command that runs once, and takes its time.
    pub fn for_command(postgres_url: &str) -> Result<Self, StartError> {
        let options = PoolOptions { name: "fairline-restore", connections: 1, statement: REPORT };
        Ok(Self { pool: PgPool::new(postgres_url, &PostgresSettings::default(), options)? })
    }

    fn through(
        settings: &Settings,
        name: &'static str,
        connections: u32,
        statement: Duration,
    ) -> Result<Self, StartError> {
        let options = PoolOptions { name, connections, statement };
        Ok(Self { pool: PgPool::new(settings.postgres_url.expose(), &settings.postgres, options)? })
    }

    /// The connections themselves, for what keeps answers to requests with a key.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether Postgres answers, and takes writes.
    pub async fn probe(&self) -> Result<(), StoreError> {
        Ok(self.pool.probe().await?)
    }

    /// The keys whose tokens are not to be believed.
    pub async fn revoked_keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT kid FROM revoked_keys").fetch_all(&self.pool).await?)
    }

    /// Revokes a key: from the commit on, no checkout takes a token that it has signed. Those who hold one are given
    /// another by the next tick. It waits for the ticks that are under way, since they may be signing with it.
    pub async fn revoke_key(&self, by: &By, kid: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin(by, "revoke_key").await?;
        sqlx::query("SELECT FROM lines WHERE id = sale_id ORDER BY id FOR UPDATE").execute(&mut *transaction).await?;
        sqlx::query(
            "WITH revoked AS (INSERT INTO revoked_keys (kid) VALUES ($1) ON CONFLICT DO NOTHING) \
             UPDATE admissions SET kid = '', published_state = NULL WHERE kid = $1 AND state = 'promised'",
        )
        .bind(kid)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Whether the database knows a time zone by this name.
    pub async fn knows_time_zone(&self, name: &str) -> Result<bool, StoreError> {
        // What only this machine calls one is none for a browser.
        let known = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1 AND name !~ '^(posix|right)/|^(Factory|localtime|posixrules)$')",
        );
        Ok(known.bind(name).fetch_one(&self.pool).await?)
    }

    pub async fn create(&self, by: &By, new: &NewSale) -> Result<Sale, StoreError> {
        let id = Uuid::now_v7();
        let mut transaction = self.begin(by, "create_sale").await?;
        sqlx::query(concat!(
            "WITH sale AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, \
             rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opens_at, ends_at, recall_window_s, line_order, seed, \
             mode, risk, inside_max, like_sale, per_account_limit, look, time_zone, grace_s) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12, now()), $13, $15, $16, $17, $18, $19, $20, \
             $21, $23, $24, $25, $26) RETURNING id), \
             line AS (INSERT INTO lines (id, sale_id) SELECT id, id FROM sale), \
             told AS (INSERT INTO outbox (sale_id, number, kind, data) SELECT id, 1, $22, ",
            nothing_more!(),
            " FROM sale) INSERT INTO stock (sale_id, total, events) SELECT id, $14, 1 FROM sale",
        ))
        .bind(id)
        .bind(&new.slug)
        .bind(&new.name)
        .bind(&new.description)
        .bind(new.price_minor)
        .bind(&new.currency)
        .bind(new.per_shopper_limit)
        .bind(new.rate_cap_per_s)
        .bind(new.token_ttl_s)
        .bind(new.claim_window_s)
        .bind(new.hold_s)
        .bind(new.opens_at)
        .bind(new.ends_at)
        .bind(new.total)
        .bind(new.recall_window_s)
        .bind(if new.seed.is_some() { "draw" } else { "fifo" })
        .bind(new.seed.map(|seed| seed.to_vec()))
        .bind(new.mode)
        .bind(new.risk)
        .bind(new.inside_max)
        .bind(new.like_sale)
        .bind(Kind::FlashSaleScheduled.word())
        .bind(new.per_account_limit)
        .bind(&new.look)
        .bind(&new.time_zone)
        .bind(new.grace_s)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.show(SaleId(id)).await?.ok_or(StoreError::Unavailable(sqlx::Error::RowNotFound))
    }

    /// The newest sales, or the newest before one; all, or the one of a name in addresses.
    pub async fn list(&self, before: Option<SaleId>, slug: Option<&str>) -> Result<Vec<Sale>, StoreError> {
        let rows: Vec<SaleRow> = sqlx::query_as(sale_rows!(
            "WHERE ($1::uuid IS NULL OR (sales.created_at, sales.id) < (SELECT created_at, id FROM sales WHERE id = $1)) \
             AND ($2::text IS NULL OR sales.slug = $2) ORDER BY sales.created_at DESC, sales.id DESC LIMIT $3"
        ))
        .bind(before.map(|sale| sale.0))
        .bind(slug)
        .bind(i64::try_from(SALES_PAGE).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let lines = lines::of(&self.pool, &ids).await?;
        let sale = |row: SaleRow| {
            let lines = lines.iter().filter(|line| line.sale_id == row.id).cloned().collect();
            Sale { row, lines }
        };
        Ok(rows.into_iter().map(sale).collect())
    }

    pub async fn show(&self, sale: SaleId) -> Result<Option<Sale>, StoreError> {
        let row: Option<SaleRow> =
            sqlx::query_as(sale_rows!("WHERE sales.id = $1")).bind(sale.0).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let lines = lines::of(&self.pool, &[row.id]).await?;
        Ok(Some(Sale { row, lines }))
    }

    /// Moves a sale from one status to another; `false` when it was no longer in the first. Opening early makes now its
    /// opening time.
    pub async fn set_status(
        &self,
        by: &By,
        what: &str,
        sale: SaleId,
        from: Status,
        to: Status,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin(by, what).await?;
        // What was to be let in at once is not what is wanted after a pause. Lines come first in the lock order.
        if Status::Paused == from || Status::Paused == to {
            let forget = sqlx::query("UPDATE lines SET admit_now = 0 WHERE id = $1");
            forget.bind(sale.0).execute(&mut *transaction).await?;
        }
        let done = sqlx::query(concat!(
            "WITH moved AS (UPDATE sales SET status = $3, \
             opens_at = CASE WHEN $3 = 'open' THEN least(opens_at, now()) ELSE opens_at END \
             WHERE id = $1 AND status = $2 RETURNING id), ",
            told!("moved", "$4")
        ))
        .bind(sale.0)
        .bind(from.as_stored())
        .bind(to.as_stored())
        .bind(said_of(from, to).word())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Changes a sale; `false`, and nothing is changed, when its window was to be and it is no longer scheduled.
    pub async fn change(&self, by: &By, sale: SaleId, change: &SaleChange) -> Result<bool, StoreError> {
        let mut transaction = self.begin(by, "change_sale").await?;
        let done = sqlx::query(concat!(
            "WITH stocked AS (UPDATE stock SET total = coalesce($2, total), events = events + 1, overbook = CASE WHEN mode = 'yield' \
             THEN greatest(0, promised + held + sold - coalesce($2, total)) ELSE overbook END \
             FROM sales WHERE sales.id = sale_id AND sale_id = $1 RETURNING sale_id, events), \
             told AS (INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, events, $9, ",
            nothing_more!(),
            " FROM stocked) UPDATE sales SET rate_cap_per_s = coalesce($3, rate_cap_per_s), \
             recall_window_s = coalesce($6, recall_window_s), \
             inside_max = CASE WHEN $7 THEN $8 ELSE inside_max END, \
             message = CASE WHEN $4 THEN $5 ELSE message END, look = coalesce($10, look), \
             grace_s = CASE WHEN $11 THEN $12 ELSE grace_s END, \
             opens_at = coalesce($13, opens_at), ends_at = CASE WHEN $14 THEN $15 ELSE ends_at END \
             WHERE id = $1 AND (status = 'scheduled' OR $13 IS NULL AND NOT $14)",
        ))
        .bind(sale.0)
        .bind(change.total)
        .bind(change.rate_cap_per_s)
        .bind(change.message.is_some())
        .bind(change.message.clone().flatten())
        .bind(change.recall_window_s)
        .bind(change.inside_max.is_some())
        .bind(change.inside_max.flatten())
        .bind(Kind::FlashSaleChanged.word())
        .bind(&change.look)
        .bind(change.grace_s.is_some())
        .bind(change.grace_s.flatten())
        .bind(change.opens_at)
        .bind(change.ends_at.is_some())
        .bind(change.ends_at.flatten())
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }
}

#[async_trait]
impl Ledger for Store {
    type Locked = LockedSale;

    async fn running(&self) -> Result<Vec<Running>, StoreError> {
        let running = sqlx::query_as(
            "SELECT lines.id, sales.xmin::text AS version, status = 'scheduled' AND opens_at < clock_timestamp() + make_interval(secs => $1) \
             OR status <> 'closed' AND ends_at < clock_timestamp() AS is_due \
             FROM lines JOIN sales ON sales.id = lines.id WHERE lines.id = lines.sale_id AND NOT settled",
        );
        Ok(running.bind(OPENS_SOON_S).fetch_all(&self.pool).await?)
    }

    async fn lock(&self, sale: SaleId, waits: bool) -> Result<Option<LockedSale>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query_as(if waits {
            sale_rows!("WHERE lines.id = $1 FOR UPDATE OF lines")
        } else {
            sale_rows!("WHERE lines.id = $1 FOR UPDATE OF lines SKIP LOCKED")
        });
        let row: Option<SaleRow> = row.bind(sale.0).fetch_optional(&mut *transaction).await?;
        let Some(row) = row else { return Ok(None) };
        let lines = lines::of(&mut *transaction, &[row.id]).await?;
        let (made, first) = (vec![0; lines.len()], vec![0; lines.len()]);
        let sale = Sale { row, lines };
        Ok(Some(LockedSale { transaction, sale, made, first, promised: 0, promises: false, said: None }))
    }
}

/// What is said outside of a sale that moves.
fn said_of(from: Status, to: Status) -> Kind {
    match (from, to) {
        (Status::Paused, Status::Open) => Kind::FlashSaleResumed,
        (_, Status::Open | Status::Scheduled) => Kind::FlashSaleStarted,
        (_, Status::Paused) => Kind::FlashSalePaused,
        (_, Status::SoldOut | Status::Closed) => Kind::FlashSaleEnded,
    }
}

#[async_trait]
impl Locked for LockedSale {
    async fn agenda(&mut self, good_keys: &[String]) -> Result<Agenda, StoreError> {
        self.read_agenda(good_keys).await
    }

    async fn visits(&mut self) -> Result<(Visits, OffsetDateTime), StoreError> {
        self.read_visits().await
    }

    async fn prior(&mut self) -> Result<Prior, StoreError> {
        self.read_prior().await
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        if self.promised != 0 || self.said.is_some() {
            sqlx::query(concat!(
                "WITH stocked AS (UPDATE stock SET promised = promised + $2::integer, \
                 overbook = CASE WHEN $3 THEN greatest(0, promised + $2::integer + held + sold - total) ELSE overbook END, \
                 events = events + CASE WHEN $4::text IS NULL THEN 0 ELSE 1 END WHERE sale_id = $1 RETURNING sale_id, events) \
                 INSERT INTO outbox (sale_id, number, kind, data) SELECT sale_id, events, $4, ",
                nothing_more!(),
                " FROM stocked WHERE $4 IS NOT NULL"
            ))
            .bind(self.sale.row.id)
            .bind(self.promised)
            .bind(self.promises && self.sale.row.is_yield())
            .bind(self.said.map(Kind::word))
            .execute(&mut *self.transaction)
            .await?;
        }
        Ok(self.transaction.commit().await?)
    }

    async fn set_status(&mut self, to: Status) -> Result<bool, StoreError> {
        let moved = sqlx::query("UPDATE sales SET status = $3 WHERE id = $1 AND status = $2")
            .bind(self.sale.row.id)
            .bind(&self.sale.row.status)
            .bind(to.as_stored())
            .execute(&mut *self.transaction)
            .await?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        self.said = Some(said_of(self.sale.row.stored_status(), to));
        to.as_stored().clone_into(&mut self.sale.row.status);
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
        .bind(self.sale.row.id)
        .bind(self.sale.row.stored_status() == Status::Closed)
        .bind(claims_age.as_secs_f64())
        .bind(self.sale.row.away_from)
        .bind(self.sale.row.away_till)
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
        .bind(self.sale.row.id)
        .bind(good)
        .bind(kid)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn note(&mut self, ticked: &Ticked<'_>) -> Result<(), StoreError> {
        let memory = ticked.memory.and_then(|memory| serde_json::to_string(memory).ok());
        sqlx::query(
            "UPDATE lines SET memory = coalesce($2::jsonb, memory), last_decision = $3, ticked_at = $4, \
             observed_at = coalesce($5, observed_at), settled = $6, away_from = $7, away_till = $8 WHERE id = $1",
        )
        .bind(self.sale.row.id)
        .bind(memory)
        .bind(ticked.why)
        .bind(self.sale.row.now)
        .bind(ticked.observed_till)
        .bind(ticked.settled)
        .bind(self.sale.row.away_from)
        .bind(self.sale.row.away_till)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
