//! Orders as stored, and as their owners see them.

use fairline_postgres::PgConnection;
use fairline_sale::{SaleId, VisitorId};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    auth::{
        account::AccountId,
        caller::{Caller, ShopperIdentity},
    },
    db::{PgPool, StoreError},
    orders::{
        order::{Order, OrderId},
        state::{OrderStatus, PaymentState, UnknownState, order_status},
    },
};

/// Orders that one shopper is shown, at most.
const ORDERS_MAX: i64 = 100;

/// The visitor id of anonymised rows; ids are random, so no visitor has it. The rules of
/// retention repeat it as a literal, since a partial index needs the exact condition.
pub(crate) const ANONYMOUS: [u8; 16] = [0; 16];

impl From<UnknownState> for StoreError {
    fn from(error: UnknownState) -> Self {
        Self::Corrupt(error.to_string())
    }
}

#[derive(FromRow)]
pub(crate) struct OrderRow {
    pub(crate) id: Uuid,
    pub(crate) admission_id: Option<Uuid>,
    pub(crate) sale_id: Uuid,
    pub(crate) quantity: i32,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) state: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
    pub(crate) is_expired: bool,
    pub(crate) newest_payment: Option<String>,
    // Both are absent for a hold that was just made.
    #[sqlx(default)]
    pub(crate) refunded_minor: i64,
    #[sqlx(default)]
    pub(crate) dispute: Option<String>,
    pub(crate) paid_at: Option<OffsetDateTime>,
}

/// The state of a payment as it is reported. A process that read it before its end may still call
/// the gateway, and until it can't, the payment is pending.
macro_rules! reported_state {
    () => {
        "CASE WHEN payments.state = 'voided' AND payments.call_until > now() THEN 'started' ELSE payments.state END"
    };
}
pub(crate) use reported_state;

/// Every query of an [`OrderRow`] reads these columns from these tables.
macro_rules! order_rows {
    ($rest:literal) => {
        concat!(
            "SELECT holds.id, holds.admission_id, holds.sale_id, holds.quantity, holds.amount_minor, holds.currency, holds.state, \
             holds.created_at, holds.expires_at, holds.expires_at <= now() AS is_expired, orders.paid_at, \
             newest.state AS newest_payment, coalesce(newest.refunded_minor, 0) AS refunded_minor, newest.dispute \
             FROM holds LEFT JOIN orders ON orders.id = holds.id LEFT JOIN LATERAL ( \
                SELECT ",
            $crate::orders::store::reported_state!(),
            " AS state, CASE payments.state WHEN 'refunded' THEN payments.amount_minor ELSE payments.refunded_minor END \
                AS refunded_minor, payments.dispute FROM payments WHERE hold_id = holds.id ORDER BY payments.created_at DESC LIMIT 1 \
             ) AS newest ON true ",
            $rest
        )
    };
}
pub(crate) use order_rows;

impl OrderRow {
    pub(crate) fn status(&self) -> Result<OrderStatus, StoreError> {
        let payment = self.newest_payment.as_deref().map(PaymentState::try_from).transpose()?;
        let status = order_status(self.state.as_str().try_into()?, self.is_expired, payment);
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

/// Orders and their holds.
#[derive(Clone)]
pub(crate) struct OrderStore(pub(crate) PgPool);

impl OrderStore {
    /// An order, if it belongs to this caller.
    pub(crate) async fn order(&self, order: OrderId, shopper: &ShopperIdentity) -> Result<Option<Order>, StoreError> {
        let row: Option<OrderRow> =
            sqlx::query_as(order_rows!("WHERE holds.id = $1 AND (holds.visitor = ANY($2) OR holds.account_id = $3)"))
                .bind(order.0)
                .bind(column(shopper))
                .bind(account(shopper))
                .fetch_optional(&self.0)
                .await?;
        row.map(Order::try_from).transpose()
    }

    /// An order, if the caller may see it.
    pub(crate) async fn order_for(&self, order: OrderId, caller: &Caller) -> Result<Option<Order>, StoreError> {
        order_for(&mut *self.0.acquire().await?, order, caller).await
    }

    /// The orders of a caller, the newest first.
    pub(crate) async fn orders(&self, shopper: &ShopperIdentity) -> Result<Vec<Order>, StoreError> {
        let rows: Vec<OrderRow> = sqlx::query_as(order_rows!(
            "WHERE holds.visitor = ANY($1) OR holds.account_id = $3 ORDER BY holds.created_at DESC, holds.id LIMIT $2"
        ))
        .bind(column(shopper))
        .bind(ORDERS_MAX)
        .bind(account(shopper))
        .fetch_all(&self.0)
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
        .fetch_all(&self.0)
        .await?;
        rows.into_iter().map(Order::try_from).collect()
    }

    /// Anonymises the ended orders of a caller. Returns their number.
    pub(crate) async fn forget(&self, shopper: &ShopperIdentity) -> Result<u64, StoreError> {
        let mut transaction = self.0.begin().await?;
        let ended: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM holds WHERE (visitor = ANY ($1) OR account_id = $2) AND state NOT IN ('promised', 'held') AND NOT EXISTS (SELECT FROM payments \
             WHERE hold_id = holds.id AND state IN ('started', 'authorised', 'refund_due'))",
        )
        .bind(column(shopper))
        .bind(account(shopper))
        .fetch_all(&mut *transaction)
        .await?;
        unlink(&mut transaction, &ended).await?;
        transaction.commit().await?;
        Ok(ended.len() as u64)
    }
}

/// An order, if the caller may see it.
pub(crate) async fn order_for(
    connection: &mut PgConnection,
    order: OrderId,
    caller: &Caller,
) -> Result<Option<Order>, StoreError> {
    let row: Option<OrderRow> =
        sqlx::query_as(order_rows!("WHERE holds.id = $1 AND ($2 OR holds.visitor = ANY($3) OR holds.account_id = $4)"))
            .bind(order.0)
            .bind(caller.is_merchant())
            .bind(column(caller.shopper()))
            .bind(account(caller.shopper()))
            .fetch_optional(connection)
            .await?;
    row.map(Order::try_from).transpose()
}

pub(crate) fn column(shopper: &ShopperIdentity) -> Vec<&[u8]> {
    shopper.iter().map(|VisitorId(visitor)| &visitor[..]).collect()
}

pub(crate) fn account(shopper: &ShopperIdentity) -> Option<Uuid> {
    shopper.account().map(|AccountId(id)| id)
}

/// Anonymises holds, with their admissions, orders and payments.
pub(crate) async fn unlink(connection: &mut PgConnection, holds: &[Uuid]) -> Result<(), StoreError> {
    for visitors in [
        "UPDATE admissions SET visitor = $2 WHERE id IN (SELECT admission_id FROM holds WHERE id = ANY ($1))",
        // As an array and with the constant, so that the index on visitors is used. A merchant's
        // reservation has the anonymous visitor, as has each ticket action that was anonymised.
        "UPDATE ticket_actions SET visitor = $2 WHERE visitor = ANY (ARRAY (SELECT visitor FROM holds WHERE id = ANY ($1))) \
         AND visitor <> '\\x00000000000000000000000000000000' AND (kind = 'removed' OR done)",
        "UPDATE holds SET visitor = $2, account_id = NULL, reserved_as = CASE WHEN reserved_as IS NOT NULL THEN 'forgotten ' || id END \
         WHERE id = ANY ($1)",
        "UPDATE orders SET visitor = $2, paid_as = CASE WHEN paid_as IS NOT NULL THEN 'forgotten' END WHERE id = ANY ($1)",
    ] {
        sqlx::query(visitors).bind(holds).bind(&ANONYMOUS[..]).execute(&mut *connection).await?;
    }
    let paid_with = sqlx::query("UPDATE payments SET payment_method = '' WHERE hold_id = ANY ($1)");
    paid_with.bind(holds).execute(connection).await?;
    Ok(())
}
