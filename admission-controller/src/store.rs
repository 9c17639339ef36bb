//! The controller's Postgres: the only module with SQL.
//!
//! The row of `lines` is the lock of a sale's line: whoever holds it decides, publishes, or neither. It is taken with
//! SKIP LOCKED, so any number of controllers share the sales and none waits for another. Lock order: lines,
//! admissions, stock.

mod record;
mod visits;

use std::{collections::HashSet, time::Duration};

use fairline_admission::{Memory, Mode, Stock, Terms};
use fairline_line::{store::Claim, ticket::Ordinal};
use fairline_sale::{DrawFacts, LineOrder, RecordHead, SaleCard, SaleId, Status, VisitorId, presented_status};
use fairline_service::StartError;
use sqlx::{
    FromRow, PgPool, Postgres, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use time::OffsetDateTime;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Ordinals that a line may give before the controller grants more: those of one tick at least, and of an outage of the
/// controller as far as it goes.
const GRANTED_AHEAD: i64 = 100_000;
/// Turns told to Redis in one publication at most.
const PUBLISHED_MAX: i64 = 500;
/// A ticket whose turn lapsed this often without a page to claim it is not recalled again.
const LAPSES_MAX: i64 = 3;

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

/// Brings the schema up to date. Safe to run by several processes at once.
///
/// # Errors
/// When Postgres can't be reached or a migration fails.
pub async fn migrate(postgres_url: &str) -> Result<(), StartError> {
    let pool = connect(postgres_url)?;
    let migrated = MIGRATIONS.run(&pool).await;
    pool.close().await;
    migrated.map_err(|error| StartError::new(format!("The database could not be migrated: {error}.")))
}

fn connect(postgres_url: &str) -> Result<PgPool, StartError> {
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| postgres_url.starts_with(scheme));
    let options: Option<PgConnectOptions> = postgres_url.parse().ok().filter(|_| is_postgres);
    // Without the address itself, which has a password in it.
    let options = options.ok_or_else(|| {
        StartError::new("The Postgres address is not one: write postgres://user:password@host:port/database.")
    })?;
    let options = options
        .application_name("admission-controller")
        .options([("statement_timeout", "5000"), ("idle_in_transaction_session_timeout", "5000")]);
    Ok(PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(2)).connect_lazy_with(options))
}

/// A sale with its stock and its line, as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct SaleRow {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub price_minor: i64,
    pub currency: String,
    pub per_shopper_limit: i32,
    pub status: String,
    pub message: Option<String>,
    pub rate_cap_per_s: f64,
    pub token_ttl_s: i32,
    pub claim_window_s: i32,
    pub hold_s: i32,
    pub recall_window_s: i32,
    pub mode: String,
    pub risk: f64,
    pub opens_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub line_order: String,
    /// The SHA-256 of a draw's seed.
    pub commitment: Option<Vec<u8>>,
    /// The seed, once the draw is made.
    pub revealed_seed: Option<Vec<u8>>,
    pub total: i32,
    pub promised: i32,
    pub held: i32,
    pub sold: i32,
    pub epoch: i32,
    pub cursor: i64,
    pub highest_ordinal: i64,
    pub granted: i64,
    pub above: i64,
    pub drawn: Option<i64>,
    pub draw_key: Option<Vec<u8>>,
    pub record_seq: Option<i64>,
    pub record_hash: Vec<u8>,
    pub recorded_epoch: i32,
    pub recorded_rev: i64,
    pub epoch_began_at: OffsetDateTime,
    pub publication: i64,
    /// An earlier sale, whose shoppers behaved as this one's are expected to.
    pub like_sale: Option<Uuid>,
    /// What was believed of visits at the first decision, as the control law writes it.
    pub prior: Option<String>,
    /// What the last decision left for the next, likewise.
    pub memory: String,
    pub inside_max: Option<i32>,
    pub ticked_at: OffsetDateTime,
    pub last_decision: Option<String>,
    /// The database's clock, the only one that decides.
    pub now: OffsetDateTime,
}

/// Every query of a [`SaleRow`] reads these columns from these tables.
macro_rules! sale_rows {
    ($rest:literal) => {
        concat!(
            "SELECT sales.*, sha256(seed) AS commitment, CASE WHEN drawn IS NOT NULL THEN seed END AS revealed_seed, \
             total, promised, held, sold, epoch, cursor, highest_ordinal, granted, above, drawn, draw_key, \
             record_seq, record_hash, recorded_epoch, recorded_rev, epoch_began_at, publication, \
             prior::text AS prior, memory::text AS memory, ticked_at, \
             last_decision, clock_timestamp() AS now \
             FROM lines JOIN sales ON sales.id = lines.sale_id JOIN stock ON stock.sale_id = lines.sale_id ",
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
    pub fn sale(&self) -> SaleId {
        SaleId(self.id)
    }

    pub fn stored_status(&self) -> Status {
        status_of(&self.status)
    }

    pub fn units_per_admission(&self) -> u32 {
        count(self.per_shopper_limit)
    }

    pub fn promised(&self) -> u32 {
        count(self.promised)
    }

    pub fn held(&self) -> u32 {
        count(self.held)
    }

    pub fn sold(&self) -> u32 {
        count(self.sold)
    }

    pub fn total(&self) -> u32 {
        count(self.total)
    }

    /// Whether more is promised than there is, and held only while it is paid for.
    pub fn is_yield(&self) -> bool {
        self.mode == "yield"
    }

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

    /// What the last decision left for the next. One that another version has written, and that this one can't read, is
    /// begun anew: it knows less for a while, and keeps every promise.
    pub fn memory(&self) -> Memory {
        serde_json::from_str(&self.memory).unwrap_or_default()
    }

    /// Units that nobody has been promised, holds or has paid for.
    pub fn free(&self) -> u32 {
        self.total().saturating_sub(self.promised() + self.held() + self.sold())
    }

    /// Units that shoppers are told are left: in yield mode a promise takes none away.
    fn remaining(&self) -> u32 {
        if self.is_yield() { self.total().saturating_sub(self.held() + self.sold()) } else { self.free() }
    }

    pub fn cursor(&self) -> Ordinal {
        ordinal(self.cursor)
    }

    pub fn highest(&self) -> Ordinal {
        ordinal(self.highest_ordinal)
    }

    pub fn granted(&self) -> Ordinal {
        ordinal(self.granted)
    }

    pub fn epoch(&self) -> u32 {
        count(self.epoch)
    }

    /// The facts that anybody may see.
    pub fn card(&self) -> SaleCard {
        let ended = crate::lifecycle::has_ended(self.now, self.ends_at);
        SaleCard {
            id: self.sale(),
            slug: self.slug.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            price_minor: self.price_minor,
            currency: self.currency.clone(),
            per_shopper_limit: self.units_per_admission(),
            total: self.total(),
            remaining: self.remaining(),
            status: if ended {
                Status::Closed
            } else {
                presented_status(self.stored_status(), self.total(), self.sold())
            },
            opens_at: self.opens_at,
            ends_at: self.ends_at,
            rate_cap_per_s: self.rate_cap_per_s,
            message: self.message.clone(),
            order: self.order(),
            draw: self.commitment().map(|commitment| DrawFacts {
                commitment: commitment.to_string(),
                pool: self.drawn.map(ordinal),
                seed: self.revealed_seed.as_deref().map(|seed| record::hash(seed).to_string()),
            }),
            record: self
                .record_seq
                .map(|seq| RecordHead { seq: ordinal(seq), hash: record::hash(&self.record_hash).to_string() }),
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
    pub rate_cap_per_s: f64,
    pub opens_at: Option<OffsetDateTime>,
    pub ends_at: Option<OffsetDateTime>,
    pub token_ttl_s: i32,
    pub claim_window_s: i32,
    pub hold_s: i32,
    pub recall_window_s: i32,
    /// The secret seed of a draw; none where the line is served in the order of joining.
    pub seed: Option<[u8; 32]>,
    pub mode: &'static str,
    pub risk: f64,
    pub inside_max: Option<i32>,
    pub like_sale: Option<Uuid>,
}

/// One admission that Redis has not been told of, or not lately.
#[derive(Debug, Clone, FromRow)]
pub struct Unpublished {
    pub id: Uuid,
    ordinal: i64,
    visitor: Vec<u8>,
    quantity: i32,
    /// The key of its token; empty after that was revoked, until there is another.
    pub kid: String,
    pub state: String,
    pub issued_at: OffsetDateTime,
    pub claim_by: OffsetDateTime,
    pub claimed_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    lapses: i64,
}

impl Unpublished {
    pub fn ordinal(&self) -> Ordinal {
        ordinal(self.ordinal)
    }

    pub fn quantity(&self) -> u32 {
        count(self.quantity)
    }

    pub fn visitor(&self) -> VisitorId {
        let mut id = [0; 16];
        // The schema checks the length.
        id.copy_from_slice(&self.visitor[..16]);
        VisitorId(id)
    }

    /// Whether nobody was there to claim it, and the ticket deserves another turn.
    pub fn may_come_again(&self) -> bool {
        self.claimed_at.is_none() && self.lapses < LAPSES_MAX
    }
}

/// What an admin changes of a running sale.
#[derive(Debug, Clone, Default)]
pub struct SaleChange {
    pub rate_cap_per_s: Option<f64>,
    pub total: Option<i32>,
    pub recall_window_s: Option<i32>,
    /// `Some(None)` lifts it.
    pub inside_max: Option<Option<i32>>,
    /// `Some(None)` takes the message back.
    pub message: Option<Option<String>>,
}

/// The controller's database.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
}

/// One sale's line, locked.
pub struct LockedLine {
    transaction: Transaction<'static, Postgres>,
    /// The sale as it was when the lock was taken.
    pub row: SaleRow,
}

impl Store {
    pub fn connect(postgres_url: &str) -> Result<Self, StartError> {
        Ok(Self { pool: connect(postgres_url)? })
    }

    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// The sales that need ticks: all that run or will, and closed ones with tokens out or with news for Redis.
    pub async fn running(&self) -> Result<Vec<SaleId>, StoreError> {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM sales JOIN lines ON sale_id = id \
             WHERE status <> 'closed' OR published_status IS DISTINCT FROM status \
             OR (record_seq IS NOT NULL AND recorded_status <> status) \
             OR EXISTS (SELECT FROM admissions WHERE sale_id = sales.id AND state = 'promised') \
             OR EXISTS (SELECT FROM admissions WHERE sale_id = sales.id AND published_state IS DISTINCT FROM state) \
             OR EXISTS (SELECT FROM admissions WHERE sale_id = sales.id AND recorded_state <> state)",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids.into_iter().map(SaleId).collect())
    }

    /// The keys whose tokens are not to be believed.
    pub async fn revoked_keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT kid FROM revoked_keys").fetch_all(&self.pool).await?)
    }

    /// Revokes a key: from the commit on, no checkout takes a token that it has signed. Those who hold one are given
    /// another by the next tick. It waits for the ticks that are under way, since they may be signing with it.
    pub async fn revoke_key(&self, kid: &str) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SELECT FROM lines ORDER BY sale_id FOR UPDATE").execute(&mut *transaction).await?;
        sqlx::query(
            "WITH revoked AS (INSERT INTO revoked_keys (kid) VALUES ($1) ON CONFLICT DO NOTHING) \
             UPDATE admissions SET kid = '', published_state = NULL WHERE kid = $1 AND state = 'promised'",
        )
        .bind(kid)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    pub async fn create(&self, new: &NewSale) -> Result<SaleRow, StoreError> {
        let id = Uuid::now_v7();
        sqlx::query(
            "WITH sale AS (INSERT INTO sales (id, slug, name, description, price_minor, currency, per_shopper_limit, \
             rate_cap_per_s, token_ttl_s, claim_window_s, hold_s, opens_at, ends_at, recall_window_s, line_order, seed, \
             mode, risk, inside_max, like_sale) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12, now()), $13, $15, $16, $17, $18, $19, $20, \
             $21) RETURNING id), \
             line AS (INSERT INTO lines (sale_id) SELECT id FROM sale) \
             INSERT INTO stock (sale_id, total) SELECT id, $14 FROM sale",
        )
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
        .execute(&self.pool)
        .await?;
        self.show(SaleId(id)).await?.ok_or(StoreError::Unavailable(sqlx::Error::RowNotFound))
    }

    pub async fn list(&self) -> Result<Vec<SaleRow>, StoreError> {
        Ok(sqlx::query_as(sale_rows!("ORDER BY sales.created_at DESC LIMIT 200")).fetch_all(&self.pool).await?)
    }

    pub async fn show(&self, sale: SaleId) -> Result<Option<SaleRow>, StoreError> {
        Ok(sqlx::query_as(sale_rows!("WHERE sales.id = $1")).bind(sale.0).fetch_optional(&self.pool).await?)
    }

    /// How many admissions a sale has made.
    pub async fn admitted(&self, sale: SaleId) -> Result<i64, StoreError> {
        let admitted = sqlx::query_scalar("SELECT count(*) FROM admissions WHERE sale_id = $1");
        Ok(admitted.bind(sale.0).fetch_one(&self.pool).await?)
    }

    /// Moves a sale from one status to another; `false` when it was no longer in the first. Opening early makes now its
    /// opening time.
    pub async fn set_status(&self, sale: SaleId, from: Status, to: Status) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE sales SET status = $3, opens_at = CASE WHEN $3 = 'open' THEN least(opens_at, now()) ELSE opens_at END \
             WHERE id = $1 AND status = $2",
        )
        .bind(sale.0)
        .bind(status_word(from))
        .bind(status_word(to))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    pub async fn change(&self, sale: SaleId, change: &SaleChange) -> Result<(), StoreError> {
        sqlx::query(
            "WITH stocked AS (UPDATE stock SET total = coalesce($2, total), overbook = CASE WHEN mode = 'yield' \
             THEN greatest(0, promised + held + sold - coalesce($2, total)) ELSE overbook END \
             FROM sales WHERE sales.id = sale_id AND sale_id = $1) \
             UPDATE sales SET rate_cap_per_s = coalesce($3, rate_cap_per_s), \
             recall_window_s = coalesce($6, recall_window_s), \
             inside_max = CASE WHEN $7 THEN $8 ELSE inside_max END, \
             message = CASE WHEN $4 THEN $5 ELSE message END WHERE id = $1",
        )
        .bind(sale.0)
        .bind(change.total)
        .bind(change.rate_cap_per_s)
        .bind(change.message.is_some())
        .bind(change.message.clone().flatten())
        .bind(change.recall_window_s)
        .bind(change.inside_max.is_some())
        .bind(change.inside_max.flatten())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes the lock of a sale's line, or `None` when another controller has it.
    pub async fn lock(&self, sale: SaleId) -> Result<Option<LockedLine>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query_as(sale_rows!("WHERE lines.sale_id = $1 FOR UPDATE OF lines SKIP LOCKED"))
            .bind(sale.0)
            .fetch_optional(&mut *transaction)
            .await?;
        Ok(row.map(|row| LockedLine { transaction, row }))
    }
}

fn status_of(word: &str) -> Status {
    match word {
        "open" => Status::Open,
        "paused" => Status::Paused,
        "closed" => Status::Closed,
        _ => Status::Scheduled,
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Scheduled => "scheduled",
        Status::Open => "open",
        Status::Paused => "paused",
        Status::SoldOut | Status::Closed => "closed",
    }
}

impl LockedLine {
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }

    pub async fn set_status(&mut self, to: Status) -> Result<(), StoreError> {
        sqlx::query("UPDATE sales SET status = $3 WHERE id = $1 AND status = $2")
            .bind(self.row.id)
            .bind(&self.row.status)
            .bind(status_word(to))
            .execute(&mut *self.transaction)
            .await?;
        status_word(to).clone_into(&mut self.row.status);
        Ok(())
    }

    /// Notes what pages have said: tokens that arrived, and tokens that were given back, which lapse at once.
    pub async fn hear(&mut self, claims: &[(Ordinal, Claim)]) -> Result<(), StoreError> {
        let ordinals = |wanted: Claim| -> Vec<i64> {
            let heard = claims.iter().filter(|(_, claim)| *claim == wanted);
            heard.filter_map(|(ordinal, _)| i64::try_from(*ordinal).ok()).collect()
        };
        let (claimed, left) = (ordinals(Claim::Claimed), ordinals(Claim::Left));
        if !claimed.is_empty() {
            sqlx::query(
                "UPDATE admissions SET claimed_at = now() WHERE sale_id = $1 AND ordinal = ANY($2) \
                 AND state = 'promised' AND claimed_at IS NULL",
            )
            .bind(self.row.id)
            .bind(claimed)
            .execute(&mut *self.transaction)
            .await?;
        }
        if !left.is_empty() {
            let units: i64 = sqlx::query_scalar(
                "WITH lapsed AS (UPDATE admissions SET state = 'lapsed', left_at = now() WHERE sale_id = $1 \
                 AND ordinal = ANY($2) AND state = 'promised' RETURNING quantity) \
                 SELECT coalesce(sum(quantity), 0) FROM lapsed",
            )
            .bind(self.row.id)
            .bind(left)
            .fetch_one(&mut *self.transaction)
            .await?;
            self.give_back(units).await?;
        }
        Ok(())
    }

    /// Lapses tokens that ran out, or that no page claimed in time, or whose sale was closed, and gives their units
    /// back.
    pub async fn lapse(&mut self) -> Result<(), StoreError> {
        let units: i64 = sqlx::query_scalar(
            "WITH lapsed AS (UPDATE admissions SET state = 'lapsed' WHERE sale_id = $1 AND state = 'promised' \
             AND ($2 OR expires_at <= now() OR (claimed_at IS NULL AND claim_by <= now())) RETURNING quantity) \
             SELECT coalesce(sum(quantity), 0) FROM lapsed",
        )
        .bind(self.row.id)
        .bind(self.row.stored_status() == Status::Closed)
        .fetch_one(&mut *self.transaction)
        .await?;
        self.give_back(units).await
    }

    /// The keys whose tokens are not to be believed: as long as this line is locked, no other is revoked.
    pub async fn revoked_keys(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT kid FROM revoked_keys").fetch_all(&mut *self.transaction).await?)
    }

    /// Has the tokens that are out signed with a key, unless theirs is a good one.
    pub async fn sign_again(&mut self, good: &[String], kid: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE admissions SET kid = $3, published_state = NULL \
             WHERE sale_id = $1 AND state = 'promised' AND NOT kid = ANY($2)",
        )
        .bind(self.row.id)
        .bind(good)
        .bind(kid)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn give_back(&mut self, units: i64) -> Result<(), StoreError> {
        if units > 0 {
            sqlx::query("UPDATE stock SET promised = promised - $2::integer WHERE sale_id = $1")
                .bind(self.row.id)
                .bind(units)
                .execute(&mut *self.transaction)
                .await?;
        }
        Ok(())
    }

    /// Reads the stock again. It is not locked: only the holder of this line's lock takes from what is free, but for a
    /// late payment or a smaller stock, and then the schema refuses the promise and the next tick decides anew.
    pub async fn read_stock(&mut self) -> Result<(), StoreError> {
        (self.row.total, self.row.promised, self.row.held, self.row.sold) =
            sqlx::query_as("SELECT total, promised, held, sold FROM stock WHERE sale_id = $1")
                .bind(self.row.id)
                .fetch_one(&mut *self.transaction)
                .await?;
        Ok(())
    }

    /// Makes admissions, and promises their units. A ticket that has one already is passed over. Gives those that were
    /// made, in order.
    pub async fn admit(
        &mut self,
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
        let (made, units): (Vec<i64>, i64) = sqlx::query_as(
            "WITH made AS (INSERT INTO admissions \
             (id, sale_id, epoch, ordinal, visitor, quantity, kid, issued_at, claim_by, expires_at) \
             SELECT ticket.id, $1, $2, ordinal, visitor, quantity, $7, moment.now, \
             moment.now + make_interval(secs => $8), moment.now + make_interval(secs => $9) \
             FROM unnest($3::uuid[], $4::bigint[], $5::bytea[], $6::integer[]) AS ticket (id, ordinal, visitor, quantity), \
             (SELECT clock_timestamp() AS now) AS moment \
             ON CONFLICT (sale_id, ordinal) WHERE state <> 'lapsed' DO NOTHING RETURNING ordinal, quantity) \
             SELECT coalesce(array_agg(ordinal), '{}'), coalesce(sum(quantity), 0) FROM made",
        )
        .bind(self.row.id)
        .bind(self.row.epoch)
        .bind(ids)
        .bind(ordinals)
        .bind(visitors)
        .bind(quantities)
        .bind(kid)
        .bind(f64::from(self.row.claim_window_s))
        .bind(f64::from(self.row.token_ttl_s))
        .fetch_one(&mut *self.transaction)
        .await?;
        sqlx::query(
            "UPDATE stock SET promised = promised + $2::integer, overbook = CASE WHEN $3 \
             THEN greatest(0, promised + $2::integer + held + sold - total) ELSE overbook END WHERE sale_id = $1",
        )
        .bind(self.row.id)
        .bind(units)
        .bind(self.row.is_yield())
        .execute(&mut *self.transaction)
        .await?;
        let made: HashSet<Ordinal> = made.into_iter().map(ordinal).collect();
        Ok(tickets.iter().map(|ticket| ticket.0).filter(|ordinal| made.contains(ordinal)).collect())
    }

    /// Notes how far the line has moved, what to remember, and why no more were let in.
    pub async fn note(
        &mut self,
        cursor: Ordinal,
        highest: Ordinal,
        memory: Option<&Memory>,
        why: &str,
    ) -> Result<(), StoreError> {
        let memory = memory.and_then(|memory| serde_json::to_string(memory).ok());
        sqlx::query(
            "UPDATE lines SET cursor = greatest(cursor, $2), highest_ordinal = greatest(highest_ordinal, $3, $2), \
             granted = greatest(granted, $3 + $6, $2 + $6), memory = coalesce($4::jsonb, memory), last_decision = $5, \
             ticked_at = clock_timestamp() WHERE sale_id = $1",
        )
        .bind(self.row.id)
        .bind(i64::try_from(cursor).unwrap_or(i64::MAX))
        .bind(i64::try_from(highest).unwrap_or(i64::MAX))
        .bind(memory)
        .bind(why)
        .bind(GRANTED_AHEAD)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Admissions that Redis has not been told of as they are now: tokens that are out first, then the oldest.
    pub async fn unpublished(&mut self) -> Result<Vec<Unpublished>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, ordinal, visitor, quantity, kid, state, issued_at, claim_by, claimed_at, expires_at, \
             (SELECT count(*) FROM admissions AS other WHERE other.sale_id = admissions.sale_id \
              AND other.ordinal = admissions.ordinal AND other.state = 'lapsed') AS lapses \
             FROM admissions WHERE sale_id = $1 AND published_state IS DISTINCT FROM state \
             ORDER BY state <> 'promised', issued_at, ordinal LIMIT $2",
        )
        .bind(self.row.id)
        .bind(PUBLISHED_MAX)
        .fetch_all(&mut *self.transaction)
        .await?)
    }

    /// Begins a new epoch, since Redis has lost the line: its ordinals start above all that were granted, and everything
    /// has to be told again. The cursor passes all earlier tickets; before a draw it passes none, since they are still in it.
    pub async fn begin_epoch(&mut self) -> Result<(), StoreError> {
        let before_draw = self.row.order() == LineOrder::Draw && self.row.drawn.is_none();
        (self.row.epoch, self.row.publication, self.row.above) = sqlx::query_as(
            "UPDATE lines SET epoch = epoch + 1, cursor = CASE WHEN $3 THEN cursor ELSE granted END, above = granted, \
             highest_ordinal = granted, granted = granted + $2, \
             epoch_began_at = clock_timestamp(), ticked_at = clock_timestamp() WHERE sale_id = $1 \
             RETURNING epoch, publication, above",
        )
        .bind(self.row.id)
        .bind(GRANTED_AHEAD)
        .bind(before_draw)
        .fetch_one(&mut *self.transaction)
        .await?;
        sqlx::query("UPDATE admissions SET published_state = NULL WHERE sale_id = $1 AND published_state IS NOT NULL")
            .bind(self.row.id)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Notes that Redis has been told these admissions, as they were then.
    pub async fn note_published(&mut self, published: &[Unpublished]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = published.iter().map(|admission| admission.id).collect();
        let states: Vec<String> = published.iter().map(|admission| admission.state.clone()).collect();
        sqlx::query(
            "UPDATE admissions SET published_state = told.state \
             FROM unnest($1::uuid[], $2::text[]) AS told (id, state) WHERE admissions.id = told.id",
        )
        .bind(ids)
        .bind(states)
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query("UPDATE lines SET publication = publication + 1, published_status = $2 WHERE sale_id = $1")
            .bind(self.row.id)
            .bind(&self.row.status)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}
