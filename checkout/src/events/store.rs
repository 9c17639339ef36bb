//! The outbox. Each event is written in the transaction of its cause and relayed later. The row of
//! the stock numbers the events of a sale, and is locked last.

use fairline_events::{
    Event, EventKind,
    event::{attach_trace, take_trace},
};
use fairline_postgres::PgConnection;
use fairline_sale::SaleId;
use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{PgPool, StoreError};

/// A sale with an event in this period is read in every round.
const LATELY_S: f64 = 3600.0;
/// A sale with an event in this period, for which events are kept, is read now and then.
const KEPT_DAYS: f64 = 8.0;
/// The oldest rows of the outbox that are searched for events that have waited longer.
const OLDEST_MAX: i64 = 200;

fn since_s(lately: bool) -> f64 {
    if lately { LATELY_S } else { KEPT_DAYS * 24.0 * 3600.0 }
}

/// How far a sale's events have been relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) sale: SaleId,
    /// The number of the last event.
    pub(crate) last: u64,
    /// The number of the last relayed event.
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

/// Writes one event, with the current trace. Call it last in a transaction, before a change of
/// allowances at most: it locks the counters of the sale.
pub(crate) async fn publish(
    connection: &mut PgConnection,
    sale: Uuid,
    kind: EventKind,
    mut data: Value,
) -> Result<(), StoreError> {
    attach_trace(&mut data, fairline_telemetry::current());
    sqlx::query(
        "INSERT INTO outbox (sale_id, number, kind, data) VALUES ($1, number_events($1, 1), $2, json_build_array($3::json))",
    )
    .bind(sale)
    .bind(kind.as_str())
    .bind(data)
    .execute(connection)
    .await?;
    Ok(())
}

/// The outbox, and how far it has been relayed.
#[derive(Clone)]
pub(crate) struct EventStore(pub(crate) PgPool);

impl EventStore {
    /// Recently active sales with events that have not been relayed. With `looks_back`, all sales
    /// with such events in the outbox, and every sale that was active within a day.
    pub(crate) async fn backlogs(&self, looks_back: bool) -> Result<Vec<Backlog>, StoreError> {
        let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            // No join: the planner would read all relays instead of looking some up.
            "SELECT sale_id, events, relayed FROM ( \
                SELECT sale_id, events, active_at, coalesce((SELECT number FROM relays WHERE relays.sale_id = sale_counters.sale_id), 0) AS relayed \
                FROM sale_counters WHERE active_at > now() - make_interval(secs => $2) OR $1 AND sale_id = ANY (ARRAY( \
                    SELECT DISTINCT sale_id FROM (SELECT sale_id FROM outbox ORDER BY happened_at LIMIT $3) AS oldest)) \
             ) AS active WHERE events > relayed OR $1 AND active_at > now() - interval '1 day'",
        )
        .bind(looks_back)
        .bind(since_s(!looks_back))
        .bind(OLDEST_MAX)
        .fetch_all(&self.0)
        .await?;
        let backlog =
            |(sale, last, relayed)| Backlog { sale: SaleId(sale), last: count(last), relayed: count(relayed) };
        Ok(rows.into_iter().map(backlog).collect())
    }

    /// How far the events of recently active sales have been relayed, or of all sales whose events
    /// are kept.
    pub(crate) async fn relayed(&self, lately: bool) -> Result<Vec<(SaleId, u64)>, StoreError> {
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(
            "SELECT sale_id, number FROM sale_counters \
             CROSS JOIN LATERAL (SELECT number FROM relays WHERE relays.sale_id = sale_counters.sale_id LIMIT 1) AS relay \
             WHERE active_at > now() - make_interval(secs => $1)",
        )
        .bind(since_s(lately))
        .fetch_all(&self.0)
        .await?;
        Ok(rows.into_iter().map(|(sale, number)| (SaleId(sale), count(number))).collect())
    }

    /// The next few hundred events of a sale after `after`, and whether the outbox keeps no earlier
    /// ones.
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
        .fetch_all(&self.0)
        .await?;
        let mut events = Vec::new();
        for row in rows {
            let permanent = || StoreError::Corrupt(format!("event {sale}/{} is invalid", row.number));
            let kind = EventKind::try_from(row.kind.as_str()).map_err(|_| permanent())?;
            let Value::Array(data) = row.data else { return Err(permanent()) };
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

    /// Stores how far a sale's events have been relayed.
    pub(crate) async fn record_relayed(&self, sale: SaleId, to: u64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO relays (sale_id, number) VALUES ($1, $2) \
             ON CONFLICT (sale_id) DO UPDATE SET number = greatest(relays.number, excluded.number)",
        )
        .bind(sale.0)
        .bind(number(to))
        .execute(&self.0)
        .await?;
        Ok(())
    }
}
