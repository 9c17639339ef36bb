//! One process of Redis: the model, the loaded library, and what would survive a crash.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use fairline_line::port::{Error, ErrorKind, Value};
use serde::{Deserialize, Serialize};

use crate::{
    gate::{Gate, LOAD, RedisCall, TaskWait},
    redis::{RedisProcess, Reply},
    script::Library,
};

/// Writes between two copies of the key space; a crash replays those since the last copy.
const COPY_EVERY: usize = 64;

/// What survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keeps {
    /// Everything.
    All,
    /// All but its last writes.
    AllBut(usize),
    /// Nothing, the library included.
    Nothing,
}

struct Write {
    now_us: i64,
    request: RedisCall,
}

/// A process of Redis.
pub struct RedisServer {
    redis: Rc<RefCell<RedisProcess>>,
    library: Library,
    has_library: bool,
    copy: RedisProcess,
    since: Vec<Write>,
    number: u32,
    lives: u32,
    /// Calls that have written.
    pub writes: u64,
    /// How far its clock is off, in ms.
    pub clock_off_ms: i64,
}

fn value(reply: Reply) -> Value {
    match reply {
        Reply::Nil => Value::Null,
        Reply::Int(number) => Value::Integer(number),
        Reply::Status(word) => Value::from(word),
        Reply::Bulk(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(other) => Value::Bytes(other.into_bytes().into()),
        },
        Reply::Array(replies) => Value::Array(replies.into_iter().map(value).collect()),
    }
}

impl RedisServer {
    /// An empty one, with the library.
    ///
    /// # Panics
    /// When the library is no Lua.
    #[must_use]
    pub fn new(number: u32, source: &str) -> Self {
        let redis = Rc::new(RefCell::new(RedisProcess::new("0")));
        let library = Library::load(source, &redis).unwrap_or_else(|error| panic!("the library: {error}"));
        let copy = redis.borrow().clone();
        let mut server = Self {
            redis,
            library,
            has_library: true,
            copy,
            since: Vec::new(),
            number,
            lives: 0,
            writes: 0,
            clock_off_ms: 0,
        };
        server.live_anew();
        server
    }

    fn live_anew(&mut self) {
        self.lives += 1;
        self.writes += 1;
        self.redis.borrow_mut().restart(&self.run_id());
        self.library.reload().unwrap_or_else(|error| panic!("the library: {error}"));
        self.copy = self.redis.borrow().clone();
        self.since.clear();
    }

    /// The run id of the process.
    #[must_use]
    pub fn run_id(&self) -> String {
        format!("{:08x}{:08x}", self.number, self.lives)
    }

    /// How often it was started.
    #[must_use]
    pub fn lives(&self) -> u32 {
        self.lives
    }

    /// The process ends, and another starts with what is left.
    pub fn restart(&mut self, keeps: Keeps) {
        match keeps {
            Keeps::All => {}
            Keeps::AllBut(lost) => self.lose(lost),
            Keeps::Nothing => {
                *self.redis.borrow_mut() = RedisProcess::new("");
                self.has_library = false;
            }
        }
        self.live_anew();
    }

    fn lose(&mut self, lost: usize) {
        *self.redis.borrow_mut() = self.copy.clone();
        // The replayed writes are of the process of the copy, so the library must have its run id.
        self.library.reload().unwrap_or_else(|error| panic!("the library: {error}"));
        let kept = self.since.len().saturating_sub(lost);
        for write in std::mem::take(&mut self.since).into_iter().take(kept) {
            self.redis.borrow_mut().set_time(write.now_us);
            // Its response was delivered the first time.
            let _ = self.library.call(&write.request.function, &write.request.keys, &write.request.args);
        }
    }

    /// Becomes the primary: with the data of the old one, without its last, unreplicated writes.
    pub fn take_over(&mut self, from: &Self, lost: usize) {
        *self.redis.borrow_mut() = from.redis.borrow().clone();
        self.copy = from.copy.clone();
        let write = |write: &Write| Write { now_us: write.now_us, request: write.request.clone() };
        self.since = from.since.iter().map(write).collect();
        self.has_library = from.has_library;
        self.lose(lost);
        self.live_anew();
    }

    /// Executes a call.
    ///
    /// # Errors
    /// The client's error for an error reply.
    pub fn call(&mut self, now_ms: u64, request: &RedisCall) -> Result<Value, Error> {
        let now_us = (i64::try_from(now_ms).unwrap_or(i64::MAX) + self.clock_off_ms) * 1000;
        self.redis.borrow_mut().set_time(now_us);
        if request.function == LOAD {
            self.has_library = true;
            return Ok(Value::Null);
        }
        let answer = if self.has_library {
            self.library.call(&request.function, &request.keys, &request.args)
        } else {
            Err("ERR Function not found".to_owned())
        };
        if self.redis.borrow_mut().take_wrote() {
            self.writes += 1;
            self.since.push(Write { now_us, request: request.clone() });
            if self.since.len() >= COPY_EVERY {
                self.copy = self.redis.borrow().clone();
                self.since.clear();
            }
        }
        answer.map(value).map_err(|error| Error::new(ErrorKind::Unknown, error))
    }

    /// What was published since the last call.
    pub fn take_published(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.redis.borrow_mut().take_published()
    }

    /// Commands that functions executed since the last call, and elements of their replies.
    pub fn take_work(&mut self) -> u64 {
        self.library.take_work()
    }

    /// Reads without the library, for checks.
    #[must_use]
    pub fn read(&self, args: &[&[u8]]) -> Reply {
        self.redis.borrow_mut().command(args).unwrap_or(Reply::Nil)
    }
}

/// Runs a future to its end; every call that it makes returns immediately.
///
/// # Panics
/// When it waits for something else.
pub fn complete<T>(gate: &Gate, server: &mut RedisServer, now_ms: u64, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        let TaskWait::Answer(id) = gate.take_wait() else { panic!("it waits for something that is not simulated") };
        let request = gate.request(id).expect("it has just been sent");
        gate.answer(id, server.call(now_ms, &request));
    }
}
