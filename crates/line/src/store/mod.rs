//! The line in Redis.
//!
//! - Owns the keys of lines and the list of sales. Every atomic step is a function of the library
//!   in `library/`, whose `head.lua` describes the keys; `calls.rs` lists the functions.
//! - All keys of a sale share the hash tag `{sale id}`, so a Redis Cluster keeps a sale in one
//!   slot. `fairline:sales` is the sorted set of all sales, by the Unix time in ms until which they
//!   are listed. In a cluster it is split into `fairline:sales:{n}`, so that each primary lists its
//!   own sales. A closed sale is kept for a week, for shoppers who come back late.
//! - Redis is a fast index, not the ledger. If it does not know a line, the controller begins a new
//!   epoch from Postgres, and shoppers' tickets restore what Postgres does not know.

mod calls;
mod changes;
mod error;
mod presence;
mod publish;
mod snapshot;
mod tickets;
mod upcoming;

use std::sync::Arc;

use fairline_redis::connect_prepared;
use fairline_sale::{SaleId, VisitorId};
use time::OffsetDateTime;

use self::calls::Call;
pub use self::{
    changes::{ChangeReader, Inbox, LineEvent},
    error::LineError,
    presence::NodeReport,
    publish::Publication,
    snapshot::Snapshot,
    tickets::{Claim, JoinRequest, LineAccount, ResumedTurns, TicketHolder},
    upcoming::{HistoryEntry, Home, Presence, RecordQuery, Upcoming, UpcomingQuery},
};
use crate::{
    change::Revision,
    port::{LinePort, Listed, load_library},
};

/// The keys of a sale, in the order of the library.
const KEYS: [&str; 16] = [
    "line", "arrivals", "departed", "recalled", "absent", "turns", "claims", "passed", "accounts", "present",
    "history", "drawn", "shown", "returned", "batches", "changes",
];

/// The lines of all sales, in Redis.
///
/// ```no_run
/// use fairline_line::store::{JoinRequest, LineStore};
/// use fairline_sale::{SaleId, VisitorId};
///
/// # async fn join(sale: SaleId) -> Result<(), Box<dyn std::error::Error>> {
/// let line = LineStore::connect("redis://localhost").await?;
/// let shopper = JoinRequest { visitor: VisitorId([1; 16]), account: None };
/// let tickets = line.join(sale, *b"batch #1", &[shopper]).await?;
/// println!("ordinal {}", tickets[0].ordinal);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LineStore {
    port: Arc<dyn LinePort>,
}

/// The sales whose lines are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedLines {
    /// The sales, in order.
    pub listed: Vec<SaleId>,
    /// Whether none is missing because a server did not respond.
    pub is_complete: bool,
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

impl LineStore {
    /// Connects, and loads the function library. Of a cluster, one primary suffices; the others are
    /// loaded when they respond.
    ///
    /// # Errors
    /// When Redis can't be reached or the address is invalid.
    pub async fn connect(url: &str) -> Result<Self, LineError> {
        Ok(Self::over(Arc::new(connect_prepared(url, load_library).await?)))
    }

    /// The lines behind a port.
    #[must_use]
    pub fn over(port: Arc<dyn LinePort>) -> Self {
        Self { port }
    }

    async fn call<C: Call>(&self, sale: SaleId, call: C) -> Result<C::Reply, LineError> {
        let name = format!("fairline_v6_{}", C::FUNCTION);
        let arguments = call.into_arguments();
        let keys = keys(sale);
        match self.port.call(&name, keys.clone(), arguments.clone()).await {
            // A Redis that lost its data has lost the library, too.
            Err(error) if error.details().contains("Function not found") => {
                self.port.load(&keys[0]).await?;
                Ok(self.port.call(&name, keys, arguments).await?.convert()?)
            }
            answer => Ok(answer?.convert()?),
        }
    }

    /// Checks that Redis responds, and accepts writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), LineError> {
        Ok(self.port.ping().await?)
    }

    /// Up to `max` sales whose lines are listed: the open ones, then the next to open, then
    /// those that closed last. Those of unreachable primaries of a cluster may be missing.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn sales(&self, max: u32) -> Result<ListedLines, LineError> {
        let Listed { sales, is_complete } = self.port.listed(unix_ms(OffsetDateTime::now_utc()), max).await?;
        let unexpected = |error: fairline_sale::InvalidId| LineError::Unexpected(error.to_string());
        let listed = sales.iter().map(|id| id.parse().map_err(unexpected)).collect::<Result<_, _>>()?;
        Ok(ListedLines { listed, is_complete })
    }

    /// How many of the listed sales are not closed.
    ///
    /// # Errors
    /// When Redis does not respond.
    pub async fn open_sales(&self) -> Result<u64, LineError> {
        Ok(self.port.listed_open().await?)
    }
}

fn unix_ms(moment: OffsetDateTime) -> f64 {
    moment.unix_timestamp() as f64 * 1000.0
}

fn stream_id(at: Revision) -> String {
    format!("{}-{}", at.epoch, at.rev)
}

fn visitor_ids(bytes: &[u8]) -> Result<Vec<VisitorId>, LineError> {
    bytes.chunks(16).map(visitor_id).collect()
}

fn visitor_id(bytes: &[u8]) -> Result<VisitorId, LineError> {
    bytes.try_into().map(VisitorId).map_err(|_| LineError::Unexpected("a visitor id".to_owned()))
}
