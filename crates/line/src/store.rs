//! The line's state in Redis: the only module that speaks Redis.
//!
//! Every atomic step is a function of the library in `line.lua`, whose head lists the keys. All keys of a sale share
//! the hash tag `{sale id}`, so a Redis Cluster keeps a sale in one slot; `fairline:sales` is the sorted set of all sales,
//! by the moment (Unix time in ms) until which they are listed. A closed sale is kept for a week, for those who come back
//! late to hear of it.
//!
//! Redis is the fast index, not the truth: when it answers that it does not know a line, the controller begins a new epoch
//! of it from Postgres, and shoppers' tickets put back what Postgres does not know.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fairline_record::draw::Draw;
use fairline_redis::connect;
use fairline_sale::{SaleCard, SaleId, Status, VisitorId};
use fred::{
    clients::Client,
    interfaces::{EventInterface as _, PubsubInterface as _},
    types::{FromValue, Message, Value, config::Server},
};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    change::{Change, Revision, Turn},
    port::Port,
    ticket::{Ordinal, Ticket},
    view::{LineView, Numbers},
};

/// The keys of a sale, in the order that the library counts them.
const KEYS: [&str; 16] = [
    "line", "arrivals", "departed", "recalled", "absent", "turns", "claims", "passed", "accounts", "present",
    "history", "drawn", "shown", "returned", "batches", "changes",
];
/// Bytes of the table of a draw that are laid down in one call.
const LAID_DOWN_AT_ONCE: usize = 1 << 18;
/// How long a closed sale is kept.
const CLOSED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why the line did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Redis knows no line of this sale: it is unknown, or Redis has lost it and the controller will publish it again.
    #[error("the line is not in Redis")]
    NotPublished,
    /// The controller has granted no more ordinals: it has not published for a while. To try again at once is in vain.
    #[error("no more ordinals are granted")]
    NoOrdinals,
    /// A later publication was made, so this one was ignored.
    #[error("a later publication of the line was made")]
    Late,
    /// Redis is down, slow, or out of reach.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
    /// Redis answered something that our functions never say.
    #[error("Redis answered something unexpected: {0}")]
    Unexpected(String),
}

/// Somebody who joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joining {
    /// The holder of the ticket, if it is a new one.
    pub visitor: VisitorId,
    /// Whose place it is, where the shop names its shoppers: one account has one place.
    pub account: Option<Account>,
}

/// An account at the shop, as the line knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// A digest that only the waiting rooms can make.
    pub digest: [u8; 16],
    /// Whether a place whose turn is over is exchanged for a new one.
    pub rejoins: bool,
}

/// What has become of some tickets' turns, and at which revision of the line that was so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// What has become of each, in the order of the tickets.
    pub turns: Vec<Turn>,
    /// Changes up to this revision are in it; later ones are not.
    pub revision: Revision,
}

/// What a page has said of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It has the token.
    Claimed,
    /// The shopper left, and gives the token back.
    Left,
}

/// What the controller wants to know of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The highest number whose turn has come, as Postgres has it.
    pub cursor: u64,
    /// How many tickets are wanted that come next.
    pub wanted: u64,
    /// How far beyond the cursor to look for them.
    pub reach: u64,
    /// What the record wants to hear, if there is one.
    pub news: Option<NewsWanted>,
}

/// What the record of a line wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewsWanted {
    /// Tickets up to this one are in it.
    pub recorded: Ordinal,
    /// Tickets beyond this one are of no interest now.
    pub till: Option<Ordinal>,
    /// Who came and went is in it up to this change; `None`: is of no interest now.
    pub noted: Option<Revision>,
    /// Tickets to hear of at most, about.
    pub most: u64,
}

/// Who came and went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The change.
    pub at: Revision,
    /// What happened.
    pub presence: Presence,
    /// To whom.
    pub ordinals: Vec<Ordinal>,
    /// The visitors of those who came back, in the same order; of others none.
    pub visitors: Vec<VisitorId>,
}

/// How the presence of a ticket changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its grace period ran out.
    Departed,
    /// Its shopper left.
    Left,
    /// It is back before its turn.
    Returned,
    /// It is back after its turn.
    Recalled,
}

/// What the controller reads of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upcoming {
    /// The line's life.
    pub epoch: u32,
    /// The highest ordinal given.
    pub highest: Ordinal,
    /// The cursor, once all of `tickets` have been let in.
    pub cursor: Ordinal,
    /// People who wait, before any of `tickets` is let in.
    pub waiting: u64,
    /// People whose page is closed, and whose grace period runs.
    pub absent: u64,
    /// The next tickets in order of service.
    pub tickets: Vec<(Ordinal, VisitorId)>,
    /// What pages have said since the last publication.
    pub claims: Vec<(Ordinal, Claim)>,
    /// How many tickets a draw has shuffled; 0 before it, and without one.
    pub drawn: u64,
    /// Tickets that were given since the record heard of them: the first of each run, and the visitors.
    pub arrivals: Vec<(Ordinal, Vec<VisitorId>)>,
    /// Who came and went since the record heard of it, in order.
    pub history: Vec<Noted>,
    /// There is more to hear, and nobody is next before it is heard.
    pub lags: bool,
    /// The Redis process that the line lives in.
    pub home: String,
    /// The highest ordinal that it may give.
    pub granted: Ordinal,
    /// How many of `tickets`, the first ones, are recalled.
    pub recalled: u64,
}

/// A Redis process, and what it remembers of a line, be the line lost or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// The process.
    pub run_id: String,
    /// The last epoch of the line that it has heard of; 0 for none.
    pub epoch: u32,
    /// No ordinal above this one was given as far as it knows.
    pub granted: Ordinal,
}

/// What is known of a ticket, by its ordinal alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It waits, and this is its holder.
    Waiting(VisitorId),
    /// It does not wait: it has departed, or had its turn.
    Gone,
    /// It was never given.
    Unknown,
}

/// What the controller has committed and now says.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication<'a> {
    /// Grows with every publication; one that comes late, or twice, is refused.
    pub number: i64,
    /// The line's life.
    pub epoch: u32,
    /// If this publication begins the epoch, the Redis process that is to have it. No other publication may make a line
    /// that Redis does not know.
    pub begins: Option<&'a str>,
    /// The ordinals of this epoch are above this one.
    pub above: Ordinal,
    /// The highest number whose turn has come. Where an epoch begins, those beyond it are departed until they are back.
    pub cursor: u64,
    /// How many tickets a draw has shuffled, whose table is laid down; 0 before it, and without one.
    pub drawn: u64,
    /// The record has what happened up to this change.
    pub noted: Revision,
    /// The highest ordinal that may be given: the next epoch begins above it.
    pub granted: Ordinal,
    /// How long after its turn has passed a ticket is still recalled.
    pub recall_window: Duration,
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
    pub revision: Revision,
    /// The line.
    pub view: LineView,
    /// The sale's facts.
    pub card: SaleCard,
}

/// The lines of all sales, in Redis.
#[derive(Clone)]
pub struct LineStore {
    port: Arc<dyn Port>,
}

fn keys(sale: SaleId) -> Vec<String> {
    KEYS.iter().map(|key| format!("fairline:{{{sale}}}:{key}")).collect()
}

fn channel(sale: SaleId) -> String {
    format!("fairline:{{{sale}}}:changes")
}

fn sale_of(channel: &str) -> Option<SaleId> {
    channel.strip_prefix("fairline:{")?.strip_suffix("}:changes")?.parse().ok()
}

impl From<fred::error::Error> for LineError {
    fn from(error: fred::error::Error) -> Self {
        use fred::error::ErrorKind;
        match error.kind() {
            _ if error.details().starts_with("NOLINE") => Self::NotPublished,
            _ if error.details().starts_with("NOORDINAL") => Self::NoOrdinals,
            _ if error.details().starts_with("LATE") => Self::Late,
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
        let store = Self::over(Arc::new(connect(url).await?));
        store.port.load().await?;
        Ok(store)
    }

    /// The lines behind a port.
    #[must_use]
    pub fn over(port: Arc<dyn Port>) -> Self {
        Self { port }
    }

    async fn call<R: FromValue>(&self, function: &str, sale: SaleId, args: Vec<Value>) -> Result<R, LineError> {
        let name = format!("fairline_v3_{function}");
        match self.port.call(&name, keys(sale), args.clone()).await {
            // An emptied Redis has lost our functions, too.
            Err(error) if error.details().contains("Function not found") => {
                self.port.load().await?;
                Ok(self.port.call(&name, keys(sale), args).await?.convert()?)
            }
            answer => Ok(answer?.convert()?),
        }
    }

    /// Whether Redis answers, and takes writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), LineError> {
        Ok(self.port.ping().await?)
    }

    /// Sales whose lines are listed, `most` at most: the open ones first, then those that were closed last.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn sales(&self, most: u32) -> Result<Vec<SaleId>, LineError> {
        let ids = self.port.listed(unix_ms(OffsetDateTime::now_utc()), most).await?;
        let unexpected = |error: fairline_sale::InvalidId| LineError::Unexpected(error.to_string());
        ids.iter().map(|id| id.parse().map_err(unexpected)).collect()
    }

    /// How many of the listed sales are not closed.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn open_sales(&self) -> Result<u64, LineError> {
        Ok(self.port.listed_open().await?)
    }

    /// Gives each of a batch a ticket: the next ordinals, in order, or the place that its account has already.
    ///
    /// `batch` is the caller's name for this batch, like no other's. A call that is repeated under the same name within a
    /// minute, because the first may have succeeded unheard, has the answer of the first.
    ///
    /// # Errors
    /// When Redis does not answer; the batch may then have been given ordinals all the same.
    pub async fn join(&self, sale: SaleId, batch: [u8; 8], joining: &[Joining]) -> Result<Vec<Ticket>, LineError> {
        let visitors: Vec<u8> = joining.iter().flat_map(|joining| joining.visitor.0).collect();
        let mut accounts = Vec::new();
        if joining.iter().any(|joining| joining.account.is_some()) {
            for joining in joining {
                let (wish, digest) = match joining.account {
                    None => (b'0', [0; 16]),
                    Some(Account { digest, rejoins: false }) => (b'1', digest),
                    Some(Account { digest, rejoins: true }) => (b'2', digest),
                };
                accounts.push(wish);
                accounts.extend(digest);
            }
        }
        let args = vec![
            Value::Bytes(Bytes::copy_from_slice(&batch)),
            Value::Bytes(visitors.into()),
            Value::Bytes(accounts.into()),
        ];
        let (epoch, first, places): (u32, Ordinal, Vec<(usize, Ordinal, Bytes)>) =
            self.call("join", sale, args).await?;
        let mut new = first..;
        let mut places = places.into_iter().peekable();
        let tickets = joining.iter().enumerate().map(|(at, joining)| {
            let (ordinal, visitor) = match places.next_if(|place| place.0 == at) {
                Some((_, ordinal, visitor)) => (ordinal, visitor_id(&visitor)?),
                None => (new.next().unwrap_or(first), joining.visitor),
            };
            Ok(Ticket { sale, epoch, ordinal, visitor })
        });
        tickets.collect()
    }

    /// A ticket that is shown for an account is the account's place, if it has none: Redis may have forgotten. May be
    /// repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn name(&self, ticket: &Ticket, account: &Account) -> Result<(), LineError> {
        let digest = Value::Bytes(Bytes::copy_from_slice(&account.digest));
        let visitor = Value::Bytes(Bytes::copy_from_slice(&ticket.visitor.0));
        let _: u64 = self.call("name", ticket.sale, vec![digest, number(ticket.ordinal), visitor]).await?;
        Ok(())
    }

    /// The holders of these tickets of one sale are here (again): ends their grace periods, returns or recalls them, and
    /// says what has become of their turns. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn resume(&self, sale: SaleId, tickets: &[Ticket]) -> Result<Resumed, LineError> {
        let visitor = |ticket: &Ticket| Value::Bytes(Bytes::copy_from_slice(&ticket.visitor.0));
        let args = tickets.iter().flat_map(|ticket| [number(ticket.ordinal), visitor(ticket)]).collect();
        let (epoch, rev, turns): (u32, u64, Vec<String>) = self.call("resume", sale, args).await?;
        let unexpected = |turn: &str| LineError::Unexpected(turn.chars().take(40).collect());
        let turns = turns.iter().map(|turn| Turn::from_text(turn).ok_or_else(|| unexpected(turn)));
        Ok(Resumed { turns: turns.collect::<Result<_, LineError>>()?, revision: Revision { epoch, rev } })
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
        let mut args = vec![milliseconds(grace), Value::from(if told { "told" } else { "untold" })];
        args.extend(ordinals.iter().copied().map(number));
        let _: u64 = self.call("absent", sale, args).await?;
        Ok(())
    }

    /// Says that a node is up, for so long, and which ordinals are connected to it: a bitmap like Redis's own, bit `n`
    /// from the most significant bit of the first byte for ordinal `n`.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn present(
        &self,
        sale: SaleId,
        node: &str,
        up_for: Duration,
        connected: Vec<u8>,
    ) -> Result<(), LineError> {
        let args = vec![Value::from(node), milliseconds(up_for), Value::Bytes(connected.into())];
        let _: u64 = self.call("present", sale, args).await?;
        Ok(())
    }

    /// Starts the grace period of everybody who waits and is connected to no node, in steps: after `after` (0: from the
    /// start), until the answer is 0.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn roll_call(&self, sale: SaleId, grace: Duration, after: Ordinal) -> Result<Ordinal, LineError> {
        self.call("roll_call", sale, vec![milliseconds(grace), number(after)]).await
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

    /// Who holds a ticket, if it waits.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn find(&self, line: SaleId, ordinal: Ordinal) -> Result<Found, LineError> {
        let found: Bytes = self.call("find", line, vec![number(ordinal)]).await?;
        Ok(match &found[..] {
            b"unknown" => Found::Unknown,
            b"gone" => Found::Gone,
            visitor => Found::Waiting(visitor_id(visitor)?),
        })
    }

    /// A page has its token. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn claim(&self, ticket: &Ticket) -> Result<(), LineError> {
        let _: u64 = self.call("claim", ticket.sale, vec![number(ticket.ordinal)]).await?;
        Ok(())
    }

    /// Which process Redis is, and what it remembers of a line.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn home(&self, line: SaleId) -> Result<Home, LineError> {
        let (run_id, epoch, granted): (String, u32, Ordinal) = self.call("whose", line, Vec::new()).await?;
        Ok(Home { run_id, epoch, granted })
    }

    /// Who is next after `cursor`, `wanted` at most, looking at most at `reach` tickets that are there. Changes nothing.
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
        self.look(sale, &Look { cursor, wanted, reach, news: None }).await
    }

    /// Who is next, and what the record has not heard of, at one moment: nobody is next while it has not heard all. Changes
    /// nothing.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn look(&self, sale: SaleId, look: &Look) -> Result<Upcoming, LineError> {
        type Run = (Ordinal, Bytes);
        type Kept = (String, String, String, Bytes);
        type Rest = (String, Ordinal, u64);
        type Answer =
            (u32, Ordinal, Ordinal, u64, Vec<Run>, Vec<(Ordinal, String)>, u64, Vec<Run>, Vec<Kept>, u64, u64, Rest);
        let mut args = [look.cursor, look.wanted, look.reach].map(number).to_vec();
        let news = look.news.unwrap_or(NewsWanted { recorded: 0, till: None, noted: None, most: 0 });
        args.extend([news.most, news.recorded, news.till.unwrap_or(0)].map(number));
        args.push(Value::from(news.noted.map(stream_id).unwrap_or_default()));
        let (epoch, highest, cursor, waiting, tickets, claims, drawn, arrivals, history, lags, absent, rest): Answer =
            self.call("upcoming", sale, args).await?;
        let (home, granted, recalled) = rest;
        let tickets = tickets.into_iter().map(|(ordinal, visitor)| Ok((ordinal, visitor_id(&visitor)?)));
        let claims = claims.into_iter().map(|(ordinal, claim)| match claim.as_str() {
            "claimed" => Ok((ordinal, Claim::Claimed)),
            "left" => Ok((ordinal, Claim::Left)),
            _ => Err(LineError::Unexpected(claim)),
        });
        let arrivals = arrivals.into_iter().map(|(first, visitors)| Ok((first, visitor_ids(&visitors)?)));
        Ok(Upcoming {
            epoch,
            highest,
            cursor,
            waiting,
            absent,
            tickets: tickets.collect::<Result<_, LineError>>()?,
            claims: claims.collect::<Result<_, LineError>>()?,
            drawn,
            arrivals: arrivals.collect::<Result<_, LineError>>()?,
            history: history.into_iter().map(noted).collect::<Result<_, LineError>>()?,
            lags: lags > 0,
            home,
            granted,
            recalled,
        })
    }

    /// Deletes all that Redis knows of a line: the controller begins it anew. For a database that was restored from a backup.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn forget(&self, line: SaleId) -> Result<(), LineError> {
        let _: u64 = self.call("forget_line", line, Vec::new()).await?;
        Ok(())
    }

    /// The sale opens with a draw: whoever has joined by now is in it. Gives the highest ordinal of those; may be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn close_pool(&self, sale: SaleId) -> Result<Ordinal, LineError> {
        self.call("close_pool", sale, Vec::new()).await
    }

    /// Lays the table of a draw down, which counts from the publication on that says so. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn lay_down(&self, sale: SaleId, draw: &Draw) -> Result<(), LineError> {
        let table: Vec<u8> = draw.to_bytes().collect();
        for (part, bytes) in table.chunks(LAID_DOWN_AT_ONCE).enumerate() {
            let begins = number((part * LAID_DOWN_AT_ONCE) as u64);
            let _: u64 = self.call("lay_down", sale, vec![begins, Value::Bytes(Bytes::copy_from_slice(bytes))]).await?;
        }
        Ok(())
    }

    /// Which number each ticket of a draw has; nothing before it.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn numbers(&self, sale: SaleId) -> Result<Numbers, LineError> {
        let table: Bytes = self.call("numbers", sale, Vec::new()).await?;
        Ok(Numbers::from_bytes(&table))
    }

    /// Says what has been committed.
    ///
    /// # Errors
    /// When Redis does not answer, or has heard of a later publication, or of this one.
    pub async fn publish(&self, publication: &Publication<'_>) -> Result<(), LineError> {
        let card = serde_json::to_string(publication.card).map_err(|error| LineError::Unexpected(error.to_string()))?;
        let closed = publication.card.status == Status::Closed;
        let mut args: Vec<Value> = vec![
            Value::from(publication.number),
            Value::from(i64::from(publication.epoch)),
            Value::from(publication.begins.unwrap_or_default()),
            number(publication.cursor),
            number(publication.granted),
            milliseconds(publication.recall_window),
            Value::from(card),
            milliseconds(if closed { CLOSED_KEPT } else { Duration::ZERO }),
            number(publication.above),
            number(publication.drawn),
            Value::from(stream_id(publication.noted.next())),
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
        Ok(self.port.list(sale.to_string(), listed_until, unix_ms(now)).await?)
    }

    /// Publishes again in bulk the outcome of turns of earlier epochs, all of which are over, after `publication`. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer, knows another epoch, or has had a later publication.
    pub async fn retell(
        &self,
        line: SaleId,
        (epoch, publication): (u32, i64),
        turn: &Turn,
        ordinals: &[Ordinal],
    ) -> Result<(), LineError> {
        let short = |ordinal: &Ordinal| u32::try_from(*ordinal).ok().map(u32::to_be_bytes);
        let packed: Vec<u8> = ordinals.iter().filter_map(short).flatten().collect();
        let text = Value::from(turn.to_text());
        let args = vec![number(epoch.into()), Value::from(publication), text, Value::Bytes(packed.into())];
        let _: u64 = self.call("retell", line, args).await?;
        Ok(())
    }

    /// Which state the line is in.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn revision(&self, sale: SaleId) -> Result<Revision, LineError> {
        let (epoch, rev) = self.call("revision", sale, Vec::new()).await?;
        Ok(Revision { epoch, rev })
    }

    /// The line at this moment.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn snapshot(&self, sale: SaleId) -> Result<Snapshot, LineError> {
        type Answer = (u32, u64, u64, Ordinal, String, Bytes, Vec<u64>, u64);
        let (epoch, rev, cursor, highest, card, departed, recalled, drawn): Answer =
            self.call("snapshot", sale, Vec::new()).await?;
        let card = serde_json::from_str(&card).map_err(|error| LineError::Unexpected(error.to_string()))?;
        let revision = Revision { epoch, rev };
        // The table of a draw never changes: it may be read after the rest.
        let numbers = if drawn > 0 { self.numbers(sale).await? } else { Numbers::default() };
        let view = LineView::new(epoch, cursor, highest, &departed, recalled).drawn(numbers);
        Ok(Snapshot { revision, view, card })
    }
}

fn unix_ms(moment: OffsetDateTime) -> f64 {
    moment.unix_timestamp() as f64 * 1000.0
}

fn number(n: u64) -> Value {
    Value::from(n.to_string())
}

fn milliseconds(duration: Duration) -> Value {
    number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn stream_id(at: Revision) -> String {
    format!("{}-{}", at.epoch, at.rev)
}

/// Reads one entry of a line's history: its id, its kind, ordinals, visitors.
fn noted((id, kind, ordinals, visitors): (String, String, String, Bytes)) -> Result<Noted, LineError> {
    let unexpected = || LineError::Unexpected(format!("the history's entry {id}"));
    let (epoch, rev) = id.split_once('-').ok_or_else(unexpected)?;
    let at = Revision { epoch: epoch.parse().map_err(|_| unexpected())?, rev: rev.parse().map_err(|_| unexpected())? };
    let presence = match kind.as_str() {
        "departed" => Presence::Departed,
        "left" => Presence::Left,
        "returned" => Presence::Returned,
        "recalled" => Presence::Recalled,
        _ => return Err(unexpected()),
    };
    let ordinals = ordinals.split(' ').map(|ordinal| ordinal.parse().map_err(|_| unexpected()));
    Ok(Noted { at, presence, ordinals: ordinals.collect::<Result<_, _>>()?, visitors: visitor_ids(&visitors)? })
}

fn visitor_ids(bytes: &[u8]) -> Result<Vec<VisitorId>, LineError> {
    bytes.chunks(16).map(visitor_id).collect()
}

fn visitor_id(bytes: &[u8]) -> Result<VisitorId, LineError> {
    bytes.try_into().map(VisitorId).map_err(|_| LineError::Unexpected("a visitor id".to_owned()))
}

/// Hears the changes of many lines over one connection to each shard of Redis, with sharded publish and subscribe: a
/// blocking read of streams could not span the slots of a shard.
pub struct ChangeReader {
    client: Client,
}

/// What a [`ChangeReader`] has heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A change of a line, and the revision that it leads to.
    Change(SaleId, Revision, Change),
    /// The connection is new: changes may have been missed, and every line has to be followed again.
    Anew,
}

/// A change as the functions say it.
#[derive(Deserialize)]
struct Said {
    #[serde(flatten)]
    revision: Revision,
    #[serde(flatten)]
    change: Change,
}

/// Where a [`ChangeReader`] lays down what it hears.
pub struct Inbox {
    messages: Receiver<Message>,
    connections: Receiver<Server>,
}

impl ChangeReader {
    /// Connects. Nothing is lost from the first time that [`Self::inbox`] is called.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn connect(url: &str) -> Result<Self, LineError> {
        Ok(Self { client: fairline_redis::connect_to_hear(url).await? })
    }

    /// What is heard from now on.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        Inbox { messages: self.client.message_rx(), connections: self.client.reconnect_rx() }
    }

    /// Hears the changes of this line from now on. May be repeated.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn follow(&self, sale: SaleId) -> Result<(), LineError> {
        Ok(self.client.ssubscribe(channel(sale)).await?)
    }

    /// Hears no more of this line.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn unfollow(&self, sale: SaleId) -> Result<(), LineError> {
        Ok(self.client.sunsubscribe(channel(sale)).await?)
    }
}

impl Inbox {
    /// Waits for what is heard next.
    pub async fn next(&mut self) -> Heard {
        loop {
            let message = tokio::select! {
                biased;
                connection = self.connections.recv() => {
                    match connection {
                        Ok(_) | Err(RecvError::Lagged(_)) => return Heard::Anew,
                        // The client is gone.
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
                message = self.messages.recv() => message,
            };
            match message {
                Ok(message) => {
                    let Some(sale) = sale_of(&message.channel) else { continue };
                    let said = message.value.as_bytes().and_then(|json| serde_json::from_slice(json).ok());
                    // What can't be read is missed, and leaves a gap in the revisions.
                    if let Some(Said { revision, change }) = said {
                        return Heard::Change(sale, revision, change);
                    }
                }
                // A gap, too.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
