//! What can happen in a story. Each event names what it is about, so that a story makes sense with any of them left out: one that
//! finds nothing to do does nothing.

use std::fmt;

use admission_controller::lifecycle::Action;

use crate::server::Keeps;

/// A process: controllers first, then nodes.
pub type Process = usize;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time passes, in ms.
    Elapse(u64),
    /// A task of a process goes on to where it stops next; a call that it has sent is delivered.
    Run(Process, u8),
    /// Shoppers join in one batch at a node.
    Join(Process, Vec<usize>),
    /// A shopper opens the page with the ticket at hand.
    Open(Process, usize),
    /// A shopper closes the page.
    Close(usize),
    /// A page says that its token has arrived.
    Claim(usize),
    /// A shopper gives the place up.
    Leave(usize),
    /// A shopper uses the token.
    Redeem(usize),
    /// A shopper pays.
    Pay(usize),
    /// An operator adds units.
    MoreStock(u32),
    /// An operator takes every token back.
    Revoke,
    /// An operator revokes the key that signs.
    RevokeKey,
    /// An operator opens, pauses, resumes or closes the sale.
    Move(Action),
    /// An operator takes a shopper's ticket out of the line.
    Remove(usize),
    /// An operator has a shopper's ticket served before all others.
    Prefer(usize),
    /// A shopper whose turn is over joins anew.
    Rejoin(Process, usize),
    /// Something goes wrong.
    Fault(Fault),
    /// All that is broken is mended, and nothing new breaks: the promises that take time have to be kept.
    Quiet,
    /// The same, but two primaries stay.
    QuietApart,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A call is lost.
    Lost(Process, u8),
    /// A call is done, and its answer is lost.
    Unheard(Process, u8),
    /// A call is given up by its caller and arrives later.
    Late(Process, u8),
    /// A call that may be repeated arrives once more, later.
    Repeated(Process, u8),
    /// A late call arrives.
    Arrives(usize),
    /// The primary starts anew.
    Restart(Keeps),
    /// A replica takes over that lacks the last writes; the old primary is gone.
    FailOver(usize),
    /// A replica takes over, and only these processes (by bits) see it.
    Split(usize, u32),
    /// A process cannot reach Redis.
    Cut(Process),
    /// A process dies, and is started anew.
    Kill(Process),
    /// A process stands still, in ms.
    Pause(Process, u64),
    /// A node misses what is published for a while.
    Deaf(Process),
    /// The clock of Redis jumps.
    RedisClock(i64),
    /// The clock of the database jumps.
    DatabaseClock(i64),
    /// A copy of the database is taken.
    Backup,
    /// The database is restored from the copy.
    Restore,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapse(ms) => write!(f, "{ms} ms pass"),
            Self::Run(process, task) => write!(f, "process {process}, task {task}, goes on"),
            Self::Join(node, shoppers) => write!(f, "shoppers {shoppers:?} join at process {node}"),
            Self::Open(node, shopper) => write!(f, "shopper {shopper} opens the page at process {node}"),
            Self::Close(shopper) => write!(f, "shopper {shopper} closes the page"),
            Self::Claim(shopper) => write!(f, "the page of shopper {shopper} claims its token"),
            Self::Leave(shopper) => write!(f, "shopper {shopper} leaves"),
            Self::Redeem(shopper) => write!(f, "shopper {shopper} redeems the token"),
            Self::Pay(shopper) => write!(f, "shopper {shopper} pays"),
            Self::MoreStock(units) => write!(f, "an operator adds {units} units"),
            Self::Revoke => f.write_str("an operator takes every token back"),
            Self::RevokeKey => f.write_str("an operator revokes the key that signs"),
            Self::Move(action) => write!(f, "an operator moves the sale: {action:?}"),
            Self::Remove(shopper) => write!(f, "an operator removes the ticket of shopper {shopper}"),
            Self::Prefer(shopper) => write!(f, "an operator prefers the ticket of shopper {shopper}"),
            Self::Rejoin(node, shopper) => write!(f, "shopper {shopper} joins anew at process {node}"),
            Self::Fault(fault) => write!(f, "FAULT {fault:?}"),
            Self::Quiet => f.write_str("all is mended, and quiet"),
            Self::QuietApart => f.write_str("all but the two primaries is mended, and quiet"),
        }
    }
}
