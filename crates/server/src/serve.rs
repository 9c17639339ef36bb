//! The accept loop.
//!
//! Replaces `axum::serve`, which has no limit on connections, no timeout for headers (a slow sender
//! holds a connection for ever), and leaves TCP_NODELAY off.
//!
//! A sudden crowd waits where it costs nothing: the loop accepts a bounded number of connections at
//! the same time, the kernel queues further ones, and clients beyond that queue retry.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{
    body::{Body as _, Frame, Incoming},
    rt::Timer,
    server::conn::http1,
};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until},
};
use tower::{Service, ServiceExt as _};
use tracing::{debug, warn};

use crate::{Shutdown, raise_file_limit};

/// Connections that the kernel queues for us. It caps this at `net.core.somaxconn`, 4096 by
/// default.
const BACKLOG: i32 = 4096;
/// TCP keepalive of a quiet connection: the time before the first probe, the interval, and the
/// number of probes.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);
/// Sent data that stays unacknowledged for this long breaks the connection.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(60);

/// Bytes of a long request body that must arrive each second on average.
const BODY_BYTES_PER_S_MIN: usize = 64 * 1024;

/// Limits of an accept loop.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Maximum open connections. A WebSocket counts until its upgrade; its new owner counts it
    /// afterwards. At the limit the loop stops accepting, and the kernel's queue fills.
    pub connections_max: usize,
    /// Maximum connections among these that still wait for their first response. At this limit,
    /// too, the loop stops accepting.
    pub newcomers_max: usize,
    /// Timeout for a request's headers, and for an idle kept-alive connection.
    pub header_timeout: Duration,
    /// Timeout for a request's body, from when the service waits for it; longer by a second for
    /// each 64 KiB that have arrived since, for uploads over slow links.
    pub body_timeout: Duration,
    /// Maximum size in bytes of request headers, and of each connection's read buffer. At least 8
    /// KiB.
    pub header_bytes_max: usize,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections_max: 18_000,
            newcomers_max: 2048,
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(15),
            header_bytes_max: 16 * 1024,
        }
    }
}

/// Serves until shutdown, then lets requests in progress finish. Upgraded connections belong to the
/// code that upgraded them.
pub async fn serve<S>(listener: TcpListener, service: S, limits: ServeLimits, shutdown: &Shutdown)
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let files = raise_file_limit();
    if files < limits.connections_max as u64 {
        warn!(
            files,
            connections = limits.connections_max,
            "the open-file limit is below the connection limit: raise it (`ulimit -Hn`)"
        );
    }
    if let Err(error) = prepare(&listener) {
        warn!(%error, "set listening socket options failed");
    }
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let newcomers = Arc::new(Semaphore::new(limits.newcomers_max));
    loop {
        let place = tokio::select! {
            place = take(&places) => place,
            () = shutdown.triggered() => return,
        };
        let newcomer = tokio::select! {
            newcomer = take(&newcomers) => newcomer,
            () = shutdown.triggered() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.triggered() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let client = NewConnection { stream, peer, newcomer };
                let connection = connection(client, service.clone(), limits, shutdown.clone());
                shutdown.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            // Out of files or memory, or a client that disconnected at once: neither ends the
            // service.
            Err(error) => {
                warn!(%error, "accept connection failed");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn take(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.clone().acquire_owned().await.expect("the semaphore is never closed")
}

/// Sets the socket options that accepted connections inherit (`man 7 tcp`: Linux copies those of
/// the listening socket) at no cost per connection, and enlarges the queue.
fn prepare(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_tcp_user_timeout(Some(CONFIRMED_WITHIN))?;
    socket.listen(BACKLOG)
}

/// A client that has connected and waits for its first response.
struct NewConnection {
    stream: TcpStream,
    peer: SocketAddr,
    newcomer: OwnedSemaphorePermit,
}

async fn connection<S>(client: NewConnection, service: S, limits: ServeLimits, shutdown: Shutdown)
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let NewConnection { stream, peer, newcomer } = client;
    let newcomer = Arc::new(Mutex::new(Some(newcomer)));
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(|body| in_time(body, limits.body_timeout));
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answer, newcomer) = (service.clone().oneshot(request), newcomer.clone());
        async move {
            let answer = answer.await;
            newcomer.lock().unwrap_or_else(PoisonError::into_inner).take();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(Alarms::default())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.triggered() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "serve connection failed");
    }
}

/// The timers of one connection. hyper sets one for every request, and almost none expires. One
/// runtime timer serves all of them; it is reset when it expires for one that was cleared.
#[derive(Clone, Default)]
struct Alarms(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl Timer for Alarms {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(std::time::Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Alarm { deadline: deadline.into(), timer: self.clone() })
    }
}

/// Expires later than every earlier alarm of its connection.
struct Alarm {
    deadline: Instant,
    timer: Alarms,
}

impl hyper::rt::Sleep for Alarm {}

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

/// A body with a deadline: a client that announces one and sends none would otherwise hold a
/// newcomer's slot for ever.
fn in_time(body: Incoming, limit: Duration) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(TimedBody { body, limit, late: None })
}

struct TimedBody {
    body: Incoming,
    limit: Duration,
    /// The deadline, set once the service has to wait: most bodies arrive with their headers.
    late: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for TimedBody {
    type Data = <Incoming as hyper::body::Body>::Data;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if let (Some(Ok(frame)), Some(late)) = (&frame, &mut self.late) {
                let bytes = frame.data_ref().map_or(0, |bytes| bytes.len());
                let earned = Duration::from_secs(1).mul_f64(bytes as f64 / BODY_BYTES_PER_S_MIN as f64);
                let deadline = late.deadline() + earned;
                late.as_mut().reset(deadline);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let late = || axum::Error::new(io::Error::new(io::ErrorKind::TimedOut, "the body did not come in time"));
        let limit = self.limit;
        let end = self.late.get_or_insert_with(|| Box::pin(sleep(limit)));
        end.as_mut().poll(context).map(|()| Some(Err(late())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        routing::{get, post},
    };
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn started(limits: ServeLimits) -> (SocketAddr, Shutdown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        shutdown.spawn(async move {
            let router =
                Router::new().route("/", get(|| async { "in" })).route("/echo", post(|body: String| async { body }));
            serve(listener, router, limits, &stop).await;
        });
        (address, shutdown)
    }

    async fn answer(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("a response");
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_fires_at_its_time_unless_it_was_cleared() {
        let alarms = Alarms::default();
        let second = Duration::from_secs(1);
        let mut cleared = alarms.sleep_until((Instant::now() + second).into());
        assert!(futures_util::poll!(&mut cleared).is_pending());
        drop(cleared);
        sleep(second / 2).await;
        let (begun, alarm) = (Instant::now(), alarms.sleep_until((Instant::now() + second).into()));
        alarm.await;
        assert_eq!(begun.elapsed().as_millis(), second.as_millis());
    }

    #[tokio::test]
    async fn a_client_that_never_ends_its_headers_is_cut_off() {
        let limits = ServeLimits { header_timeout: Duration::from_millis(50), ..ServeLimits::default() };
        let (address, _shutdown) = started(limits).await;
        // The read ends although the client never closes: the server disconnects.
        assert!(!answer(address, "GET / HTTP/1.1\r\nhost: here\r\n").await.contains("200 OK"));
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_refused_and_makes_room() {
        let limits =
            ServeLimits { body_timeout: Duration::from_millis(50), newcomers_max: 1, ..ServeLimits::default() };
        let (address, _shutdown) = started(limits).await;
        let promised = "POST /echo HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 4\r\n\r\n";
        assert!(answer(address, promised).await.starts_with("HTTP/1.1 400"));
        assert!(answer(address, &format!("{promised}text")).await.ends_with("text"));
    }

    #[tokio::test]
    async fn a_long_body_that_arrives_steadily_has_more_time() {
        let limits = ServeLimits { body_timeout: Duration::from_millis(100), ..ServeLimits::default() };
        let (address, _shutdown) = started(limits).await;
        let (piece, pieces) = (vec![b'a'; 64 * 1024], 4);
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let head = format!(
            "POST /echo HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            pieces * piece.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        for _ in 0..pieces {
            stream.write_all(&piece).await.expect("sent");
            // Sleeps: a slow client.
            sleep(Duration::from_millis(60)).await;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("a response");
        assert!(answer.starts_with("HTTP/1.1 200"), "{}", answer.lines().next().unwrap_or_default());
    }

    #[tokio::test]
    async fn headers_have_a_bound() {
        let (address, _shutdown) = started(ServeLimits::default()).await;
        let long = format!("GET / HTTP/1.1\r\nhost: here\r\nx-long: {}\r\n\r\n", "a".repeat(20_000));
        assert!(answer(address, &long).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn accepted_connections_inherit_the_options_of_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        prepare(&listener).expect("prepared");
        let _client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (accepted, _) = listener.accept().await.expect("accepted");
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("an option") && accepted.keepalive().expect("an option"));
        assert_eq!(accepted.tcp_keepalive_time().expect("an option"), Duration::from_secs(30));
        assert_eq!(accepted.tcp_user_timeout().expect("an option"), Some(CONFIRMED_WITHIN));
    }

    #[tokio::test]
    async fn one_newcomer_too_many_waits_and_an_answered_connection_makes_room() {
        let (address, _shutdown) = started(ServeLimits { newcomers_max: 1, ..ServeLimits::default() }).await;
        let mut kept = TcpStream::connect(address).await.expect("a connection");
        let second =
            tokio::spawn(answer(address, "GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").into_future());
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        kept.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.expect("sent");
        assert!(second.await.expect("no panic").contains("200 OK"), "the first is kept alive and no newcomer any more");
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_its_turn() {
        let (address, shutdown) = started(ServeLimits { connections_max: 1, ..ServeLimits::default() }).await;
        let first = TcpStream::connect(address).await.expect("a connection");
        let second =
            tokio::spawn(answer(address, "GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").into_future());
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.expect("no panic").contains("200 OK"));
        shutdown.trigger();
        assert!(shutdown.finished(Duration::from_secs(5)).await);
    }
}
