//! A connection whose statements have a deadline, and that tracks whether it can be reused.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Either, Error, Execute, Executor, Postgres, SqlStr,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::{
    session::SessionOwner,
    shared::{Shared, bounded, silent},
};

/// How much longer the client waits than the server: the server cancels a slow statement, which
/// keeps the connection usable.
const LINK: Duration = Duration::from_millis(250);
/// Timeout for testing a connection that was idle for a while.
const TEST: Duration = Duration::from_millis(500);
/// A connection that responded this recently needs no test.
const PROVEN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    Idle,
    /// In a statement. A connection that is dropped in this state was abandoned in the middle of
    /// it.
    Busy,
    InTransaction,
    Broken,
}

/// A connection of a pool.
pub struct PgConnection {
    raw: sqlx::PgConnection,
    session: SessionOwner,
    state: ConnectionState,
    /// Whether the caller has begun a transaction.
    within: bool,
    generation: u64,
    made: Instant,
    answered: Instant,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for PgConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgConnection").field("state", &self.state).finish_non_exhaustive()
    }
}

impl PgConnection {
    pub(crate) fn new(raw: sqlx::PgConnection, session: SessionOwner, generation: u64, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self { raw, session, state: ConnectionState::Idle, within: false, generation, made: now, answered: now, shared }
    }

    /// Whether another caller may use it as it is.
    pub(crate) fn is_reusable(&self) -> bool {
        self.state == ConnectionState::Idle && self.is_current()
    }

    /// Whether it is in an open transaction that can still be committed or rolled back.
    pub(crate) fn is_open(&self) -> bool {
        self.state == ConnectionState::InTransaction
    }

    fn is_current(&self) -> bool {
        self.generation == self.shared.generation.load(Ordering::Acquire)
    }

    pub(crate) fn age(&self) -> Duration {
        self.made.elapsed()
    }

    pub(crate) fn idle_for(&self) -> Duration {
        self.answered.elapsed()
    }

    /// Tests the connection before reuse, unless it has responded recently.
    pub(crate) async fn test(&mut self) -> Result<(), Error> {
        if !self.is_current() {
            return Err(silent());
        }
        if self.answered.elapsed() < PROVEN && !self.shared.suspects(self.answered) {
            return Ok(());
        }
        self.state = ConnectionState::Busy;
        let answer = bounded(TEST, sqlx::Connection::ping(&mut self.raw)).await;
        if answer.is_err() {
            // Connections of the same generation used the same route.
            self.shared.give_up(self.generation);
        }
        self.left(answer, ConnectionState::Idle)
    }

    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        let begin = self.session.begin(self.shared.statement);
        self.simple(&begin, ConnectionState::InTransaction).await?;
        self.within = true;
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        self.within = false;
        self.simple("COMMIT", ConnectionState::Idle).await
    }

    pub(crate) async fn roll_back(&mut self) -> Result<(), Error> {
        self.within = false;
        self.simple("ROLLBACK", ConnectionState::Idle).await
    }

    async fn simple(&mut self, sql: &str, then: ConnectionState) -> Result<(), Error> {
        self.state = ConnectionState::Busy;
        let done = bounded(self.shared.statement + LINK, simple(&mut self.raw, sql)).await;
        self.left(done, then)
    }

    /// Runs a statement to completion, within the deadline.
    pub(crate) async fn items<'q, E: Execute<'q, Postgres> + 'q>(&mut self, query: E) -> Result<Vec<Item>, Error> {
        self.state = ConnectionState::Busy;
        let shares = self.session.is_shared();
        let query = Statement { query, persistent: !shares };
        let (statement, raw) = (self.shared.statement, &mut self.raw);
        let done = if shares && !self.within {
            // A pooler may switch sessions between two messages, unless they are in one
            // transaction.
            let begin = self.session.begin(statement);
            let whole = async {
                simple(raw, &begin).await?;
                let done: Result<Vec<Item>, Error> = raw.fetch_many(query).try_collect().await;
                simple(raw, if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
                done
            };
            bounded(statement + LINK, whole).await
        } else {
            bounded(statement + LINK, raw.fetch_many(query).try_collect()).await
        };
        let then = if self.within { ConnectionState::InTransaction } else { ConnectionState::Idle };
        self.left(done, then)
    }

    /// The same, for the first row.
    pub(crate) async fn row<'q, E: Execute<'q, Postgres> + 'q>(&mut self, query: E) -> Result<Option<PgRow>, Error> {
        Ok(self.items(query).await?.into_iter().find_map(Either::right))
    }

    /// Derives the state of the connection from the result of a statement.
    fn left<T>(&mut self, done: Result<T, Error>, then: ConnectionState) -> Result<T, Error> {
        self.state = match &done {
            Ok(_) => then,
            Err(error) => match verdict(error) {
                ConnectionVerdict::Sound => then,
                ConnectionVerdict::Slow => {
                    self.shared.suspect();
                    ConnectionState::Broken
                }
                ConnectionVerdict::Dead => {
                    self.shared.give_up(self.generation);
                    ConnectionState::Broken
                }
            },
        };
        if self.state != ConnectionState::Broken {
            self.answered = Instant::now();
        }
        done
    }
}

/// What an error means for its connection.
#[derive(Debug, PartialEq, Eq)]
enum ConnectionVerdict {
    /// The statement failed; the connection is usable.
    Sound,
    /// No response in time: the connection or the server is slow or down.
    Slow,
    /// The connection is unusable, as are those of its generation.
    Dead,
}

fn verdict(error: &Error) -> ConnectionVerdict {
    match error {
        Error::Database(error) => match error.code().as_deref() {
            // Read-only: the server is not, or no longer, the primary.
            Some("25006") => ConnectionVerdict::Dead,
            // The session was ended: by an operator, by a server that stops, starts or crashed, or
            // because it idled in a transaction.
            Some("57P01" | "57P02" | "57P03" | "57P05" | "25P03") => ConnectionVerdict::Dead,
            Some(code) if code.starts_with("08") => ConnectionVerdict::Dead,
            _ => ConnectionVerdict::Sound,
        },
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => ConnectionVerdict::Slow,
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => ConnectionVerdict::Dead,
        _ => ConnectionVerdict::Sound,
    }
}

async fn simple(raw: &mut sqlx::PgConnection, sql: &str) -> Result<(), Error> {
    // The statement is a constant of this crate, with no input of a caller.
    raw.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
    Ok(())
}

/// A statement that leaves nothing behind in a session that a pooler shares.
struct Statement<E> {
    query: E,
    persistent: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Statement<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement().filter(|_| self.persistent)
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.persistent && self.query.persistent()
    }
}

type Item = Either<PgQueryResult, PgRow>;

impl<'c> Executor<'c> for &'c mut PgConnection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Item, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let items = async move { self.items(query).await };
        stream::once(items).map_ok(|items| stream::iter(items.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move { self.row(query).await }.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        (&mut self.raw).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        (&mut self.raw).describe(sql)
    }
}
