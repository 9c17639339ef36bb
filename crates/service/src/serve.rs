//! The accept loop.
//!
//! Ours rather than `axum::serve`, which has no limit on connections, no time limit for headers (a slow sender holds a
//! connection for ever) and leaves TCP_NODELAY off.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt as _;
use tracing::{debug, warn};

use crate::Shutdown;

/// Limits of an accept loop.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Connections open at once, up to their upgrade: WebSockets are counted by whoever upgrades them. Beyond them the
    /// loop stops accepting and the kernel's own queue fills.
    pub connections_max: usize,
    /// Time that a client may take to send a request's headers, and that a kept-alive connection may be idle.
    pub header_timeout: Duration,
    /// Bytes of request headers, and of each connection's read buffer, at most. At least 8 KiB.
    pub header_bytes_max: usize,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { connections_max: 18_000, header_timeout: Duration::from_secs(15), header_bytes_max: 16 * 1024 }
    }
}

/// Serves until asked to stop; then lets requests under way finish. Upgraded connections belong to whoever upgraded them.
pub async fn serve(listener: TcpListener, router: Router, limits: ServeLimits, shutdown: &Shutdown) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            () = shutdown.triggered() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.triggered() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), limits, shutdown.clone());
                shutdown.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            // Out of files or memory, or a client that hung up at once: neither ends the service.
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, limits: ServeLimits, shutdown: Shutdown) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
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
        debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn started(limits: ServeLimits) -> (SocketAddr, Shutdown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        shutdown.spawn(async move {
            serve(listener, Router::new().route("/", get(|| async { "in" })), limits, &stop).await;
        });
        (address, shutdown)
    }

    async fn answer(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn a_client_that_never_ends_its_headers_is_cut_off() {
        let limits = ServeLimits { header_timeout: Duration::from_millis(50), ..ServeLimits::default() };
        let (address, _shutdown) = started(limits).await;
        // The read ends, though the client never does: the server hangs up.
        assert!(!answer(address, "GET / HTTP/1.1\r\nhost: here\r\n").await.contains("200 OK"));
    }

    #[tokio::test]
    async fn headers_have_a_bound() {
        let (address, _shutdown) = started(ServeLimits::default()).await;
        let long = format!("GET / HTTP/1.1\r\nhost: here\r\nx-long: {}\r\n\r\n", "a".repeat(20_000));
        assert!(answer(address, &long).await.starts_with("HTTP/1.1 431"));
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
