//! The stream of a sale's events in Redis, `fairline:{sale}:events`, with consumer groups.
//!
//! An entry's id is its event's number, so appending is idempotent, the order is that of the commits, and a stream that Redis
//! has lost is written again from the outbox. A consumer hears of each event at least once: what it read and did not
//! acknowledge, because it died, goes to another one of its group after a minute.

use std::{collections::HashMap, time::Duration};

use fairline_sale::SaleId;
use fred::{
    clients::Client,
    interfaces::{LuaInterface as _, StreamsInterface as _},
    types::Value,
};

use crate::event::Event;

const APPEND: &str = include_str!("append.lua");
/// KEYS[1]: the stream. ARGV: a group, and how many ms a consumer has been silent that has gone.
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
/// Events that a stream keeps, about.
pub const KEPT_MAX: u32 = 100_000;
/// How long a stream is kept after its last event.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// A consumer that has not acknowledged an event for so long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// Redis did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream of events does not answer: {0}")]
pub struct StreamError(String);

impl From<fred::error::Error> for StreamError {
    fn from(error: fred::error::Error) -> Self {
        Self(error.details().to_owned())
    }
}

/// The streams of all sales' events.
#[derive(Clone)]
pub struct EventStream {
    client: Client,
    waits_for: Vec<&'static str>,
}

fn key(sale: SaleId) -> String {
    format!("fairline:{{{sale}}}:events")
}

type Entries = Vec<(String, HashMap<String, String>)>;

impl EventStream {
    /// The streams in this Redis.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, waits_for: Vec::new() }
    }

    /// Appends nothing that would push out what one of these groups has not taken in: events then wait where they come from.
    /// Whoever else reads has to keep up with the newest [`KEPT_MAX`].
    #[must_use]
    pub fn waiting_for(mut self, groups: Vec<&'static str>) -> Self {
        self.waits_for = groups;
        self
    }

    /// Appends events of one sale, whose numbers follow each other; `first_kept` says that there are none before them.
    /// Gives the number of the stream's last event: when it is not that of the last of these, the stream lacks those that
    /// follow it, and the caller goes on from there; or, where it is that of the one before the first, a group is to be waited for.
    /// May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer; events may then have been appended all the same.
    pub async fn append(&self, first_kept: bool, events: &[Event]) -> Result<u64, StreamError> {
        let Some(first) = events.first() else { return Ok(0) };
        let mut args = vec![
            Value::from(first.number.to_string()),
            Value::from(if first_kept { "1" } else { "0" }),
            Value::from(i64::from(KEPT_MAX)),
            Value::from(i64::try_from(KEPT_FOR.as_secs()).unwrap_or(i64::MAX)),
            Value::from(i64::try_from(self.waits_for.len()).unwrap_or(i64::MAX)),
        ];
        args.extend(self.waits_for.iter().map(|group| Value::from(*group)));
        args.extend(events.iter().map(|event| Value::from(event.to_json())));
        Ok(self.client.eval(APPEND, key(first.sale), args).await?)
    }

    /// The next events of a sale for a consumer of a group, in their order: first such as another one of the group has left
    /// behind.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn next(&self, sale: SaleId, group: &str, consumer: &str, most: u64) -> Result<Vec<Event>, StreamError> {
        match self.try_next(sale, group, consumer, most).await {
            Err(error) if error.details().starts_with("NOGROUP") => {
                // From the first event on. Made twice at once, the second finds it made; no stream, no group.
                let made: Result<Value, _> = self.client.xgroup_create(key(sale), group, "0", false).await;
                match made {
                    Err(error) if error.details().contains("requires the key to exist") => Ok(Vec::new()),
                    Err(error) if !error.details().starts_with("BUSYGROUP") => Err(error.into()),
                    _ => Ok(self.try_next(sale, group, consumer, most).await?),
                }
            }
            answer => Ok(answer?),
        }
    }

    async fn try_next(
        &self,
        sale: SaleId,
        group: &str,
        consumer: &str,
        most: u64,
    ) -> Result<Vec<Event>, fred::error::Error> {
        let dead_after_ms = u64::try_from(DEAD_AFTER.as_millis()).unwrap_or(u64::MAX);
        let (_, left): (String, Entries) =
            self.client.xautoclaim_values(key(sale), group, consumer, dead_after_ms, "0", Some(most), false).await?;
        let entries = if left.is_empty() {
            let read: Value = self.client.xreadgroup(group, consumer, Some(most), None, false, key(sale), ">").await?;
            // Nothing new is no map at all.
            let read: HashMap<String, Entries> =
                if read.is_null() { HashMap::new() } else { read.into_xread_response()? };
            read.into_values().flatten().collect()
        } else {
            left
        };
        // An event of a kind that only newer versions know is none for us.
        let (mut events, mut unknown) = (Vec::new(), Vec::new());
        for (id, fields) in entries {
            match fields.get("event").and_then(|json| Event::from_json(json)) {
                Some(event) => events.push(event),
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            let _: u64 = self.client.xack(key(sale), group, unknown).await?;
        }
        Ok(events)
    }

    /// Forgets the consumers of a group that have asked for nothing for so long and have acknowledged all that they were told: every process
    /// is a consumer of its own, and most that there ever were have ended. One that has not is known again when it asks. Gives how many.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn forget_consumers(&self, sale: SaleId, group: &str, silent_for: Duration) -> Result<u64, StreamError> {
        let gone_after_ms = i64::try_from(silent_for.as_millis()).unwrap_or(i64::MAX);
        Ok(self.client.eval(FORGET_CONSUMERS, key(sale), vec![Value::from(group), Value::from(gone_after_ms)]).await?)
    }

    /// The events of these numbers need not be said to the group again.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn acknowledge(&self, sale: SaleId, group: &str, numbers: &[u64]) -> Result<(), StreamError> {
        if numbers.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = numbers.iter().map(|number| format!("{number}-0")).collect();
        let _: u64 = self.client.xack(key(sale), group, ids).await?;
        Ok(())
    }
}
