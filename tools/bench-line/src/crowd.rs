//! The crowd: processes of this program, each with up to 18,000 pages that wait over real sockets.
//!
//! Requests go to their standard input, and responses come from their standard output, one JSON
//! document per line. They end with this process.

mod page;
mod part;

use std::{
    env,
    io::{BufRead as _, BufReader, Lines, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::{Deserialize, Serialize};

pub(crate) use page::{Shown, ShownContent};
pub(crate) use part::carry;

use crate::{Failure, process::cpu_us};

/// The argument that makes this program a part of the crowd.
pub(crate) const PART: &str = "--crowd";

/// Concurrent handshakes of a part: no more than a server's queue of new connections holds (128 by
/// default); otherwise some would wait a second until they are sent again.
const AT_ONCE: u32 = 100;

/// A request to a part.
#[derive(Debug, Serialize, Deserialize)]
enum PartRequest {
    Join(PagesToConnect),
    Count,
    /// Let this many waiting pages leave each second, from now on.
    Leave {
        per_s: f64,
    },
    /// Record the messages to tickets up to this one, starting with their current state.
    Record {
        up_to: u64,
    },
    Recorded,
    HangUp,
}

#[derive(Debug, Serialize, Deserialize)]
enum PartResponse {
    Joined(ConnectedPages),
    Counted(PageCounts),
    Recorded(Recorded),
    Done,
}

/// Pages to connect.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PagesToConnect {
    pub(crate) to: SocketAddr,
    pub(crate) path: String,
    pub(crate) count: u32,
    /// Whether a handshake without a ticket counts as failed.
    pub(crate) wants_ticket: bool,
    /// The address of the first page; each page has its own.
    pub(crate) first_source: Ipv4Addr,
}

impl PagesToConnect {
    fn handshake(&self) -> Vec<u8> {
        let Self { path, to, .. } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        .into_bytes()
    }
}

/// The result of connecting.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ConnectedPages {
    pub(crate) entered: u32,
    pub(crate) refused: u32,
    /// Why the first of these was rejected.
    pub(crate) why: Option<String>,
    /// Time from the first connection until the last response.
    pub(crate) took_us: u64,
}

/// The state of the pages: the first two at present, the others since the last hang-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PageCounts {
    pub(crate) connected: u64,
    /// Connected, and with a place.
    pub(crate) waiting: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Pages that received the last message, and when the last of them did.
    pub(crate) over: u64,
    pub(crate) last_over_us: u64,
    /// Pages that lost their connection before that.
    pub(crate) lost: u64,
}

impl PageCounts {
    fn plus(self, other: Self) -> Self {
        Self {
            connected: self.connected + other.connected,
            waiting: self.waiting + other.waiting,
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            over: self.over + other.over,
            last_over_us: self.last_over_us.max(other.last_over_us),
            lost: self.lost + other.lost,
        }
    }
}

/// Messages to tickets.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Recorded {
    up_to: u64,
    shown: Vec<(u64, Shown)>,
}

/// All parts, numbered from 0.
pub(crate) struct PageCrowd {
    parts: Vec<PartProcess>,
}

struct PartProcess {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Drop for PartProcess {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl PartProcess {
    fn start() -> Result<Self, Failure> {
        let mut child =
            Command::new(env::current_exe()?).arg(PART).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("a part of the crowd has no pipes".to_owned()));
        };
        Ok(Self { child, asks, answers: BufReader::new(answers).lines() })
    }

    fn ask(&mut self, ask: &PartRequest) -> Result<(), Failure> {
        Ok(writeln!(self.asks, "{}", serde_json::to_string(ask)?)?)
    }

    fn answer(&mut self) -> Result<PartResponse, Failure> {
        let line = self.answers.next().ok_or_else(|| Failure::new("a part of the crowd has ended"))??;
        Ok(serde_json::from_str(&line)?)
    }
}

impl PageCrowd {
    /// Starts a number of processes.
    pub(crate) fn start(parts: u16) -> Result<Self, Failure> {
        Ok(Self { parts: (0..parts).map(|_| PartProcess::start()).collect::<Result<_, _>>()? })
    }

    /// Sends a request to all parts concurrently.
    fn ask_all(&mut self, ask: impl Fn(u16) -> PartRequest) -> Result<Vec<PartResponse>, Failure> {
        for (nth, part) in (0..).zip(&mut self.parts) {
            part.ask(&ask(nth))?;
        }
        self.parts.iter_mut().map(PartProcess::answer).collect()
    }

    /// Lets each part connect its pages; returns the results in the order of the parts.
    pub(crate) fn join(&mut self, job: impl Fn(u16) -> PagesToConnect) -> Result<Vec<ConnectedPages>, Failure> {
        let answers = self.ask_all(|nth| PartRequest::Join(job(nth)))?;
        let joined = answers.into_iter().filter_map(|answer| match answer {
            PartResponse::Joined(joined) => Some(joined),
            _ => None,
        });
        joined
            .map(|joined| match &joined.why {
                Some(why) => Err(Failure::new(format!("{} pages were refused: {why}", joined.refused))),
                None => Ok(joined),
            })
            .collect()
    }

    /// The state of all pages.
    pub(crate) fn count(&mut self) -> Result<PageCounts, Failure> {
        let answers = self.ask_all(|_| PartRequest::Count)?;
        Ok(answers.into_iter().fold(PageCounts::default(), |all, answer| match answer {
            PartResponse::Counted(counted) => all.plus(counted),
            _ => all,
        }))
    }

    /// Lets this many pages leave each second, in total.
    pub(crate) fn leave(&mut self, per_s: f64) -> Result<(), Failure> {
        let per_s = per_s / self.parts.len() as f64;
        self.ask_all(|_| PartRequest::Leave { per_s }).map(drop)
    }

    /// Records the messages to tickets up to this one, from now on.
    pub(crate) fn record(&mut self, up_to: u64) -> Result<(), Failure> {
        self.ask_all(|_| PartRequest::Record { up_to }).map(drop)
    }

    /// The recorded messages, by ticket, each in the order of time.
    pub(crate) fn recorded(&mut self) -> Result<Vec<(u64, Shown)>, Failure> {
        let answers = self.ask_all(|_| PartRequest::Recorded)?;
        let shown = answers.into_iter().flat_map(|answer| match answer {
            PartResponse::Recorded(recorded) => recorded.shown,
            _ => Vec::new(),
        });
        Ok(shown.collect())
    }

    /// Closes every socket.
    pub(crate) fn hang_up(&mut self) -> Result<(), Failure> {
        self.ask_all(|_| PartRequest::HangUp).map(drop)
    }

    /// CPU microseconds that the crowd itself has used.
    pub(crate) fn cpu_us(&self) -> Result<u64, Failure> {
        self.parts.iter().map(|part| cpu_us(part.child.id())).sum()
    }
}
