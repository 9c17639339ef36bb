//! Transitions of holds, and those that the merchant makes: confirmed, or reserved for the
//! merchant.

use fairline_events::Kind;
use fairline_postgres::PgConnection;
use fairline_sale::{SaleId, Status};
use serde_json::{Value, json};
use sqlx::FromRow;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    auth::caller::Caller,
    db::{Store, StoreError},
    events::store::publish,
    orders::{
        order::{Order, OrderId},
        state::{HoldEvent, HoldState, OrderStatus},
        store::{ANONYMOUS, order_for},
    },
};

/// How long an expired hold is renewed for a late payment, in seconds.
const RENEWED_FOR_S: f64 = 60.0;

/// The outcome of a confirmation by the merchant.
#[derive(Debug)]
pub(crate) enum Confirmed {
    /// It is sold, or was sold before under this reference.
    Sold(Order),
    /// It can't be sold: its units are gone, or it was paid or is being paid another way.
    NotNow(Order),
}

/// A stock, as the merchant API shows it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct StockRow {
    pub(crate) sale_id: Uuid,
    pub(crate) slug: String,
    status: String,
    pub(crate) total: i32,
    pub(crate) promised: i32,
    pub(crate) held: i32,
    pub(crate) sold: i32,
}

impl StockRow {
    pub(crate) fn stored_status(&self) -> Status {
        Status::from_stored(&self.status)
    }
}

/// Why nothing was reserved for the merchant.
#[derive(Debug)]
pub(crate) enum NotReserved {
    UnknownSale,
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

impl Store {
    /// Sells a hold that the merchant was paid for elsewhere; an expired hold, if units are free.
    pub(crate) async fn confirm(&self, order: OrderId, reference: &str) -> Result<Option<Confirmed>, StoreError> {
        let mut transaction = self.pool.begin().await?;
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
            return Ok(Some(if same { Confirmed::Sold(found) } else { Confirmed::NotNow(found) }));
        }
        // A pending payment could sell the same units again.
        if found.status == OrderStatus::PaymentPending {
            return Ok(Some(Confirmed::NotNow(found)));
        }
        let has_units = match state {
            HoldState::Held => true,
            HoldState::Promised => shift_hold(&mut transaction, order, &hold, state, HoldEvent::Secure).await?,
            HoldState::Expired => renew_hold(&mut transaction, order, &hold).await?,
            HoldState::Paid | HoldState::Cancelled => false,
        };
        if !has_units {
            return Ok(Some(Confirmed::NotNow(found)));
        }
        state = hold_after(HoldState::Held, HoldEvent::Pay)?;
        sell_for_merchant(&mut transaction, order, &hold, state, reference).await?;
        let sold = order_for(&mut transaction, order, &Caller::Merchant).await?.unwrap_or(found);
        transaction.commit().await?;
        Ok(Some(Confirmed::Sold(sold)))
    }

    /// Holds free units for the merchant itself. A repeated reference returns the same reservation.
    pub(crate) async fn reserve(
        &self,
        sale: SaleId,
        quantity: i32,
        reference: &str,
        held_for_s: i32,
    ) -> Result<Result<Order, NotReserved>, StoreError> {
        #[derive(FromRow)]
        struct Free {
            total: i32,
            promised: i32,
            held: i32,
            sold: i32,
            is_yield: bool,
            is_open: bool,
        }
        let mut transaction = self.pool.begin().await?;
        // The stock comes first here: there is no other row to lock yet.
        let free: Option<Free> = sqlx::query_as(
            "SELECT total, promised, held, sold, mode = 'yield' AS is_yield, status <> 'closed' AS is_open \
             FROM stock JOIN sales ON id = sale_id WHERE sale_id = $1 FOR UPDATE OF stock",
        )
        .bind(sale.0)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(free) = free else { return Ok(Err(NotReserved::UnknownSale)) };
        let before: Option<(Uuid, i32)> =
            sqlx::query_as("SELECT id, quantity FROM holds WHERE sale_id = $1 AND reserved_as = $2")
                .bind(sale.0)
                .bind(reference)
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some((id, held)) = before {
            if held != quantity {
                return Ok(Err(NotReserved::OtherReservation));
            }
            let known = order_for(&mut transaction, OrderId(id), &Caller::Merchant).await?;
            return known.map(Ok).ok_or_else(|| StoreError::Corrupt(format!("hold {id} is no order")));
        }
        if !free.is_open {
            return Ok(Err(NotReserved::SaleNotOpen));
        }
        // Promised units belong to shoppers; in yield mode only held units do.
        let promised = if free.is_yield { 0 } else { free.promised };
        let left = free.total - promised - free.held - free.sold;
        if left < quantity {
            return Ok(Err(NotReserved::TooFew { free: left.max(0) }));
        }
        sqlx::query(
            "UPDATE stock SET held = held + $2, \
             overbook = CASE WHEN $3 THEN greatest(overbook, promised + held + sold + $2 - total) ELSE overbook END \
             WHERE sale_id = $1",
        )
        .bind(sale.0)
        .bind(quantity)
        .bind(free.is_yield)
        .execute(&mut *transaction)
        .await?;
        let id = OrderId(Uuid::now_v7());
        let expires_at: OffsetDateTime = sqlx::query_scalar(
            "INSERT INTO holds (id, reserved_as, sale_id, visitor, quantity, amount_minor, currency, expires_at) \
             SELECT $1, $2, id, $3, $4, price_minor * $4, currency, now() + make_interval(secs => $5) FROM sales WHERE id = $6 \
             RETURNING expires_at",
        )
        .bind(id.0)
        .bind(reference)
        .bind(&ANONYMOUS[..])
        .bind(quantity)
        .bind(f64::from(held_for_s))
        .bind(sale.0)
        .fetch_one(&mut *transaction)
        .await?;
        let hold = HoldRow {
            sale_id: sale.0,
            visitor: ANONYMOUS.to_vec(),
            quantity,
            state: HoldState::Held.as_str().to_owned(),
            is_yield: free.is_yield,
        };
        publish_reserved(&mut transaction, id, &hold, expires_at).await?;
        let order = order_for(&mut transaction, id, &Caller::Merchant).await?;
        let order = order.ok_or_else(|| StoreError::Corrupt(format!("hold {} is no order", id.0)))?;
        transaction.commit().await?;
        Ok(Ok(order))
    }

    /// The stocks of running and scheduled sales, and of ended sales with units out, the newest
    /// first.
    pub(crate) async fn stocks(&self) -> Result<Vec<StockRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT sale_id, slug, status, total, promised, held, sold FROM stock JOIN sales ON id = sale_id \
             WHERE rehearsal_of IS NULL AND (status <> 'closed' OR promised + held > 0) ORDER BY opens_at DESC, id LIMIT $1",
        )
        .bind(STOCKS_MAX)
        .fetch_all(&self.pool)
        .await?)
    }
}

/// Turns a hold into an order that the merchant was paid for. The caller has locked the hold.
async fn sell_for_merchant(
    connection: &mut PgConnection,
    order: OrderId,
    hold: &HoldRow,
    state: HoldState,
    reference: &str,
) -> Result<(), StoreError> {
    let (amount_minor, currency): (i64, String) = sqlx::query_as(
        "WITH paid AS (UPDATE holds SET state = $2 WHERE id = $1 RETURNING *) \
         INSERT INTO orders (id, sale_id, visitor, quantity, amount_minor, currency, paid_as) \
         SELECT id, sale_id, visitor, quantity, amount_minor, currency, $3 FROM paid RETURNING amount_minor, currency",
    )
    .bind(order.0)
    .bind(state.as_str())
    .bind(reference)
    .fetch_one(&mut *connection)
    .await?;
    let data = json!({
        "order_id": order,
        "quantity": hold.quantity,
        "amount_minor": amount_minor,
        "currency": currency,
    });
    count_sold(connection, hold, data).await
}

/// A locked hold.
#[derive(FromRow)]
pub(crate) struct HoldRow {
    pub(crate) sale_id: Uuid,
    pub(crate) visitor: Vec<u8>,
    pub(crate) quantity: i32,
    pub(crate) state: String,
    pub(crate) is_yield: bool,
}

pub(crate) fn hold_after(state: HoldState, event: HoldEvent) -> Result<HoldState, StoreError> {
    state.after(event).ok_or_else(|| StoreError::Corrupt(format!("a hold is {} and can't {event:?}", state.as_str())))
}

pub(crate) async fn lock_hold(connection: &mut PgConnection, order: OrderId) -> Result<HoldRow, StoreError> {
    let row = sqlx::query_as(
        "SELECT sale_id, visitor, quantity, state, (SELECT mode = 'yield' FROM sales WHERE id = sale_id) AS is_yield \
         FROM holds WHERE id = $1 FOR UPDATE",
    );
    Ok(row.bind(order.0).fetch_one(connection).await?)
}

pub(crate) async fn publish_reserved(
    connection: &mut PgConnection,
    order: OrderId,
    hold: &HoldRow,
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    let until = expires_at.format(&Rfc3339).unwrap_or_default();
    let data = json!({ "order_id": order, "quantity": hold.quantity, "hold_expires_at": until });
    publish(connection, hold.sale_id, Kind::InventoryReserved, data).await
}

/// Moves the units of a hold between promised and held, if the stock permits it. The caller has
/// locked the hold.
pub(crate) async fn shift_hold(
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
    .bind(to.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    match shifted {
        Some(expires_at) if to == HoldState::Held => publish_reserved(connection, order, hold, expires_at).await?,
        Some(_) => {
            let data = json!({ "order_id": order, "quantity": hold.quantity, "reason": "not_paid" });
            publish(connection, hold.sale_id, Kind::InventoryReleased, data).await?;
        }
        None => {}
    }
    Ok(shifted.is_some())
}

/// Counts the units of a hold as sold, and publishes the event.
pub(crate) async fn count_sold(connection: &mut PgConnection, hold: &HoldRow, data: Value) -> Result<(), StoreError> {
    let sold_out: bool = sqlx::query_scalar(
        "UPDATE stock SET held = held - $2, sold = sold + $2 WHERE sale_id = $1 RETURNING sold = total",
    )
    .bind(hold.sale_id)
    .bind(hold.quantity)
    .fetch_one(&mut *connection)
    .await?;
    publish(connection, hold.sale_id, Kind::PurchaseCompleted, data).await?;
    if sold_out {
        publish(connection, hold.sale_id, Kind::FlashSaleSoldOut, json!({})).await?;
    }
    Ok(())
}

/// Renews an expired hold if enough units are neither promised nor held (in yield mode, not held),
/// and if the limits of its account and its shopper permit it. The caller has locked the hold.
pub(crate) async fn renew_hold(
    connection: &mut PgConnection,
    order: OrderId,
    hold: &HoldRow,
) -> Result<bool, StoreError> {
    let state = hold_after(HoldState::Expired, HoldEvent::Renew)?;
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
    .bind(state.as_str())
    .bind(RENEWED_FOR_S)
    .bind(hold.is_yield)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(expires_at) = renewed {
        publish_reserved(connection, order, hold, expires_at).await?;
    }
    Ok(renewed.is_some())
}
