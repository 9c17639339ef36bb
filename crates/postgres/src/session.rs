//! Opens and checks sessions, including those that a pooler shares.

use std::time::Duration;

use fairline_server::StartError;
use sqlx::{
    Connection as _, Error, Row as _,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};
use uuid::Uuid;

use crate::{
    Durability, Pooler, address,
    shared::{Shared, bounded},
};

/// How long a transaction may wait for its client; a client that vanished holds its locks for this
/// long.
const IDLE_IN_TRANSACTION_MS: u64 = 2500;
/// Deadline for opening a connection, its checks included.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);

/// Ownership of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionOwner {
    /// This connection's own: settings and prepared statements persist.
    Own,
    /// A pooler may give it to another client after each transaction.
    Shared,
}

impl SessionOwner {
    pub(crate) fn is_shared(self) -> bool {
        self == Self::Shared
    }

    /// The statements that begin a transaction.
    pub(crate) fn begin(self, statement: Duration) -> String {
        match self {
            Self::Own => "BEGIN".to_owned(),
            Self::Shared => format!(
                "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL enable_seqscan = off; SET LOCAL jit = off; \
                 SET LOCAL statement_timeout = {}; \
                 SET LOCAL idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}",
                statement.as_millis()
            ),
        }
    }
}

/// The error for a connection that fails the checks: a sentence for the operator.
pub(crate) fn unfit(sentence: &str) -> Error {
    Error::InvalidArgument(sentence.to_owned())
}

const NOT_DURABLE: &str = "Postgres runs with `fsync = off`, so a sale would not survive a power cut. Turn it on, or set \
    FAIRLINE_POSTGRES_DURABILITY=external if the storage guarantees it in another way";
const READ_ONLY: &str = "Postgres is read-only here: it is a standby, or `default_transaction_read_only` is on";

/// Opens a connection and checks it.
pub(crate) async fn establish(shared: &Shared) -> Result<(sqlx::PgConnection, SessionOwner), Error> {
    let pooler = *shared.pooler.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    if pooler != Pooler::Transaction {
        // Returned unchanged if the session is ours and accepts startup parameters.
        let nonce = Uuid::new_v4().simple().to_string();
        match sqlx::PgConnection::connect_with(&own(shared, &nonce)).await {
            Ok(mut raw) => {
                let is_own = check(&mut raw, shared).await? == nonce;
                if is_own {
                    found(shared, Pooler::None);
                    return Ok((raw, SessionOwner::Own));
                }
                if pooler == Pooler::None {
                    return Err(unfit(
                        "Postgres ignores startup parameters, as a pooler that shares sessions does: set \
                         FAIRLINE_POSTGRES_POOLER=transaction",
                    ));
                }
                let _ = raw.close_hard().await;
            }
            Err(error) if pooler == Pooler::Auto && refuses_parameters(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let mut raw = sqlx::PgConnection::connect_with(&plain(shared)).await?;
    check(&mut raw, shared).await?;
    found(shared, Pooler::Transaction);
    Ok((raw, SessionOwner::Shared))
}

/// PgBouncer returns 08P01 and names the parameter.
fn refuses_parameters(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("startup parameter"))
}

/// Remembers the detected pooler for later connections.
fn found(shared: &Shared, pooler: Pooler) {
    let mut known = shared.pooler.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *known == Pooler::Auto {
        *known = pooler;
        drop(known);
        if pooler == Pooler::Transaction {
            tracing::info!(
                pool = shared.name,
                "detected a pooler that shares Postgres sessions; settings go with each transaction"
            );
        }
    }
}

fn plain(shared: &Shared) -> PgConnectOptions {
    shared.address.clone().application_name(shared.name).extra_float_digits(None).statement_cache_capacity(0)
}

fn own(shared: &Shared, nonce: &str) -> PgConnectOptions {
    shared.address.clone().application_name(shared.name).extra_float_digits(None).options([
        ("fairline.session", nonce),
        // A confirmed unit must survive a power failure, whatever the server's default is.
        ("synchronous_commit", "on"),
        // Every frequent statement has an index. A plan made while its tables were small would scan
        // them, and be kept while they grow.
        ("enable_seqscan", "off"),
        // A scan that can't be avoided then has a high cost, for which Postgres would compile the
        // statement.
        ("jit", "off"),
        ("statement_timeout", &shared.statement.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", &IDLE_IN_TRANSACTION_MS.to_string()),
        // The server, too, must detect a vanished client, and release its locks.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "10000"),
    ])
}

/// Checks that this session meets our requirements and returns its nonce, which is empty if startup
/// parameters were ignored.
async fn check(raw: &mut sqlx::PgConnection, shared: &Shared) -> Result<String, Error> {
    let facts = sqlx::raw_sql(
        "SELECT coalesce(current_setting('fairline.session', true), '') AS nonce, current_setting('fsync') AS fsync, \
         coalesce(current_setting('fairline.durability', true), '') AS durability, \
         (pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean)::text AS read_only",
    );
    let facts = facts.fetch_one(&mut *raw).await?;
    let fact = |name: &str| facts.try_get::<String, _>(name);
    if fact("read_only")? == "true" {
        return Err(unfit(READ_ONLY));
    }
    let is_external = shared.durability == Durability::External || fact("durability")? == "external";
    if fact("fsync")? != "on" && !is_external {
        return Err(unfit(NOT_DURABLE));
    }
    fact("nonce")
}

/// Whether every migration has been applied, as it is.
async fn is_up_to_date(raw: &mut sqlx::PgConnection, migrator: &Migrator) -> Result<bool, Error> {
    let known = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    if !bounded(CONNECT, known.fetch_one(&mut *raw)).await? {
        return Ok(false);
    }
    let applied = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success");
    let applied: Vec<(i64, Vec<u8>)> = bounded(CONNECT, applied.fetch_all(raw)).await?;
    let is_applied = |version, checksum: &[u8]| applied.iter().any(|(v, c)| *v == version && c == checksum);
    Ok(migrator.iter().all(|migration| is_applied(migration.version, &migration.checksum)))
}

/// Migrates a schema. Pending migrations have no deadline. If none is pending, a service whose link
/// to Postgres is silent fails within seconds, and is started again.
///
/// # Errors
/// When the URL is invalid, Postgres can't be reached, a pooler is in between, or a migration
/// fails.
pub async fn migrate(postgres_url: &str, migrator: &Migrator) -> Result<(), StartError> {
    let nonce = Uuid::new_v4().simple().to_string();
    let options = address(postgres_url)?.application_name("fairline-migrate").extra_float_digits(None);
    let options = options.options([("statement_timeout", "0"), ("fairline.session", &nonce)]);
    let migrated = migrate_in_session(&options, &nonce, migrator).await;
    migrated.map_err(|error| StartError::new(format!("The database could not be migrated: {error}.")))
}

/// Dropped, not closed: closing would wait for an unresponsive server.
async fn migrate_in_session(options: &PgConnectOptions, nonce: &str, migrator: &Migrator) -> Result<(), String> {
    let opened = bounded(CONNECT, async {
        let mut raw = sqlx::PgConnection::connect_with(options).await?;
        let kept = sqlx::query_scalar("SELECT coalesce(current_setting('fairline.session', true), '')");
        let kept: String = kept.fetch_one(&mut raw).await?;
        Ok((raw, kept))
    });
    let mut raw = match opened.await {
        Ok((raw, kept)) if kept == nonce => raw,
        Err(error) if !refuses_parameters(&error) => return Err(error.to_string()),
        // The migration lock belongs to a session.
        _ => {
            return Err(
                "a pooler that shares sessions stands before it; give the address of Postgres itself".to_owned()
            );
        }
    };
    if is_up_to_date(&mut raw, migrator).await.map_err(|error| error.to_string())? {
        return Ok(());
    }
    migrator.run_direct(None, &mut raw, false).await.map_err(|error| reason(&error))
}

/// Why a migration failed, with an action where sqlx's message has none.
fn reason(error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMismatch(version) => format!(
            "its migration {version} differs from this program's, so an unreleased version has made it. Such a database \
             can't be upgraded: drop it and create it again (`make demo FRESH=1` does so for the demo)"
        ),
        error => error.to_string(),
    }
}
