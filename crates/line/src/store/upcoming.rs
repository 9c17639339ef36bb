//! Reads of a line by the controller before a decision.

use fairline_sale::{SaleId, VisitorId};
use fred::types::Value;

use super::{
    LineError, LineStore,
    calls::{HomeReply, PresenceEntry, ReadHome, ReadUpcoming, UpcomingReply, number},
    stream_id,
    tickets::Claim,
    visitor_id, visitor_ids,
};
use crate::{change::Revision, ticket::Ordinal};

/// A query of the controller about a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpcomingQuery {
    /// The highest number whose turn has come, as Postgres has it.
    pub cursor: u64,
    /// Up to how many of the next tickets.
    pub wanted: u64,
    /// How many tickets beyond the cursor to examine for them.
    pub reach: u64,
    /// What the record lacks, if there is one.
    pub record: Option<RecordQuery>,
}

/// Changes that the record of a line lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordQuery {
    /// It has the tickets up to this one.
    pub recorded: Ordinal,
    /// Tickets beyond this one are not read.
    pub up_to: Option<Ordinal>,
    /// It has changes of presence up to this one; `None`: these are not read.
    pub history_after: Option<Revision>,
    /// Up to about how many tickets to read.
    pub max: u64,
}

/// A change of presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The change.
    pub at: Revision,
    /// What happened.
    pub presence: Presence,
    /// To which tickets.
    pub ordinals: Vec<Ordinal>,
    /// The visitors of tickets that came back, in the same order; of others none.
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

/// The state of a line that the controller reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upcoming {
    /// The line's life.
    pub epoch: u32,
    /// The highest ordinal given.
    pub highest: Ordinal,
    /// The cursor, once all of `tickets` have been admitted.
    pub cursor: Ordinal,
    /// Waiting tickets, before any of `tickets` is admitted.
    pub waiting: u64,
    /// Waiting tickets whose page is closed, and whose grace period runs.
    pub absent: u64,
    /// Nodes that are up, and have presented the tickets of their shoppers in this epoch.
    pub nodes: u64,
    /// The next tickets in order of service.
    pub tickets: Vec<(Ordinal, VisitorId)>,
    /// Reports of pages since the last publication.
    pub claims: Vec<(Ordinal, Claim)>,
    /// How many tickets a draw has shuffled; 0 before it, and without one.
    pub drawn: u64,
    /// Tickets that the record lacks: the first ordinal of each run, and the visitors.
    pub arrivals: Vec<(Ordinal, Vec<VisitorId>)>,
    /// Changes of presence that the record lacks, in order.
    pub history: Vec<HistoryEntry>,
    /// The record lacks more than this, and no ticket is next until it has all.
    pub lags: bool,
    /// The Redis process that the line lives in.
    pub home: String,
    /// The highest ordinal that it may issue.
    pub granted: Ordinal,
    /// How many of `tickets`, the first ones, are recalled.
    pub recalled: u64,
}

/// A Redis process, and what it remembers of a line, even if the line is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// The process.
    pub run_id: String,
    /// The last epoch of the line that it has received; 0 for none.
    pub epoch: u32,
    /// The highest ordinal that it has issued, as far as it knows.
    pub granted: Ordinal,
}

impl LineStore {
    /// The next tickets in order of service, and what the record lacks, at one moment. While the
    /// record lacks anything no ticket is next. Changes nothing.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn upcoming(&self, sale: SaleId, query: &UpcomingQuery) -> Result<Upcoming, LineError> {
        let record = query.record.unwrap_or(RecordQuery { recorded: 0, up_to: None, history_after: None, max: 0 });
        let call = ReadUpcoming {
            cursor: number(query.cursor),
            wanted: number(query.wanted),
            reach: number(query.reach),
            record_max: number(record.max),
            recorded: number(record.recorded),
            up_to: number(record.up_to.unwrap_or(0)),
            history_after: Value::from(record.history_after.map(stream_id).unwrap_or_default()),
        };
        self.call(sale, call).await?.try_into()
    }

    /// Which process Redis is, and what it remembers of a line.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn home(&self, line: SaleId) -> Result<Home, LineError> {
        let HomeReply { run_id, epoch, granted } = self.call(line, ReadHome {}).await?;
        Ok(Home { run_id, epoch, granted })
    }
}

impl TryFrom<UpcomingReply> for Upcoming {
    type Error = LineError;

    fn try_from(reply: UpcomingReply) -> Result<Self, LineError> {
        let tickets = reply.tickets.into_iter().map(|next| Ok((next.ordinal, visitor_id(&next.visitor)?)));
        let claims = reply.claims.into_iter().map(|reported| match reported.claim.as_str() {
            "claimed" => Ok((reported.ordinal, Claim::Claimed)),
            "left" => Ok((reported.ordinal, Claim::Left)),
            _ => Err(LineError::Unexpected(reported.claim)),
        });
        let arrivals = reply.arrivals.into_iter().map(|run| Ok((run.first, visitor_ids(&run.visitors)?)));
        let unexpected = |entry: &PresenceEntry| LineError::Unexpected(format!("the history's entry {}", entry.id));
        let history = reply.history.iter().map(|entry| history_entry(entry).ok_or_else(|| unexpected(entry)));
        Ok(Self {
            epoch: reply.epoch,
            highest: reply.highest,
            cursor: reply.cursor,
            waiting: reply.waiting,
            absent: reply.absent,
            nodes: reply.nodes,
            tickets: tickets.collect::<Result<_, LineError>>()?,
            claims: claims.collect::<Result<_, LineError>>()?,
            drawn: reply.drawn,
            arrivals: arrivals.collect::<Result<_, LineError>>()?,
            history: history.collect::<Result<_, LineError>>()?,
            lags: reply.lags > 0,
            home: reply.home,
            granted: reply.granted,
            recalled: reply.recalled,
        })
    }
}

fn history_entry(entry: &PresenceEntry) -> Option<HistoryEntry> {
    let (epoch, rev) = entry.id.split_once('-')?;
    let presence = match entry.kind.as_str() {
        "departed" => Presence::Departed,
        "left" => Presence::Left,
        "returned" => Presence::Returned,
        "recalled" => Presence::Recalled,
        _ => return None,
    };
    Some(HistoryEntry {
        at: Revision { epoch: epoch.parse().ok()?, rev: rev.parse().ok()? },
        presence,
        ordinals: entry.ordinals.split(' ').map(|ordinal| ordinal.parse().ok()).collect::<Option<_>>()?,
        visitors: visitor_ids(&entry.visitors).ok()?,
    })
}
