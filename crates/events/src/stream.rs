//! The Redis stream of a sale's events, `fairline:{sale}:events`, with consumer groups.
//!
//! An entry's id is its event's number, so appending is idempotent, the order is that of the
//! commits, and a stream that Redis lost is restored from the outbox. Delivery is at least once: if
//! a consumer dies with unacknowledged events, another of its group receives them after a minute.

use std::{collections::HashMap, time::Duration};

use fairline_redis::Redis;
use fairline_sale::SaleId;
use fred::{
    clients::Client,
    error::Error,
    interfaces::{LuaInterface as _, StreamsInterface as _},
    types::Value,
};

use crate::event::Event;

const APPEND: &str = include_str!("append.lua");
/// `KEYS[1]`: the stream. ARGV: a group, and the milliseconds after which a silent consumer is
/// removed.
const FORGET_CONSUMERS: &str = r"
    local forgotten = 0
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
        local about = {}
        for at = 1, #info, 2 do about[info[at]] = info[at + 1] end
        if about.pending == 0 and about.idle >= tonumber(ARGV[2]) then
            redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about.name)
            forgotten = forgotten + 1
        end
    end
    return forgotten";
/// Approximate maximum length of a stream.
pub const KEPT_MAX: u32 = 100_000;
/// Lifetime of a stream after its last event.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// A consumer that leaves an event unacknowledged for this long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// A call to Redis failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream of events does not respond: {0}")]
pub struct StreamError(String);

impl From<Error> for StreamError {
    fn from(error: Error) -> Self {
        Self(error.details().to_owned())
    }
}

/// The event streams of all sales.
///
/// ```no_run
/// use fairline_events::{Event, EventStream};
/// use fairline_sale::SaleId;
///
/// # async fn relay(sale: SaleId, events: &[Event]) -> Result<(), Box<dyn std::error::Error>> {
/// let redis = fairline_redis::connect("redis://localhost").await?;
/// let stream = EventStream::new(redis).waiting_for(vec!["webhooks"]);
/// stream.append(true, events).await?;
/// for event in stream.next(sale, "webhooks", "checkout-1", 100).await? {
///     println!("{}", event.to_json());
///     stream.acknowledge(sale, "webhooks", &[event.number]).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EventStream {
    redis: Redis,
    waits_for: Vec<&'static str>,
}

fn key(sale: SaleId) -> String {
    format!("fairline:{{{sale}}}:events")
}

type Entries = Vec<(String, HashMap<String, String>)>;

impl EventStream {
    /// Uses the streams in this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis, waits_for: Vec::new() }
    }

    /// Makes `append` wait for these groups: it appends nothing that would trim events that they
    /// have not acknowledged. Other readers must keep up with the newest [`KEPT_MAX`].
    #[must_use]
    pub fn waiting_for(mut self, groups: Vec<&'static str>) -> Self {
        self.waits_for = groups;
        self
    }

    /// Appends consecutive events of one sale; `first_kept` states that no earlier ones exist. May
    /// be repeated.
    ///
    /// Returns the number of the stream's last event. If that is not the number of the last of
    /// these events, the stream lacks the events after it, and the caller continues from there. If
    /// it is the number before the first of these, the caller has to wait for a group.
    ///
    /// # Errors
    /// When Redis does not respond; the events may have been appended all the same.
    pub async fn append(&self, first_kept: bool, events: &[Event]) -> Result<u64, StreamError> {
        let Some(first) = events.first() else { return Ok(0) };
        let lifetime_s = i64::try_from(KEPT_FOR.as_secs()).unwrap_or(i64::MAX);
        let numbers = [
            ("first", Value::from(first.number.to_string())),
            ("is_first_kept", Value::from(i64::from(first_kept))),
            ("kept", Value::from(i64::from(KEPT_MAX))),
            ("lifetime_s", Value::from(lifetime_s)),
        ];
        let groups = self.waits_for.iter().map(|group| ("groups", Value::from(*group)));
        let events = events.iter().map(|event| ("events", Value::from(event.to_json())));
        let named = numbers.into_iter().chain(groups).chain(events);
        let args: Vec<Value> = named.flat_map(|(name, value)| [Value::from(name), value]).collect();
        self.eval(APPEND, first.sale, args).await
    }

    /// Reads the next events of a sale for a consumer of a group, in order; events that another
    /// consumer of the group abandoned come first.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn next(&self, sale: SaleId, group: &str, consumer: &str, most: u64) -> Result<Vec<Event>, StreamError> {
        let stream = &*key(sale);
        let read = |client: Client| read(client, stream, (group, consumer), most);
        let entries = match self.redis.run(stream, read).await {
            Err(error) if error.details().starts_with("NOGROUP") => {
                // The group starts at the first event. A concurrent second creation is harmless;
                // without a stream there is no group.
                let create = |client: Client| async move {
                    client.xgroup_create::<Value, _, _, _>(stream, group, "0", false).await
                };
                match self.redis.run(stream, create).await {
                    Err(error) if error.details().contains("requires the key to exist") => return Ok(Vec::new()),
                    Err(error) if !error.details().starts_with("BUSYGROUP") => return Err(error.into()),
                    _ => self.redis.run(stream, read).await?,
                }
            }
            entries => entries?,
        };
        // Events of a kind that only newer versions have are skipped.
        let (mut events, mut unknown) = (Vec::new(), Vec::new());
        for (id, fields) in entries {
            match fields.get("event").and_then(|json| Event::from_json(json)) {
                Some(event) => events.push(event),
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            self.xack(sale, group, unknown).await?;
        }
        Ok(events)
    }

    async fn xack(&self, sale: SaleId, group: &str, ids: Vec<String>) -> Result<(), Error> {
        let stream = key(sale);
        let ack = |client: Client| {
            let (stream, ids) = (stream.as_str(), ids.clone());
            async move { client.xack::<u64, _, _, _>(stream, group, ids).await }
        };
        self.redis.run(&stream, ack).await.map(drop)
    }

    async fn eval(&self, script: &'static str, sale: SaleId, args: Vec<Value>) -> Result<u64, StreamError> {
        let stream = key(sale);
        let eval = |client: Client| {
            let (stream, args) = (stream.clone(), args.clone());
            async move { client.eval(script, stream, args).await }
        };
        Ok(self.redis.run(&stream, eval).await?)
    }

    /// Removes the consumers of a group that have been silent for `silent_for` and have no pending
    /// events, and returns their number: every process is its own consumer, and most have ended. A
    /// removed consumer that reads again is created again.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn forget_consumers(&self, sale: SaleId, group: &str, silent_for: Duration) -> Result<u64, StreamError> {
        let gone_after_ms = i64::try_from(silent_for.as_millis()).unwrap_or(i64::MAX);
        self.eval(FORGET_CONSUMERS, sale, vec![Value::from(group), Value::from(gone_after_ms)]).await
    }

    /// Acknowledges these events for the group.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn acknowledge(&self, sale: SaleId, group: &str, numbers: &[u64]) -> Result<(), StreamError> {
        if numbers.is_empty() {
            return Ok(());
        }
        Ok(self.xack(sale, group, numbers.iter().map(|number| format!("{number}-0")).collect()).await?)
    }
}

/// The next entries for a consumer of a group: abandoned ones first.
async fn read(client: Client, stream: &str, (group, consumer): (&str, &str), most: u64) -> Result<Entries, Error> {
    let dead_after_ms = u64::try_from(DEAD_AFTER.as_millis()).unwrap_or(u64::MAX);
    let (_, left): (String, Entries) =
        client.xautoclaim_values(stream, group, consumer, dead_after_ms, "0", Some(most), false).await?;
    if !left.is_empty() {
        return Ok(left);
    }
    let read: Value = client.xreadgroup(group, consumer, Some(most), None, false, stream, ">").await?;
    // Redis returns null instead of an empty map.
    let read: HashMap<String, Entries> = if read.is_null() { HashMap::new() } else { read.into_xread_response()? };
    Ok(read.into_values().flatten().collect())
}
