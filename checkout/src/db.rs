//! Checkout's Postgres: its pools and its errors. Each feature's `store.rs` holds the statements.
//!
//! - Only the database's clock decides.
//! - Lock order: admissions, holds, payments, stock. The row of the stock is hot, so it is locked
//!   last. Behind it come only the allowances of accounts and shoppers, which triggers update when
//!   a hold begins or ends.
//! - One statement is preferred to a transaction: without `BEGIN`, an interruption can't leave a
//!   transaction open. Transactions run in tasks that finish even if the client disconnects.

use std::time::Duration;

pub use fairline_postgres::StoreError;
use fairline_postgres::{PgPool, PoolOptions};
use fairline_sale::SaleId;
use fairline_server::StartError;

use crate::Settings;

/// Statement timeout of background work.
const BACKGROUND: Duration = Duration::from_secs(5);

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
        let (url, postgres) = (settings.postgres_url.expose(), &settings.postgres);
        let pool = |name, connections| postgres.pool(url, name, connections);
        let background = PoolOptions::new("checkout-background", settings.background_connections, BACKGROUND);
        let alone = |pool: PgPool| Store { payments: pool.clone(), background: pool.clone(), pool };
        Ok(Self {
            requests: Store {
                pool: pool("checkout", settings.request_connections)?,
                payments: pool("checkout-payments", settings.payment_connections)?,
                background: PgPool::new(url, postgres, background)?,
            },
            redemptions: alone(pool("checkout-redemptions", settings.redemption_connections)?),
            heartbeat: alone(pool("checkout-heartbeat", settings.heartbeat_connections)?),
        })
    }
}

impl Store {
    pub(crate) async fn sale_exists(&self, sale: SaleId) -> Result<bool, StoreError> {
        let exists = sqlx::query_scalar("SELECT EXISTS (SELECT FROM sales WHERE id = $1)").bind(sale.0);
        Ok(exists.fetch_one(&self.pool).await?)
    }
}
