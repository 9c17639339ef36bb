//! Pools, and transactions on their connections.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use deadpool::{
    Status,
    managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts},
};
use fairline_server::{StartError, report_alive, watch_connection};
use futures_util::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::{BoxFuture, select_ok},
    stream,
    stream::BoxStream,
};
use sqlx::{
    Either, Error, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::{
    PoolOptions, PostgresSettings, StoreError, address,
    connection::PgConnection,
    session::{CONNECT, establish},
    shared::{Shared, bounded, silent},
};

/// How long a caller waits for a connection, including the time to open one.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(2);
/// A connection that is not open after this time gets a second attempt beside it: the link may have
/// lost its first bytes, and then it would never open, though the link works again.
const SECOND_AFTER: Duration = Duration::from_millis(500);
/// Deadline of a roll-back in the background.
const ROLL_BACK: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(2);

/// Opens and tests the connections of a pool.
struct Manager(Arc<Shared>);

impl managed::Manager for Manager {
    type Type = PgConnection;
    type Error = Error;

    async fn create(&self) -> Result<PgConnection, Error> {
        let generation = self.0.generation.load(Ordering::Acquire);
        let (raw, session) = bounded(CONNECT, with_a_second_attempt(|| establish(&self.0))).await?;
        Ok(PgConnection::new(raw, session, generation, self.0.clone()))
    }

    async fn recycle(&self, connection: &mut PgConnection, _: &Metrics) -> RecycleResult<Error> {
        if connection.age() > self.0.lifetime {
            return Err(RecycleError::message("it is old"));
        }
        connection.test().await.map_err(RecycleError::Backend)
    }
}

/// The result of the attempt that succeeds first. An error counts once no other attempt is under
/// way.
async fn with_a_second_attempt<T, F: Future<Output = Result<T, Error>>>(attempt: impl Fn() -> F) -> Result<T, Error> {
    let mut first = Box::pin(attempt());
    match tokio::time::timeout(SECOND_AFTER, &mut first).await {
        Ok(done) => done,
        Err(_) => Ok(select_ok([first, Box::pin(attempt())]).await?.0),
    }
}

/// A pool of connections.
///
/// ```no_run
/// use std::time::Duration;
///
/// use fairline_postgres::{PgPool, PoolOptions, PostgresSettings};
///
/// # async fn write() -> Result<(), Box<dyn std::error::Error>> {
/// let options = PoolOptions::new("example", 4, Duration::from_secs(2));
/// let pool = PgPool::new("postgres://localhost/fairline", &PostgresSettings::default(), options)?;
/// let transaction = pool.begin().await?;
/// // … statements, each with a deadline …
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PgPool {
    pool: managed::Pool<Manager>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for PgPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgPool").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl PgPool {
    /// Creates a pool that connects on first use. Must be called within a runtime.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub fn new(postgres_url: &str, settings: &PostgresSettings, options: PoolOptions) -> Result<Self, StartError> {
        let shared = Arc::new(Shared::new(address(postgres_url)?, settings, options));
        let pool = managed::Pool::builder(Manager(shared.clone()))
            .max_size(options.connections.max(1) as usize)
            .queue_mode(QueueMode::Lifo)
            .timeouts(Timeouts::default())
            .build()
            .map_err(|error| StartError::new(format!("The Postgres connection pool can't be created: {error}.")))?;
        let swept = pool.weak();
        let sweep = async move || {
            while let Some(pool) = swept.upgrade() {
                report_alive();
                pool.retain(|connection, _| {
                    connection.idle_for() < options.idle && connection.age() < options.lifetime
                });
                note(&pool.status(), options.name);
                drop(pool);
                tokio::time::sleep(SWEEP).await;
            }
        };
        let watched = watch_connection(options.name);
        tokio::spawn(async move { while watched.caught(sweep()).await.is_none() {} });
        Ok(Self { pool, shared })
    }

    /// Checks that Postgres meets our requirements. An unreachable Postgres is not an error, since
    /// it may come up later.
    ///
    /// # Errors
    /// When Postgres responds and does not meet them.
    pub async fn check(&self) -> Result<(), StartError> {
        match self.acquire().await {
            Err(Error::InvalidArgument(sentence)) => Err(StartError::new(format!("{sentence}."))),
            Err(error) => {
                tracing::warn!(%error, pool = self.shared.name, "connect to Postgres failed; will retry");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Checks that Postgres responds and accepts writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let writable = sqlx::query_scalar::<_, bool>(
            "SELECT NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean) AND $1",
        );
        let writable = bounded(ACQUIRE, writable.bind(true).fetch_one(self)).await?;
        if writable { Ok(()) } else { Err(Error::Protocol("Postgres is read-only".to_owned()).into()) }
    }

    /// Takes a connection from the pool, until it is dropped.
    ///
    /// # Errors
    /// When no connection becomes free in time, or none can be opened.
    pub async fn acquire(&self) -> Result<AcquiredConnection, Error> {
        match tokio::time::timeout(ACQUIRE, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(AcquiredConnection(Some(connection))),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(Error::PoolClosed),
            Ok(Err(_)) => Err(silent()),
            Err(_) => Err(Error::PoolTimedOut),
        }
    }

    /// Begins a transaction. It is rolled back unless it is committed.
    ///
    /// # Errors
    /// When no connection is available, or `BEGIN` fails.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        let mut connection = self.acquire().await?;
        connection.begin().await?;
        Ok(Transaction(connection))
    }
}

/// Reports the number of connections by state, as metrics.
fn note(status: &Status, name: &'static str) {
    let used = status.size.saturating_sub(status.available);
    for (state, connections) in [("used", used), ("idle", status.available)] {
        metrics::gauge!("db_pool_connections", "pool" => name, "state" => state).set(connections as f64);
    }
    metrics::gauge!("db_pool_connections_max", "pool" => name).set(status.max_size as f64);
}

/// A connection taken from its pool.
#[derive(Debug)]
pub struct AcquiredConnection(Option<Object<Manager>>);

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Manager").field(&self.0.name).finish()
    }
}

const HELD: &str = "a connection is taken only when it is dropped";

impl Deref for AcquiredConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_deref().expect(HELD)
    }
}

impl DerefMut for AcquiredConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_deref_mut().expect(HELD)
    }
}

impl Drop for AcquiredConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else { return };
        if connection.is_reusable() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if connection.is_open() => {
                runtime.spawn(async move {
                    let rolled_back = bounded(ROLL_BACK, connection.roll_back()).await;
                    if rolled_back.is_err() || !connection.is_reusable() {
                        drop(Object::take(connection));
                    }
                });
            }
            // Closes the connection, which ends its work.
            _ => drop(Object::take(connection)),
        }
    }
}

/// A transaction, which is rolled back unless it is committed.
#[derive(Debug)]
pub struct Transaction(AcquiredConnection);

impl Transaction {
    /// Commits the transaction.
    ///
    /// # Errors
    /// When the commit failed, or no response confirmed it.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.0.commit().await
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// When no response confirmed it; it is rolled back all the same.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.0.roll_back().await
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// A prepared statement belongs to one connection, so a pool can't prepare.
fn no_one_connection() -> Error {
    Error::InvalidArgument("a pool prepares nothing: acquire a connection".to_owned())
}

impl<'p> Executor<'p> for &'p PgPool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let items = async move { self.acquire().await?.items(query).await };
        stream::once(items).map_ok(|items| stream::iter(items.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move { self.acquire().await?.row(query).await }.boxed()
    }

    fn prepare_with<'e>(self, _: SqlStr, _: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        async { Err(no_one_connection()) }.boxed()
    }

    fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        async { Err(no_one_connection()) }.boxed()
    }
}
