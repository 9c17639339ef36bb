//! The merchant API in the database: sells holds that were paid for elsewhere, reserves units, and
//! reads the stocks.

use fairline_postgres::PgConnection;
use fairline_sale::{SaleId, Status, presented_status};
use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    auth::caller::Caller,
    db::{PgPool, StoreError},
    merchant_api::stock::Stock,
    orders::{
        holds::store::{HoldRow, count_sold, hold_after, lock_hold, publish_reserved, renew_hold, shift_hold},
        order::{Order, OrderId},
        state::{HoldEvent, HoldState, OrderStatus},
        store::{ANONYMOUS, order_for},
    },
};

/// Units that the merchant wants to hold for itself.
pub(crate) struct Reservation {
    pub(crate) sale: SaleId,
    pub(crate) quantity: i32,
    pub(crate) reference: String,
    pub(crate) held_for_s: i32,
}

/// The outcome of a confirmation by the merchant.
#[derive(Debug)]
pub(crate) enum ConfirmOutcome {
    /// It is sold, or was sold before under this reference.
    Sold(Order),
    /// It can't be sold: its units are sold to others, or it was paid or is being paid another way.
    NotNow(Order),
}

/// A stock and its sale.
#[derive(FromRow)]
struct StockRow {
    sale_id: Uuid,
    slug: String,
    status: String,
    total: i32,
    promised: i32,
    held: i32,
    sold: i32,
}

impl From<StockRow> for Stock {
    fn from(row: StockRow) -> Self {
        let stored = Status::from_stored(&row.status);
        Self {
            sale_id: SaleId(row.sale_id),
            slug: row.slug,
            status: presented_status(stored, row.total.unsigned_abs(), row.sold.unsigned_abs()),
            total: row.total,
            promised: row.promised,
            held: row.held,
            sold: row.sold,
            free: (row.total - row.promised - row.held - row.sold).max(0),
        }
    }
}

/// Why nothing was reserved for the merchant.
#[derive(Debug)]
pub(crate) enum ReserveError {
    SaleNotFound,
    SaleNotOpen,
    /// Too few units are free.
    TooFew {
        free: i32,
    },
    /// The reference belongs to another reservation.
    OtherReservation,
}

/// Stocks that are listed at most, those of the newest sales first.
const STOCKS_MAX: i64 = 1000;
/// Units of a closed sale are out for at most this long, in seconds: longer than any reservation.
const OUT_FOR_MAX_S: f64 = 8.0 * 24.0 * 3600.0;

/// Takes free units of a stock.
const HOLD_UNITS: &str = "UPDATE stock SET held = held + $2, \
     overbook = CASE WHEN $3 THEN greatest(overbook, promised + held + sold + $2 - total) ELSE overbook END \
     WHERE sale_id = $1 AND item = 1";

/// Inserts a hold of the merchant, at the price of the sale.
const INSERT_RESERVATION: &str = "INSERT INTO holds (id, reserved_as, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
     SELECT $1, $2, id, $3, $4, price_minor * $4, currency, now() + make_interval(secs => $5) FROM sales WHERE id = $6 \
     RETURNING expires_at";

/// Statements of the merchant API.
#[derive(Clone)]
pub(crate) struct MerchantStore(pub(crate) PgPool);

impl MerchantStore {
    /// Sells a hold that the merchant was paid for elsewhere; an expired hold, if units are free.
    pub(crate) async fn confirm(&self, order: OrderId, reference: &str) -> Result<Option<ConfirmOutcome>, StoreError> {
        let mut transaction = self.0.begin().await?;
        let Some(found) = order_for(&mut transaction, order, &Caller::Merchant).await? else { return Ok(None) };
        let hold = lock_hold(&mut transaction, order).await?;
        let found = order_for(&mut transaction, order, &Caller::Merchant).await?.unwrap_or(found);
        let mut state = HoldState::try_from(hold.state.as_str())?;
        if state == HoldState::Paid {
            let paid_as: Option<String> = sqlx::query_scalar("SELECT paid_as FROM orders WHERE id = $1")
                .bind(order.0)
                .fetch_one(&mut *transaction)
                .await?;
            let same = paid_as.as_deref() == Some(reference);
            return Ok(Some(if same { ConfirmOutcome::Sold(found) } else { ConfirmOutcome::NotNow(found) }));
        }
        // A pending payment could sell the same units again.
        if found.status == OrderStatus::PaymentPending {
            return Ok(Some(ConfirmOutcome::NotNow(found)));
        }
        let has_units = match state {
            HoldState::Held => true,
            HoldState::Promised => shift_hold(&mut transaction, &hold, state, HoldEvent::Secure).await?,
            HoldState::Expired => renew_hold(&mut transaction, &hold).await?,
            HoldState::Paid | HoldState::Cancelled => false,
        };
        if !has_units {
            return Ok(Some(ConfirmOutcome::NotNow(found)));
        }
        state = hold_after(HoldState::Held, HoldEvent::Pay)?;
        sell_for_merchant(&mut transaction, &hold, state, reference).await?;
        let sold = order_for(&mut transaction, order, &Caller::Merchant).await?.unwrap_or(found);
        transaction.commit().await?;
        Ok(Some(ConfirmOutcome::Sold(sold)))
    }

    /// Holds free units for the merchant itself. A repeated reference returns the same reservation.
    pub(crate) async fn reserve(&self, wanted: &Reservation) -> Result<Result<Order, ReserveError>, StoreError> {
        let Reservation { sale, quantity, reference, .. } = wanted;
        let (sale, quantity) = (*sale, *quantity);
        #[derive(FromRow)]
        struct Free {
            total: i32,
            promised: i32,
            held: i32,
            sold: i32,
            is_yield: bool,
            is_open: bool,
        }
        let mut transaction = self.0.begin().await?;
        // The stock comes first here: there is no other row to lock yet.
        let free: Option<Free> = sqlx::query_as(
            "SELECT total, promised, held, sold, mode = 'yield' AS is_yield, status <> 'closed' AS is_open \
             FROM stock JOIN sales ON id = sale_id WHERE sale_id = $1 AND item = 1 FOR UPDATE OF stock",
        )
        .bind(sale.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(free) = free else { return Ok(Err(ReserveError::SaleNotFound)) };
        if let Some((id, held)) = reservation(&mut transaction, sale, reference).await? {
            if held != quantity {
                return Ok(Err(ReserveError::OtherReservation));
            }
            let known = order_for(&mut transaction, OrderId(id), &Caller::Merchant).await?;
            return known.map(Ok).ok_or_else(|| StoreError::Corrupt(format!("hold {id} is no order")));
        }
        if !free.is_open {
            return Ok(Err(ReserveError::SaleNotOpen));
        }
        // Promised units belong to shoppers; in yield mode only held units do.
        let promised = if free.is_yield { 0 } else { free.promised };
        let left = free.total - promised - free.held - free.sold;
        if left < quantity {
            return Ok(Err(ReserveError::TooFew { free: left.max(0) }));
        }
        hold_units(&mut transaction, sale, quantity, free.is_yield).await?;
        let (id, expires_at) = insert_reservation(&mut transaction, wanted).await?;
        let hold = HoldRow {
            id: id.0,
            sale_id: sale.0,
            visitor: ANONYMOUS.to_vec(),
            quantity,
            state: HoldState::Held.as_str().to_owned(),
            is_yield: free.is_yield,
        };
        publish_reserved(&mut transaction, &hold, expires_at).await?;
        let order = order_for(&mut transaction, id, &Caller::Merchant).await?;
        let order = order.ok_or_else(|| StoreError::Corrupt(format!("hold {} is no order", id.0)))?;
        transaction.commit().await?;
        Ok(Ok(order))
    }

    /// The stocks of running and scheduled sales, and of ended sales with units out, the newest
    /// first.
    pub(crate) async fn stocks(&self) -> Result<Vec<Stock>, StoreError> {
        let rows: Vec<StockRow> = sqlx::query_as(
            "SELECT sale_id, slug, status, total, promised, held, sold FROM (SELECT id AS shown FROM sales WHERE status <> 'closed' UNION \
                SELECT counters.sale_id FROM sale_counters AS counters CROSS JOIN LATERAL (SELECT FROM stock \
                WHERE stock.sale_id = counters.sale_id AND item = 1 AND promised + held > 0 LIMIT 1) AS taken \
                WHERE active_at > now() - make_interval(secs => $2)) AS shown \
             CROSS JOIN LATERAL (SELECT * FROM sales JOIN stock ON sale_id = id WHERE id = shown AND item = 1 LIMIT 1) AS sale \
             WHERE rehearsal_of IS NULL ORDER BY opens_at DESC, id LIMIT $1",
        )
        .bind(STOCKS_MAX)
        .bind(OUT_FOR_MAX_S)
        .fetch_all(&self.0)
        .await?;
        Ok(rows.into_iter().map(Stock::from).collect())
    }
}

/// The reservation with a reference, if there is one: its id and its quantity.
async fn reservation(
    connection: &mut PgConnection,
    sale: SaleId,
    reference: &str,
) -> Result<Option<(Uuid, i32)>, StoreError> {
    Ok(sqlx::query_as("SELECT id, quantity FROM holds WHERE sale_id = $1 AND reserved_as = $2")
        .bind(sale.0)
        .bind(reference)
        .fetch_optional(connection)
        .await?)
}

/// Takes free units of a stock.
async fn hold_units(
    connection: &mut PgConnection,
    sale: SaleId,
    quantity: i32,
    is_yield: bool,
) -> Result<(), StoreError> {
    sqlx::query(HOLD_UNITS).bind(sale.0).bind(quantity).bind(is_yield).execute(connection).await?;
    Ok(())
}

/// Inserts a reservation. Returns its id, and when it expires.
async fn insert_reservation(
    connection: &mut PgConnection,
    wanted: &Reservation,
) -> Result<(OrderId, OffsetDateTime), StoreError> {
    let id = OrderId(Uuid::now_v7());
    let expires_at = sqlx::query_scalar(INSERT_RESERVATION)
        .bind(id.0)
        .bind(&wanted.reference)
        .bind(&ANONYMOUS[..])
        .bind(wanted.quantity)
        .bind(f64::from(wanted.held_for_s))
        .bind(wanted.sale.0)
        .fetch_one(connection)
        .await?;
    Ok((id, expires_at))
}

/// Turns a hold into an order that the merchant was paid for. The caller has locked the hold.
async fn sell_for_merchant(
    connection: &mut PgConnection,
    hold: &HoldRow,
    state: HoldState,
    reference: &str,
) -> Result<(), StoreError> {
    let (amount_minor, currency): (i64, String) = sqlx::query_as(
        "WITH paid AS (UPDATE holds SET state = $2 WHERE id = $1 RETURNING *) \
         INSERT INTO orders (id, sale_id, visitor, quantity, amount_minor, currency, paid_as) \
         SELECT id, sale_id, visitor, quantity, amount_minor, currency, $3 FROM paid RETURNING amount_minor, currency",
    )
    .bind(hold.id)
    .bind(state.as_str())
    .bind(reference)
    .fetch_one(&mut *connection)
    .await?;
    let data = json!({
        "order_id": hold.order(),
        "quantity": hold.quantity,
        "amount_minor": amount_minor,
        "currency": currency,
    });
    count_sold(connection, hold, data).await
}

#[cfg(test)]
mod tests {
    use fairline_snapshots::statement;
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_statements_of_reservations_match_their_snapshots() {
        assert_snapshot!("hold_units", statement(HOLD_UNITS));
        assert_snapshot!("insert_reservation", statement(INSERT_RESERVATION));
    }
}
