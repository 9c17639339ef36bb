//! Checkout's Postgres: the only module with SQL.
//!
//! The database's clock is the only one that decides. Lock order: admissions, holds, payments, stock; the stock's row is
//! the hot one, and comes last; behind it are only the allowances of accounts and shoppers, which triggers keep when a hold begins
//! or ends.
//! Where one statement can do it, one statement does: it needs no `BEGIN`, so nothing that is cut off in between can leave a
//! transaction open. What needs several is called from tasks that run to their end.

mod accounts;
mod beats;
mod books;
mod catalogue;
mod gateway;
mod holds;
mod lapses;
mod letters;
mod money;
mod outbox;
mod redeem;
mod retention;
mod settle;
mod webhooks;

use std::{sync::Arc, time::Duration};

use fairline_events::Kind;
use fairline_postgres::{PgConnection, PgPool, PoolOptions, PostgresSettings};
use fairline_sale::{SaleId, VisitorId};
use fairline_service::StartError;
use fairline_trace::TraceContext;
use serde_json::{Value, json};
use sqlx::FromRow;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    Settings,
    account::AccountId,
    holder::Holders,
    order::{Order, OrderId, PaymentId},
    state::{HoldEvent, HoldState, OrderStatus, PaymentEvent, PaymentState, UnknownState, order_status},
};

pub(crate) use accounts::{CODE_GOOD_S, Refreshed};
pub(crate) use books::Counted;
pub(crate) use gateway::{GatewayEvent, Heard};
pub(crate) use holds::{Confirmed, GivenBack, NotReserved, PaymentStanding, StockRow};
pub(crate) use letters::Letter;
pub(crate) use money::{Charge, OrderRequest, RequestKind, Requested};
pub(crate) use outbox::Backlog;
use outbox::tell;
pub(crate) use redeem::Became;
pub(crate) use retention::Erased;
pub(crate) use settle::{Ended, Withdrawn};
pub(crate) use webhooks::{Delivery, Webhook};

/// How long a statement may take that no shopper waits for.
const BACKGROUND: Duration = Duration::from_secs(5);
/// Connections for what no shopper waits for.
const BACKGROUND_CONNECTIONS: u32 = 2;
/// Connections for the heartbeat, and for whoever asks whether this checkout is ready.
const HEARTBEAT_CONNECTIONS: u32 = 2;
/// Orders that one shopper is shown at most.
const ORDERS_MAX: i64 = 100;
/// How long a hold that a late payment has renewed is held again.
const RENEWED_FOR_S: f64 = 60.0;
/// A payment that nobody has touched for so long was left behind.
const LEFT_BEHIND_S: f64 = 10.0;
/// Payments that may be begun for one hold: enough for a forgotten code, too few to try out stolen cards.
const ATTEMPTS_MAX: i64 = 8;
/// The longest pause before a payment that the gateway has not answered is tried again: its hold waits for that.
const UNANSWERED_AGAIN_S: f64 = 60.0;
/// The same for one that the gateway knows, and that does not end.
const STUCK_AGAIN_S: f64 = 600.0;

/// Why the database did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A constraint of the schema refused it; its name says which promise would have been broken.
    #[error("the database's constraint {0} refused it")]
    Refused(String),
    /// A row that no version of ours has written.
    #[error("the database has a row that makes no sense: {0}")]
    Corrupt(String),
    /// Postgres is down, slow, or out of reach.
    #[error("Postgres does not answer: {0}")]
    Unavailable(#[source] Arc<sqlx::Error>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|database| database.constraint()) {
            Some(constraint) => Self::Refused(constraint.to_owned()),
            None => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl StoreError {
    /// Whether a person would have had more than a limit allows.
    pub(crate) fn is_over_a_limit(&self) -> bool {
        matches!(self, Self::Refused(constraint)
            if constraint == "allowances_are_kept" || constraint == "shopper_allowances_are_kept")
    }
}

impl From<UnknownState> for StoreError {
    fn from(error: UnknownState) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// Why a token was not redeemed.
#[derive(Debug)]
pub(crate) enum NotRedeemed {
    /// The controller has made no such admission, or has signed its token with another key since.
    NoSuchAdmission,
    /// It was redeemed before: this is what it became.
    Used(Box<Order>),
    /// Its time is over, or the controller has taken it back.
    Expired,
    /// Nothing is sold at this moment.
    SaleNotOpen,
    /// More was asked for than was promised.
    OverLimit {
        promised: i32,
    },
    /// The sale is for accounts only.
    NoAccount,
    /// The account may have so many units more.
    OverAllowance {
        left: i32,
    },
    /// The shopper may have so many units more.
    OverShopperLimit {
        left: i32,
    },
    /// The units are gone; only a sale that overbooks can come to this.
    SoldOut,
    /// Somebody else was changing it at this moment.
    Unsteady,
    /// Too many wait to be redeemed.
    Crowded,
    Store(StoreError),
}

impl From<StoreError> for NotRedeemed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(constraint)
                if constraint == "stock_is_never_oversold" || constraint == "stock_is_never_overpromised" =>
            {
                Self::SoldOut
            }
            // The same person bought something else at this moment: asked again, it is known how much that left.
            error if error.is_over_a_limit() => Self::Unsteady,
            error => Self::Store(error),
        }
    }
}

/// What is redeemed.
#[derive(Debug, Clone)]
pub(crate) struct Redemption {
    pub(crate) admission: Uuid,
    /// The key that signed the token. The controller may have given the shopper another token since, because it is revoked.
    pub(crate) kid: String,
    pub(crate) sale: SaleId,
    pub(crate) visitor: VisitorId,
    pub(crate) account: Option<AccountId>,
    pub(crate) quantity: i32,
    /// The trace in which it is redeemed: what becomes of the hold later belongs to it, too.
    pub(crate) trace: Option<TraceContext>,
}

/// What became of the wish to pay.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Begun {
    Payment(Payment),
    /// Every unit is sold, or held for somebody who pays: only in yield mode.
    NoUnit,
    /// A payment is under way, and waits for its shopper to prove who they are; whether the order's time runs still.
    Waits {
        payment: Payment,
        in_time: bool,
    },
    /// Too many payments of this order have come to nothing.
    TooMany,
    /// The order is not to be paid, or is being paid already.
    NotNow,
}

/// A payment, as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Payment {
    pub(crate) id: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) payment_method: String,
    /// The gateway's own id, once it has answered.
    pub(crate) reference: Option<String>,
    pub(crate) state: PaymentState,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) age: Duration,
    /// Something has to be settled with the gateway, though the payment has ended: the number of the newest report.
    pub(crate) to_settle: Option<i32>,
}

impl Payment {
    /// Whether it has ended without money.
    pub(crate) fn has_ended_unpaid(&self) -> bool {
        matches!(self.state, PaymentState::Declined | PaymentState::Voided)
    }

    /// The gateway's id of a payment that the gateway has authorised.
    pub(crate) fn authorised_reference(&self) -> Result<&str, StoreError> {
        let missing = || StoreError::Corrupt(format!("payment {} was authorised without a reference", self.id));
        self.reference.as_deref().ok_or_else(missing)
    }
}

#[derive(FromRow)]
struct PaymentRow {
    id: Uuid,
    hold_id: Uuid,
    payment_method: String,
    gateway_ref: Option<String>,
    state: String,
    amount_minor: i64,
    currency: String,
    age_s: f64,
    to_settle: Option<i32>,
}

/// Every query of a [`PaymentRow`] ends with these columns.
macro_rules! payment_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, hold_id, payment_method, gateway_ref, state, amount_minor, currency, \
             extract(epoch FROM now() - created_at)::double precision AS age_s, \
             CASE WHEN settle_at IS NOT NULL THEN settle_no END AS to_settle ",
            $after
        )
    };
}

use payment_columns;

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: PaymentId(row.id),
            order: OrderId(row.hold_id),
            payment_method: row.payment_method,
            reference: row.gateway_ref,
            state: row.state.as_str().try_into()?,
            amount_minor: row.amount_minor,
            currency: row.currency,
            age: Duration::try_from_secs_f64(row.age_s).unwrap_or_default(),
            to_settle: row.to_settle,
        })
    }
}

#[derive(FromRow)]
struct OrderRow {
    id: Uuid,
    admission_id: Option<Uuid>,
    sale_id: Uuid,
    quantity: i32,
    amount_minor: i64,
    currency: String,
    state: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    run_out: bool,
    newest_payment: Option<String>,
    // A hold that was just made has neither.
    #[sqlx(default)]
    refunded_minor: i64,
    #[sqlx(default)]
    dispute: Option<String>,
    paid_at: Option<OffsetDateTime>,
}

/// Every query of an [`OrderRow`] reads these columns from these tables.
macro_rules! order_rows {
    ($rest:literal) => {
        concat!(
            "SELECT holds.id, holds.admission_id, holds.sale_id, holds.quantity, holds.amount_minor, holds.currency, holds.state, \
             holds.created_at, holds.expires_at, holds.expires_at <= now() AS run_out, orders.paid_at, \
             newest.state AS newest_payment, coalesce(newest.refunded_minor, 0) AS refunded_minor, newest.dispute \
             FROM holds LEFT JOIN orders ON orders.id = holds.id LEFT JOIN LATERAL ( \
                SELECT payments.state, CASE payments.state WHEN 'refunded' THEN payments.amount_minor ELSE payments.refunded_minor END \
                AS refunded_minor, payments.dispute FROM payments WHERE hold_id = holds.id ORDER BY payments.created_at DESC LIMIT 1 \
             ) AS newest ON true ",
            $rest
        )
    };
}
use order_rows;

impl OrderRow {
    fn status(&self) -> Result<OrderStatus, StoreError> {
        let payment = self.newest_payment.as_deref().map(PaymentState::try_from).transpose()?;
        let status = order_status(self.state.as_str().try_into()?, self.run_out, payment);
        let is_refunded =
            status == OrderStatus::Paid && self.amount_minor > 0 && self.refunded_minor >= self.amount_minor;
        Ok(if is_refunded { OrderStatus::Refunded } else { status })
    }
}

impl TryFrom<OrderRow> for Order {
    type Error = StoreError;

    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: OrderId(row.id),
            sale_id: SaleId(row.sale_id),
            status: row.status()?,
            quantity: row.quantity,
            amount_minor: row.amount_minor,
            currency: row.currency,
            refunded_minor: row.refunded_minor,
            dispute: row.dispute,
            hold_expires_at: row.expires_at,
            paid_at: row.paid_at,
            created_at: row.created_at,
            notice: None,
        })
    }
}

/// A hold, locked.
#[derive(FromRow)]
struct HoldRow {
    sale_id: Uuid,
    visitor: Vec<u8>,
    quantity: i32,
    state: String,
    is_yield: bool,
}

/// Checkout's database, with pools of their own for what must not wait for each other.
#[derive(Clone)]
pub(crate) struct Store {
    pool: PgPool,
    payments: PgPool,
    background: PgPool,
}

/// The same database, for those whose connections nothing else may take.
pub(crate) struct Stores {
    /// What shoppers ask for, payments, and what is done for them later.
    pub(crate) requests: Store,
    pub(crate) redemptions: Store,
    /// What this checkout says of itself, and whether it is ready.
    pub(crate) heartbeat: Store,
}

impl Stores {
    /// Connects when it is first asked for something.
    pub(crate) fn connect(settings: &Settings) -> Result<Self, StartError> {
        let statement = Duration::from_millis(settings.postgres.postgres_statement_ms);
        let pool = |name, connections, statement| {
            let options = PoolOptions { name, connections, statement };
            PgPool::new(settings.postgres_url.expose(), &settings.postgres, options)
        };
        let alone = |pool: PgPool| Store { payments: pool.clone(), background: pool.clone(), pool };
        Ok(Self {
            requests: Store {
                pool: pool("checkout", settings.request_connections, statement)?,
                payments: pool("checkout-payments", settings.payment_connections, statement)?,
                background: pool("checkout-background", BACKGROUND_CONNECTIONS, BACKGROUND)?,
            },
            redemptions: alone(pool("checkout-redemptions", settings.redemption_connections, statement)?),
            heartbeat: alone(pool("checkout-heartbeat", HEARTBEAT_CONNECTIONS, statement)?),
        })
    }
}

impl Store {
    /// What a till needs, where there is no checkout around it.
    pub(crate) fn of_redemptions(postgres_url: &str) -> Result<Self, StartError> {
        let connections = crate::REDEMPTION_CONNECTIONS;
        let options = PoolOptions { name: "checkout-redemptions", connections, statement: BACKGROUND };
        let pool = PgPool::new(postgres_url, &PostgresSettings::default(), options)?;
        Ok(Self { payments: pool.clone(), background: pool.clone(), pool })
    }

    /// Whether Postgres answers, and takes writes.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        Ok(self.pool.probe().await?)
    }

    pub(crate) async fn sale_exists(&self, sale: SaleId) -> Result<bool, StoreError> {
        let exists = sqlx::query_scalar("SELECT EXISTS (SELECT FROM sales WHERE id = $1)").bind(sale.0);
        Ok(exists.fetch_one(&self.pool).await?)
    }

    /// The connections themselves, for what keeps answers to requests with a key.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// One order, if it is one of these holders'.
    pub(crate) async fn order(&self, order: OrderId, holders: &Holders) -> Result<Option<Order>, StoreError> {
        let row: Option<OrderRow> =
            sqlx::query_as(order_rows!("WHERE holds.id = $1 AND (holds.visitor = ANY($2) OR holds.account_id = $3)"))
                .bind(order.0)
                .bind(column(holders))
                .bind(account(holders))
                .fetch_optional(&self.pool)
                .await?;
        row.map(Order::try_from).transpose()
    }

    /// These holders' orders, the newest first.
    pub(crate) async fn orders(&self, holders: &Holders) -> Result<Vec<Order>, StoreError> {
        let rows: Vec<OrderRow> = sqlx::query_as(order_rows!(
            "WHERE holds.visitor = ANY($1) OR holds.account_id = $3 ORDER BY holds.created_at DESC, holds.id LIMIT $2"
        ))
        .bind(column(holders))
        .bind(ORDERS_MAX)
        .bind(account(holders))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Order::try_from).collect()
    }

    /// An account's orders, the newest first.
    pub(crate) async fn orders_of_account(&self, account: AccountId) -> Result<Vec<Order>, StoreError> {
        let rows: Vec<OrderRow> = sqlx::query_as(order_rows!(
            "WHERE holds.account_id = $1 ORDER BY holds.created_at DESC, holds.id LIMIT $2"
        ))
        .bind(account.0)
        .bind(ORDERS_MAX)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Order::try_from).collect()
    }

    /// Begins a payment, if the order is held in time, or in yield mode can be held now, and no other payment is under
    /// way.
    pub(crate) async fn begin_payment(&self, order: OrderId, payment_method: &str) -> Result<Begun, StoreError> {
        let mut transaction = self.payments.begin().await?;
        // The lock keeps the sweeper away: it either has lapsed the hold by now, or will see the payment.
        let hold = lock_hold(&mut transaction, order).await?;
        let row: OrderRow =
            sqlx::query_as(order_rows!("WHERE holds.id = $1")).bind(order.0).fetch_one(&mut *transaction).await?;
        let status = row.status()?;
        if matches!(status, OrderStatus::Held | OrderStatus::Promised) {
            let attempts = sqlx::query_scalar("SELECT count(*) FROM payments WHERE hold_id = $1").bind(order.0);
            let attempts: i64 = attempts.fetch_one(&mut *transaction).await?;
            if attempts >= ATTEMPTS_MAX {
                return Ok(Begun::TooMany);
            }
        }
        match status {
            OrderStatus::Held => {}
            OrderStatus::Promised => {
                if !shift_hold(&mut transaction, order, &hold, HoldState::Promised, HoldEvent::Secure).await? {
                    return Ok(Begun::NoUnit);
                }
            }
            OrderStatus::PaymentPending => {
                let waiting = waiting_payment(&mut transaction, order).await?;
                return Ok(waiting.map_or(Begun::NotNow, |payment| Begun::Waits { payment, in_time: !row.run_out }));
            }
            _ => return Ok(Begun::NotNow),
        }
        let begun: Result<PaymentRow, StoreError> = sqlx::query_as(payment_columns!(
            "INSERT INTO payments (id, hold_id, payment_method, amount_minor, currency) \
             VALUES ($1, $2, $3, $4, $5) RETURNING",
            ""
        ))
        .bind(Uuid::now_v7())
        .bind(order.0)
        .bind(payment_method)
        .bind(row.amount_minor)
        .bind(&row.currency)
        .fetch_one(&mut *transaction)
        .await
        .map_err(StoreError::from);
        match begun {
            Ok(payment) => {
                transaction.commit().await?;
                Ok(Begun::Payment(payment.try_into()?))
            }
            Err(StoreError::Refused(constraint)) if constraint == "payments_one_live_per_hold" => Ok(Begun::NotNow),
            Err(error) => Err(error),
        }
    }

    /// Keeps the gateway's id of a payment that waits for its shopper, and what their page needs. Not, when it has ended meanwhile.
    pub(crate) async fn note_reference(
        &self,
        payment: &Payment,
        reference: &str,
        client_secret: Option<&str>,
    ) -> Result<bool, StoreError> {
        let note = sqlx::query(
            "UPDATE payments SET gateway_ref = $2, client_secret = coalesce($3, client_secret), updated_at = now() \
             WHERE id = $1 AND state = 'started'",
        );
        let noted = note.bind(payment.id.0).bind(reference).bind(client_secret).execute(&self.payments).await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Moves a payment on, and gives it as it is now: somebody else may have moved it first.
    pub(crate) async fn advance(
        &self,
        payment: &Payment,
        event: PaymentEvent,
        reference: Option<&str>,
    ) -> Result<Payment, StoreError> {
        let to = after(payment, event)?;
        let moved: Option<PaymentRow> = sqlx::query_as(payment_columns!(
            "UPDATE payments SET state = $3, gateway_ref = coalesce($4, gateway_ref), updated_at = now() \
             WHERE id = $1 AND state = $2 RETURNING",
            ""
        ))
        .bind(payment.id.0)
        .bind(payment.state.word())
        .bind(to.word())
        .bind(reference)
        .fetch_optional(&self.payments)
        .await?;
        match moved {
            Some(row) => row.try_into(),
            None => read_payment(&mut *self.payments.acquire().await?, payment.id).await,
        }
    }

    /// The money of a payment went back. Gives it as it is now.
    pub(crate) async fn refunded(&self, payment: &Payment) -> Result<Payment, StoreError> {
        let mut transaction = self.payments.begin().await?;
        let sale: Option<Uuid> = sqlx::query_scalar(
            "UPDATE payments SET state = $3, refunded_minor = payments.amount_minor, updated_at = now() FROM holds \
             WHERE payments.id = $1 AND payments.state = $2 AND holds.id = hold_id RETURNING sale_id",
        )
        .bind(payment.id.0)
        .bind(payment.state.word())
        .bind(after(payment, PaymentEvent::Refund)?.word())
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(sale) = sale {
            let data = json!({
                "order_id": payment.order,
                "payment_id": payment.id.0,
                "amount_minor": payment.amount_minor,
                "currency": payment.currency,
            });
            tell(&mut transaction, sale, Kind::PaymentRefunded, data).await?;
        }
        let payment = read_payment(&mut transaction, payment.id).await?;
        transaction.commit().await?;
        Ok(payment)
    }

    /// Whether a unit is there for an authorised payment: its hold is still held, or can be held again. From here on,
    /// the hold can't lapse before the payment has ended.
    pub(crate) async fn secure_units(&self, payment: &Payment) -> Result<bool, StoreError> {
        let mut transaction = self.payments.begin().await?;
        let hold = lock_hold(&mut transaction, payment.order).await?;
        let secured = match HoldState::try_from(hold.state.as_str())? {
            HoldState::Held => true,
            HoldState::Promised => {
                shift_hold(&mut transaction, payment.order, &hold, HoldState::Promised, HoldEvent::Secure).await?
            }
            HoldState::Lapsed => renew_hold(&mut transaction, payment.order, &hold).await?,
            // Paid with another payment, or given back: this one has nothing to buy.
            HoldState::Paid | HoldState::Cancelled => false,
        };
        transaction.commit().await?;
        Ok(secured)
    }

    /// Ends a captured payment: as an order if its units are there or free, else as a debt to the shopper.
    pub(crate) async fn complete(&self, payment: &Payment) -> Result<Payment, StoreError> {
        let mut transaction = self.payments.begin().await?;
        let hold = lock_hold(&mut transaction, payment.order).await?;
        let locked = sqlx::query("SELECT FROM payments WHERE id = $1 FOR UPDATE").bind(payment.id.0);
        locked.execute(&mut *transaction).await?;
        let payment = read_payment(&mut transaction, payment.id).await?;
        if payment.state != PaymentState::Authorised {
            return Ok(payment);
        }
        let units_are_there = match HoldState::try_from(hold.state.as_str())? {
            HoldState::Held => true,
            HoldState::Promised => {
                shift_hold(&mut transaction, payment.order, &hold, HoldState::Promised, HoldEvent::Secure).await?
            }
            HoldState::Lapsed => renew_hold(&mut transaction, payment.order, &hold).await?,
            HoldState::Paid | HoldState::Cancelled => false,
        };
        let event = if units_are_there { PaymentEvent::Capture } else { PaymentEvent::OweRefund };
        sqlx::query("UPDATE payments SET state = $2, updated_at = now() WHERE id = $1")
            .bind(payment.id.0)
            .bind(after(&payment, event)?.word())
            .execute(&mut *transaction)
            .await?;
        if units_are_there {
            sell(&mut transaction, &payment, &hold).await?;
        }
        let payment = read_payment(&mut transaction, payment.id).await?;
        transaction.commit().await?;
        Ok(payment)
    }

    /// Takes on payments that somebody left half done, those whose holds run out first before others; nobody else takes them for a
    /// while. One that does not end is tried after twice as long each time; what waits for a shopper, or for a bank, is asked for
    /// the more seldom the longer it has waited.
    pub(crate) async fn adopt_payments(&self, limit: i64) -> Result<Vec<Payment>, StoreError> {
        let rows: Vec<PaymentRow> = sqlx::query_as(payment_columns!(
            "UPDATE payments SET updated_at = now(), adoptions = adoptions + 1 WHERE id IN ( \
                SELECT payments.id FROM payments JOIN holds ON holds.id = hold_id \
                WHERE payments.state IN ('started', 'authorised', 'refund_due') \
                AND updated_at < now() - make_interval(secs => least($1 * power(2, least(adoptions, 10)), \
                    CASE WHEN gateway_ref IS NULL THEN $3 ELSE $4 END)) \
                AND (payments.state = 'authorised' OR gateway_ref IS NULL \
                    OR updated_at < now() - least((now() - payments.created_at) / 10, interval '1 hour')) \
                ORDER BY holds.expires_at, payments.id LIMIT $2 FOR UPDATE OF payments SKIP LOCKED) \
             RETURNING",
            ""
        ))
        .bind(LEFT_BEHIND_S)
        .bind(limit)
        .bind(UNANSWERED_AGAIN_S)
        .bind(STUCK_AGAIN_S)
        .fetch_all(&self.payments)
        .await?;
        rows.into_iter().map(Payment::try_from).collect()
    }

    /// How long the oldest payment that has not ended has been under way.
    pub(crate) async fn oldest_unfinished_s(&self) -> Result<f64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision FROM payments \
             WHERE state IN ('started', 'authorised', 'refund_due')",
        )
        .fetch_one(&self.pool)
        .await?)
    }
}

fn after(payment: &Payment, event: PaymentEvent) -> Result<PaymentState, StoreError> {
    let illegal =
        || StoreError::Corrupt(format!("payment {} is {} and can't {event:?}", payment.id, payment.state.word()));
    payment.state.after(event).ok_or_else(illegal)
}

fn hold_after(state: HoldState, event: HoldEvent) -> Result<HoldState, StoreError> {
    state.after(event).ok_or_else(|| StoreError::Corrupt(format!("a hold is {} and can't {event:?}", state.word())))
}

fn column(holders: &Holders) -> Vec<&[u8]> {
    holders.iter().map(|VisitorId(visitor)| &visitor[..]).collect()
}

fn account(holders: &Holders) -> Option<Uuid> {
    holders.account().map(|AccountId(id)| id)
}

async fn lock_hold(connection: &mut PgConnection, order: OrderId) -> Result<HoldRow, StoreError> {
    let row = sqlx::query_as(
        "SELECT sale_id, visitor, quantity, state, (SELECT mode = 'yield' FROM sales WHERE id = sale_id) AS is_yield \
         FROM holds WHERE id = $1 FOR UPDATE",
    );
    Ok(row.bind(order.0).fetch_one(connection).await?)
}

async fn tell_reserved(
    connection: &mut PgConnection,
    order: OrderId,
    hold: &HoldRow,
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    let until = expires_at.format(&Rfc3339).unwrap_or_default();
    let data = json!({ "order_id": order, "quantity": hold.quantity, "hold_expires_at": until });
    tell(connection, hold.sale_id, Kind::InventoryReserved, data).await
}

/// Moves a hold's units between promised and held, as far as that has units to hold. The hold is locked.
async fn shift_hold(
    connection: &mut PgConnection,
    order: OrderId,
    hold: &HoldRow,
    from: HoldState,
    event: HoldEvent,
) -> Result<bool, StoreError> {
    let to = hold_after(from, event)?;
    let to_hold = if to == HoldState::Held { hold.quantity } else { -hold.quantity };
    let shifted: Option<OffsetDateTime> = sqlx::query_scalar(
        "WITH shifted AS ( \
            UPDATE stock SET promised = promised - $3, held = held + $3 \
            WHERE sale_id = $2 AND held + sold + $3 <= total RETURNING sale_id \
         ) \
         UPDATE holds SET state = $4 FROM shifted WHERE id = $1 RETURNING expires_at",
    )
    .bind(order.0)
    .bind(hold.sale_id)
    .bind(to_hold)
    .bind(to.word())
    .fetch_optional(&mut *connection)
    .await?;
    match shifted {
        Some(expires_at) if to == HoldState::Held => tell_reserved(connection, order, hold, expires_at).await?,
        Some(_) => {
            let data = json!({ "order_id": order, "quantity": hold.quantity, "reason": "not_paid" });
            tell(connection, hold.sale_id, Kind::InventoryReleased, data).await?;
        }
        None => {}
    }
    Ok(shifted.is_some())
}

/// The payment of an order that waits for its shopper to prove who they are.
async fn waiting_payment(connection: &mut PgConnection, order: OrderId) -> Result<Option<Payment>, StoreError> {
    let row: Option<PaymentRow> = sqlx::query_as(payment_columns!(
        "SELECT",
        "FROM payments WHERE hold_id = $1 AND state = 'started' AND gateway_ref IS NOT NULL"
    ))
    .bind(order.0)
    .fetch_optional(connection)
    .await?;
    row.map(Payment::try_from).transpose()
}

async fn read_payment(connection: &mut PgConnection, payment: PaymentId) -> Result<Payment, StoreError> {
    let row: PaymentRow = sqlx::query_as(payment_columns!("SELECT", "FROM payments WHERE id = $1"))
        .bind(payment.0)
        .fetch_one(connection)
        .await?;
    row.try_into()
}

/// Holds a lapsed hold's units again, if units are free that nobody has been promised; in yield mode, that nobody holds; and if
/// its account and its shopper may have them still. The hold is locked.
async fn renew_hold(connection: &mut PgConnection, order: OrderId, hold: &HoldRow) -> Result<bool, StoreError> {
    let state = hold_after(HoldState::Lapsed, HoldEvent::Renew)?;
    let renewed: Option<OffsetDateTime> = sqlx::query_scalar(
        "WITH taken AS ( \
            UPDATE stock SET held = held + $3, \
            overbook = CASE WHEN $6 THEN greatest(overbook, promised + held + sold + $3 - total) ELSE overbook END \
            WHERE sale_id = $2 AND (CASE WHEN $6 THEN 0 ELSE promised END) + held + sold + $3 <= total \
            AND NOT EXISTS (SELECT FROM allowances JOIN holds USING (sale_id, account_id) WHERE holds.id = $1 AND units + $3 > most) \
            AND NOT EXISTS (SELECT FROM shopper_allowances JOIN holds USING (sale_id, visitor) WHERE holds.id = $1 AND units + $3 > most) \
            RETURNING sale_id \
         ) \
         UPDATE holds SET state = $4, expires_at = now() + make_interval(secs => $5) FROM taken WHERE id = $1 \
         RETURNING expires_at",
    )
    .bind(order.0)
    .bind(hold.sale_id)
    .bind(hold.quantity)
    .bind(state.word())
    .bind(RENEWED_FOR_S)
    .bind(hold.is_yield)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(expires_at) = renewed {
        tell_reserved(connection, order, hold, expires_at).await?;
    }
    Ok(renewed.is_some())
}

/// Turns a held hold into an order. Both it and the payment are locked.
async fn sell(connection: &mut PgConnection, payment: &Payment, hold: &HoldRow) -> Result<(), StoreError> {
    sqlx::query("UPDATE holds SET state = $2 WHERE id = $1")
        .bind(payment.order.0)
        .bind(hold_after(HoldState::Held, HoldEvent::Pay)?.word())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO orders (id, sale_id, payment_id, visitor, quantity, amount_minor, currency) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(payment.order.0)
    .bind(hold.sale_id)
    .bind(payment.id.0)
    .bind(&hold.visitor)
    .bind(hold.quantity)
    .bind(payment.amount_minor)
    .bind(&payment.currency)
    .execute(&mut *connection)
    .await?;
    let data = json!({
        "order_id": payment.order,
        "payment_id": payment.id.0,
        "quantity": hold.quantity,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
    });
    count_sold(connection, hold, data).await
}

/// Counts the units of a hold as sold, and tells of it.
async fn count_sold(connection: &mut PgConnection, hold: &HoldRow, data: Value) -> Result<(), StoreError> {
    let sold_out: bool = sqlx::query_scalar(
        "UPDATE stock SET held = held - $2, sold = sold + $2 WHERE sale_id = $1 RETURNING sold = total",
    )
    .bind(hold.sale_id)
    .bind(hold.quantity)
    .fetch_one(&mut *connection)
    .await?;
    tell(connection, hold.sale_id, Kind::PurchaseCompleted, data).await?;
    if sold_out {
        tell(connection, hold.sale_id, Kind::FlashSaleSoldOut, json!({})).await?;
    }
    Ok(())
}
