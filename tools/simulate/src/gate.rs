//! The points at which the code under test stops: a call to Redis, a lock of the database, between
//! two statements, or a sleep. The scheduler decides when a stopped future continues, and what
//! happens in between.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use async_trait::async_trait;
use fairline_line::port::{Error, LinePort, Listed, Value};

/// Virtual time, in ms.
#[derive(Debug, Clone, Default)]
pub struct Now(Arc<AtomicU64>);

impl Now {
    /// The current time.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the current time.
    pub fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

/// The name of the call that loads the library.
pub const LOAD: &str = "FUNCTION LOAD";

/// A call to Redis.
#[derive(Debug, Clone)]
pub struct RedisCall {
    /// The function.
    pub function: String,
    /// Its keys.
    pub keys: Vec<String>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
}

/// Why a task has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskWait {
    /// It may continue.
    #[default]
    Ready,
    /// It waits for the response to a call.
    Answer(u64),
    /// It sleeps until this virtual time, in ms.
    Until(u64),
    /// It waits for the lock of the sale's line.
    Lock,
    /// It waits for a change of the line.
    Inbox,
}

enum CallState {
    Sent(RedisCall),
    Answered(Result<Value, Error>),
}

#[derive(Default)]
struct GateState {
    calls: HashMap<u64, CallState>,
    next: u64,
    wait: TaskWait,
}

/// The gate of one simulation.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

/// The bytes of a value.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        other => other.as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

impl Gate {
    fn inside(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last task stopped.
    pub fn take_wait(&self) -> TaskWait {
        std::mem::take(&mut self.inside().wait)
    }

    /// A call that has not been delivered.
    #[must_use]
    pub fn request(&self, id: u64) -> Option<RedisCall> {
        match self.inside().calls.get(&id) {
            Some(CallState::Sent(request)) => Some(request.clone()),
            _ => None,
        }
    }

    /// Returns the result of a call.
    pub fn answer(&self, id: u64, answer: Result<Value, Error>) {
        if let Some(call) = self.inside().calls.get_mut(&id) {
            *call = CallState::Answered(answer);
        }
    }

    /// Forgets a call whose caller has ended.
    pub fn forget(&self, id: u64) {
        self.inside().calls.remove(&id);
    }

    /// Stops the current task once.
    pub async fn stop(&self, why: TaskWait) {
        let mut stopped = false;
        poll_fn(|_| {
            if std::mem::replace(&mut stopped, true) {
                return Poll::Ready(());
            }
            self.inside().wait = why;
            Poll::Pending
        })
        .await;
    }

    async fn send(&self, request: RedisCall) -> Result<Value, Error> {
        let id = {
            let mut inside = self.inside();
            inside.next += 1;
            let id = inside.next;
            inside.calls.insert(id, CallState::Sent(request));
            id
        };
        poll_fn(|_| {
            let mut inside = self.inside();
            match inside.calls.remove(&id) {
                Some(CallState::Answered(answer)) => Poll::Ready(answer),
                call => {
                    inside.calls.extend(call.map(|call| (id, call)));
                    inside.wait = TaskWait::Answer(id);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[async_trait]
impl LinePort for Gate {
    async fn call(&self, function: &str, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        self.send(RedisCall { function: function.to_owned(), keys, args: args.iter().map(bytes).collect() }).await
    }

    async fn load(&self, _key: &str) -> Result<(), Error> {
        let load = RedisCall { function: LOAD.to_owned(), keys: Vec::new(), args: Vec::new() };
        self.send(load).await.map(drop)
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    // The list of sales is not simulated: there is one sale.
    async fn list(&self, _sale: String, _until_ms: f64, _now_ms: f64) -> Result<(), Error> {
        Ok(())
    }

    async fn listed(&self, _now_ms: f64, _most: u32) -> Result<Listed, Error> {
        Ok(Listed::default())
    }

    async fn listed_open(&self) -> Result<u64, Error> {
        Ok(0)
    }
}
