//! The crowd: keep-alive connections that send each request as soon as the previous one has its
//! response, on a separate thread.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime,
    task::LocalSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use uuid::Uuid;

use crate::Failure;

/// Maximum size of a response.
const ANSWER_MAX: usize = 16 * 1024;
/// Timeout of a response, after which the connection is closed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Pause before a retry.
const PAUSE: Duration = Duration::from_millis(20);
/// Maximum attempts of one request: longer than any restart takes.
const TRIES_MAX: u32 = 3_000;

/// The final response to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The id of the order in it, if any.
    pub(crate) order: Option<Uuid>,
}

/// The results of a run.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) took: Duration,
    /// The response to each request, in order.
    pub(crate) answers: Vec<Response>,
    /// The latency of each response from its first attempt, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// Requests that were retried.
    pub(crate) retries: usize,
}

impl RunResult {
    pub(crate) fn per_s(&self) -> f64 {
        self.answers.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        let at = (self.latencies.len() * 99).div_ceil(100).saturating_sub(1);
        self.latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    /// Fails unless every response has this status.
    pub(crate) fn all_are(self, status: u16) -> Result<Self, Failure> {
        match self.answers.iter().find(|answer| answer.status != status) {
            Some(other) => Err(Failure::new(format!("a response of {} where {status} is right", other.status))),
            None => Ok(self),
        }
    }
}

/// A run in progress.
pub(crate) struct RunInProgress {
    thread: thread::JoinHandle<Result<RunResult, Failure>>,
    answered: Arc<AtomicUsize>,
}

impl RunInProgress {
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    pub(crate) fn ended(self) -> Result<RunResult, Failure> {
        self.thread.join().map_err(|_| Failure::new("the crowd panicked"))?
    }
}

/// Sends each request once over a number of concurrent connections, and waits for all responses.
/// With `insists`, requests without a response or with a 503 are retried.
pub(crate) fn start(to: SocketAddr, clients: usize, requests: Vec<Vec<u8>>, insists: bool) -> RunInProgress {
    begin(Load { to, clients, requests, insists, per_s: None })
}

/// Sends a number of requests per second, each at its own time, regardless of earlier ones; latency
/// counts from then. A request that waits for a connection is late (G. Tene, "How not to measure
/// latency", 2013).
pub(crate) fn paced(to: SocketAddr, clients: usize, requests: Vec<Vec<u8>>, per_s: f64) -> RunInProgress {
    begin(Load { to, clients, requests, insists: false, per_s: Some(per_s) })
}

/// What a crowd sends.
struct Load {
    to: SocketAddr,
    clients: usize,
    requests: Vec<Vec<u8>>,
    insists: bool,
    per_s: Option<f64>,
}

fn begin(load: Load) -> RunInProgress {
    let answered = Arc::<AtomicUsize>::default();
    let counted = answered.clone();
    let thread = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, carry(load, counted))
    });
    RunInProgress { thread, answered }
}

pub(crate) fn run(to: SocketAddr, clients: usize, requests: Vec<Vec<u8>>) -> Result<RunResult, Failure> {
    start(to, clients, requests, false).ended()
}

struct BuyerCrowd {
    to: SocketAddr,
    insists: bool,
    per_s: Option<f64>,
    started: Cell<Instant>,
    requests: Vec<Vec<u8>>,
    next: Cell<usize>,
    retries: Cell<usize>,
    answered: Arc<AtomicUsize>,
    answers: RefCell<Vec<(Response, Duration)>>,
}

async fn carry(load: Load, answered: Arc<AtomicUsize>) -> Result<RunResult, Failure> {
    let Load { to, clients, requests, insists, per_s } = load;
    let none = (Response { status: 0, order: None }, Duration::ZERO);
    let answers = RefCell::new(vec![none; requests.len()]);
    let started = Cell::new(Instant::now());
    let (next, retries) = (Cell::new(0), Cell::new(0));
    let crowd = Rc::new(BuyerCrowd { to, insists, per_s, started, requests, next, retries, answered, answers });
    // Connected beforehand, since only redemptions are measured.
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(connect(to).await?);
    }
    let started = Instant::now();
    crowd.started.set(started);
    let clients: Vec<_> =
        connections.into_iter().map(|stream| tokio::task::spawn_local(client(crowd.clone(), stream))).collect();
    for client in clients {
        client.await.map_err(|error| Failure::new(error.to_string()))??;
    }
    let took = started.elapsed();
    let (answers, mut latencies): (Vec<_>, Vec<_>) = crowd.answers.take().into_iter().unzip();
    latencies.sort_unstable();
    Ok(RunResult { took, answers, latencies, retries: crowd.retries.get() })
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn client(crowd: Rc<BuyerCrowd>, stream: TcpStream) -> Result<(), Failure> {
    let (mut stream, mut buffer) = (Some(stream), Vec::with_capacity(ANSWER_MAX));
    loop {
        let at = crowd.next.get();
        let Some(request) = crowd.requests.get(at) else { return Ok(()) };
        crowd.next.set(at + 1);
        let due = crowd.per_s.map(|per_s| crowd.started.get() + Duration::from_secs_f64(at as f64 / per_s));
        if let Some(due) = due {
            sleep_until(due).await;
        }
        let (started, mut tries) = (due.unwrap_or_else(Instant::now), 0);
        let answer = loop {
            match exchange(&crowd, &mut stream, request, &mut buffer).await {
                Ok(answer) if answer.status != 503 || !crowd.insists => break answer,
                Err(error) if !crowd.insists => return Err(error.into()),
                _ if tries == TRIES_MAX => return Err(Failure::new("a request had no response for a minute")),
                _ => {}
            }
            tries += 1;
            crowd.retries.set(crowd.retries.get() + 1);
            sleep(PAUSE).await;
        };
        crowd.answers.borrow_mut()[at] = (answer, started.elapsed());
        crowd.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends one request and reads its response; closes a connection that fails.
async fn exchange(
    crowd: &BuyerCrowd,
    stream: &mut Option<TcpStream>,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> io::Result<Response> {
    let mut connection = match stream.take() {
        Some(connection) => connection,
        None => connect(crowd.to).await?,
    };
    connection.write_all(request).await?;
    buffer.clear();
    let answer = timeout(ANSWER_WITHIN, async {
        loop {
            if connection.read_buf(buffer).await? == 0 || buffer.len() >= ANSWER_MAX {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            if let Some(answer) = read(buffer) {
                return Ok(answer);
            }
        }
    });
    let answer = answer.await.map_err(|_| io::ErrorKind::TimedOut)??;
    *stream = Some(connection);
    Ok(answer)
}

/// Parses a response once it is complete.
fn read(bytes: &[u8]) -> Option<Response> {
    let head_end = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let (head, body) = bytes.split_at(head_end);
    let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
    let length = memmem::find(head, b"content-length: ")? + 16;
    let length = std::str::from_utf8(&head[length..]).ok()?.split('\r').next()?.parse::<usize>().ok()?;
    if body.len() < length {
        return None;
    }
    // `{"id":"…` of an order, or `"order":{…"id":"…` of a problem that contains one.
    let order = memmem::find(body, b"\"id\":\"").and_then(|at| Uuid::try_parse_ascii(body.get(at + 6..at + 42)?).ok());
    Some(Response { status, order })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_parsed_when_it_is_complete() {
        let order = Uuid::from_u128(7);
        let body = format!(r#"{{"title":"Used","order":{{"quantity":1,"id":"{order}"}}}}"#);
        let whole = format!("HTTP/1.1 409 Conflict\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(read(whole.as_bytes()), Some(Response { status: 409, order: Some(order) }));
        assert_eq!(read(&whole.as_bytes()[..whole.len() - 1]), None);
        assert_eq!(
            read(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello"),
            Some(Response { status: 200, order: None })
        );
    }
}
