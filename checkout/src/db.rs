//! Checkout's Postgres: its pools and its errors. Each feature's `store.rs` holds the statements.
//!
//! - Only the database's clock decides.
//! - Lock order: admissions, holds, payments, stock. The row of the stock is hot, so it is locked
//!   last. Behind it come only the allowances of accounts and shoppers, which triggers update when
//!   a hold begins or ends.
//! - One statement is preferred to a transaction: without `BEGIN`, an interruption can't leave a
//!   transaction open. Transactions run in tasks that finish even if the client disconnects.

use std::{sync::Arc, time::Duration};

use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
use fairline_sale::SaleId;
use fairline_server::StartError;

use crate::Settings;

/// Statement timeout of background work.
const BACKGROUND: Duration = Duration::from_secs(5);
/// Connections for background work.
const BACKGROUND_CONNECTIONS: u32 = 2;
/// Connections for the heartbeat and for readiness checks.
const HEARTBEAT_CONNECTIONS: u32 = 2;

/// Why the database rejected or failed a statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A constraint of the schema rejected it. Its name says which promise would have been broken.
    #[error("the database constraint {0} rejected it")]
    Refused(String),
    /// A row that no version of Fairline has written.
    #[error("the database has an invalid row: {0}")]
    Corrupt(String),
    /// Postgres is down, slow or unreachable.
    #[error("Postgres does not answer: {0}")]
    Unavailable(#[source] Arc<sqlx::Error>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|database| database.constraint()) {
            Some(constraint) => Self::Refused(constraint.to_owned()),
            None => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl StoreError {
    /// Whether a person would have exceeded a limit.
    pub(crate) fn is_over_a_limit(&self) -> bool {
        matches!(self, Self::Refused(constraint)
            if constraint == "allowances_are_kept" || constraint == "shopper_allowances_are_kept")
    }
}

/// Checkout's database, with separate pools for work that must not wait for each other.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) pool: PgPool,
    pub(crate) payments: PgPool,
    pub(crate) background: PgPool,
}

/// The same database, with separate pools for redemptions and the heartbeat.
#[derive(Clone)]
pub(crate) struct Stores {
    /// Requests of shoppers, payments and background work.
    pub(crate) requests: Store,
    pub(crate) redemptions: Store,
    /// The heartbeat and the readiness check.
    pub(crate) heartbeat: Store,
}

impl Stores {
    /// Connects with the first query.
    pub(crate) fn connect(settings: &Settings) -> Result<Self, StartError> {
        let statement = Duration::from_millis(settings.postgres.postgres_statement_ms);
        let pool = |name, connections, statement| {
            let options = PoolOptions { name, connections, statement };
            PgPool::new(settings.postgres_url.expose(), &settings.postgres, options)
        };
        let alone = |pool: PgPool| Store { payments: pool.clone(), background: pool.clone(), pool };
        Ok(Self {
            requests: Store {
                pool: pool("checkout", settings.request_connections, statement)?,
                payments: pool("checkout-payments", settings.payment_connections, statement)?,
                background: pool("checkout-background", BACKGROUND_CONNECTIONS, BACKGROUND)?,
            },
            redemptions: alone(pool("checkout-redemptions", settings.redemption_connections, statement)?),
            heartbeat: alone(pool("checkout-heartbeat", HEARTBEAT_CONNECTIONS, statement)?),
        })
    }
}

impl Store {
    /// A store for a redemption batcher without the rest of checkout.
    pub(crate) fn of_redemptions(postgres_url: &str) -> Result<Self, StartError> {
        let connections = crate::REDEMPTION_CONNECTIONS;
        let options = PoolOptions { name: "checkout-redemptions", connections, statement: BACKGROUND };
        let pool = PgPool::new(postgres_url, &PostgresSettings::default(), options)?;
        Ok(Self { payments: pool.clone(), background: pool.clone(), pool })
    }

    /// Whether Postgres answers and accepts writes.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        Ok(self.pool.probe().await?)
    }

    pub(crate) async fn sale_exists(&self, sale: SaleId) -> Result<bool, StoreError> {
        let exists = sqlx::query_scalar("SELECT EXISTS (SELECT FROM sales WHERE id = $1)").bind(sale.0);
        Ok(exists.fetch_one(&self.pool).await?)
    }

    /// The pool, for the store of idempotent responses.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}
