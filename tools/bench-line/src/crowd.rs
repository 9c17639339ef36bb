//! The crowd: processes of this program, each with up to 18,000 pages that wait over real sockets.
//!
//! What they are asked goes to their standard input, what they answer comes from their standard output, a JSON document a
//! line. They end when this process does.

mod page;
mod part;

use std::{
    env,
    io::{BufRead as _, BufReader, Lines, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::{Deserialize, Serialize};

pub(crate) use page::{Told, What};
pub(crate) use part::carry;

use crate::{Failure, process::cpu_us};

/// The argument that makes this program a part of the crowd.
pub(crate) const PART: &str = "--crowd";

/// Handshakes that a part has under way at the same time: no more than a server's queue of new connections holds (128,
/// where it asks for no more), or some would wait for a second until they are sent again.
const AT_ONCE: u32 = 100;

/// What a part is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Join(Join),
    Count,
    /// So many who wait leave, each second, from now on.
    Leave {
        per_s: f64,
    },
    /// Keep what tickets up to this one are told, from what they know now on.
    Record {
        up_to: u64,
    },
    Recorded,
    HangUp,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Joined(Joined),
    Counted(Counted),
    Recorded(Recorded),
    Done,
}

/// Pages that are to connect.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Join {
    pub(crate) to: SocketAddr,
    pub(crate) path: String,
    pub(crate) count: u32,
    /// A handshake without a ticket has failed.
    pub(crate) wants_ticket: bool,
    /// Each page has an address of its own, from this one on.
    pub(crate) first_source: Ipv4Addr,
}

impl Join {
    fn handshake(&self) -> Vec<u8> {
        let Self { path, to, .. } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        .into_bytes()
    }
}

/// How connecting went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Joined {
    pub(crate) entered: u32,
    pub(crate) refused: u32,
    /// Why the first of those was refused.
    pub(crate) why: Option<String>,
    /// From the first connection until the last answer.
    pub(crate) took_us: u64,
}

/// How pages are doing: the first two now, the others since they were hung up last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) connected: u64,
    /// Connected, and with a place.
    pub(crate) waiting: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Have heard that it is over, the last of them at this moment.
    pub(crate) over: u64,
    pub(crate) last_over_us: u64,
    /// Lost their connection before.
    pub(crate) lost: u64,
}

impl Counted {
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

/// What tickets were told.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Recorded {
    up_to: u64,
    told: Vec<(u64, Told)>,
}

/// All parts, numbered from 0.
pub(crate) struct Crowd {
    parts: Vec<Part>,
}

struct Part {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Part {
    fn start() -> Result<Self, Failure> {
        let mut child =
            Command::new(env::current_exe()?).arg(PART).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("a part of the crowd has no pipes".to_owned()));
        };
        Ok(Self { child, asks, answers: BufReader::new(answers).lines() })
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), Failure> {
        Ok(writeln!(self.asks, "{}", serde_json::to_string(ask)?)?)
    }

    fn answer(&mut self) -> Result<Answer, Failure> {
        let line = self.answers.next().ok_or_else(|| Failure::new("a part of the crowd has ended"))??;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Crowd {
    /// Starts so many processes.
    pub(crate) fn start(parts: u16) -> Result<Self, Failure> {
        Ok(Self { parts: (0..parts).map(|_| Part::start()).collect::<Result<_, _>>()? })
    }

    /// Asks every part, all at the same time.
    fn ask_all(&mut self, ask: impl Fn(u16) -> Ask) -> Result<Vec<Answer>, Failure> {
        for (nth, part) in (0..).zip(&mut self.parts) {
            part.ask(&ask(nth))?;
        }
        self.parts.iter_mut().map(Part::answer).collect()
    }

    /// Each part connects its pages; gives how that went, in the order of the parts.
    pub(crate) fn join(&mut self, job: impl Fn(u16) -> Join) -> Result<Vec<Joined>, Failure> {
        let answers = self.ask_all(|nth| Ask::Join(job(nth)))?;
        let joined = answers.into_iter().filter_map(|answer| match answer {
            Answer::Joined(joined) => Some(joined),
            _ => None,
        });
        joined
            .map(|joined| match &joined.why {
                Some(why) => Err(Failure::new(format!("{} pages were refused: {why}", joined.refused))),
                None => Ok(joined),
            })
            .collect()
    }

    /// How the pages are doing, all together.
    pub(crate) fn count(&mut self) -> Result<Counted, Failure> {
        let answers = self.ask_all(|_| Ask::Count)?;
        Ok(answers.into_iter().fold(Counted::default(), |all, answer| match answer {
            Answer::Counted(counted) => all.plus(counted),
            _ => all,
        }))
    }

    /// So many leave each second, all together.
    pub(crate) fn leave(&mut self, per_s: f64) -> Result<(), Failure> {
        let per_s = per_s / self.parts.len() as f64;
        self.ask_all(|_| Ask::Leave { per_s }).map(drop)
    }

    /// Keeps what tickets up to this one are told from now on.
    pub(crate) fn record(&mut self, up_to: u64) -> Result<(), Failure> {
        self.ask_all(|_| Ask::Record { up_to }).map(drop)
    }

    /// What they have been told, ticket by ticket, each in the order of time.
    pub(crate) fn recorded(&mut self) -> Result<Vec<(u64, Told)>, Failure> {
        let answers = self.ask_all(|_| Ask::Recorded)?;
        let told = answers.into_iter().flat_map(|answer| match answer {
            Answer::Recorded(recorded) => recorded.told,
            _ => Vec::new(),
        });
        Ok(told.collect())
    }

    /// Closes every socket.
    pub(crate) fn hang_up(&mut self) -> Result<(), Failure> {
        self.ask_all(|_| Ask::HangUp).map(drop)
    }

    /// Microseconds of processor time that the crowd itself has used.
    pub(crate) fn cpu_us(&self) -> Result<u64, Failure> {
        self.parts.iter().map(|part| cpu_us(part.child.id())).sum()
    }
}
