//! Refunds of whole payments, and the requests of operators and the merchant.

use fairline_events::EventKind;
use fairline_postgres::{PgConnection, Word};
use fairline_sale::{OrderRequestKind, OrderRequestState};
use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    db::StoreError,
    events::store::publish,
    orders::{order::OrderId, state::PaymentEvent},
    payments::store::{Payment, PaymentRow, PaymentStore, after, payment_columns, read_payment},
};

/// A request in progress is taken over by another checkout after this many seconds.
const REQUEST_TRIED_EVERY_S: f64 = 30.0;
/// The longest stored reason of a failure.
const ERROR_CHARS_MAX: usize = 300;

/// A request about an order.
#[derive(Debug, Clone)]
pub(crate) struct OrderRequest {
    pub(crate) id: Uuid,
    pub(crate) order: OrderId,
    pub(crate) kind: OrderRequestKind,
    /// The amount of a refund; the whole remaining amount if absent.
    pub(crate) amount_minor: Option<i64>,
}

#[derive(FromRow)]
struct RequestRow {
    id: Uuid,
    order_id: Uuid,
    kind: Word<OrderRequestKind>,
    amount_minor: Option<i64>,
}

impl From<RequestRow> for OrderRequest {
    fn from(row: RequestRow) -> Self {
        Self { id: row.id, order: OrderId(row.order_id), kind: row.kind.0, amount_minor: row.amount_minor }
    }
}

/// The captured payment of an order.
#[derive(Debug)]
pub(crate) struct CapturedPayment {
    pub(crate) payment: Payment,
    pub(crate) refunded_minor: i64,
}

/// The outcome of the merchant's request for a refund.
#[derive(Debug)]
pub(crate) enum RefundOutcome {
    Accepted(OrderRequest),
    OrderNotFound,
    /// The order was not paid for here.
    NotPaid,
    /// The amount exceeds what is left.
    TooMuch {
        left_minor: i64,
    },
    /// Another request for the order is still open.
    UnderWay,
}

/// Records the refund of a whole payment.
const REFUND_WHOLE: &str = "UPDATE payments SET state = $3, refunded_minor = payments.amount_minor, updated_at = now() FROM holds \
     WHERE payments.id = $1 AND payments.state = $2 AND holds.id = hold_id RETURNING sale_id";

/// Inserts a request of the merchant.
const REQUEST_REFUND: &str = "INSERT INTO order_requests (id, order_id, sale_id, kind, amount_minor, reason, requested_by, due_at) \
     SELECT $1, id, sale_id, 'refund', $3, $4, 'shop', now() + make_interval(secs => $5) FROM holds WHERE id = $2 \
     RETURNING id, order_id, kind, amount_minor";

/// Takes over due requests.
const ADOPT_REQUESTS: &str = "UPDATE order_requests SET due_at = now() + make_interval(secs => $1) WHERE id IN ( \
        SELECT id FROM order_requests WHERE state = 'requested' AND due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
     RETURNING id, order_id, kind, amount_minor";

impl PaymentStore {
    /// Records a refund of the whole payment. Returns the payment as it is now.
    pub(crate) async fn refunded(&self, payment: &Payment) -> Result<Payment, StoreError> {
        let mut transaction = self.payments.begin().await?;
        let sale: Option<Uuid> = sqlx::query_scalar(REFUND_WHOLE)
            .bind(payment.id.0)
            .bind(payment.state.as_str())
            .bind(after(payment, PaymentEvent::Refund)?.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(sale) = sale {
            let data = json!({
                "order_id": payment.order,
                "payment_id": payment.id.0,
                "amount_minor": payment.amount_minor,
                "currency": payment.currency,
            });
            publish(&mut transaction, sale, EventKind::PaymentRefunded, data).await?;
        }
        let payment = read_payment(&mut transaction, payment.id).await?;
        transaction.commit().await?;
        Ok(payment)
    }

    /// The captured payment of an order, if it was paid for here.
    pub(crate) async fn paid_with(&self, order: OrderId) -> Result<Option<CapturedPayment>, StoreError> {
        paid_with(&mut *self.requests.acquire().await?, order).await
    }

    /// Stores the merchant's request for a refund. A checkout process executes it.
    pub(crate) async fn request_refund(
        &self,
        order: OrderId,
        amount_minor: Option<i64>,
        reason: &str,
    ) -> Result<RefundOutcome, StoreError> {
        let mut transaction = self.requests.begin().await?;
        let known = sqlx::query_scalar("SELECT EXISTS (SELECT FROM holds WHERE id = $1)").bind(order.0);
        if !known.fetch_one(&mut *transaction).await? {
            return Ok(RefundOutcome::OrderNotFound);
        }
        let Some(CapturedPayment { payment, refunded_minor }) = paid_with(&mut transaction, order).await? else {
            return Ok(RefundOutcome::NotPaid);
        };
        let left_minor = payment.amount_minor - refunded_minor;
        if amount_minor.unwrap_or(1) > left_minor {
            return Ok(RefundOutcome::TooMuch { left_minor });
        }
        let row: Result<RequestRow, StoreError> = sqlx::query_as(REQUEST_REFUND)
            .bind(Uuid::now_v7())
            .bind(order.0)
            .bind(amount_minor)
            .bind(reason)
            .bind(REQUEST_TRIED_EVERY_S)
            .fetch_one(&mut *transaction)
            .await
            .map_err(StoreError::from);
        match row {
            Ok(row) => {
                transaction.commit().await?;
                Ok(RefundOutcome::Accepted(row.into()))
            }
            Err(StoreError::Refused(constraint)) if constraint == "order_requests_one_at_a_time" => {
                Ok(RefundOutcome::UnderWay)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes over due requests; no other process takes them for a while.
    pub(crate) async fn adopt_requests(&self, limit: i64) -> Result<Vec<OrderRequest>, StoreError> {
        let rows: Vec<RequestRow> =
            sqlx::query_as(ADOPT_REQUESTS).bind(REQUEST_TRIED_EVERY_S).bind(limit).fetch_all(&self.requests).await?;
        Ok(rows.into_iter().map(OrderRequest::from).collect())
    }

    /// Ends a request and schedules a read of the balance. Returns the payment to settle, for a
    /// refund.
    pub(crate) async fn end_request(
        &self,
        request: &OrderRequest,
        failed: Option<&str>,
    ) -> Result<Option<Payment>, StoreError> {
        let state = if failed.is_some() { OrderRequestState::Failed } else { OrderRequestState::Done };
        let failed: Option<String> = failed.map(|why| why.chars().take(ERROR_CHARS_MAX).collect());
        let mut transaction = self.requests.begin().await?;
        sqlx::query("UPDATE order_requests SET state = $2, error = $3 WHERE id = $1 AND state = 'requested'")
            .bind(request.id)
            .bind(state.as_str())
            .bind(failed)
            .execute(&mut *transaction)
            .await?;
        let settle: Option<PaymentRow> = sqlx::query_as(payment_columns!(
            "UPDATE payments SET settle_at = now() + make_interval(secs => 10), settle_no = settle_no + 1 \
             WHERE id = (SELECT payment_id FROM orders WHERE id = $1) AND state = 'captured' RETURNING",
            ""
        ))
        .bind(request.order.0)
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        settle.map(Payment::try_from).transpose()
    }

    /// The newest request of an order: its state, its error, and when it was made.
    pub(crate) async fn newest_request(
        &self,
        order: OrderId,
    ) -> Result<Option<(OrderRequestState, Option<String>, OffsetDateTime)>, StoreError> {
        let newest: Option<(Word<OrderRequestState>, _, _)> = sqlx::query_as(
            "SELECT state, error, created_at FROM order_requests WHERE order_id = $1 ORDER BY created_at DESC LIMIT 1",
        )
        .bind(order.0)
        .fetch_optional(&self.requests)
        .await?;
        Ok(newest.map(|(Word(state), error, created_at)| (state, error, created_at)))
    }
}

async fn paid_with(connection: &mut PgConnection, order: OrderId) -> Result<Option<CapturedPayment>, StoreError> {
    let row: Option<PaymentRow> = sqlx::query_as(payment_columns!(
        "SELECT",
        "FROM payments WHERE id = (SELECT payment_id FROM orders WHERE orders.id = $1) AND state = 'captured'"
    ))
    .bind(order.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let refunded_minor = sqlx::query_scalar("SELECT refunded_minor FROM payments WHERE id = $1").bind(row.id);
    let refunded_minor = refunded_minor.fetch_one(connection).await?;
    Ok(Some(CapturedPayment { payment: row.try_into()?, refunded_minor }))
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statements_of_refunds_match_their_snapshots() {
        assert_snapshot!("refund_whole", statement(REFUND_WHOLE));
        assert_snapshot!("request_refund", statement(REQUEST_REFUND));
        assert_snapshot!("adopt_requests", statement(ADOPT_REQUESTS));
    }
}
