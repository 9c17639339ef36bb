//! The controller's Postgres: its pools, its errors, and transactions that are audited. Each
//! feature's `store.rs` holds the statements.
//!
//! - Only the database's clock decides.
//! - Most of the audit log is written by triggers, in the transaction of the change.
//!   [`Database::begin`] names the operator for them.

use std::time::Duration;

pub use fairline_postgres::StoreError;
use fairline_postgres::{PgConnection, PgPool, PoolOptions, PostgresSettings, Transaction};
use fairline_server::StartError;
use serde_json::Value;
use uuid::Uuid;

use crate::Settings;

/// Statement timeout of the admin API: reports read many rows.
const REPORT: Duration = Duration::from_secs(5);

/// Brings the schema up to date, without a time limit. Several processes may run it at once. A
/// schema that is newer than this program stays as it is.
///
/// # Errors
/// When Postgres can't be reached or a migration fails.
pub async fn migrate(postgres_url: &str) -> Result<(), StartError> {
    let mut migrator = sqlx::migrate!("../migrations");
    fairline_postgres::migrate(postgres_url, migrator.set_ignore_missing(true)).await
}

/// The connections that the stores of the features share.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) pool: PgPool,
}

/// The author of a change, for the audit log, and the reason if one was given.
#[derive(Debug, Clone)]
pub struct Author {
    pub who: String,
    pub why: Option<String>,
}

/// The data of an event: the trace that [`Database::begin`] has set, if there is one.
macro_rules! event_data {
    () => {
        "json_build_array(json_strip_nulls(json_build_object('traceparent', nullif(current_setting('fairline.trace', true), ''))))"
    };
}

/// Writes an event for each sale that a query found. The sale's counters, which are locked last,
/// number it.
macro_rules! insert_events {
    ($sales:literal, $kind:literal) => {
        concat!(
            "INSERT INTO outbox (sale_id, number, kind, data) SELECT id, number_events(id, 1), ",
            $kind,
            ", ",
            $crate::db::event_data!(),
            " FROM ",
            $sales
        )
    };
}
pub(crate) use {event_data, insert_events};

impl Database {
    /// The pool of the admin API and of the jobs. Connects with the first query.
    pub fn connect(settings: &Settings) -> Result<Self, StartError> {
        let options = PoolOptions::new("admission-controller", settings.admin_connections, REPORT);
        Ok(Self { pool: PgPool::new(settings.postgres_url.expose(), &settings.postgres, options)? })
    }

    /// The pool of the ticks, which wait for no other work.
    pub fn for_ticks(settings: &Settings) -> Result<Self, StartError> {
        Self::through(settings, "admission-controller-ticks", settings.tick_connections)
    }

    /// The pool of the key set and of the readiness check.
    pub fn for_services(settings: &Settings) -> Result<Self, StartError> {
        Self::through(settings, "admission-controller-keys", settings.key_connections)
    }

    /// The one connection of a command.
    pub fn for_command(postgres_url: &str) -> Result<Self, StartError> {
        let options = PoolOptions::new("fairline-restore", 1, REPORT);
        Ok(Self { pool: PgPool::new(postgres_url, &PostgresSettings::default(), options)? })
    }

    fn through(settings: &Settings, name: &'static str, connections: u32) -> Result<Self, StartError> {
        Ok(Self { pool: settings.postgres.pool(settings.postgres_url.expose(), name, connections)? })
    }

    /// Begins a transaction whose changes are audited as this author's, and whose events carry the
    /// current trace.
    pub async fn begin(&self, by: &Author, what: &str) -> Result<Transaction, StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "SELECT set_config('fairline.who', $1, true), set_config('fairline.what', $2, true), \
             set_config('fairline.why', coalesce($3, ''), true), set_config('fairline.trace', coalesce($4, ''), true)",
        )
        .bind(&by.who)
        .bind(what)
        .bind(&by.why)
        .bind(fairline_telemetry::current().map(|trace| trace.to_string()))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction)
    }
}

/// An entry of the audit log.
#[derive(Debug, Default)]
pub(crate) struct NewAuditEntry<'a> {
    pub(crate) action: &'a str,
    /// The changed object: the slug of a sale, the name of an operator …
    pub(crate) subject: &'a str,
    pub(crate) sale: Option<Uuid>,
    pub(crate) after: Option<Value>,
}

/// Writes an entry for a change that no trigger sees.
pub(crate) async fn audit(
    connection: &mut PgConnection,
    by: &Author,
    entry: NewAuditEntry<'_>,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO audit (who, action, subject, sale_id, after, reason) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(&by.who)
        .bind(entry.action)
        .bind(entry.subject)
        .bind(entry.sale)
        .bind(entry.after)
        .bind(&by.why)
        .execute(connection)
        .await?;
    Ok(())
}
