//! The line's state in Redis: the only module that speaks Redis.
//!
//! Every atomic step is a function of the library in `line.lua`, whose head lists the keys. All keys of a sale share
//! the hash tag `{sale id}`, so a Redis Cluster keeps a sale in one slot; `fairline:sales` is the sorted set of all sales,
//! by the moment (Unix time in ms) until which they are listed. A closed sale is kept for a week, for those who come back
//! late to hear of it.
//!
//! Redis is the fast index, not the truth: when it answers that it does not know a line, the controller publishes it
//! again from Postgres, and shoppers' tickets put back what Postgres does not know.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use fairline_sale::{SaleCard, SaleId, Status, VisitorId};
use fred::{
    clients::Client,
    interfaces::{
        ClientLike as _, FunctionInterface as _, HashesInterface as _, SortedSetsInterface as _, StreamsInterface as _,
    },
    types::{
        Builder, FromValue, Value,
        config::{Config, ReconnectPolicy, UnresponsiveConfig},
    },
};
use time::OffsetDateTime;

use crate::{
    change::{Change, Turn},
    ticket::{Ordinal, Ticket},
    view::LineView,
};

const LIBRARY: &str = include_str!("line.lua");
/// The keys of a sale, in the order that the library counts them.
const KEYS: [&str; 9] =
    ["line", "arrivals", "departed", "recalled", "absent", "turns", "claims", "changes", "visitors"];
const SALES: &str = "fairline:sales";
/// How long a closed sale is kept.
const CLOSED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a command may take before its caller is told that Redis is not there.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// Commands that wait for a connection at most; beyond them callers are refused at once.
const COMMANDS_WAITING_MAX: usize = 20_000;
/// How long a read of changes waits for news.
const READ_BLOCK: Duration = Duration::from_millis(1000);
/// Changes of one sale in one read at most.
const READ_CHANGES_MAX: u64 = 512;

/// Why the line did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Redis knows no line of this sale: it is unknown, or Redis has lost it and the controller will publish it again.
    #[error("the line is not in Redis")]
    NotPublished,
    /// Redis is down, slow, or out of reach.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
    /// Redis answered something that our functions never say.
    #[error("Redis answered something unexpected: {0}")]
    Unexpected(String),
}

/// What a batch of joins was given: consecutive ordinals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The line's life.
    pub epoch: u32,
    /// The first of the batch's ordinals.
    pub first: Ordinal,
}

/// What has become of a ticket's turn, and at which revision of the line that was so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// What has become of it.
    pub turn: Turn,
    /// Changes up to this revision are in it; later ones are not.
    pub rev: u64,
}

/// What a page has said of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It has the token.
    Claimed,
    /// The shopper left, and gives the token back.
    Left,
}

/// What the controller reads of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// The line's life.
    pub epoch: u32,
    /// The highest ordinal given.
    pub highest: Ordinal,
    /// The cursor, once all of `tickets` have been let in.
    pub cursor: Ordinal,
    /// People who wait, before any of `tickets` is let in.
    pub waiting: u64,
    /// The next tickets in order of service.
    pub tickets: Vec<(Ordinal, VisitorId)>,
    /// What pages have said since the last publication.
    pub claims: Vec<(Ordinal, Claim)>,
}

/// What the controller has committed and now says.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication<'a> {
    /// Grows by one with every publication; late ones are ignored.
    pub number: i64,
    /// The line's life.
    pub epoch: u32,
    /// The highest ordinal whose turn has come.
    pub cursor: Ordinal,
    /// The highest ordinal that is known to have been given.
    pub highest: Ordinal,
    /// The sale's facts.
    pub card: &'a SaleCard,
    /// The claims that have been heard and need not be said again.
    pub heard: &'a [(Ordinal, Claim)],
    /// What became of whose turn.
    pub turns: &'a [(Ordinal, Turn)],
}

/// A line at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision that the next change follows.
    pub rev: u64,
    /// The line.
    pub view: LineView,
    /// The sale's facts.
    pub card: SaleCard,
}

/// The lines of all sales, in Redis.
#[derive(Clone)]
pub struct LineStore {
    client: Client,
}

fn keys(sale: SaleId) -> Vec<String> {
    KEYS.iter().map(|key| format!("fairline:{{{sale}}}:{key}")).collect()
}

fn changes_key(sale: SaleId) -> String {
    format!("fairline:{{{sale}}}:changes")
}

/// The one place where a Redis client is made: none without a time limit, a bound and a way back.
async fn client(url: &str, command_timeout: Duration) -> Result<Client, LineError> {
    let config = Config::from_url(url).map_err(|error| LineError::Unavailable(error.to_string()))?;
    let client = Builder::from_config(config)
        .with_performance_config(|performance| performance.default_command_timeout = command_timeout)
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            // Our functions are not all idempotent: a command whose reply was lost is the caller's to repeat.
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = COMMANDS_WAITING_MAX;
            connection.tcp.nodelay = Some(true);
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(command_timeout + Duration::from_secs(2)),
                interval: Duration::from_millis(500),
            };
        })
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 1000, 2))
        .build()
        .map_err(|error| LineError::Unavailable(error.to_string()))?;
    client.init().await.map_err(|error| LineError::Unavailable(error.to_string()))?;
    Ok(client)
}

impl From<fred::error::Error> for LineError {
    fn from(error: fred::error::Error) -> Self {
        use fred::error::ErrorKind;
        match error.kind() {
            _ if error.details().starts_with("NOLINE") => Self::NotPublished,
            ErrorKind::Parse | ErrorKind::InvalidArgument | ErrorKind::InvalidCommand => {
                Self::Unexpected(error.details().to_owned())
            }
            _ => Self::Unavailable(error.details().to_owned()),
        }
    }
}

impl LineStore {
    /// Connects, and loads the function library.
    ///
    /// # Errors
    /// When Redis can't be reached or the address is none.
    pub async fn connect(url: &str) -> Result<Self, LineError> {
        let store = Self { client: client(url, COMMAND_TIMEOUT).await? };
        store.load().await?;
        Ok(store)
    }

    async fn load(&self) -> Result<(), LineError> {
        let _: String = self.client.function_load(true, LIBRARY).await?;
        Ok(())
    }

    async fn call<R: FromValue>(&self, function: &str, sale: SaleId, args: Vec<Value>) -> Result<R, LineError> {
        let name = format!("fairline_v1_{function}");
        match self.client.fcall(name.as_str(), keys(sale), args.clone()).await {
            // An emptied Redis has lost our functions, too.
            Err(error) if error.details().contains("Function not found") => {
                self.load().await?;
                Ok(self.client.fcall(name, keys(sale), args).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), LineError> {
        Ok(self.client.ping(None).await?)
    }

    /// All sales whose lines are published.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn sales(&self) -> Result<Vec<SaleId>, LineError> {
        let (from, to) = (unix_ms(OffsetDateTime::now_utc()), f64::INFINITY);
        let ids: Vec<String> = self.client.zrangebyscore(SALES, from, to, false, None).await?;
        let unexpected = |error: fairline_sale::InvalidId| LineError::Unexpected(error.to_string());
        ids.iter().map(|id| id.parse().map_err(unexpected)).collect()
    }

    /// Gives each visitor an ordinal, in order, above `seen`: the highest that the caller knows of, which a Redis that has
    /// lost its last moments may not.
    ///
    /// # Errors
    /// When Redis does not answer; the visitors may then have been given ordinals that nobody holds, which lapse.
    pub async fn join(&self, sale: SaleId, seen: Ordinal, visitors: &[VisitorId]) -> Result<Joined, LineError> {
        let packed: Vec<u8> = visitors.iter().flat_map(|visitor| visitor.0).collect();
        let (epoch, first) = self.call("join", sale, vec![number(seen), Value::Bytes(packed.into())]).await?;
        Ok(Joined { epoch, first })
    }

    /// The holder of a ticket is here (again): ends its grace period, returns or recalls it, and says what has become of
    /// its turn. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn resume(&self, ticket: &Ticket) -> Result<Resumed, LineError> {
        let visitor = Value::Bytes(Bytes::copy_from_slice(&ticket.visitor.0));
        let (turn, rev): (String, u64) =
            self.call("resume", ticket.sale, vec![number(ticket.ordinal), visitor]).await?;
        let turn = Turn::from_text(&turn).ok_or_else(|| LineError::Unexpected(turn.chars().take(40).collect()))?;
        Ok(Resumed { turn, rev })
    }

    /// These tickets' holders are gone; their grace period runs. With `told`, every node hears of it, so that one where
    /// the shopper still is can say so. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn absent(
        &self,
        sale: SaleId,
        grace: Duration,
        told: bool,
        ordinals: &[Ordinal],
    ) -> Result<(), LineError> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let mut args = vec![number(grace_ms), Value::from(if told { "told" } else { "untold" })];
        args.extend(ordinals.iter().copied().map(number));
        let _: u64 = self.call("absent", sale, args).await?;
        Ok(())
    }

    /// Marks tickets whose grace period has run out as departed, `max` at most, and says how many.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn sweep(&self, sale: SaleId, max: u64) -> Result<u64, LineError> {
        self.call("sweep", sale, vec![number(max)]).await
    }

    /// The holder gives the place up, and the token if one is out. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn leave(&self, ticket: &Ticket) -> Result<(), LineError> {
        let _: u64 = self.call("leave", ticket.sale, vec![number(ticket.ordinal)]).await?;
        Ok(())
    }

    /// A page has its token. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn claim(&self, ticket: &Ticket) -> Result<(), LineError> {
        let _: u64 = self.call("claim", ticket.sale, vec![number(ticket.ordinal)]).await?;
        Ok(())
    }

    /// Who is next after `cursor`, `wanted` at most, looking at most `reach` ordinals far. Changes nothing.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn upcoming(
        &self,
        sale: SaleId,
        cursor: Ordinal,
        wanted: u64,
        reach: u64,
    ) -> Result<Upcoming, LineError> {
        type Answer = (u32, Ordinal, Ordinal, u64, Vec<(Ordinal, Bytes)>, Vec<(Ordinal, String)>);
        let args = [cursor, wanted, reach].map(number).to_vec();
        let (epoch, highest, cursor, waiting, tickets, claims): Answer = self.call("upcoming", sale, args).await?;
        let tickets = tickets.into_iter().map(|(ordinal, visitor)| {
            let visitor = visitor.as_ref().try_into().map_err(|_| LineError::Unexpected("a visitor id".to_owned()))?;
            Ok((ordinal, VisitorId(visitor)))
        });
        let claims = claims.into_iter().map(|(ordinal, claim)| match claim.as_str() {
            "claimed" => Ok((ordinal, Claim::Claimed)),
            "left" => Ok((ordinal, Claim::Left)),
            _ => Err(LineError::Unexpected(claim)),
        });
        Ok(Upcoming {
            epoch,
            highest,
            cursor,
            waiting,
            tickets: tickets.collect::<Result<_, LineError>>()?,
            claims: claims.collect::<Result<_, LineError>>()?,
        })
    }

    /// Says what has been committed. May be repeated: the same publication changes nothing the second time.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn publish(&self, publication: &Publication<'_>) -> Result<(), LineError> {
        let card = serde_json::to_string(publication.card).map_err(|error| LineError::Unexpected(error.to_string()))?;
        let closed = publication.card.status == Status::Closed;
        let closed_kept_ms = closed.then(|| u64::try_from(CLOSED_KEPT.as_millis()).unwrap_or(u64::MAX));
        let mut args: Vec<Value> = vec![
            Value::from(publication.number),
            Value::from(i64::from(publication.epoch)),
            number(publication.cursor),
            number(publication.highest),
            Value::from(card),
            number(closed_kept_ms.unwrap_or(0)),
            number(publication.heard.len() as u64),
        ];
        for (ordinal, claim) in publication.heard {
            let word = match claim {
                Claim::Claimed => "claimed",
                Claim::Left => "left",
            };
            args.extend([number(*ordinal), Value::from(word)]);
        }
        for (ordinal, turn) in publication.turns {
            args.extend([number(*ordinal), Value::from(turn.to_text())]);
        }
        let sale = publication.card.id;
        let _: u64 = self.call("publish", sale, args).await?;
        let now = OffsetDateTime::now_utc();
        let listed_until = if closed { unix_ms(now + CLOSED_KEPT) } else { f64::INFINITY };
        let member = (listed_until, sale.to_string());
        let _: u64 = self.client.zadd(SALES, None, None, false, false, member).await?;
        let _: u64 = self.client.zremrangebyscore(SALES, f64::NEG_INFINITY, unix_ms(now)).await?;
        Ok(())
    }

    /// The revision of a line, or `None` when Redis has no such line.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn rev(&self, sale: SaleId) -> Result<Option<u64>, LineError> {
        Ok(self.client.hget(format!("fairline:{{{sale}}}:line"), "rev").await?)
    }

    /// The line at this moment.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn snapshot(&self, sale: SaleId) -> Result<Snapshot, LineError> {
        type Answer = (u32, u64, Ordinal, Ordinal, String, Bytes, Vec<Ordinal>);
        let (epoch, rev, cursor, highest, card, departed, recalled): Answer =
            self.call("snapshot", sale, Vec::new()).await?;
        let card = serde_json::from_str(&card).map_err(|error| LineError::Unexpected(error.to_string()))?;
        Ok(Snapshot { rev, view: LineView::new(epoch, cursor, highest, &departed, recalled), card })
    }
}

fn unix_ms(moment: OffsetDateTime) -> f64 {
    moment.unix_timestamp() as f64 * 1000.0
}

fn number(n: u64) -> Value {
    Value::from(n.to_string())
}

/// Reads the changes of many lines with one blocking command, over a connection of its own.
pub struct ChangeReader {
    client: Client,
}

/// The changes of some lines, each with its revision, in order.
pub type Changes = Vec<(SaleId, Vec<(u64, Change)>)>;

impl ChangeReader {
    /// Connects.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn connect(url: &str) -> Result<Self, LineError> {
        Ok(Self { client: client(url, READ_BLOCK + COMMAND_TIMEOUT).await? })
    }

    /// Waits up to a second for changes after these revisions.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn read(&self, after: &[(SaleId, u64)]) -> Result<Changes, LineError> {
        type Answer = HashMap<String, Vec<(String, HashMap<String, String>)>>;
        let by_key: HashMap<String, SaleId> = after.iter().map(|(sale, _)| (changes_key(*sale), *sale)).collect();
        let streams: Vec<String> = after.iter().map(|(sale, _)| changes_key(*sale)).collect();
        let ids: Vec<String> = after.iter().map(|(_, rev)| format!("{rev}-0")).collect();
        let block_ms = u64::try_from(READ_BLOCK.as_millis()).unwrap_or(u64::MAX);
        let answer: Value = self.client.xread(Some(READ_CHANGES_MAX), Some(block_ms), streams, ids).await?;
        if answer.is_null() {
            return Ok(Vec::new());
        }
        let answer: Answer = answer.into_xread_response()?;
        let unexpected = |what: &str| LineError::Unexpected(what.chars().take(80).collect());
        let mut changes = Vec::with_capacity(answer.len());
        for (key, entries) in answer {
            let sale = by_key.get(&key).ok_or_else(|| unexpected(&key))?;
            let entries = entries.into_iter().map(|(id, fields)| {
                let rev = id.split('-').next().and_then(|rev| rev.parse().ok()).ok_or_else(|| unexpected(&id))?;
                let json = fields.get("c").ok_or_else(|| unexpected(&id))?;
                Ok((rev, serde_json::from_str(json).map_err(|error| unexpected(&error.to_string()))?))
            });
            changes.push((*sale, entries.collect::<Result<_, LineError>>()?));
        }
        Ok(changes)
    }
}
