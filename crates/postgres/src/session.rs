//! How a session is made, what is checked of it, and how it differs where a pooler shares it.

use std::{sync::atomic::Ordering, time::Duration};

use fairline_service::StartError;
use sqlx::{
    Connection as _, Error, Row as _,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use crate::{Durability, Pooler, address, connection::bounded, pool::Shared};

/// Longest a transaction may wait for its client: one that has gone without a word holds its locks for so long.
const IDLE_IN_TRANSACTION_MS: u64 = 2500;
/// How long a connection may take, with its checks.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);

/// What a session is to those who use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// This connection's own: settings and prepared statements stay.
    Own,
    /// Another's with the next transaction.
    Shared,
}

impl Session {
    pub(crate) fn is_shared(self) -> bool {
        self == Self::Shared
    }

    /// How a transaction begins.
    pub(crate) fn begin(self, statement: Duration) -> String {
        match self {
            Self::Own => "BEGIN".to_owned(),
            Self::Shared => format!(
                "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = {}; \
                 SET LOCAL idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}",
                statement.as_millis()
            ),
        }
    }
}

/// Why a connection was made and not used: a sentence for the operator.
pub(crate) fn unfit(sentence: &str) -> Error {
    Error::InvalidArgument(sentence.to_owned())
}

const NOT_DURABLE: &str = "Postgres runs with `fsync = off`, so a sale would not survive a power cut. Turn it on, or set \
    FAIRLINE_POSTGRES_DURABILITY=external if the storage guarantees it in another way";
const READ_ONLY: &str = "Postgres is read-only here: it is a standby, or `default_transaction_read_only` is on";

/// Makes a connection, and checks it.
pub(crate) async fn establish(shared: &Shared) -> Result<(sqlx::PgConnection, Session), Error> {
    let pooler = *shared.pooler.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    if pooler != Pooler::Transaction {
        // Comes back if the session is ours and takes what we ask for.
        let nonce = Uuid::new_v4().simple().to_string();
        match sqlx::PgConnection::connect_with(&own(shared, &nonce)).await {
            Ok(mut raw) => {
                let is_own = check(&mut raw, shared).await? == nonce;
                if is_own {
                    found(shared, Pooler::None);
                    return Ok((raw, Session::Own));
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
    Ok((raw, Session::Shared))
}

/// PgBouncer answers with 08P01 and names the parameter.
fn refuses_parameters(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("startup parameter"))
}

/// What was found out with one connection holds for those after it.
fn found(shared: &Shared, pooler: Pooler) {
    let mut known = shared.pooler.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *known == Pooler::Auto {
        *known = pooler;
        drop(known);
        if pooler == Pooler::Transaction {
            tracing::info!(
                pool = shared.name,
                "a pooler shares the sessions of Postgres: settings go with each transaction"
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
        // Whoever was told that a unit is theirs is not told otherwise after a power cut, whatever the server's default is.
        ("synchronous_commit", "on"),
        ("statement_timeout", &shared.statement.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", &IDLE_IN_TRANSACTION_MS.to_string()),
        // The server, too, learns that its client has gone without a word, and lets go of its locks.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "10000"),
    ])
}

/// Whether this session can do our work; gives its nonce, which is empty where startup parameters were ignored.
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

/// Brings a schema up to date, in as long as that takes.
///
/// # Errors
/// When the address is not one, Postgres can't be reached, a pooler is in between, or a migration fails.
pub async fn migrate(postgres_url: &str, migrator: &Migrator) -> Result<(), StartError> {
    let nonce = Uuid::new_v4().simple().to_string();
    let options = address(postgres_url)?.application_name("fairline-migrate").extra_float_digits(None);
    let options = options.options([("statement_timeout", "0"), ("fairline.session", &nonce)]);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT).connect_lazy_with(options);
    let kept = sqlx::query_scalar("SELECT coalesce(current_setting('fairline.session', true), '')");
    let kept: Result<String, Error> = bounded(CONNECT, kept.fetch_one(&pool)).await;
    let migrated = match kept {
        Ok(kept) if kept == nonce => migrator.run(&pool).await.map_err(|error| error.to_string()),
        Err(error) if !refuses_parameters(&error) => Err(error.to_string()),
        // Its lock is a session's.
        _ => Err("a pooler that shares sessions stands before it; give the address of Postgres itself".to_owned()),
    };
    pool.close().await;
    migrated.map_err(|error| StartError::new(format!("The database could not be migrated: {error}.")))
}

impl Shared {
    /// Closes, in time, what was made before now.
    pub(crate) fn give_up(&self, generation: u64) {
        // Of many that fail together, the first counts; what was made since is not blamed.
        let next = generation + 1;
        let _ = self.generation.compare_exchange(generation, next, Ordering::AcqRel, Ordering::Acquire);
    }
}
