//! An in-memory model of the Redis commands that the line's function library calls.
//!
//! - Owns a key space, its expiry times and the unread published messages. Calls nothing.
//! - The caller sets the time; nothing here reads a clock.
//! - Replies and errors are those of Redis 7.0, word for word: `tests/model` compares them with a
//!   real one. Commands and options that the library does not use are errors.
//! - As documented by Redis, `HGETALL` has no order, and `MAXLEN ~` may keep more.

mod bits;
mod hashes;
mod keyspace;
mod sorted;
mod streams;
mod text;

use std::collections::HashMap;

pub use sorted::Sorted;
pub use streams::Stream;

/// A reply of Redis.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// `OK`, or the type of a key.
    Status(&'static str),
    /// A list.
    Array(Vec<Reply>),
}

/// A reply, or an error message as Redis sends it.
pub type RedisResult = Result<Reply, String>;

impl Reply {
    fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().to_vec())
    }

    fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

#[derive(Debug, Clone)]
enum Value {
    Text(Vec<u8>),
    Hash(std::collections::BTreeMap<Vec<u8>, Vec<u8>>),
    Sorted(Sorted),
    Stream(Stream),
}

#[derive(Debug, Clone)]
struct KeyEntry {
    value: Value,
    expires_ms: Option<i64>,
}

/// One Redis process.
#[derive(Debug, Clone)]
pub struct RedisProcess {
    keys: HashMap<Vec<u8>, KeyEntry>,
    now_us: i64,
    run_id: String,
    published: Vec<(Vec<u8>, Vec<u8>)>,
    wrote: bool,
}

fn syntax<T>() -> Result<T, String> {
    Err("ERR syntax error".to_owned())
}

fn wrong_type<T>() -> Result<T, String> {
    Err("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
}

/// Reads an integer as Redis does: no sign but `-`, no leading zero, no space.
fn integer(text: &[u8]) -> Result<i64, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(number) if number.to_string().as_bytes() == text => Ok(number),
        _ => Err("ERR value is not an integer or out of range".to_owned()),
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// A range of indexes, the negative ones counted from the end, as `from..to`.
fn indexes(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let start = if start < 0 { (len + start).max(0) } else { start };
    let stop = if stop < 0 { len + stop } else { stop.min(len - 1) };
    if start > stop || start >= len { 0..0 } else { at(start)..at(stop) + 1 }
}

fn at(index: i64) -> usize {
    usize::try_from(index).unwrap_or(0)
}

impl RedisProcess {
    /// An empty one.
    #[must_use]
    pub fn new(run_id: &str) -> Self {
        Self { keys: HashMap::new(), now_us: 0, run_id: run_id.to_owned(), published: Vec::new(), wrote: false }
    }

    /// Sets the clock.
    pub fn set_time(&mut self, now_us: i64) {
        self.now_us = now_us;
    }

    /// Another process has read what this one kept.
    pub fn restart(&mut self, run_id: &str) {
        run_id.clone_into(&mut self.run_id);
        self.published.clear();
    }

    /// What was published since the last call: channels and messages.
    pub fn take_published(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut self.published)
    }

    /// Whether a command since the last call has written.
    pub(crate) fn take_wrote(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    fn now_ms(&self) -> i64 {
        self.now_us.div_euclid(1000)
    }

    /// The value of a key that has not expired.
    fn value(&self, key: &[u8]) -> Option<&Value> {
        let entry = self.keys.get(key)?;
        (entry.expires_ms.is_none_or(|at| at > self.now_ms())).then_some(&entry.value)
    }

    /// The value of a key, created if missing.
    fn value_or(&mut self, key: &[u8], new: impl FnOnce() -> Value) -> &mut Value {
        self.expire(key);
        self.wrote = true;
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_vec(), KeyEntry { value: new(), expires_ms: None });
        }
        &mut self.keys.get_mut(key).expect("made above").value
    }

    /// The value of a key, for a change.
    fn value_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.expire(key);
        self.wrote = true;
        self.keys.get_mut(key).map(|entry| &mut entry.value)
    }

    fn expire(&mut self, key: &[u8]) {
        let now = self.now_ms();
        if self.keys.get(key).is_some_and(|entry| entry.expires_ms.is_some_and(|at| at <= now)) {
            self.keys.remove(key);
        }
    }

    /// Executes a command.
    ///
    /// # Errors
    /// The error that Redis would return.
    pub fn command(&mut self, args: &[&[u8]]) -> RedisResult {
        let Some((name, rest)) = args.split_first() else { return syntax() };
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        let any = usize::MAX;
        let (least, most) = match name.as_str() {
            "TIME" => (0, 0),
            "INFO" => (0, any),
            "GET" | "STRLEN" | "HGETALL" | "HLEN" | "ZCARD" | "XLEN" | "PTTL" | "PERSIST" | "TYPE" => (1, 1),
            "DEL" | "UNLINK" | "EXISTS" | "BITCOUNT" => (1, any),
            "HGET" | "HEXISTS" | "ZSCORE" | "GETBIT" | "SPUBLISH" | "ZRANK" => (2, 2),
            "SET" | "HDEL" | "HMGET" | "ZREM" | "BITPOS" | "PEXPIRE" | "PEXPIREAT" => (2, any),
            "HSETNX" | "HINCRBY" | "ZREMRANGEBYSCORE" | "ZCOUNT" | "GETRANGE" | "SETRANGE" | "SETBIT" => (3, 3),
            "HSET" | "ZADD" | "ZRANGE" | "ZRANGEBYSCORE" | "XRANGE" | "XREVRANGE" | "XTRIM" | "BITOP" => (3, any),
            "XADD" => (4, any),
            _ => return Err(format!("ERR unknown command '{name}' in the model")),
        };
        if rest.len() < least || rest.len() > most {
            return Err(format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase()));
        }
        match name.as_str() {
            "TIME" => {
                let (s, us) = (self.now_us.div_euclid(1_000_000), self.now_us.rem_euclid(1_000_000));
                Ok(Reply::Array(vec![Reply::text(s.to_string()), Reply::text(us.to_string())]))
            }
            "INFO" => Ok(Reply::text(format!("# Server\r\nredis_version:7.0.15\r\nrun_id:{}\r\n", self.run_id))),
            "SPUBLISH" => {
                self.published.push((rest[0].to_vec(), rest[1].to_vec()));
                Ok(Reply::Int(0))
            }
            "DEL" | "UNLINK" | "EXISTS" | "PEXPIRE" | "PEXPIREAT" | "PTTL" | "PERSIST" | "TYPE" => {
                self.keyspace(&name, rest)
            }
            "GET" | "SET" | "STRLEN" | "GETRANGE" | "SETRANGE" => self.texts(&name, rest),
            "SETBIT" | "GETBIT" | "BITCOUNT" | "BITPOS" | "BITOP" => self.bits(&name, rest),
            "HGET" | "HSET" | "HDEL" | "HINCRBY" | "HSETNX" | "HEXISTS" | "HGETALL" | "HMGET" | "HLEN" => {
                self.hashes(&name, rest)
            }
            "XADD" | "XRANGE" | "XREVRANGE" | "XTRIM" | "XLEN" => self.streams(&name, rest),
            _ => self.sorted(&name, rest),
        }
    }
}
