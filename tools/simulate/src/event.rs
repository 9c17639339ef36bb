//! The events of a story. An event that is not applicable does nothing, so any of them can be left
//! out.

use std::fmt;

use admission_controller::lifecycle::Action;
use serde::{Deserialize, Serialize};

use crate::server::Keeps;

/// A process: controllers first, then nodes.
pub type ProcessIndex = usize;

pub(crate) const CONTROLLERS: usize = 2;
pub(crate) const NODES: usize = 2;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoryEvent {
    /// Time passes, in ms.
    Elapse(u64),
    /// All tasks run in turn for these ms, while shoppers do nothing.
    Calm(u64),
    /// A task of a process runs to its next stop; a call that it has sent is delivered.
    Run(ProcessIndex, u8),
    /// Shoppers join in one batch at a node.
    Join(ProcessIndex, Vec<usize>),
    /// A shopper opens the page with the ticket at hand.
    Open(ProcessIndex, usize),
    /// A shopper closes the page.
    Close(usize),
    /// A page claims its token.
    Claim(usize),
    /// A shopper leaves the line.
    Leave(usize),
    /// A shopper uses the token.
    Redeem(usize),
    /// A shopper pays.
    Pay(usize),
    /// An operator adds units.
    MoreStock(u32),
    /// An operator revokes all tokens.
    Revoke,
    /// An operator revokes the key that signs.
    RevokeKey,
    /// An operator opens, pauses, resumes or closes the sale.
    Move(#[serde(with = "ActionName")] Action),
    /// An operator removes a shopper's ticket.
    Remove(usize),
    /// An operator prefers a shopper's ticket.
    Prefer(usize),
    /// A shopper whose turn is over joins again.
    Rejoin(ProcessIndex, usize),
    /// A fault.
    Fault(StoryFault),
    /// All faults end, and the promises that take time are checked.
    Quiet,
    /// The same, but two primaries remain.
    QuietApart,
}

/// The names of [`Action`] in the text of a story.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Action")]
enum ActionName {
    Open,
    Pause,
    Resume,
    Close,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoryFault {
    /// A call is lost.
    Lost(ProcessIndex, u8),
    /// A call is executed, and its response is lost.
    ResponseLost(ProcessIndex, u8),
    /// A call times out and arrives later.
    Late(ProcessIndex, u8),
    /// A call arrives again later; one that joins, twice.
    Repeated(ProcessIndex, u8),
    /// A late call arrives.
    Arrives(usize),
    /// The primary restarts.
    Restart(Keeps),
    /// A replica without the last writes takes over; the old primary is removed.
    FailOver(usize),
    /// A replica takes over for these processes only (a bit each).
    Split(usize, u32),
    /// A process cannot reach Redis.
    Cut(ProcessIndex),
    /// A process is killed and restarted.
    Kill(ProcessIndex),
    /// A process is paused for these ms.
    Pause(ProcessIndex, u64),
    /// A node misses published changes for a while.
    Unsubscribed(ProcessIndex),
    /// The clock of Redis jumps.
    RedisClock(i64),
    /// The clock of the database jumps.
    DatabaseClock(i64),
    /// A copy of the database is taken.
    Backup,
    /// The database is restored from the copy.
    Restore,
}

impl fmt::Display for StoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapse(ms) => write!(f, "{ms} ms pass"),
            Self::Calm(ms) => write!(f, "all tasks run for {ms} ms, and shoppers do nothing"),
            Self::Run(process, task) => write!(f, "process {process}, task {task}, continues"),
            Self::Join(node, shoppers) => write!(f, "shoppers {shoppers:?} join at process {node}"),
            Self::Open(node, shopper) => write!(f, "shopper {shopper} opens the page at process {node}"),
            Self::Close(shopper) => write!(f, "shopper {shopper} closes the page"),
            Self::Claim(shopper) => write!(f, "the page of shopper {shopper} claims its token"),
            Self::Leave(shopper) => write!(f, "shopper {shopper} leaves"),
            Self::Redeem(shopper) => write!(f, "shopper {shopper} redeems the token"),
            Self::Pay(shopper) => write!(f, "shopper {shopper} pays"),
            Self::MoreStock(units) => write!(f, "an operator adds {units} units"),
            Self::Revoke => f.write_str("an operator revokes all tokens"),
            Self::RevokeKey => f.write_str("an operator revokes the key that signs"),
            Self::Move(action) => write!(f, "an operator moves the sale: {action:?}"),
            Self::Remove(shopper) => write!(f, "an operator removes the ticket of shopper {shopper}"),
            Self::Prefer(shopper) => write!(f, "an operator prefers the ticket of shopper {shopper}"),
            Self::Rejoin(node, shopper) => write!(f, "shopper {shopper} joins again at process {node}"),
            Self::Fault(fault) => write!(f, "FAULT {fault:?}"),
            Self::Quiet => f.write_str("all faults end"),
            Self::QuietApart => f.write_str("all faults end, but two primaries remain"),
        }
    }
}
