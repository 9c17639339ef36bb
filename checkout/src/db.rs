//! Checkout's Postgres: its pools and its errors. Each feature's `store.rs` holds the statements.
//!
//! - Only the database's clock decides.
//! - Lock order: admissions, holds, payments, stock, counters of the sale. The last two are hot.
//!   Behind them come only the allowances of accounts and shoppers, which triggers update when a
//!   hold begins or ends.
//! - One statement is preferred to a transaction: without `BEGIN`, an interruption can't leave a
//!   transaction open. Transactions run in tasks that finish even if the client disconnects.

use std::time::Duration;

use fairline_postgres::PoolOptions;
pub(crate) use fairline_postgres::{PgPool, StoreError};
use fairline_server::StartError;

use crate::Settings;

/// Statement timeout of background work.
const BACKGROUND: Duration = Duration::from_secs(5);

/// The pools, for work that must not wait for each other. Each store holds those that it needs.
#[derive(Clone)]
pub(crate) struct Pools {
    /// Requests of shoppers, and the work behind them.
    pub(crate) requests: PgPool,
    pub(crate) payments: PgPool,
    pub(crate) background: PgPool,
    pub(crate) redemptions: PgPool,
    /// The heartbeat and the readiness check.
    pub(crate) heartbeat: PgPool,
}

impl Pools {
    /// Connects with the first query.
    pub(crate) fn connect(settings: &Settings) -> Result<Self, StartError> {
        let (url, postgres) = (settings.postgres_url.expose(), &settings.postgres);
        let pool = |name, connections| postgres.pool(url, name, connections);
        let background = PoolOptions::new("checkout-background", settings.background_connections, BACKGROUND);
        Ok(Self {
            requests: pool("checkout", settings.request_connections)?,
            payments: pool("checkout-payments", settings.payment_connections)?,
            background: PgPool::new(url, postgres, background)?,
            redemptions: pool("checkout-redemptions", settings.redemption_connections)?,
            heartbeat: pool("checkout-heartbeat", settings.heartbeat_connections)?,
        })
    }
}
