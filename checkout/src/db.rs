//! Checkout's Postgres: its pools, and why it did not do what it was asked. The statements stand in the `store.rs` of each feature.
//!
//! The database's clock is the only one that decides. Lock order: admissions, holds, payments, stock; the stock's row is
//! the hot one, and comes last; behind it are only the allowances of accounts and shoppers, which triggers keep when a hold begins
//! or ends.
//! Where one statement can do it, one statement does: it needs no `BEGIN`, so nothing that is cut off in between can leave a
//! transaction open. What needs several is called from tasks that run to their end.

use std::{sync::Arc, time::Duration};

use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
use fairline_sale::SaleId;
use fairline_service::StartError;

use crate::Settings;

/// How long a statement may take that no shopper waits for.
const BACKGROUND: Duration = Duration::from_secs(5);
/// Connections for what no shopper waits for.
const BACKGROUND_CONNECTIONS: u32 = 2;
/// Connections for the heartbeat and for readiness checks.
const HEARTBEAT_CONNECTIONS: u32 = 2;

/// Why the database did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A constraint of the schema refused it; its name says which promise would have been broken.
    #[error("the database's constraint {0} refused it")]
    Refused(String),
    /// A row that no version of ours has written.
    #[error("the database has a row that makes no sense: {0}")]
    Corrupt(String),
    /// Postgres is down, slow, or out of reach.
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
    /// Whether a person would have had more than a limit allows.
    pub(crate) fn is_over_a_limit(&self) -> bool {
        matches!(self, Self::Refused(constraint)
            if constraint == "allowances_are_kept" || constraint == "shopper_allowances_are_kept")
    }
}

/// Checkout's database, with pools of their own for what must not wait for each other.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) pool: PgPool,
    pub(crate) payments: PgPool,
    pub(crate) background: PgPool,
}

/// The same database, for those whose connections nothing else may take.
pub(crate) struct Stores {
    /// What shoppers ask for, payments, and what is done for them later.
    pub(crate) requests: Store,
    pub(crate) redemptions: Store,
    /// What this checkout says of itself, and whether it is ready.
    pub(crate) heartbeat: Store,
}

impl Stores {
    /// Connects when it is first asked for something.
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
    /// What a till needs, where there is no checkout around it.
    pub(crate) fn of_redemptions(postgres_url: &str) -> Result<Self, StartError> {
        let connections = crate::REDEMPTION_CONNECTIONS;
        let options = PoolOptions { name: "checkout-redemptions", connections, statement: BACKGROUND };
        let pool = PgPool::new(postgres_url, &PostgresSettings::default(), options)?;
        Ok(Self { payments: pool.clone(), background: pool.clone(), pool })
    }

    /// Whether Postgres answers, and takes writes.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        Ok(self.pool.probe().await?)
    }

    pub(crate) async fn sale_exists(&self, sale: SaleId) -> Result<bool, StoreError> {
        let exists = sqlx::query_scalar("SELECT EXISTS (SELECT FROM sales WHERE id = $1)").bind(sale.0);
        Ok(exists.fetch_one(&self.pool).await?)
    }

    /// The connections themselves, for what keeps answers to requests with a key.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }
}
