//! Payments that end unpaid, and what remains to be settled with the gateway afterwards.
//!
//! - A payment ends in its row first, by its driver, the sweeper or the shopper's withdrawal. Only
//!   then is the money released at the gateway. An ended payment is never authorised again, so no
//!   order is paid without the shopper's knowledge.
//! - A process marks the row when it reads it before an authorisation, which it then sends soon or
//!   not at all. Until that time is over, the end of the payment is not reported.

use std::time::Duration;

use fairline_events::EventKind;
use fairline_payment_gateway::{Balance, PaymentId};
use fairline_postgres::PgConnection;
use fairline_sale::amount_from_gateway;
use serde_json::json;
use sqlx::FromRow;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    auth::caller::Caller,
    db::StoreError,
    events::store::publish,
    orders::{
        expiry::store::UNANSWERED_KEEPS_HOLD_S,
        holds::store::{HoldRow, hold_after, lock_hold, shift_hold},
        order::{Order, OrderId},
        state::{HoldEvent, HoldState, OrderStatus, PaymentEvent, PaymentState},
        store::order_for,
    },
    payments::store::{LEFT_BEHIND_S, Payment, PaymentRow, PaymentStore, after, payment_columns, read_payment},
};

/// When the sweeper first settles an ended payment, unless the process that ended it has.
const SETTLED_AFTER_S: f64 = 2.0;
/// How soon an ended payment is settled again, in seconds. The interval grows with its age.
const SETTLED_EVERY_S: f64 = 10.0;

/// Until this long after a payment has ended, an empty search does not prove that the gateway has
/// none: a call may be in flight, and the search index lags. In seconds.
const FOUND_WITHIN_S: f64 = 120.0;

/// How long after it has read a payment a process may send the authorisation, by its own clock.
const SENT_WITHIN: Duration = Duration::from_secs(2);
/// How long after that read the end of the payment is not reported, by the database's clock, in
/// seconds: a request that was sent in time has a second to reach the gateway.
const REPORTED_AFTER_S: f64 = 3.0;

/// Whether a payment must be given up: its hold has expired, and it is older than 15 minutes, or
/// unanswered in a closed sale. An unanswered payment is given up as soon as its units are sold,
/// since a hold is renewed for authorised money only.
macro_rules! is_late {
    ($seconds:literal) => {
        concat!(
            "(holds.expires_at <= now() AND (payments.created_at <= now() - make_interval(secs => ",
            $seconds,
            ") OR gateway_ref IS NULL AND (SELECT status = 'closed' FROM sales WHERE sales.id = holds.sale_id)) \
             OR gateway_ref IS NULL AND holds.state <> 'held')"
        )
    };
}

/// How a payment ended unpaid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnpaidEnd<'a> {
    /// What ended it.
    pub(crate) by: PaymentEvent,
    /// The gateway's id, if it has just become known.
    pub(crate) reference: Option<&'a str>,
    /// The gateway may still authorise it or hold its money, so it has to be cancelled there.
    pub(crate) is_open: bool,
    /// The gateway has responded to its authorisation. A repetition gets the same response, so no
    /// other process can cause a first one.
    pub(crate) is_answered: bool,
    /// The gateway's code, if it rejected the payment itself rather than the card.
    pub(crate) rejected_as: Option<&'a str>,
}

impl UnpaidEnd<'_> {
    /// Ended here only; it has to be cancelled at the gateway.
    pub(crate) const OPEN: Self = Self { is_open: true, is_answered: false, ..Self::by(PaymentEvent::Void) };

    /// Ended at the gateway, too.
    pub(crate) const fn by(event: PaymentEvent) -> Self {
        Self { by: event, reference: None, is_open: false, is_answered: true, rejected_as: None }
    }
}

/// The outcome of cancelling an order.
#[derive(Debug)]
pub(crate) enum Cancellation {
    /// Its units are free, or were before; or it had expired, and its pending payment was
    /// withdrawn.
    Done(Order, WithdrawnPayment),
    /// Its payment was withdrawn. The rest has to wait until that may be reported.
    Unreported(Order, WithdrawnPayment, Duration),
    /// It is paid or being captured, or it had expired.
    NotNow(Order),
}

/// The withdrawn payment, if there was one.
#[derive(Debug)]
pub(crate) struct WithdrawnPayment(pub(crate) Option<Payment>);

/// Marks a payment before its authorisation, unless it is authorised, has ended, or is late.
const PERMIT_AUTHORISATION: &str = concat!(
    "UPDATE payments SET call_until = CASE WHEN gateway_ref IS NULL THEN now() + make_interval(secs => $3) END FROM holds \
     WHERE payments.id = $1 AND payments.state = 'started' AND holds.id = hold_id AND NOT ",
    is_late!("$2")
);

/// Finds abandoned payments that are too late to authorise.
const LATE_PAYMENTS: &str = concat!(
    "SELECT payments.id, hold_id, payment_method, gateway_ref, payments.state, payments.amount_minor, payments.currency, \
     extract(epoch FROM now() - payments.created_at)::double precision AS age_s, \
     CASE WHEN settle_at IS NOT NULL THEN settle_no END AS to_settle \
     FROM payments JOIN holds ON holds.id = hold_id WHERE payments.state = 'started' \
     AND updated_at < now() - make_interval(secs => $3) AND ",
    is_late!("$1"),
    " ORDER BY updated_at LIMIT $2"
);

/// Takes over ended payments that have to be settled.
const ADOPT_TO_SETTLE: &str = payment_columns!(
    "UPDATE payments SET settle_at = now() + greatest(make_interval(secs => $1), least((now() - created_at) / 10, interval '1 hour')) \
     WHERE id IN (SELECT id FROM payments WHERE settle_at <= now() ORDER BY settle_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
     RETURNING",
    ""
);

/// Locks a captured payment, unless a newer report about it arrived.
const KNOWN_BALANCE: &str = "SELECT holds.sale_id, CASE payments.state WHEN 'refunded' THEN payments.amount_minor ELSE refunded_minor END AS refunded_minor, \
     disputed_minor, dispute FROM payments JOIN holds ON holds.id = hold_id WHERE payments.id = $1 AND settle_no = $2 \
     AND settle_at IS NOT NULL AND payments.state IN ('captured', 'refunded') FOR UPDATE OF payments";

/// Ends a payment unpaid, and schedules its settlement.
const END_UNPAID: &str = payment_columns!(
    "UPDATE payments SET state = $3, gateway_ref = coalesce($4, gateway_ref), rejected_as = $5, updated_at = now(), \
     settle_at = CASE WHEN $6 THEN now() + make_interval(secs => $7) END, settle_no = settle_no + $6::integer, \
     call_until = CASE WHEN $8 THEN NULL ELSE call_until END \
     WHERE id = $1 AND state = $2 RETURNING",
    ""
);

impl PaymentStore {
    /// Withdraws the payment of an order, unless it is known to be authorised. Returns the order as
    /// it is reported then, and when that changes if a withdrawal is not reported yet; none if the
    /// order does not exist or belongs to another caller.
    pub(crate) async fn withdraw(
        &self,
        order: OrderId,
        caller: &Caller,
    ) -> Result<Option<(Order, WithdrawnPayment, Option<Duration>)>, StoreError> {
        let mut transaction = self.requests.begin().await?;
        let Some(found) = order_for(&mut transaction, order, caller).await? else { return Ok(None) };
        let hold = lock_hold(&mut transaction, order).await?;
        let withdrawn = withdraw(&mut transaction, order, &hold).await?;
        let found = order_for(&mut transaction, order, caller).await?.unwrap_or(found);
        let later = reported_in(&mut transaction, order).await?;
        transaction.commit().await?;
        Ok(Some((found, withdrawn, later)))
    }

    /// Cancels a hold, and withdraws its payment, unless that is known to be authorised. Returns
    /// none if the order does not exist or belongs to another caller.
    pub(crate) async fn cancel_order(
        &self,
        order: OrderId,
        caller: &Caller,
    ) -> Result<Option<Cancellation>, StoreError> {
        let mut transaction = self.requests.begin().await?;
        let Some(found) = order_for(&mut transaction, order, caller).await? else { return Ok(None) };
        let mut hold = lock_hold(&mut transaction, order).await?;
        let withdrawn = withdraw(&mut transaction, order, &hold).await?;
        if let Some(within) = reported_in(&mut transaction, order).await? {
            transaction.commit().await?;
            return Ok(Some(Cancellation::Unreported(found, withdrawn, within)));
        }
        if withdrawn.0.is_some() && hold.is_yield {
            hold = lock_hold(&mut transaction, order).await?;
        }
        // Read again under the lock.
        let found = order_for(&mut transaction, order, caller).await?.unwrap_or(found);
        match found.status {
            OrderStatus::Cancelled => return Ok(Some(Cancellation::Done(found, withdrawn))),
            OrderStatus::Held | OrderStatus::Promised => {}
            OrderStatus::Expired if withdrawn.0.is_some() => {
                transaction.commit().await?;
                return Ok(Some(Cancellation::Done(found, withdrawn)));
            }
            _ => return Ok(Some(Cancellation::NotNow(found))),
        }
        let from = HoldState::try_from(hold.state.as_str())?;
        let to = hold_after(from, HoldEvent::Cancel)?;
        let was_held = from == HoldState::Held;
        let free = sqlx::query(if was_held {
            "UPDATE stock SET held = held - $2 WHERE sale_id = $1 AND item = 1"
        } else {
            "UPDATE stock SET promised = promised - $2 WHERE sale_id = $1 AND item = 1"
        });
        free.bind(hold.sale_id).bind(hold.quantity).execute(&mut *transaction).await?;
        if was_held {
            let data = json!({ "order_id": order, "quantity": hold.quantity, "reason": "cancelled" });
            publish(&mut transaction, hold.sale_id, EventKind::InventoryReleased, data).await?;
        }
        // Last, since it also changes the allowances.
        sqlx::query("UPDATE holds SET state = $2, cancelled_at = now() WHERE id = $1")
            .bind(order.0)
            .bind(to.as_str())
            .execute(&mut *transaction)
            .await?;
        let cancelled = order_for(&mut transaction, order, caller).await?.unwrap_or(found);
        transaction.commit().await?;
        Ok(Some(Cancellation::Done(cancelled, withdrawn)))
    }

    /// Ends a payment unpaid and returns it as it is now. In yield mode, its units become free for
    /// other payments.
    pub(crate) async fn end_unpaid(&self, payment: &Payment, ended: UnpaidEnd<'_>) -> Result<Payment, StoreError> {
        let mut transaction = self.payments.begin().await?;
        let hold = lock_hold(&mut transaction, payment.order).await?;
        let Some(moved) = end(&mut transaction, payment, &hold, ended).await? else {
            return read_payment(&mut transaction, payment.id).await;
        };
        transaction.commit().await?;
        Ok(moved)
    }

    /// Permits to send the authorisation of a payment up to the returned time. Returns none if it
    /// is authorised, has ended, or is late.
    pub(crate) async fn permit_authorisation(&self, payment: &Payment) -> Result<Option<Instant>, StoreError> {
        // Before the statement is sent, so that the time is over here before it is in the row.
        let send_by = Instant::now() + SENT_WITHIN;
        let permitted = sqlx::query(PERMIT_AUTHORISATION)
            .bind(payment.id.0)
            .bind(UNANSWERED_KEEPS_HOLD_S)
            .bind(REPORTED_AFTER_S)
            .execute(&self.payments)
            .await?;
        Ok((permitted.rows_affected() == 1).then_some(send_by))
    }

    /// Abandoned payments that are too late to authorise, the oldest first.
    pub(crate) async fn late_payments(&self, limit: i64) -> Result<Vec<Payment>, StoreError> {
        let rows: Vec<PaymentRow> = sqlx::query_as(LATE_PAYMENTS)
            .bind(UNANSWERED_KEEPS_HOLD_S)
            .bind(limit)
            .bind(LEFT_BEHIND_S)
            .fetch_all(&self.payments)
            .await?;
        rows.into_iter().map(Payment::try_from).collect()
    }

    /// The gateway has authorised a payment that had ended: the authorisation has to be released.
    pub(crate) async fn left_open(&self, payment: PaymentId, reference: &str) -> Result<Payment, StoreError> {
        let row: PaymentRow = sqlx::query_as(payment_columns!(
            "UPDATE payments SET gateway_ref = coalesce(gateway_ref, $2), settle_no = settle_no + 1, \
             settle_at = now() + make_interval(secs => $3) WHERE id = $1 RETURNING",
            ""
        ))
        .bind(payment.0)
        .bind(reference)
        .bind(SETTLED_EVERY_S)
        .fetch_one(&self.payments)
        .await?;
        row.try_into()
    }

    /// Takes over ended payments that have to be settled; no other process takes them for a while.
    pub(crate) async fn adopt_to_settle(&self, limit: i64) -> Result<Vec<Payment>, StoreError> {
        let rows: Vec<PaymentRow> =
            sqlx::query_as(ADOPT_TO_SETTLE).bind(SETTLED_EVERY_S).bind(limit).fetch_all(&self.payments).await?;
        rows.into_iter().map(Payment::try_from).collect()
    }

    /// Whether the gateway may have an ended payment that a search does not find yet.
    pub(crate) async fn may_be_unknown(&self, payment: PaymentId) -> Result<bool, StoreError> {
        let recent = "SELECT updated_at > now() - make_interval(secs => $2) FROM payments WHERE id = $1";
        Ok(sqlx::query_scalar(recent).bind(payment.0).bind(FOUND_WITHIN_S).fetch_one(&self.payments).await?)
    }

    /// Marks a payment as settled, unless a newer report arrived.
    pub(crate) async fn settled(&self, payment: &Payment, reference: Option<&str>) -> Result<(), StoreError> {
        let settled = sqlx::query(
            "UPDATE payments SET settle_at = CASE WHEN settle_no = $3 THEN NULL ELSE settle_at END, \
             gateway_ref = coalesce(gateway_ref, $2) WHERE id = $1",
        );
        settled.bind(payment.id.0).bind(reference).bind(payment.to_settle).execute(&self.payments).await?;
        Ok(())
    }

    /// Stores the balance of a captured payment and publishes events for the changes, unless a
    /// newer report arrived, which leads to another read. Returns whether a dispute is new.
    pub(crate) async fn store_balance(&self, payment: &Payment, balance: &Balance) -> Result<bool, StoreError> {
        #[derive(FromRow)]
        struct Known {
            sale_id: Uuid,
            refunded_minor: i64,
            disputed_minor: i64,
            dispute: Option<String>,
        }
        let mut transaction = self.requests.begin().await?;
        let known: Option<Known> = sqlx::query_as(KNOWN_BALANCE)
            .bind(payment.id.0)
            .bind(payment.to_settle)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(known) = known else { return Ok(false) };
        let minor = |amount| amount_from_gateway(amount, &payment.currency).clamp(0, payment.amount_minor);
        let (refunded, disputed) = (minor(balance.refunded), minor(balance.disputed));
        // For a payment that was refunded as a whole, our own rows decide.
        let refunded = if payment.state == PaymentState::Refunded { known.refunded_minor } else { refunded };
        sqlx::query(
            "UPDATE payments SET refunded_minor = $2, disputed_minor = $3, dispute = $4, settle_at = NULL WHERE id = $1",
        )
        .bind(payment.id.0)
        .bind(refunded)
        .bind(disputed)
        .bind(balance.dispute.as_deref())
        .execute(&mut *transaction)
        .await?;
        let about = |amount: i64| {
            json!({
                "order_id": payment.order,
                "payment_id": payment.id.0,
                "amount_minor": amount,
                "currency": payment.currency,
            })
        };
        if refunded != known.refunded_minor {
            let mut data = about((refunded - known.refunded_minor).abs());
            data["refunded_minor"] = json!(refunded);
            let kind =
                if refunded > known.refunded_minor { EventKind::PaymentRefunded } else { EventKind::RefundFailed };
            publish(&mut transaction, known.sale_id, kind, data).await?;
        }
        if (disputed, balance.dispute.as_ref()) != (known.disputed_minor, known.dispute.as_ref()) {
            let mut data = about(disputed);
            data["dispute"] = json!(balance.dispute.as_deref().unwrap_or("withdrawn"));
            publish(&mut transaction, known.sale_id, EventKind::PaymentDisputed, data).await?;
        }
        transaction.commit().await?;
        Ok(known.dispute.is_none() && balance.dispute.is_some())
    }

    /// The gateway has captured a payment that had ended here: a refund is due. Returns the payment
    /// as it is now.
    pub(crate) async fn record_refund_due(&self, payment: &Payment, reference: &str) -> Result<Payment, StoreError> {
        let owed: Option<PaymentRow> = sqlx::query_as(payment_columns!(
            "UPDATE payments SET state = $3, gateway_ref = $4, updated_at = now() \
             WHERE id = $1 AND state = $2 RETURNING",
            ""
        ))
        .bind(payment.id.0)
        .bind(payment.state.as_str())
        .bind(after(payment, PaymentEvent::OweRefund)?.as_str())
        .bind(reference)
        .fetch_optional(&self.payments)
        .await?;
        match owed {
            Some(row) => row.try_into(),
            None => read_payment(&mut *self.payments.acquire().await?, payment.id).await,
        }
    }

    /// Why the gateway rejected the newest payment of an order, if the card was not the cause.
    pub(crate) async fn rejection(&self, order: OrderId) -> Result<Option<String>, StoreError> {
        let code =
            sqlx::query_scalar("SELECT rejected_as FROM payments WHERE hold_id = $1 ORDER BY created_at DESC LIMIT 1");
        let code: Option<Option<String>> = code.bind(order.0).fetch_optional(&self.payments).await?;
        Ok(code.flatten())
    }
}

/// Ends a payment unpaid. The caller has locked the hold. Returns none if the payment changed its
/// state.
async fn end(
    connection: &mut PgConnection,
    payment: &Payment,
    hold: &HoldRow,
    ended: UnpaidEnd<'_>,
) -> Result<Option<Payment>, StoreError> {
    let moved: Option<PaymentRow> = sqlx::query_as(END_UNPAID)
        .bind(payment.id.0)
        .bind(payment.state.as_str())
        .bind(after(payment, ended.by)?.as_str())
        .bind(ended.reference)
        .bind(ended.rejected_as)
        .bind(ended.is_open)
        .bind(SETTLED_AFTER_S)
        .bind(ended.is_answered)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(moved) = moved else { return Ok(None) };
    if hold.is_yield && HoldState::try_from(hold.state.as_str())? == HoldState::Held {
        shift_hold(connection, hold, HoldState::Held, HoldEvent::Release).await?;
    }
    moved.try_into().map(Some)
}

/// How long the end of an order's payment is not reported yet.
async fn reported_in(connection: &mut PgConnection, order: OrderId) -> Result<Option<Duration>, StoreError> {
    let left = sqlx::query_scalar(
        "SELECT extract(epoch FROM max(call_until) - now())::double precision FROM payments \
         WHERE hold_id = $1 AND state = 'voided' AND call_until > now()",
    );
    let left: Option<f64> = left.bind(order.0).fetch_one(connection).await?;
    Ok(left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

/// Ends the payment of an order unless it is known to be authorised, whether or not the gateway has
/// responded. The caller has locked the hold.
pub(crate) async fn withdraw(
    connection: &mut PgConnection,
    order: OrderId,
    hold: &HoldRow,
) -> Result<WithdrawnPayment, StoreError> {
    let started: Option<PaymentRow> =
        sqlx::query_as(payment_columns!("SELECT", "FROM payments WHERE hold_id = $1 AND state = $2"))
            .bind(order.0)
            .bind(PaymentState::Started.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    let Some(started) = started.map(Payment::try_from).transpose()? else { return Ok(WithdrawnPayment(None)) };
    Ok(WithdrawnPayment(end(connection, &started, hold, UnpaidEnd::OPEN).await?))
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statements_of_settlement_match_their_snapshots() {
        assert_snapshot!("late_payments", statement(LATE_PAYMENTS));
        assert_snapshot!("adopt_to_settle", statement(ADOPT_TO_SETTLE));
        assert_snapshot!("known_balance", statement(KNOWN_BALANCE));
        assert_snapshot!("permit_authorisation", statement(PERMIT_AUTHORISATION));
        assert_snapshot!("end_unpaid", statement(END_UNPAID));
    }
}
