//! What happened, for those outside: written with its cause, relayed later. Events of a sale are numbered in its stock's row,
//! which is locked last.

use fairline_events::{
    Event, Kind,
    event::{note_trace, take_trace},
};
use fairline_postgres::PgConnection;
use fairline_sale::SaleId;
use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};

/// Rows of the outbox that are forgotten at once, at most.
const FORGOTTEN_MAX: i64 = 5000;
/// How long events are kept, for a Redis that has lost them.
const KEPT_DAYS: i32 = 7;

/// How far a sale's events have been relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) sale: SaleId,
    /// Events that have happened.
    pub(crate) last: u64,
    /// Events that have been relayed.
    pub(crate) relayed: u64,
}

/// A row of the outbox: one or more events of one kind.
#[derive(FromRow)]
struct OutboxRow {
    number: i64,
    kind: String,
    data: Value,
    happened_at: OffsetDateTime,
}

fn count(number: i64) -> u64 {
    number.unsigned_abs()
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes one event, with the trace that it happens in. The last thing that a transaction does: it locks the stock's row.
pub(super) async fn tell(
    connection: &mut PgConnection,
    sale: Uuid,
    kind: Kind,
    mut data: Value,
) -> Result<(), StoreError> {
    note_trace(&mut data, fairline_trace::current());
    sqlx::query(
        "WITH numbered AS (UPDATE stock SET events = events + 1 WHERE sale_id = $1 RETURNING events) \
         INSERT INTO outbox (sale_id, number, kind, data) SELECT $1, events, $2, json_build_array($3::json) FROM numbered",
    )
    .bind(sale)
    .bind(kind.word())
    .bind(data)
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Sales whose events have not all been relayed; with `recent`, also those of which something was told within a day.
    pub(crate) async fn backlogs(&self, recent: bool) -> Result<Vec<Backlog>, StoreError> {
        let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            "SELECT sale_id, events, coalesce(number, 0) FROM stock LEFT JOIN relays USING (sale_id) \
             WHERE events > coalesce(number, 0) OR $1 AND EXISTS (SELECT FROM outbox \
             WHERE outbox.sale_id = stock.sale_id AND happened_at > now() - interval '1 day')",
        )
        .bind(recent)
        .fetch_all(&self.pool)
        .await?;
        let backlog =
            |(sale, last, relayed)| Backlog { sale: SaleId(sale), last: count(last), relayed: count(relayed) };
        Ok(rows.into_iter().map(backlog).collect())
    }

    /// How far each sale's events of the last week have been relayed.
    pub(crate) async fn relayed(&self) -> Result<Vec<(SaleId, u64)>, StoreError> {
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(
            "SELECT sale_id, number FROM relays WHERE EXISTS (SELECT FROM outbox WHERE outbox.sale_id = relays.sale_id)",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(sale, number)| (SaleId(sale), count(number))).collect())
    }

    /// The next events of a sale after `after`, some hundreds of them, and whether none before them are kept.
    pub(crate) async fn events_after(
        &self,
        sale: SaleId,
        after: u64,
        rows: i64,
    ) -> Result<(bool, Vec<Event>), StoreError> {
        let rows: Vec<OutboxRow> = sqlx::query_as(
            "SELECT number, kind, data, happened_at FROM outbox WHERE sale_id = $1 AND number > $2 ORDER BY number LIMIT $3",
        )
        .bind(sale.0)
        .bind(number(after))
        .bind(rows)
        .fetch_all(&self.pool)
        .await?;
        let mut events = Vec::new();
        for row in rows {
            let senseless = || StoreError::Corrupt(format!("event {sale}/{} is none", row.number));
            let kind = Kind::from_word(&row.kind).ok_or_else(senseless)?;
            let Value::Array(data) = row.data else { return Err(senseless()) };
            let first = count(row.number) + 1 - data.len() as u64;
            let happened = |(mut data, number)| {
                let trace = take_trace(&mut data);
                Event { sale, number, kind, time: row.happened_at, data, trace }
            };
            events.extend(data.into_iter().zip(first..).filter(|(_, number)| *number > after).map(happened));
        }
        let is_first = events.first().is_some_and(|event| event.number > after + 1 || event.number == 1);
        Ok((is_first, events))
    }

    /// Notes how far a sale's events have been relayed.
    pub(crate) async fn note_relayed(&self, sale: SaleId, to: u64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO relays (sale_id, number) VALUES ($1, $2) \
             ON CONFLICT (sale_id) DO UPDATE SET number = greatest(relays.number, excluded.number)",
        )
        .bind(sale.0)
        .bind(number(to))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets events that were kept long enough and have been relayed.
    pub(crate) async fn forget_old_events(&self) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM outbox WHERE (sale_id, number) IN (SELECT sale_id, outbox.number FROM outbox JOIN relays USING (sale_id) \
             WHERE happened_at < now() - make_interval(days => $1) AND outbox.number <= relays.number LIMIT $2)",
        )
        .bind(KEPT_DAYS)
        .bind(FORGOTTEN_MAX)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
