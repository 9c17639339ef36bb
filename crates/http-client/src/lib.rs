//! Calls to other HTTP services, each with a timeout and a bounded response.

use std::{
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use fairline_telemetry::{Operation, OperationKind, SpanReport, context::TRACEPARENT};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    body::{Body, Frame, SizeHint},
    header::HeaderValue,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::Instant;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Shorter than the keep-alive of servers, so that we rarely write to a closed connection.
const IDLE_MAX: Duration = Duration::from_secs(5);
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// No usable response: whether the call had an effect is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NoResponse {
    /// The reason, for logs.
    pub why: String,
    /// No connection was made, or it was too late to send the request, so the call certainly had no
    /// effect.
    pub never_left: bool,
}

/// A response.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A client for HTTP inside the shop's network, and for HTTPS with the certificates that this
/// machine trusts.
///
/// ```no_run
/// use std::time::Duration;
///
/// use fairline_http_client::HttpClient;
/// use http_body_util::Full;
/// use hyper::Request;
///
/// # async fn call() -> Result<(), Box<dyn std::error::Error>> {
/// let client = HttpClient::new(Duration::from_secs(2));
/// let request = Request::get("http://localhost:8080/").body(Full::default())?;
/// let response = client.call(request).await?;
/// assert!(response.status.is_success());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, DeadlineBody>,
    timeout: Duration,
    response_bytes_max: usize,
}

impl HttpClient {
    /// A client whose calls take at most `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector(timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Self { client, timeout, response_bytes_max: RESPONSE_BYTES_MAX }
    }

    /// Accepts longer responses than 64 KiB.
    #[must_use]
    pub fn with_response_bytes_max(mut self, response_bytes_max: usize) -> Self {
        self.response_bytes_max = response_bytes_max;
        self
    }

    /// Sends a request and returns the response, whatever its status. Passes the trace context on.
    ///
    /// # Errors
    /// Returns an error if there was no response in time.
    pub async fn call(&self, request: Request<Full<Bytes>>) -> Result<HttpResponse, NoResponse> {
        self.send(request.map(|body| DeadlineBody { body, send_by: None })).await
    }

    /// Sends a request with a body, unless it would be written after this time: connecting may take
    /// long, and the process may be paused.
    ///
    /// # Errors
    /// Returns an error if it was too late, or if there was no response in time.
    pub async fn call_before(
        &self,
        send_by: Instant,
        request: Request<Full<Bytes>>,
    ) -> Result<HttpResponse, NoResponse> {
        self.send(request.map(|body| DeadlineBody { body, send_by: Some(send_by) })).await
    }

    async fn send(&self, mut request: Request<DeadlineBody>) -> Result<HttpResponse, NoResponse> {
        let operation = Operation::begin(OperationKind::Client);
        if let Ok(trace) = HeaderValue::from_str(&operation.context().to_string()) {
            request.headers_mut().insert(TRACEPARENT, trace);
        }
        let (method, host) = (request.method().clone(), request.uri().host().unwrap_or_default().to_owned());
        let answer = self.respond(request).await;
        let has_failed = answer.as_ref().map_or(true, |answered| answered.status.is_server_error());
        let result = answer.as_ref().map_or("unanswered", |answered| answered.status.as_str());
        operation.end(result, has_failed, || SpanReport {
            operation: format!("{method} {host}"),
            attributes: vec![("http.request.method", method.to_string()), ("server.address", host)],
        });
        answer
    }

    async fn respond(&self, request: Request<DeadlineBody>) -> Result<HttpResponse, NoResponse> {
        let answer = async {
            let lost = |why| NoResponse { why, never_left: false };
            let unsent = |error: hyper_util::client::legacy::Error| NoResponse {
                why: reasons(&error),
                never_left: error.is_connect() || is_too_late(&error),
            };
            let response = self.client.request(request).await.map_err(unsent)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, self.response_bytes_max).collect().await;
            let body = body.map_err(|error| lost(error.to_string()))?.to_bytes();
            Ok(HttpResponse { status: parts.status, headers: parts.headers, body })
        };
        let why = || format!("no response within {} s", self.timeout.as_secs_f64());
        let late = |_| NoResponse { why: why(), never_left: false };
        tokio::time::timeout(self.timeout, answer).await.map_err(late)?
    }
}

/// It was too late to send a request.
#[derive(Debug, thiserror::Error)]
#[error("it was too late to send the request")]
struct TooLate;

fn is_too_late(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<TooLate>() || error.source().is_some_and(is_too_late)
}

/// The body of a request. It is read after the connection is made, and right before the first byte
/// is written; if it fails then, nothing is.
#[derive(Debug)]
struct DeadlineBody {
    body: Full<Bytes>,
    send_by: Option<Instant>,
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        if self.send_by.is_some_and(|send_by| Instant::now() > send_by) {
            return Poll::Ready(Some(Err(TooLate)));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(|never| match never {})
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn connector(timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(IDLE_MAX));
    connector.set_tcp_user_timeout(Some(timeout));
    connector.enforce_http(false);
    connector
}

/// An error with its causes: hyper's own message omits them.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence = format!("{sentence}: {error}");
        cause = error.source();
    }
    sentence
}

/// The trusted certificates of this machine, read once and only when needed.
fn tls() -> rustls::ClientConfig {
    static CONFIG: LazyLock<rustls::ClientConfig> = LazyLock::new(|| {
        let mut roots = rustls::RootCertStore::empty();
        // A certificate that can't be parsed is not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    });
    CONFIG.clone()
}

/// Parses a URL: `http://host[:port][/path]`, or the same with https.
#[must_use]
pub fn web_address(text: &str) -> Option<Uri> {
    text.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::{io::AsyncReadExt as _, net::TcpListener};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_that_would_be_sent_too_late_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let client = HttpClient::new(Duration::from_secs(7));
        let post = || Request::post(&url).body(Full::from("a form")).expect("a request");
        let unsent = client.call_before(Instant::now() - Duration::from_millis(1), post()).await.expect_err("too late");
        assert!(unsent.never_left, "{unsent}");
        let (mut connection, _) = listener.accept().await.expect("a connection");
        assert_eq!(connection.read(&mut [0; 64]).await.expect("its end"), 0, "nothing was written");

        let in_time = client.call_before(Instant::now() + Duration::from_secs(60), post());
        let arrives = async {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            connection.read(&mut [0; 64]).await.expect("bytes")
        };
        let (lost, bytes) = tokio::join!(in_time, arrives);
        assert!(bytes > 0 && !lost.expect_err("the server hangs up").never_left);
    }

    #[tokio::test]
    async fn a_connection_has_keep_alive_and_a_limit_for_unacknowledged_data() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let timeout = Duration::from_secs(7);
        let stream = connector(timeout).oneshot(url.parse().expect("a URL")).await.expect("a connection");
        let socket = SockRef::from(stream.inner());
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), IDLE_MAX);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(timeout));
    }
}
