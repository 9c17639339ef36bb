//! Transitions of holds.

use fairline_events::EventKind;
use fairline_postgres::PgConnection;
use serde_json::{Value, json};
use sqlx::FromRow;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    db::StoreError,
    events::store::publish,
    orders::{
        order::OrderId,
        state::{HoldEvent, HoldState},
    },
};

/// How long an expired hold is renewed for a late payment, in seconds.
const RENEWED_FOR_S: f64 = 60.0;

/// A locked hold.
#[derive(FromRow)]
pub(crate) struct HoldRow {
    pub(crate) id: Uuid,
    pub(crate) sale_id: Uuid,
    pub(crate) visitor: Vec<u8>,
    pub(crate) quantity: i32,
    pub(crate) state: String,
    pub(crate) is_yield: bool,
}

impl HoldRow {
    pub(crate) fn order(&self) -> OrderId {
        OrderId(self.id)
    }
}

pub(crate) fn hold_after(state: HoldState, event: HoldEvent) -> Result<HoldState, StoreError> {
    state.after(event).ok_or_else(|| StoreError::Corrupt(format!("a hold is {} and can't {event:?}", state.as_str())))
}

pub(crate) async fn lock_hold(connection: &mut PgConnection, order: OrderId) -> Result<HoldRow, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, sale_id, visitor, quantity, state, (SELECT mode = 'yield' FROM sales WHERE id = sale_id) AS is_yield \
         FROM holds WHERE id = $1 FOR UPDATE",
    );
    Ok(row.bind(order.0).fetch_one(connection).await?)
}

pub(crate) async fn publish_reserved(
    connection: &mut PgConnection,
    hold: &HoldRow,
    expires_at: OffsetDateTime,
) -> Result<(), StoreError> {
    let until = expires_at.format(&Rfc3339).unwrap_or_default();
    let data = json!({ "order_id": hold.order(), "quantity": hold.quantity, "hold_expires_at": until });
    publish(connection, hold.sale_id, EventKind::InventoryReserved, data).await
}

/// Moves the units of a hold between promised and held, if the stock permits it. The caller has
/// locked the hold.
pub(crate) async fn shift_hold(
    connection: &mut PgConnection,
    hold: &HoldRow,
    from: HoldState,
    event: HoldEvent,
) -> Result<bool, StoreError> {
    let to = hold_after(from, event)?;
    let to_hold = if to == HoldState::Held { hold.quantity } else { -hold.quantity };
    let shifted: Option<OffsetDateTime> = sqlx::query_scalar(
        "WITH shifted AS ( \
            UPDATE stock SET promised = promised - $3, held = held + $3 \
            WHERE sale_id = $2 AND item = 1 AND held + sold + $3 <= total RETURNING sale_id \
         ) \
         UPDATE holds SET state = $4 FROM shifted WHERE id = $1 RETURNING expires_at",
    )
    .bind(hold.id)
    .bind(hold.sale_id)
    .bind(to_hold)
    .bind(to.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    match shifted {
        Some(expires_at) if to == HoldState::Held => publish_reserved(connection, hold, expires_at).await?,
        Some(_) => {
            let data = json!({ "order_id": hold.order(), "quantity": hold.quantity, "reason": "not_paid" });
            publish(connection, hold.sale_id, EventKind::InventoryReleased, data).await?;
        }
        None => {}
    }
    Ok(shifted.is_some())
}

/// Counts the units of a hold as sold, and publishes the event.
pub(crate) async fn count_sold(connection: &mut PgConnection, hold: &HoldRow, data: Value) -> Result<(), StoreError> {
    let sold_out: bool = sqlx::query_scalar(
        "WITH sold AS ( \
            UPDATE stock SET held = held - $2, sold = sold + $2 WHERE sale_id = $1 AND item = 1 RETURNING sale_id, sold = total AS is_all \
         ) \
         UPDATE sale_counters SET orders = orders + 1 FROM sold WHERE sale_counters.sale_id = sold.sale_id RETURNING is_all",
    )
    .bind(hold.sale_id)
    .bind(hold.quantity)
    .fetch_one(&mut *connection)
    .await?;
    publish(connection, hold.sale_id, EventKind::PurchaseCompleted, data).await?;
    if sold_out {
        publish(connection, hold.sale_id, EventKind::FlashSaleSoldOut, json!({})).await?;
    }
    Ok(())
}

/// Renews an expired hold if enough units are neither promised nor held (in yield mode, not held),
/// and if the limits of its account and its shopper permit it. The caller has locked the hold.
pub(crate) async fn renew_hold(connection: &mut PgConnection, hold: &HoldRow) -> Result<bool, StoreError> {
    let state = hold_after(HoldState::Expired, HoldEvent::Renew)?;
    let renewed: Option<OffsetDateTime> = sqlx::query_scalar(
        "UPDATE stock SET held = held + $3, \
         overbook = CASE WHEN $4 THEN greatest(overbook, promised + held + sold + $3 - total) ELSE overbook END \
         WHERE sale_id = $2 AND item = 1 AND (CASE WHEN $4 THEN 0 ELSE promised END) + held + sold + $3 <= total \
         AND NOT EXISTS (SELECT FROM allowances JOIN holds USING (sale_id, account_id) WHERE holds.id = $1 AND units + $3 > most) \
         AND NOT EXISTS (SELECT FROM shopper_allowances JOIN holds USING (sale_id, visitor) WHERE holds.id = $1 AND units + $3 > most) \
         RETURNING now() + make_interval(secs => $5)",
    )
    .bind(hold.id)
    .bind(hold.sale_id)
    .bind(hold.quantity)
    .bind(hold.is_yield)
    .bind(RENEWED_FOR_S)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(expires_at) = renewed else { return Ok(false) };
    publish_reserved(connection, hold, expires_at).await?;
    // Last, since it also changes the allowances.
    sqlx::query("UPDATE holds SET state = $2, expires_at = $3 WHERE id = $1")
        .bind(hold.id)
        .bind(state.as_str())
        .bind(expires_at)
        .execute(connection)
        .await?;
    Ok(true)
}
