//! Payments as stored: each step is one statement, or a transaction that locks the hold first.

use std::time::Duration;

use fairline_payment_gateway::{Charge, PaymentId};
use fairline_postgres::PgConnection;
use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    auth::caller::Caller,
    db::{PgPool, StoreError},
    orders::{
        holds::store::{HoldRow, count_sold, hold_after, lock_hold, renew_hold, shift_hold},
        order::OrderId,
        state::{HoldEvent, HoldState, OrderStatus, PaymentEvent, PaymentState},
        store::{OrderRow, account, column, order_rows, reported_state},
    },
};

/// A payment unchanged for this long is considered abandoned, in seconds.
pub(crate) const LEFT_BEHIND_S: f64 = 10.0;

/// Payments that may begin for one hold: enough for a forgotten code, too few to test stolen cards.
pub(crate) const ATTEMPTS_MAX: i64 = 8;

/// The longest pause before an unanswered payment is retried: its hold waits for it.
pub(crate) const UNANSWERED_AGAIN_S: f64 = 60.0;

/// The same for a payment that the gateway has and that does not end.
pub(crate) const STUCK_AGAIN_S: f64 = 600.0;

/// The outcome of beginning a payment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BeginOutcome {
    Payment(Payment),
    /// Yield mode only: every unit is sold, or held for another shopper who is paying.
    NoUnit,
    /// A pending payment waits for its shopper to authenticate. `in_time`: the order has not
    /// expired.
    Waits {
        payment: Payment,
        in_time: bool,
    },
    /// Too many payments of this order have failed.
    TooMany,
    /// The order can't be paid, or is being paid.
    NotNow,
}

/// The state of a payment.
#[derive(Debug)]
pub(crate) struct PaymentView {
    pub(crate) id: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) state: PaymentState,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) updated_at: OffsetDateTime,
    /// Only while the payment waits for its shopper.
    pub(crate) client_secret: Option<String>,
}

/// A payment as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Payment {
    pub(crate) id: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) payment_method: String,
    /// The gateway's id, after its response.
    pub(crate) reference: Option<String>,
    pub(crate) state: PaymentState,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) age: Duration,
    /// The number of the newest report, if the payment has to be settled with the gateway.
    pub(crate) to_settle: Option<i32>,
}

impl Payment {
    /// Whether it has ended unpaid.
    pub(crate) fn has_ended_unpaid(&self) -> bool {
        matches!(self.state, PaymentState::Declined | PaymentState::Voided)
    }

    /// The charge to authorise at the gateway, unless it is too late to send it.
    pub(crate) fn charge(&self, send_by: Instant) -> Charge<'_> {
        let Self { id: payment, order: OrderId(order), payment_method, amount_minor, currency, .. } = self;
        Charge { payment: *payment, order: *order, payment_method, amount_minor: *amount_minor, currency, send_by }
    }

    /// The gateway's id of an authorised payment.
    pub(crate) fn authorised_reference(&self) -> Result<&str, StoreError> {
        let missing = || StoreError::Corrupt(format!("payment {} was authorised without a reference", self.id));
        self.reference.as_deref().ok_or_else(missing)
    }
}

#[derive(FromRow)]
pub(crate) struct PaymentRow {
    pub(crate) id: Uuid,
    pub(crate) hold_id: Uuid,
    pub(crate) payment_method: String,
    pub(crate) gateway_ref: Option<String>,
    pub(crate) state: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) age_s: f64,
    pub(crate) to_settle: Option<i32>,
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

pub(crate) use payment_columns;

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

/// Takes over abandoned payments.
const ADOPT_PAYMENTS: &str = payment_columns!(
    "UPDATE payments SET updated_at = now(), recovery_attempts = recovery_attempts + 1 WHERE id IN ( \
        SELECT payments.id FROM payments JOIN holds ON holds.id = hold_id \
        WHERE payments.state IN ('started', 'authorised', 'refund_due') \
        AND updated_at < now() - make_interval(secs => least($1 * power(2, least(recovery_attempts, 10)), \
            CASE WHEN gateway_ref IS NULL THEN $3 ELSE $4 END)) \
        AND (payments.state = 'authorised' OR gateway_ref IS NULL \
            OR updated_at < now() - least((now() - payments.created_at) / 10, interval '1 hour')) \
        ORDER BY holds.expires_at, payments.id LIMIT $2 FOR UPDATE OF payments SKIP LOCKED) \
     RETURNING",
    ""
);

/// Payments and their refunds. Statements after a response of the gateway have connections of their
/// own.
#[derive(Clone)]
pub(crate) struct PaymentStore {
    pub(crate) requests: PgPool,
    pub(crate) payments: PgPool,
}

impl PaymentStore {
    /// Begins a payment if the order is held in time, or can be held now in yield mode, and no
    /// other payment is pending.
    pub(crate) async fn begin_payment(&self, order: OrderId, payment_method: &str) -> Result<BeginOutcome, StoreError> {
        let mut transaction = self.payments.begin().await?;
        // The lock excludes the sweeper, which has either expired the hold already or will see the
        // payment.
        let hold = lock_hold(&mut transaction, order).await?;
        let row: OrderRow =
            sqlx::query_as(order_rows!("WHERE holds.id = $1")).bind(order.0).fetch_one(&mut *transaction).await?;
        let status = row.status()?;
        if matches!(status, OrderStatus::Held | OrderStatus::Promised) {
            let attempts = sqlx::query_scalar("SELECT count(*) FROM payments WHERE hold_id = $1").bind(order.0);
            let attempts: i64 = attempts.fetch_one(&mut *transaction).await?;
            if attempts >= ATTEMPTS_MAX {
                return Ok(BeginOutcome::TooMany);
            }
        }
        match status {
            OrderStatus::Held => {}
            OrderStatus::Promised => {
                if !shift_hold(&mut transaction, &hold, HoldState::Promised, HoldEvent::Secure).await? {
                    return Ok(BeginOutcome::NoUnit);
                }
            }
            OrderStatus::PaymentPending => {
                let waiting = waiting_payment(&mut transaction, order).await?;
                return Ok(waiting.map_or(BeginOutcome::NotNow, |payment| BeginOutcome::Waits {
                    payment,
                    in_time: !row.is_expired,
                }));
            }
            _ => return Ok(BeginOutcome::NotNow),
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
                Ok(BeginOutcome::Payment(payment.try_into()?))
            }
            Err(StoreError::Refused(constraint)) if constraint == "payments_one_live_per_hold" => {
                Ok(BeginOutcome::NotNow)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores the gateway's id of a payment that waits for its shopper, and its client secret.
    /// Returns false if the payment has ended meanwhile.
    pub(crate) async fn store_reference(
        &self,
        payment: &Payment,
        reference: &str,
        client_secret: Option<&str>,
    ) -> Result<bool, StoreError> {
        let note = sqlx::query(
            "UPDATE payments SET gateway_ref = $2, client_secret = coalesce($3, client_secret), \
             call_until = NULL, updated_at = now() \
             WHERE id = $1 AND state = 'started'",
        );
        let noted = note.bind(payment.id.0).bind(reference).bind(client_secret).execute(&self.payments).await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Advances a payment and returns it as it is now: another process may have advanced it first.
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
        .bind(payment.state.as_str())
        .bind(to.as_str())
        .bind(reference)
        .fetch_optional(&self.payments)
        .await?;
        match moved {
            Some(row) => row.try_into(),
            None => read_payment(&mut *self.payments.acquire().await?, payment.id).await,
        }
    }

    /// Whether a unit is available for an authorised payment: its hold is held, or can be held
    /// again. From now on the hold can't expire before the payment ends.
    pub(crate) async fn secure_units(&self, payment: &Payment) -> Result<bool, StoreError> {
        let mut transaction = self.payments.begin().await?;
        let hold = lock_hold(&mut transaction, payment.order).await?;
        let secured = match HoldState::try_from(hold.state.as_str())? {
            HoldState::Held => true,
            HoldState::Promised => shift_hold(&mut transaction, &hold, HoldState::Promised, HoldEvent::Secure).await?,
            HoldState::Expired => renew_hold(&mut transaction, &hold).await?,
            // Paid with another payment, or cancelled: this payment has nothing to buy.
            HoldState::Paid | HoldState::Cancelled => false,
        };
        transaction.commit().await?;
        Ok(secured)
    }

    /// Ends a captured payment: as an order if its units are available, otherwise as a refund that
    /// is due.
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
            HoldState::Promised => shift_hold(&mut transaction, &hold, HoldState::Promised, HoldEvent::Secure).await?,
            HoldState::Expired => renew_hold(&mut transaction, &hold).await?,
            HoldState::Paid | HoldState::Cancelled => false,
        };
        let event = if units_are_there { PaymentEvent::Capture } else { PaymentEvent::OweRefund };
        sqlx::query("UPDATE payments SET state = $2, updated_at = now() WHERE id = $1")
            .bind(payment.id.0)
            .bind(after(&payment, event)?.as_str())
            .execute(&mut *transaction)
            .await?;
        if units_are_there {
            sell(&mut transaction, &payment, &hold).await?;
        }
        let payment = read_payment(&mut transaction, payment.id).await?;
        transaction.commit().await?;
        Ok(payment)
    }

    /// Takes over abandoned payments, those with the earliest expiring holds first; no other
    /// process takes them for a while. The interval doubles with each attempt. A payment that waits
    /// for its shopper or bank is read less often the older it is.
    pub(crate) async fn adopt_payments(&self, limit: i64) -> Result<Vec<Payment>, StoreError> {
        let rows: Vec<PaymentRow> = sqlx::query_as(ADOPT_PAYMENTS)
            .bind(LEFT_BEHIND_S)
            .bind(limit)
            .bind(UNANSWERED_AGAIN_S)
            .bind(STUCK_AGAIN_S)
            .fetch_all(&self.payments)
            .await?;
        rows.into_iter().map(Payment::try_from).collect()
    }

    /// A payment by its own id, or the newest payment of an order by the order's id, if the caller
    /// may see it.
    pub(crate) async fn payment_for(&self, id: Uuid, caller: &Caller) -> Result<Option<PaymentView>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            id: Uuid,
            hold_id: Uuid,
            state: String,
            amount_minor: i64,
            currency: String,
            updated_at: OffsetDateTime,
            client_secret: Option<String>,
        }
        let row: Option<Row> = sqlx::query_as(
            concat!("SELECT payments.id, hold_id, ", reported_state!(), " AS state, payments.amount_minor, payments.currency, updated_at, \
             CASE WHEN payments.state = 'started' THEN client_secret END AS client_secret FROM payments \
             JOIN holds ON holds.id = hold_id WHERE (payments.id = $1 OR hold_id = $1) AND ($2 OR visitor = ANY($3) OR account_id = $4) \
             ORDER BY payments.created_at DESC LIMIT 1"),
        )
        .bind(id)
        .bind(caller.is_merchant())
        .bind(column(caller.shopper()))
        .bind(account(caller.shopper()))
        .fetch_optional(&self.requests)
        .await?;
        let view = |row: Row| -> Result<PaymentView, StoreError> {
            Ok(PaymentView {
                id: PaymentId(row.id),
                order: OrderId(row.hold_id),
                state: row.state.as_str().try_into()?,
                amount_minor: row.amount_minor,
                currency: row.currency,
                updated_at: row.updated_at,
                client_secret: row.client_secret,
            })
        };
        row.map(view).transpose()
    }

    /// The age of the oldest payment that has not ended, in seconds.
    pub(crate) async fn oldest_unfinished_s(&self) -> Result<f64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision FROM payments \
             WHERE state IN ('started', 'authorised', 'refund_due')",
        )
        .fetch_one(&self.requests)
        .await?)
    }
}

pub(crate) fn after(payment: &Payment, event: PaymentEvent) -> Result<PaymentState, StoreError> {
    let illegal =
        || StoreError::Corrupt(format!("payment {} is {} and can't {event:?}", payment.id, payment.state.as_str()));
    payment.state.after(event).ok_or_else(illegal)
}

/// The payment of an order that waits for its shopper to authenticate.
pub(crate) async fn waiting_payment(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Option<Payment>, StoreError> {
    let row: Option<PaymentRow> = sqlx::query_as(payment_columns!(
        "SELECT",
        "FROM payments WHERE hold_id = $1 AND state = 'started' AND gateway_ref IS NOT NULL"
    ))
    .bind(order.0)
    .fetch_optional(connection)
    .await?;
    row.map(Payment::try_from).transpose()
}

pub(crate) async fn read_payment(connection: &mut PgConnection, payment: PaymentId) -> Result<Payment, StoreError> {
    let row: PaymentRow = sqlx::query_as(payment_columns!("SELECT", "FROM payments WHERE id = $1"))
        .bind(payment.0)
        .fetch_one(connection)
        .await?;
    row.try_into()
}

/// Turns a hold into an order. The caller has locked the hold and the payment.
pub(crate) async fn sell(connection: &mut PgConnection, payment: &Payment, hold: &HoldRow) -> Result<(), StoreError> {
    sqlx::query("UPDATE holds SET state = $2 WHERE id = $1")
        .bind(payment.order.0)
        .bind(hold_after(HoldState::Held, HoldEvent::Pay)?.as_str())
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

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statement_of_recovery_matches_its_snapshot() {
        assert_snapshot!("adopt_payments", statement(ADOPT_PAYMENTS));
    }
}
