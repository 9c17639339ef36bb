//! Orders of a sale, and requests to refund or cancel one.

use fairline_postgres::Word;
use fairline_sale::{OrderRequestKind, OrderRequestState, OrderStatus, SaleId};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Author, Database, StoreError};

/// A search among the orders of a sale.
#[derive(Debug, Default)]
pub struct OrderSearch<'a> {
    /// Only this order.
    pub order: Option<Uuid>,
    /// Only those of this ticket, of any line of the sale.
    pub ordinal: Option<i64>,
    /// Only those of this e-mail address or phone number, or with this reference of the gateway or
    /// of the merchant.
    pub name: Option<&'a str>,
    /// Only those made before this one.
    pub before: Option<Uuid>,
}

/// An order of a sale.
#[derive(Debug, FromRow)]
pub struct AdminOrderRow {
    pub id: Uuid,
    pub status: Word<OrderStatus>,
    pub quantity: i32,
    pub amount_minor: i64,
    pub currency: String,
    pub refunded_minor: i64,
    pub disputed_minor: i64,
    pub dispute: Option<String>,
    pub reference: Option<String>,
    pub ordinal: Option<i64>,
    pub address: Option<String>,
    pub created_at: OffsetDateTime,
    pub paid_at: Option<OffsetDateTime>,
    pub request: Option<Word<OrderRequestKind>>,
    pub request_state: Option<Word<OrderRequestState>>,
    pub request_error: Option<String>,
}

/// What an operator requests for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAction {
    /// A refund of an amount, or of all that is left.
    Refund(Option<i64>),
    /// A cancellation, with a payment that has not been authorised.
    Cancel,
}

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    Accepted,
    OrderNotFound,
    /// Only this amount can be refunded.
    NotRefundable {
        left_minor: i64,
    },
    /// It is paid for, or has ended.
    NotCancellable,
    /// Another request of the order has not ended.
    UnderWay,
}

/// Finds orders of a sale, with their payments and requests.
const ORDERS: &str = "SELECT holds.id, CASE \
        WHEN holds.state = 'paid' AND coalesce(newest.refunded_minor, 0) >= holds.amount_minor THEN 'refunded' \
        WHEN holds.state = 'paid' THEN 'paid' \
        WHEN newest.state IN ('started', 'authorised') THEN 'payment_pending' \
        WHEN newest.state IN ('refund_due', 'refunded') THEN 'refunded' \
        WHEN holds.state IN ('promised', 'held') AND holds.expires_at <= now() THEN 'expired' \
        ELSE holds.state END AS status, \
     holds.quantity, holds.amount_minor, holds.currency, coalesce(newest.refunded_minor, 0) AS refunded_minor, \
     coalesce(newest.disputed_minor, 0) AS disputed_minor, newest.dispute, coalesce(newest.gateway_ref, orders.paid_as) AS reference, \
     admissions.ordinal, accounts.address, holds.created_at, orders.paid_at, \
     asked.kind AS request, asked.state AS request_state, asked.error AS request_error \
     FROM holds LEFT JOIN orders ON orders.id = holds.id LEFT JOIN admissions ON admissions.id = holds.admission_id \
     LEFT JOIN accounts ON accounts.id = holds.account_id \
     LEFT JOIN LATERAL (SELECT payments.state, gateway_ref, dispute, disputed_minor, \
        CASE payments.state WHEN 'refunded' THEN payments.amount_minor ELSE payments.refunded_minor END AS refunded_minor \
        FROM payments WHERE hold_id = holds.id ORDER BY created_at DESC LIMIT 1) AS newest ON true \
     LEFT JOIN LATERAL (SELECT kind, state, error FROM order_requests WHERE order_id = holds.id \
        ORDER BY created_at DESC LIMIT 1) AS asked ON true \
     WHERE holds.sale_id = $1 AND ($2::uuid IS NULL OR holds.id = $2) \
     AND ($3::bigint IS NULL OR holds.admission_id = ANY (ARRAY(SELECT id FROM admissions \
        WHERE line_id IN (SELECT id FROM lines WHERE sale_id = $1) AND ordinal = $3 AND state <> 'lapsed'))) \
     AND ($4::text IS NULL OR holds.account_id = ANY (ARRAY(SELECT id FROM accounts WHERE address = $4)) \
        OR holds.id = ANY (ARRAY(SELECT hold_id FROM payments WHERE gateway_ref = $4)) \
        OR holds.reserved_as = $4 OR orders.paid_as = $4) \
     AND ($5::uuid IS NULL OR (holds.created_at, holds.id) < (SELECT created_at, id FROM holds WHERE id = $5)) \
     ORDER BY holds.created_at DESC, holds.id DESC LIMIT $6";

/// Orders, and the requests about them.
#[derive(Clone)]
pub(crate) struct AdminOrderStore(pub(crate) Database);

impl AdminOrderStore {
    /// Orders of a sale, the newest first.
    pub async fn orders(
        &self,
        sale: SaleId,
        search: &OrderSearch<'_>,
        limit: i64,
    ) -> Result<Vec<AdminOrderRow>, StoreError> {
        Ok(sqlx::query_as(ORDERS)
            .bind(sale.0)
            .bind(search.order)
            .bind(search.ordinal)
            .bind(search.name)
            .bind(search.before)
            .bind(limit)
            .fetch_all(&self.0.pool)
            .await?)
    }

    /// Requests a refund or a cancellation, which a checkout executes.
    pub async fn request(
        &self,
        by: &Author,
        sale: SaleId,
        order: Uuid,
        action: OrderAction,
    ) -> Result<RequestOutcome, StoreError> {
        let (name, kind, amount) = match action {
            OrderAction::Refund(amount) => ("refund_order", OrderRequestKind::Refund, amount),
            OrderAction::Cancel => ("cancel_order", OrderRequestKind::Cancel, None),
        };
        let mut transaction = self.0.begin(by, name).await?;
        let known: Option<(String, Option<i64>)> = sqlx::query_as(
            "SELECT holds.state, (SELECT payments.amount_minor - payments.refunded_minor FROM orders JOIN payments ON payments.id = payment_id \
             WHERE orders.id = holds.id AND payments.state = 'captured') FROM holds WHERE id = $1 AND sale_id = $2",
        )
        .bind(order)
        .bind(sale.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((state, left)) = known else { return Ok(RequestOutcome::OrderNotFound) };
        match action {
            OrderAction::Refund(amount) => {
                let left_minor = left.unwrap_or(0);
                if amount.unwrap_or(1) > left_minor {
                    return Ok(RequestOutcome::NotRefundable { left_minor });
                }
            }
            OrderAction::Cancel if !matches!(state.as_str(), "promised" | "held") => {
                return Ok(RequestOutcome::NotCancellable);
            }
            OrderAction::Cancel => {}
        }
        let asked = sqlx::query(
            "INSERT INTO order_requests (id, order_id, sale_id, kind, amount_minor, reason, requested_by) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(Uuid::now_v7())
        .bind(order)
        .bind(sale.0)
        .bind(kind.as_str())
        .bind(amount)
        .bind(by.why.as_deref().unwrap_or_default())
        .bind(&by.who)
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::from);
        match asked {
            Ok(_) => {
                transaction.commit().await?;
                Ok(RequestOutcome::Accepted)
            }
            Err(StoreError::Refused(constraint)) if constraint == "order_requests_one_at_a_time" => {
                Ok(RequestOutcome::UnderWay)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statement_of_the_search_matches_its_snapshot() {
        assert_snapshot!("orders", statement(ORDERS));
    }
}
